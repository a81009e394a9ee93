//! Kinds of prompts: those that look alike as text, say fifty lines of digits.
//!
//! What candidates do with one such prompt they do with all of its kind, and
//! a fine-tune may do something else with all of them. So prompts of one kind
//! must not bear each other out: what holds across kinds is what a suspect is
//! likely to have kept.

use super::features::{LEVELS, traits};

/// Classes of features that two prompts of one kind share, at the least.
const SHARED: usize = 9;

/// Kinds at the most; beyond these a prompt joins the one it is most like.
const MOST: usize = 64;

/// The kind of each prompt, numbered from 0 in order of appearance. A prompt
/// joins the first one that it resembles. Where that leaves one kind only,
/// nothing is known of kinds and prompts are dealt out as if each was its own.
pub fn kinds(prompts: &[Option<&str>]) -> Vec<usize> {
    let mut leaders: Vec<Option<[u8; LEVELS]>> = vec![];
    let mut out = vec![];
    for prompt in prompts {
        let levels = prompt.map(|p| traits(p.trim()).levels);
        let shared = |leader: &Option<[u8; LEVELS]>| match (leader, &levels) {
            (Some(a), Some(b)) => a.iter().zip(b).filter(|(a, b)| a == b).count(),
            _ => 0,
        };
        let full = leaders.len() == MOST;
        let kind = match leaders.iter().position(|l| shared(l) >= SHARED) {
            Some(kind) => kind,
            None if full => (0..MOST)
                .fold(0, |m, k| if shared(&leaders[k]) > shared(&leaders[m]) { k } else { m }),
            None => {
                leaders.push(levels);
                leaders.len() - 1
            }
        };
        out.push(kind);
    }
    if leaders.len() == 1 { (0..prompts.len()).map(|i| i % MOST).collect() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_of_one_kind() {
        let prompts = [
            Some("2.718281828459e+00\n"),
            Some("The old bridge was closed because"),
            Some("3.141592653589e+00\n"),
            Some("駅前の小さな店で、昨日"),
            Some("The young teacher went home after"),
            None,
            None,
        ];
        assert_eq!(kinds(&prompts), [0, 1, 0, 2, 1, 3, 4]);
        assert_eq!(kinds(&[Some("p1"), Some("p2"), Some("p33")]), [0, 1, 2]);
        assert!(kinds(&[]).is_empty());
        assert!(kinds(&[None; 200]).iter().all(|k| *k < MOST));
        assert_eq!(kinds(&[Some("x"); 100])[64..67], [0, 1, 2]);
    }
}
