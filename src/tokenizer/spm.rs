//! SentencePiece's BPE: the adjacent pair whose union has the best score is
//! merged first, the leftmost of equals; what is left unknown falls back to bytes.
//!
//! Not the `tokenizers` crate's BPE, because that one orders merges by rank,
//! one rank a merge: pieces of equal score, and pieces that several pairs make
//! up, would come out differently, and the merges would first have to be
//! guessed from the scores.

use super::Encoded;
use super::bytes::byte_token;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

/// What a piece of the vocabulary is for (GGUF's `token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    pub(super) fn of(code: i64) -> Self {
        match code {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }

    /// Whether the piece is markup, no text.
    pub(super) fn special(self) -> bool {
        matches!(self, Self::Unknown | Self::Control)
    }
}

/// A SentencePiece vocabulary.
pub(super) struct Spm {
    pieces: Vec<Box<str>>,
    kinds: Vec<Kind>,
    scores: Vec<f32>,
    /// Ids of the pieces that merges may make, sorted by their text.
    sorted: Vec<u32>,
    control: Whole,
    defined: Whole,
    bytes: [Option<u32>; 256],
    unknown: Option<u32>,
    space_prefix: bool,
}

/// Pieces that are found as they stand, per first byte, the longest first.
type Whole = BTreeMap<u8, Vec<(Box<str>, u32)>>;

/// The longest piece of `whole` at the head of `rest`, and its length.
fn whole_at(whole: &Whole, rest: &str) -> Option<(u32, usize)> {
    let pieces = whole.get(rest.as_bytes().first()?)?;
    pieces.iter().find(|(text, _)| rest.starts_with(&**text)).map(|(text, id)| (*id, text.len()))
}

/// A run of text that is one symbol so far.
#[derive(Clone, Copy)]
struct Symbol {
    from: usize,
    /// 0 once merged into its left neighbour.
    len: usize,
    prev: usize,
    next: usize,
}

/// A possible merge. The heap yields the best score, then the leftmost.
struct Merge {
    score: f32,
    left: usize,
    right: usize,
    len: usize,
}

impl Ord for Merge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}
impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Merge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Merge {}

const NONE: usize = usize::MAX;

