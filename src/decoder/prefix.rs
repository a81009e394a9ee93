//! Sequences with common beginnings, cut so that each beginning is computed once.

use super::forward::{Cache, Segment};
use std::ops::Range;

/// Fewest common tokens that are worth a segment of their own: less than what
/// keeping and copying their keys and values costs.
const COMMON: usize = 3;

/// Segments of some sequences, each after the one it goes on from.
#[derive(Default)]
pub struct Tree<'a> {
    /// The segments.
    pub segments: Vec<Segment<'a>>,
    /// First row of each segment, where the rows of all are stacked.
    rows: Vec<usize>,
    /// First position of each segment.
    starts: Vec<usize>,
    /// By sequence: its last segment; `None` for an empty sequence.
    ends: Vec<Option<usize>>,
    height: usize,
}

impl<'a> Tree<'a> {
    /// The tree of `sequences`, which must be in lexicographic order.
    pub fn new(sequences: &[&'a [u32]]) -> Self {
        let mut tree = Self { ends: vec![None; sequences.len()], ..Self::default() };
        // What is still to be cut: sequences that share `depth` tokens, after a segment.
        let mut open: Vec<(Range<usize>, usize, Option<usize>)> =
            vec![(0..sequences.len(), 0, None)];
        while let Some((range, depth, parent)) = open.pop() {
            let Some(first) = range.clone().next() else { continue };
            let shared = |i: &usize| common(sequences[first], sequences[*i]);
            let alike = range.clone().take_while(|i| shared(i) >= depth + COMMON).count().max(1);
            let last = first + alike - 1;
            let end = if alike == 1 { sequences[first].len() } else { shared(&last) };
            if end > depth {
                tree.push(&sequences[first][depth..end], depth, parent);
            }
            let segment = if end > depth { Some(tree.segments.len() - 1) } else { parent };
            open.push((last + 1..range.end, depth, parent));
            if alike == 1 {
                tree.ends[first] = segment;
            } else {
                open.push((first..last + 1, end, segment));
            }
        }
        tree
    }

    fn push(&mut self, tokens: &'a [u32], start: usize, parent: Option<usize>) {
        self.segments.push(Segment { tokens, parent });
        self.rows.push(self.height);
        self.starts.push(start);
        self.height += tokens.len();
    }

    /// Rows of all segments.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The last row of sequence `i`, which must not be empty.
    pub fn last_row(&self, i: usize) -> usize {
        self.ends[i].map_or(0, |s| self.rows[s] + self.segments[s].tokens.len() - 1)
    }

    /// The cache of sequence `i`, out of those of the segments; to be taken in order.
    pub fn take(&self, i: usize, caches: &mut [Cache]) -> Cache {
        match self.ends[i] {
            // A sequence that is there again comes next to itself.
            Some(s) if self.ends.get(i + 1) == Some(&Some(s)) => caches[s].clone(),
            Some(s) => std::mem::take(&mut caches[s]),
            None => Cache::default(),
        }
    }

    /// The rows of positions `wanted` of sequence `i`.
    pub fn rows(&self, i: usize, wanted: Range<usize>) -> Vec<usize> {
        let mut rows = vec![];
        let mut segment = self.ends[i];
        while let Some(s) = segment {
            let start = self.starts[s];
            let positions =
                wanted.start.max(start)..wanted.end.min(start + self.segments[s].tokens.len());
            rows.extend(positions.rev().map(|p| self.rows[s] + p - start));
            segment = self.segments[s].parent;
        }
        rows.reverse();
        rows
    }
}

/// About how many rows `b` adds to those of `a`, `b` being next in order: cuts
/// that are not worth it may add a few more.
pub fn added(a: &[u32], b: &[u32]) -> usize {
    let shared = common(a, b);
    if shared < COMMON { b.len() } else { b.len() - shared }
}

fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_of(mut sequences: Vec<Vec<u32>>) -> (Vec<Vec<u32>>, usize, usize) {
        sequences.sort();
        let borrowed: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
        let tree = Tree::new(&borrowed);
        let stacked: Vec<u32> = tree.segments.iter().flat_map(|s| s.tokens).copied().collect();
        let back = |(i, s): (usize, &Vec<u32>)| -> Vec<u32> {
            tree.rows(i, 0..s.len()).into_iter().map(|r| stacked[r]).collect()
        };
        let back = sequences.iter().enumerate().map(back).collect();
        for (i, s) in tree.segments.iter().enumerate() {
            assert!(!s.tokens.is_empty() && s.parent.is_none_or(|p| p < i));
        }
        assert_eq!(back, sequences);
        (back, stacked.len(), tree.segments.len())
    }

    #[test]
    fn beginnings_are_there_once_and_every_sequence_comes_back() {
        let from = |start: u32, n: u32| -> Vec<u32> { (start..start + n).collect() };
        let with = |head: &[u32], tail: &[u32]| [head, tail].concat();
        let prompt = from(100, 20);
        // Twenty once, then three tails of five.
        let three = (0..3).map(|i| with(&prompt, &from(i * 10, 5))).collect();
        assert_eq!((tree_of(three).1, tree_of(vec![]).1), (35, 0));
        // One ends where the others go on, and one is there twice.
        let whole = vec![prompt.clone(), prompt.clone(), with(&prompt, &[1, 2])];
        let (_, rows, segments) = tree_of(whole);
        assert_eq!((rows, segments), (22, 2));
        // Few tokens in common are not worth a cut.
        let (_, rows, segments) = tree_of(vec![with(&[1, 2], &[3]), with(&[1, 2], &[4]), vec![]]);
        assert_eq!((rows, segments), (6, 2));
        // A beginning within a beginning.
        let inner = with(&prompt, &from(200, 9));
        let nested = vec![with(&inner, &[1]), with(&inner, &[2]), with(&prompt, &[3]), vec![7]];
        assert_eq!(tree_of(nested).1, 20 + 9 + 2 + 1 + 1);
    }

    #[test]
    fn any_sequences_come_back() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        for _ in 0..50 {
            let mut all: Vec<Vec<u32>> = vec![];
            for _ in 0..30 {
                let mut s = match all.len() {
                    0 => vec![],
                    n => all[rng.random_range(0..n)].clone(),
                };
                s.truncate(rng.random_range(0..40));
                s.extend((0..rng.random_range(0..20)).map(|_| rng.random_range(0..2_u32)));
                all.push(s);
            }
            let (back, rows, _) = tree_of(all);
            let pairs = back.windows(2).map(|w| added(&w[0], &w[1])).sum::<usize>();
            assert!(rows <= pairs + back[0].len() + COMMON * back.len(), "{rows} {pairs}");
        }
    }
}
