//! BERT-family encoders: one vector for a text, or for two that are set side by side.
//!
//! The classifiers of [`crate::evidence::text`] read text through one, either
//! as it is or fine-tuned with it, so the forward pass is made of candle
//! operations that can be differentiated. It gives the same numbers in every
//! run on one machine; between processors they agree to float rounding only,
//! since candle's matrix products are fused where the hardware allows.

mod config;
mod forward;
mod vocabulary;
mod weights;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod samples;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use crate::decoder::Config;
use crate::decoder::config::Residual;
use crate::decoder::families::Layout;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, Metadata};
use candle_core::Var;
pub use config::Sizes;
pub use forward::{Batch, Network};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
pub use vocabulary::Vocabulary;

/// The family's name in config.json and in GGUF.
const FAMILY: &str = "bert";
/// Texts in one batch of [`Encoder::embeddings`], at the most.
const BATCH: usize = 32;

/// Whether `archive` is of the encoders' family: it cannot be a candidate, but
/// text classifiers can read through it.
pub fn is_encoder(archive: &Archive) -> bool {
    let family = match &archive.metadata {
        Metadata::Gguf(meta) => meta.str("general.architecture"),
        Metadata::HuggingFace { config, .. } => config.get("model_type").and_then(|v| v.as_str()),
    };
    family == Some(FAMILY)
}

/// An encoder's configuration and the places of its parts in the decoders'
/// terms, for comparing weights; it is not run by them.
///
/// # Errors
/// As [`Encoder::open`] for the configuration.
pub fn layout(archive: &Archive) -> Result<Layout> {
    let sizes = config::sizes(archive).map_err(|e| e.in_file(&archive.label))?;
    let gguf = matches!(archive.metadata, Metadata::Gguf(_));
    let mut config = Config::plain(
        FAMILY,
        [sizes.vocab, sizes.hidden],
        sizes.hidden,
        sizes.layers,
        sizes.heads,
        sizes.intermediate,
        sizes.positions,
    );
    config.residual = Residual::PostNorm;
    config.embedding_norm = true;
    config.final_norm = false;
    config.activation = sizes.activation;
    Ok(Layout { config, tied: true, place: Box::new(move |part| weights::place(gguf, part)) })
}

/// A text as the encoder reads it: `[CLS] text [SEP]`, or `[CLS] first [SEP] second [SEP]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Where the second text begins (token type 1); the length where there is none.
    pub second: usize,
}

/// A vector for each text.
pub type Embedding = Arc<[f32]>;

/// An encoder with its tokenizer.
pub struct Encoder {
    /// The label of the archive that it came from.
    pub label: String,
    network: Network,
    vocabulary: Vocabulary,
    /// What was embedded before: methods and input representations share texts.
    known: Mutex<HashMap<Sequence, Embedding>>,
}

impl Encoder {
    /// Reads an encoder whole, weights unpacked to f32.
    ///
    /// # Errors
    /// Another family, an incomplete or damaged file, or a tokenizer that does
    /// not belong to the model.
    pub fn open(archive: &Archive) -> Result<Self> {
        let open = || {
            let sizes = config::sizes(archive)?;
            let vocabulary = Vocabulary::open(archive)?;
            vocabulary.check_fits(sizes.vocab)?;
            let network = weights::load(archive, sizes)?;
            Ok(Self { label: archive.label.clone(), network, vocabulary, known: Mutex::default() })
        };
        open().map_err(|e: Error| e.in_file(&archive.label))
    }

    /// Its dimensions.
    pub fn sizes(&self) -> &Sizes {
        &self.network.sizes
    }

    /// Its forward pass.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Tokens of `response`, or of `before` and `response`, in `max_tokens` at
    /// the most; of two texts the longer is cut first.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn sequence(
        &self,
        before: Option<&str>,
        response: &str,
        max_tokens: usize,
    ) -> Result<Sequence> {
        let max = max_tokens.min(self.sizes().positions);
        // Without a second kind of token there is no telling the two texts
        // apart, but they can still stand side by side.
        let mut sequence = self.vocabulary.sequence(before, response, max)?;
        if self.sizes().types < 2 {
            sequence.second = sequence.ids.len();
        }
        Ok(sequence)
    }

    /// The mean of each text's last hidden states. Each distinct one is
    /// computed once in the encoder's life; `tell` hears how many of those
    /// that were new are done.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] where the weights give no number.
    pub fn embeddings(
        &self,
        sequences: &[Sequence],
        tell: &mut dyn FnMut(usize),
    ) -> Result<Vec<Embedding>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Like lengths together, so that little of a batch is padding.
        let mut new: Vec<&Sequence> =
            sequences.iter().filter(|s| !known.contains_key(*s)).collect();
        new.sort_by(|a, b| a.ids.len().cmp(&b.ids.len()).then_with(|| a.cmp(b)));
        new.dedup();
        let mut done = 0;
        for group in new.chunks(BATCH) {
            let rows = self.network.plain(&Batch::new(group)?)?.to_vec2::<f32>()?;
            if rows.iter().flatten().any(|v| !v.is_finite()) {
                return Err(Error::new(ErrorKind::NotFinite, "the encoder gives NaN or infinity")
                    .in_file(&self.label)
                    .hint("its file is damaged: download it again, or use another encoder"));
            }
            known.extend(group.iter().map(|s| (*s).clone()).zip(rows.into_iter().map(Arc::from)));
            done += group.len();
            tell(done);
        }
        Ok(sequences.iter().filter_map(|s| known.get(s).cloned()).collect())
    }

    /// How many of `sequences` [`Self::embeddings`] would have to compute.
    pub fn unknown(&self, sequences: &[Sequence]) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new: std::collections::BTreeSet<&Sequence> =
            sequences.iter().filter(|s| !known.contains_key(*s)).collect();
        new.len()
    }

    /// A copy to be trained on `sequences`, which are renumbered for it.
    ///
    /// It has rows only for words that occur in them: others get no gradient,
    /// and most of a small encoder's weights are rows of words.
    ///
    /// # Errors
    /// Only candle's own.
    pub fn trainable(&self, sequences: &mut [Sequence]) -> Result<(Network, Vec<Var>)> {
        let mut rows: BTreeMap<u32, u32> =
            sequences.iter().flat_map(|s| &s.ids).map(|id| (*id, 0)).collect();
        rows.values_mut().zip(0..).for_each(|(row, n)| *row = n);
        let ids: Vec<u32> = rows.keys().copied().collect();
        let renumbered = sequences.iter_mut().flat_map(|s| &mut s.ids);
        renumbered.for_each(|id| *id = rows.get(id).copied().unwrap_or(0));
        let mut network = self.network.clone();
        network.keep_words(&ids)?;
        let vars = network.make_variable()?;
        Ok((network, vars))
    }
}