impl Spm {
    /// A vocabulary of `pieces` with their kinds and scores, all of one length.
    /// User-defined pieces are spelt as text (spaces, no '▁'), as GGUF has them.
    pub(super) fn new(
        pieces: Vec<Box<str>>,
        kinds: Vec<Kind>,
        scores: Vec<f32>,
        unknown: Option<u32>,
        space_prefix: bool,
    ) -> Self {
        let mut sorted = Vec::new();
        let (mut control, mut defined) = (Whole::new(), Whole::new());
        let mut bytes = [None; 256];
        for (id, (piece, kind)) in (0u32..).zip(pieces.iter().zip(&kinds)) {
            match (kind, piece.as_bytes().first()) {
                (Kind::Normal, Some(_)) => sorted.push(id),
                (Kind::Control, Some(&first)) => {
                    control.entry(first).or_default().push((piece.clone(), id));
                }
                (Kind::UserDefined, Some(_)) => {
                    let text = piece.replace(' ', "▁").into_boxed_str();
                    let first = text.as_bytes()[0];
                    defined.entry(first).or_default().push((text, id));
                }
                (Kind::Byte, Some(_)) => {
                    if let Some(b) = byte_token(piece) {
                        bytes[usize::from(b)].get_or_insert(id);
                    }
                }
                _ => {}
            }
        }
        // Duplicates: the first keeps the text, as in a map filled in order.
        sorted.sort_by(|&a, &b| pieces[a as usize].cmp(&pieces[b as usize]).then(a.cmp(&b)));
        sorted.dedup_by(|b, a| pieces[*a as usize] == pieces[*b as usize]);
        for pieces in control.values_mut().chain(defined.values_mut()) {
            pieces.sort_by_key(|(text, id)| (std::cmp::Reverse(text.len()), *id));
        }
        Self { pieces, kinds, scores, sorted, control, defined, bytes, unknown, space_prefix }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn piece(&self, id: u32) -> Option<(&str, Kind)> {
        let at = id as usize;
        Some((self.pieces.get(at)?, *self.kinds.get(at)?))
    }

    fn find(&self, text: &str) -> Option<u32> {
        let at = self.sorted.binary_search_by(|&id| self.pieces[id as usize].as_ref().cmp(text));
        at.ok().map(|at| self.sorted[at])
    }

    /// Tokens of `text` with the end of each in `text`. `start`: the text
    /// begins a sequence, so the dummy space is due; `markup`: control pieces
    /// in the text are tokens, not text.
    pub(super) fn encode(&self, text: &str, start: bool, markup: bool) -> Vec<Encoded> {
        let mut out = Vec::new();
        // A text after markup begins anew, as in Hugging Face's converters.
        let prefix = start && self.space_prefix;
        let mut from = 0;
        for (at, _) in text.char_indices() {
            let id = if markup && at >= from { whole_at(&self.control, &text[at..]) } else { None };
            if let Some((id, len)) = id {
                self.segment(text, from, at, prefix, &mut out);
                from = at + len;
                out.push(Encoded { id, end: from });
            }
        }
        self.segment(text, from, text.len(), prefix, &mut out);
        out
    }

    /// Encodes `text[from..to]`, which holds no control piece: spaces become
    /// '▁', user-defined pieces stand for themselves, the rest is merged.
    fn segment(&self, text: &str, from: usize, to: usize, prefix: bool, out: &mut Vec<Encoded>) {
        if from == to {
            return;
        }
        let mut run = String::with_capacity(to - from + 3);
        // For each character of the run its place there and its end in the text.
        let mut chars = Vec::new();
        let dummy = prefix.then_some((' ', from));
        let shown = text[from..to].char_indices().map(|(at, c)| (c, from + at + c.len_utf8()));
        for (c, end) in dummy.into_iter().chain(shown) {
            let c = if c == ' ' { '▁' } else { c };
            chars.push((run.len(), c.len_utf8(), end));
            run.push(c);
        }
        let (mut plain, mut at) = (0, 0);
        while at < chars.len() {
            let Some((id, len)) = whole_at(&self.defined, &run[chars[at].0..]) else {
                at += 1;
                continue;
            };
            self.plain(&run, &chars[plain..at], out);
            let past = chars[at].0 + len;
            while at < chars.len() && chars[at].0 < past {
                at += 1;
            }
            out.push(Encoded { id, end: chars[at - 1].2 });
            plain = at;
        }
        self.plain(&run, &chars[plain..], out);
    }

    /// Merges the characters of a run as far as the vocabulary goes.
    fn plain(&self, run: &str, chars: &[(usize, usize, usize)], out: &mut Vec<Encoded>) {
        let count = chars.len();
        let mut symbols: Vec<Symbol> = chars
            .iter()
            .enumerate()
            .map(|(at, &(from, len, _))| Symbol {
                from,
                len,
                prev: at.checked_sub(1).unwrap_or(NONE),
                next: if at + 1 < count { at + 1 } else { NONE },
            })
            .collect();
        self.merge(run, &mut symbols);
        let mut at = 0;
        while let Some(&s) = symbols.get(at) {
            let last = if s.next == NONE { count } else { s.next } - 1;
            self.emit(&run[s.from..s.from + s.len], chars[last].2, out);
            at = s.next;
        }
    }

    fn merge(&self, run: &str, symbols: &mut [Symbol]) {
        let candidate = |symbols: &[Symbol], left: usize, right: usize| {
            if left == NONE || right == NONE {
                return None;
            }
            let (l, r) = (symbols[left], symbols[right]);
            let id = self.find(&run[l.from..r.from + r.len])?;
            Some(Merge { score: self.scores[id as usize], left, right, len: l.len + r.len })
        };
        let mut heap: BinaryHeap<Merge> =
            (1..symbols.len()).filter_map(|right| candidate(symbols, right - 1, right)).collect();
        while let Some(m) = heap.pop() {
            let (l, r) = (symbols[m.left], symbols[m.right]);
            // Stale: a side was merged away or has grown meanwhile.
            if l.len == 0 || r.len == 0 || l.len + r.len != m.len || l.next != m.right {
                continue;
            }
            symbols[m.left].len = m.len;
            symbols[m.left].next = r.next;
            symbols[m.right].len = 0;
            if r.next != NONE {
                symbols[r.next].prev = m.left;
            }
            heap.extend(candidate(symbols, l.prev, m.left));
            heap.extend(candidate(symbols, m.left, r.next));
        }
    }

    /// Emits a symbol: its piece, else its bytes, else one unknown for a run of them.
    fn emit(&self, symbol: &str, end: usize, out: &mut Vec<Encoded>) {
        if let Some(id) = self.find(symbol) {
            out.push(Encoded { id, end });
            return;
        }
        let bytes: Option<Vec<u32>> = symbol.bytes().map(|b| self.bytes[usize::from(b)]).collect();
        match (bytes, self.unknown) {
            (Some(ids), _) => {
                // A literal '▁' and a space are one symbol; its width in the text differs.
                let begin = out.last().map_or(0, |e| e.end);
                let n = ids.len();
                let width = end.saturating_sub(begin);
                for (k, id) in ids.into_iter().enumerate() {
                    let end = if k + 1 == n { end } else { begin + (k + 1).min(width) };
                    out.push(Encoded { id, end });
                }
            }
            (None, Some(id)) => match out.last_mut() {
                Some(last) if last.id == id => last.end = end,
                _ => out.push(Encoded { id, end }),
            },
            (None, None) => {}
        }
    }
}
