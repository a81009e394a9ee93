//! GPT-2, and so DistilGPT-2 and DialoGPT.

use super::super::config::Part;
use super::{Family, Layout, Place, stacked};

pub const FAMILY: Family = Family {
    name: "gpt2",
    hugging_face: &["gpt2"],
    gguf: &["gpt2"],
    from_hugging_face: |hf| {
        let hidden = hf.count(&["n_embd", "hidden_size"])?;
        let mut config = hf.base(
            hidden,
            hf.count(&["n_layer", "num_hidden_layers"])?,
            hf.count(&["n_head", "num_attention_heads"])?,
            hf.count_or(&["n_inner"], 4 * hidden)?,
            hf.count(&["n_positions", "n_ctx", "max_position_embeddings"])?,
        )?;
        config.activation = hf.activation(&["activation_function"], "gelu_new")?;
        if !hf.flag_or("scale_attn_weights", true) {
            config.attention_scale = 1.0;
        }
        let c = config.clone();
        let place = move |part: Part| {
            let qkv = |i: usize, which| conv(format!("h.{i}.attn.c_attn"), stacked(&c, which));
            match part {
                Part::Embedding => Place::whole("wte"),
                Part::Positions => Place::whole("wpe"),
                Part::FinalNorm => Place::whole("ln_f"),
                Part::Head => Place::whole("lm_head"),
                Part::AttentionNorm(i) => Place::whole(format!("h.{i}.ln_1")),
                Part::MlpNorm(i) => Place::whole(format!("h.{i}.ln_2")),
                Part::Query(i) => qkv(i, 0),
                Part::Key(i) => qkv(i, 1),
                Part::Value(i) => qkv(i, 2),
                Part::Output(i) => conv(format!("h.{i}.attn.c_proj"), vec![]),
                Part::Up(i) => conv(format!("h.{i}.mlp.c_fc"), vec![]),
                Part::Down(i) => conv(format!("h.{i}.mlp.c_proj"), vec![]),
                _ => None,
            }
        };
        Ok(Layout { config, tied: hf.tied(true), place: Box::new(place) })
    },
    from_gguf: |g| g.base(),
};

/// GPT-2 stores its matrices input × output.
fn conv(name: String, rows: Vec<std::ops::Range<usize>>) -> Option<Place> {
    Some(Place { name, transposed: true, rows })
}
