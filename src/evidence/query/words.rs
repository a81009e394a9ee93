//! Prompts that nobody has written before: words of many domains and scripts in
//! random order. Their continuation is in no text, so that models which learnt
//! from the same texts agree on it less than those which share their weights.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// A domain a line: its name, a tab, its words. All our own choice.
const WORDS: &str = include_str!("words.txt");

/// Words of a prompt, at the least and at the most.
const LENGTHS: std::ops::RangeInclusive<u64> = 3..=8;

/// `count` different prompts; those of a smaller count come first.
pub fn random(count: usize, seed: u64) -> Vec<String> {
    let domains: Vec<Vec<&str>> = WORDS
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(_, words)| words.split(' ').collect())
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |n: usize| rng.random_range(0..n as u64) as usize;
    let (mut met, mut prompts) = (HashSet::new(), vec![]);
    while prompts.len() < count {
        let length =
            *LENGTHS.start() as usize + below((LENGTHS.end() - LENGTHS.start() + 1) as usize);
        // Half of them keep to one domain, half mix all.
        let one = (below(2) == 0).then(|| below(domains.len()));
        let words: Vec<&str> = (0..length)
            .map(|_| {
                let domain = &domains[one.unwrap_or_else(|| below(domains.len()))];
                domain[below(domain.len())]
            })
            .collect();
        let prompt = words.join(" ");
        if met.insert(prompt.clone()) {
            prompts.push(prompt);
        }
    }
    prompts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_seeded_different_and_start_alike() {
        let all = random(1000, 7);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 1000);
        assert_eq!(all[..100], random(100, 7));
        assert_ne!(all[..100], random(100, 8));
        assert!(all.iter().all(|p| p.trim() == p && p.split(' ').count() <= 8 && p.len() < 200));
        assert!(all.iter().any(|p| p.contains("вода")) && all.iter().any(|p| p.contains('水')));
    }
}
