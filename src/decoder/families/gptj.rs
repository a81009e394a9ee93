//! GPT-J, and CodeGen, which differs in how queries, keys and values are fused.

use super::super::config::{Config, Part, Position, Residual};
use super::{Family, Hf, Layout, Place};
use crate::error::{Error, ErrorKind, Result};

pub const GPTJ: Family = Family {
    name: "gpt-j",
    hugging_face: &["gptj"],
    gguf: &[],
    from_hugging_face: |hf| {
        layout(hf, |_, i, which| {
            Place::whole(format!("h.{i}.attn.{}_proj", ["q", "k", "v"][which]))
        })
    },
    from_gguf: |_| Err(Error::new(ErrorKind::Unsupported, "GPT-J in GGUF is not supported")),
};

pub const CODEGEN: Family = Family {
    name: "codegen",
    hugging_face: &["codegen"],
    gguf: &[],
    from_hugging_face: |hf| {
        layout(hf, |c, i, which| {
            // Four shards of the training machine, each query, value, key.
            let (shards, place) = (4, [0, 2, 1][which]);
            let width = c.hidden / shards;
            let rows =
                (0..shards).map(|s| (3 * s + place) * width..(3 * s + place + 1) * width).collect();
            Place::rows(format!("h.{i}.attn.qkv_proj"), rows)
        })
    },
    from_gguf: |_| Err(Error::new(ErrorKind::Unsupported, "CodeGen in GGUF is not supported")),
};

fn layout(hf: &Hf<'_>, qkv: fn(&Config, usize, usize) -> Option<Place>) -> Result<Layout> {
    let hidden = hf.count(&["n_embd"])?;
    let mut config = hf.base(
        hidden,
        hf.count(&["n_layer"])?,
        hf.count(&["n_head"])?,
        hf.count_or(&["n_inner"], 4 * hidden)?,
        hf.count(&["n_positions", "n_ctx"])?,
    )?;
    config.activation = hf.activation(&["activation_function"], "gelu_new")?;
    config.residual = Residual::ParallelShared;
    let dims = hf.count_or(&["rotary_dim"], config.head_dim)?;
    let mut rotary = hf.rotary(dims, None, 10_000.0)?;
    rotary.interleaved = true;
    config.position = Position::Rotary(rotary);
    let c = config.clone();
    let place = move |part: Part| {
        let (i, name) = match part {
            Part::Embedding => return Place::whole("wte"),
            Part::FinalNorm => return Place::whole("ln_f"),
            Part::Head => return Place::whole("lm_head"),
            Part::Query(i) => return qkv(&c, i, 0),
            Part::Key(i) => return qkv(&c, i, 1),
            Part::Value(i) => return qkv(&c, i, 2),
            Part::AttentionNorm(i) => (i, "ln_1"),
            Part::Output(i) => (i, "attn.out_proj"),
            Part::Up(i) => (i, "mlp.fc_in"),
            Part::Down(i) => (i, "mlp.fc_out"),
            _ => return None,
        };
        Place::whole(format!("h.{i}.{name}"))
    };
    Ok(Layout { config, tied: hf.tied(false), place: Box::new(place) })
}
