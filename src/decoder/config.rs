//! What distinguishes one decoder architecture from another.
//!
//! Every field is plain data: a family file fills it from config.json or from
//! GGUF metadata, and the one decoder reads it.

/// Normalisation of a hidden vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// x / rms(x) · w.
    Rms,
    /// x / rms(x) · (1 + w), as Gemma's safetensors store it (GGUF has the 1 added already).
    RmsPlusOne,
    /// (x − mean) / sd · w + b.
    Layer,
}

/// How positions enter.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// Rotary embedding of queries and keys.
    Rotary(Rotary),
    /// A learned table added to the embeddings, read at `position + offset` (OPT: 2).
    Learned {
        /// First row in use.
        offset: usize,
    },
    /// A bias per head, linear in the distance (BLOOM).
    Alibi,
}

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Rotated dimensions of each head, from the first (≤ head size, even).
    pub dims: usize,
    /// Whether pairs are neighbours (GPT-J, GGUF's Llama) instead of halves apart (Hugging Face).
    pub interleaved: bool,
    /// Inverse frequency of each pair in layers that see everything: `dims / 2` values, any scaling included.
    pub frequencies: Vec<f32>,
    /// The same in layers with a window, where they differ (Gemma 3).
    pub local_frequencies: Option<Vec<f32>>,
}

/// The non-linearity of the feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(x).
    Silu,
    /// Exact: x · Φ(x).
    Gelu,
    /// With the tanh approximation.
    GeluTanh,
    /// max(x, 0).
    Relu,
}

/// How attention and feed-forward are joined in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// x += attn(norm1(x)); x += mlp(norm2(x)).
    Sequential,
    /// x += attn(norm1(x)) + mlp(norm2(x)) (GPT-NeoX).
    Parallel,
    /// x += attn(norm1(x)) + mlp(norm1(x)) (GPT-J, CodeGen).
    ParallelShared,
    /// x = norm1(x + attn(x)); x = norm2(x + mlp(x)) (OPT-350m).
    PostNorm,
}

/// One architecture with its sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name of the family, e.g. `llama`.
    pub family: &'static str,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the embedding table where it is projected into `hidden` (OPT-350m).
    pub embedding: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Size of one head.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Longest sequence.
    pub context: usize,
    /// Normalisation, and its epsilon.
    pub norm: Norm,
    /// Added to the variance before the root.
    pub norm_eps: f32,
    /// Positions.
    pub position: Position,
    /// Non-linearity.
    pub activation: Activation,
    /// Whether the feed-forward layer is down(act(gate(x)) · up(x)) rather than down(act(up(x))).
    pub gated: bool,
    /// How a layer joins its parts.
    pub residual: Residual,
    /// Whether queries and keys are normalised per head (Qwen3, Gemma 3).
    pub qk_norm: bool,
    /// Whether attention and feed-forward outputs are normalised before they are added (Gemma 3).
    pub output_norms: bool,
    /// Whether embeddings are normalised (BLOOM).
    pub embedding_norm: bool,
    /// Whether the last hidden state is normalised (not in OPT-350m).
    pub final_norm: bool,
    /// Factor on the embeddings (Gemma: √hidden; 1 elsewhere).
    pub embedding_scale: f32,
    /// Factor on query · key (1/√head_dim; GPT-Neo: 1).
    pub attention_scale: f32,
    /// For each layer the number of last positions that it sees, or `None` for all.
    pub windows: Vec<Option<usize>>,
}

impl Config {
    /// A pre-norm decoder with these sizes and the commonest of everything
    /// else (GPT-2's); families change what differs.
    pub fn plain(
        family: &'static str,
        [vocab, embedding]: [usize; 2],
        hidden: usize,
        layers: usize,
        heads: usize,
        intermediate: usize,
        context: usize,
    ) -> Self {
        let mut config = Self {
            family,
            vocab,
            hidden,
            embedding,
            layers,
            heads,
            kv_heads: heads,
            head_dim: 0,
            intermediate,
            context,
            norm: Norm::Layer,
            norm_eps: 1e-5,
            position: Position::Learned { offset: 0 },
            activation: Activation::GeluTanh,
            gated: false,
            residual: Residual::Sequential,
            qk_norm: false,
            output_norms: false,
            embedding_norm: false,
            final_norm: true,
            embedding_scale: 1.0,
            attention_scale: 1.0,
            windows: vec![None; layers.min(1 << 10)],
        };
        config.set_head_dim(hidden / heads.max(1));
        config
    }

    /// Sets the size of a head, and the usual scale that follows from it.
    pub fn set_head_dim(&mut self, head_dim: usize) {
        self.head_dim = head_dim;
        self.attention_scale = (1.0 / (head_dim.max(1) as f64).sqrt()) as f32;
    }

    /// Columns of the query projection's output.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Columns of the key (and of the value) projection's output.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// The parts of a model by the names that this crate gives them. A layer's
/// parts carry its number. Matrices are stored output × input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// vocab × embedding.
    Embedding,
    /// Learned positions: rows × hidden.
    Positions,
    /// After the embedding (BLOOM).
    EmbeddingNorm,
    /// hidden × embedding (OPT-350m).
    ProjectIn,
    /// embedding × hidden (OPT-350m).
    ProjectOut,
    /// Before attention (or after it: [`Residual::PostNorm`]).
    AttentionNorm(usize),
    /// Query projection.
    Query(usize),
    /// Key projection.
    Key(usize),
    /// Value projection.
    Value(usize),
    /// Attention's output projection.
    Output(usize),
    /// Per-head norm of queries.
    QueryNorm(usize),
    /// Per-head norm of keys.
    KeyNorm(usize),
    /// On attention's output (Gemma 3).
    AttentionOutputNorm(usize),
    /// Before the feed-forward layer (or after it).
    MlpNorm(usize),
    /// Gate of a gated feed-forward layer.
    Gate(usize),
    /// Into the feed-forward layer.
    Up(usize),
    /// Out of it.
    Down(usize),
    /// On the feed-forward output (Gemma 3).
    MlpOutputNorm(usize),
    /// Before the head.
    FinalNorm,
    /// vocab × embedding; the embedding itself where absent (tied).
    Head,
}
