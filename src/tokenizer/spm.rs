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
use std::collections::BinaryHeap;

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
    /// Per first byte, the ids of whole-token pieces, longest first.
    whole: Vec<Vec<u32>>,
    bytes: [Option<u32>; 256],
    unknown: Option<u32>,
    space_prefix: bool,
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
        let mut whole = vec![Vec::new(); 256];
        let mut bytes = [None; 256];
        for (id, (piece, kind)) in (0u32..).zip(pieces.iter().zip(&kinds)) {
            match (kind, piece.as_bytes().first()) {
                (Kind::Normal, Some(_)) => sorted.push(id),
                (Kind::UserDefined | Kind::Control, Some(&first)) => {
                    whole[usize::from(first)].push(id);
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
        for ids in &mut whole {
            ids.sort_by_key(|&id| (std::cmp::Reverse(pieces[id as usize].len()), id));
        }
        Self { pieces, kinds, scores, sorted, whole, bytes, unknown, space_prefix }
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
        let mut prefix = start && self.space_prefix;
        let mut from = 0;
        let mut at = 0;
        while at < text.len() {
            let Some(id) = self.whole_at(&text[at..], markup) else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            self.run(text, from, at, &mut prefix, &mut out);
            at += self.pieces[id as usize].len();
            out.push(Encoded { id, end: at });
            // A text after markup begins anew, as with llama.cpp and in Hugging Face's converters.
            prefix = start && self.space_prefix && self.kinds[id as usize] == Kind::Control;
            from = at;
        }
        self.run(text, from, text.len(), &mut prefix, &mut out);
        out
    }

    /// The longest whole-token piece at the head of `rest`.
    fn whole_at(&self, rest: &str, markup: bool) -> Option<u32> {
        let ids = &self.whole[usize::from(*rest.as_bytes().first()?)];
        ids.iter().copied().find(|&id| {
            (markup || self.kinds[id as usize] == Kind::UserDefined)
                && rest.starts_with(&*self.pieces[id as usize])
        })
    }

    /// Encodes `text[from..to]`, which holds no whole-token piece.
    fn run(&self, text: &str, from: usize, to: usize, prefix: &mut bool, out: &mut Vec<Encoded>) {
        if from == to {
            return;
        }
        // The normalised run, and for each character its end in the text.
        let mut run = String::with_capacity(to - from + 3);
        let mut symbols: Vec<Symbol> = Vec::new();
        let mut ends = Vec::new();
        let mut push = |c: char, end: usize| {
            let c = if c == ' ' { '▁' } else { c };
            let at = symbols.len();
            symbols.push(Symbol {
                from: run.len(),
                len: c.len_utf8(),
                prev: at.checked_sub(1).unwrap_or(NONE),
                next: at + 1,
            });
            ends.push(end);
            run.push(c);
        };
        if std::mem::take(prefix) {
            push(' ', from);
        }
        for (at, c) in text[from..to].char_indices() {
            push(c, from + at + c.len_utf8());
        }
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        self.merge(&run, &mut symbols);

        let mut at = 0;
        while at != NONE {
            let s = symbols[at];
            let last = if s.next == NONE { symbols.len() } else { s.next } - 1;
            self.emit(&run[s.from..s.from + s.len], ends[last], out);
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
