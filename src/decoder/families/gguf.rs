//! Reading GGUF metadata, and GGUF's tensor names, which all families share
//! (ggml's documentation, "Standardized tensor names").

use super::super::config::{Activation, Config, Norm, Part, Position, Rotary};
use super::{Layout, MAX_COUNT, Place, frequencies, stacked};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, gguf::Meta};

/// GGUF metadata with the family it was recognised as.
pub struct Gguf<'a> {
    /// Key-value pairs.
    pub meta: &'a Meta,
    /// The tensors, for what is told by shapes only.
    pub archive: &'a Archive,
    /// `general.architecture`, the prefix of the family's keys.
    pub arch: &'a str,
    /// The family's name.
    pub family: &'static str,
}

impl Gguf<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.arch)
    }

    /// A required count under `{arch}.{name}`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] where it is absent or no count.
    pub fn count(&self, name: &str) -> Result<usize> {
        self.count_opt(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Missing,
                format!("the GGUF metadata has no usable count \"{}\"", self.key(name)),
            )
            .hint("convert the model again with a current converter")
        })
    }

    /// An optional count.
    pub fn count_opt(&self, name: &str) -> Option<usize> {
        let key = self.key(name);
        // Some converters write one value per layer; equal ones mean the same.
        let value = self.meta.uint(&key).or_else(|| {
            let all = self.meta.ints(&key)?;
            let first = *all.first()?;
            all.iter().all(|v| *v == first).then(|| u64::try_from(first).ok()).flatten()
        });
        value.filter(|v| *v <= MAX_COUNT).and_then(|v| usize::try_from(v).ok())
    }

    /// An optional number.
    pub fn number_or(&self, name: &str, default: f64) -> f64 {
        self.meta.float(&self.key(name)).unwrap_or(default)
    }

    /// An optional flag.
    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        self.meta.flag(&self.key(name)).unwrap_or(default)
    }

    /// A decoder with the sizes that every family's metadata gives, layer
    /// norm and learned positions.
    ///
    /// # Errors
    /// Missing metadata or embedding.
    pub fn base(&self) -> Result<Config> {
        let embedding = self.archive.info("token_embd.weight")?;
        let [vocab, width] = embedding.shape[..] else {
            return Err(Error::new(ErrorKind::Corrupt, "the embedding is not a matrix"));
        };
        let hidden = self.count("embedding_length")?;
        let layers = self.count("block_count")?;
        let heads = self.count("attention.head_count")?;
        let mut config = Config::plain(
            self.family,
            [vocab, width],
            hidden,
            layers,
            heads,
            self.count("feed_forward_length")?,
            self.count_opt("context_length").unwrap_or(2048),
        );
        config.kv_heads = self.count_opt("attention.head_count_kv").unwrap_or(heads);
        if let Some(head_dim) = self.count_opt("attention.key_length") {
            config.set_head_dim(head_dim);
        }
        let eps = self.number_or("attention.layer_norm_epsilon", 1e-5);
        config.norm_eps = self.number_or("attention.layer_norm_rms_epsilon", eps) as f32;
        Ok(config)
    }

    /// As [`Gguf::base`] with RMS norm, gated SiLU and rotary positions.
    ///
    /// # Errors
    /// As [`Gguf::base`] and [`Gguf::rotary`].
    pub fn llama_like(&self, interleaved: bool) -> Result<Config> {
        let mut c = self.base()?;
        c.norm = Norm::Rms;
        c.activation = Activation::Silu;
        c.gated = true;
        c.position = Position::Rotary(self.rotary(c.head_dim, interleaved)?);
        Ok(c)
    }

    /// Rotary settings; Llama 3's scaling comes as a tensor of divisors.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a scaling that is not known.
    pub fn rotary(&self, head_dim: usize, interleaved: bool) -> Result<Rotary> {
        let dims = self.count_opt("rope.dimension_count").unwrap_or(head_dim);
        let mut f = frequencies(self.number_or("rope.freq_base", 10_000.0), dims);
        let kind = self.key("rope.scaling.type");
        match self.meta.str(&kind).unwrap_or("none") {
            "none" => {}
            "linear" => {
                let factor = self.number_or("rope.scaling.factor", 1.0);
                f.iter_mut().for_each(|v| *v = (f64::from(*v) / factor) as f32);
            }
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("the rotary scaling \"{other}\" is not supported"),
                )
                .hint("supported scalings in GGUF: none, linear, and Llama 3's rope_freqs"));
            }
        }
        if let Ok(info) = self.archive.info("rope_freqs.weight") {
            let bytes = self.archive.read(info, 0, info.bytes)?;
            let (divisors, rest) = bytes.as_chunks::<4>();
            if info.dtype != candle_core::quantized::GgmlDType::F32
                || divisors.len() != f.len()
                || !rest.is_empty()
            {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    "rope_freqs.weight does not fit the rotary dimensions",
                ));
            }
            for (v, d) in f.iter_mut().zip(divisors) {
                *v /= f32::from_le_bytes(*d);
            }
        }
        Ok(Rotary { dims, interleaved, frequencies: f, local_frequencies: None })
    }
}

/// The names of a GGUF's parts.
pub fn layout(config: Config, archive: &Archive) -> Layout {
    let fused = archive.tensors.contains_key("blk.0.attn_qkv.weight");
    let c = config.clone();
    // Converters of Gemma name the norm before the feed-forward layer as others do.
    let place = move |part: Part| {
        let qkv = |i: usize, which: usize, name: &str| {
            if fused {
                Place::rows(format!("blk.{i}.attn_qkv"), stacked(&c, which))
            } else {
                Place::whole(format!("blk.{i}.{name}"))
            }
        };
        let (i, name) = match part {
            Part::Embedding => return Place::whole("token_embd"),
            Part::Positions => return Place::whole("position_embd"),
            Part::EmbeddingNorm => return Place::whole("token_embd_norm"),
            Part::FinalNorm => return Place::whole("output_norm"),
            Part::Head => return Place::whole("output"),
            Part::ProjectIn | Part::ProjectOut => return None,
            Part::Query(i) => return qkv(i, 0, "attn_q"),
            Part::Key(i) => return qkv(i, 1, "attn_k"),
            Part::Value(i) => return qkv(i, 2, "attn_v"),
            Part::AttentionNorm(i) => (i, "attn_norm"),
            Part::Output(i) => (i, "attn_output"),
            Part::QueryNorm(i) => (i, "attn_q_norm"),
            Part::KeyNorm(i) => (i, "attn_k_norm"),
            Part::AttentionOutputNorm(i) => (i, "post_attention_norm"),
            Part::MlpNorm(i) => (i, "ffn_norm"),
            Part::Gate(i) => (i, "ffn_gate"),
            Part::Up(i) => (i, "ffn_up"),
            Part::Down(i) => (i, "ffn_down"),
            Part::MlpOutputNorm(i) => (i, "post_ffw_norm"),
        };
        Place::whole(format!("blk.{i}.{name}"))
    };
    Layout { config, tied: true, place: Box::new(place) }
}
