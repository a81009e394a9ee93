//! Reading config.json.

use super::super::config::{Activation, Config, Norm, Position, Rotary};
use super::{MAX_COUNT, frequencies, llama3_scaled};
use crate::error::{Error, ErrorKind, Result};
use serde_json::Value;

/// config.json with the family it was recognised as.
pub struct Hf<'a> {
    /// Parsed config.json.
    pub json: &'a Value,
    /// The family's name.
    pub family: &'static str,
}

impl Hf<'_> {
    /// The first of `keys` that is present and not null.
    pub fn get(&self, keys: &[&str]) -> Option<&Value> {
        keys.iter().find_map(|k| self.json.get(k)).filter(|v| !v.is_null())
    }

    /// A required count.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] or [`ErrorKind::Corrupt`].
    pub fn count(&self, keys: &[&str]) -> Result<usize> {
        let value = self.get(keys).ok_or_else(|| {
            Error::new(ErrorKind::Missing, format!("config.json has no \"{}\"", keys[0]))
                .hint("use the config.json that was published with these weights")
        })?;
        value.as_u64().filter(|v| *v <= MAX_COUNT).and_then(|v| usize::try_from(v).ok()).ok_or_else(
            || {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("\"{}\" in config.json is {value}, not a count", keys[0]),
                )
                .hint("use the config.json that was published with these weights")
            },
        )
    }

    /// An optional count.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where it is something else.
    pub fn count_or(&self, keys: &[&str], default: usize) -> Result<usize> {
        if self.get(keys).is_none() { Ok(default) } else { self.count(keys) }
    }

    /// An optional number.
    pub fn number_or(&self, keys: &[&str], default: f64) -> f64 {
        self.get(keys).and_then(Value::as_f64).unwrap_or(default)
    }

    /// An optional flag.
    pub fn flag_or(&self, key: &str, default: bool) -> bool {
        self.get(&[key]).and_then(Value::as_bool).unwrap_or(default)
    }

    /// `tie_word_embeddings`; files leave it out where it is the family's `default`.
    pub fn tied(&self, default: bool) -> bool {
        self.flag_or("tie_word_embeddings", default)
    }

    /// The activation named under `keys`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for any other than those of [`Activation`].
    pub fn activation(&self, keys: &[&str], default: &str) -> Result<Activation> {
        match self.get(keys).and_then(Value::as_str).unwrap_or(default) {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
            "relu" => Ok(Activation::Relu),
            other => Err(Error::new(
                ErrorKind::Unsupported,
                format!("the activation \"{other}\" is not supported"),
            )),
        }
    }

    /// A pre-norm decoder with these sizes and the commonest of everything
    /// else; families change what differs. The vocabulary is the embedding's.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] without a vocabulary size.
    pub fn base(
        &self,
        hidden: usize,
        layers: usize,
        heads: usize,
        intermediate: usize,
        context: usize,
    ) -> Result<Config> {
        let vocab = self.count(&["vocab_size"])?;
        let mut config = Config::plain(
            self.family,
            [vocab, hidden],
            hidden,
            layers,
            heads,
            intermediate,
            context,
        );
        let keys = ["layer_norm_epsilon", "layer_norm_eps", "rms_norm_eps"];
        config.norm_eps = self.number_or(&keys, 1e-5) as f32;
        Ok(config)
    }

    /// The sizes that Llama and its descendants name alike, gated SiLU and
    /// rotary positions included.
    ///
    /// # Errors
    /// Missing or unsupported settings.
    pub fn llama_like(&self) -> Result<Config> {
        let hidden = self.count(&["hidden_size"])?;
        let heads = self.count(&["num_attention_heads"])?;
        let mut c = self.base(
            hidden,
            self.count(&["num_hidden_layers"])?,
            heads,
            self.count(&["intermediate_size"])?,
            self.count_or(&["max_position_embeddings"], 2048)?,
        )?;
        c.kv_heads = self.count_or(&["num_key_value_heads"], heads)?;
        c.set_head_dim(self.count_or(&["head_dim"], c.head_dim)?);
        c.norm = Norm::Rms;
        c.norm_eps = self.number_or(&["rms_norm_eps"], 1e-6) as f32;
        c.activation = self.activation(&["hidden_act", "hidden_activation"], "silu")?;
        c.gated = true;
        c.position = Position::Rotary(self.rotary(c.head_dim, None, 10_000.0)?);
        Ok(c)
    }

    /// Rotary settings, old style (`rope_theta`, `rope_scaling`) or new
    /// (`rope_parameters`, by layer type where there are several).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a scaling that is not known.
    pub fn rotary(
        &self,
        dims: usize,
        layer_type: Option<&str>,
        default_theta: f64,
    ) -> Result<Rotary> {
        let new = self.get(&["rope_parameters"]);
        let by_type = layer_type.and_then(|t| new.and_then(|p| p.get(t)));
        let scaling = by_type.or(new).or_else(|| self.get(&["rope_scaling"]));
        let field = |key: &str| scaling.and_then(|s| s.get(key)).and_then(Value::as_f64);
        let theta = field("rope_theta")
            .unwrap_or_else(|| self.number_or(&["rope_theta", "rotary_emb_base"], default_theta));
        let mut f = frequencies(theta, dims);
        let kind = scaling
            .and_then(|s| s.get("rope_type").or_else(|| s.get("type")))
            .and_then(Value::as_str);
        match kind.unwrap_or("default") {
            // Dynamic scaling changes nothing within the trained context, and longer input is refused.
            "default" | "dynamic" => {}
            "linear" => {
                let factor = field("factor").unwrap_or(1.0);
                f.iter_mut().for_each(|v| *v = (f64::from(*v) / factor) as f32);
            }
            "llama3" => llama3_scaled(
                &mut f,
                field("factor").unwrap_or(8.0),
                field("low_freq_factor").unwrap_or(1.0),
                field("high_freq_factor").unwrap_or(4.0),
                field("original_max_position_embeddings").unwrap_or(8192.0),
            ),
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("the rotary scaling \"{other}\" is not supported"),
                )
                .hint("supported scalings: default, dynamic, linear, llama3"));
            }
        }
        Ok(Rotary { dims, interleaved: false, frequencies: f, local_frequencies: None })
    }

    /// Windows by layer from `layer_types` (newer files), else all equal to `otherwise`.
    pub fn windows(
        &self,
        layers: usize,
        window: usize,
        otherwise: impl Fn(usize) -> bool,
    ) -> Vec<Option<usize>> {
        let types = self.get(&["layer_types"]).and_then(Value::as_array);
        (0..layers)
            .map(|i| {
                let local = match types.and_then(|t| t.get(i)).and_then(Value::as_str) {
                    Some(t) => t.contains("sliding") || t == "local",
                    None => otherwise(i),
                };
                local.then_some(window)
            })
            .collect()
    }
}
