//! OPT; its 350m variant normalises after each sublayer and projects embeddings.

use super::super::config::{Part, Position, Residual};
use super::{Family, Layout, Place};
use crate::error::{Error, ErrorKind};

pub const FAMILY: Family = Family {
    name: "opt",
    hugging_face: &["opt"],
    gguf: &[],
    from_hugging_face: |hf| {
        let hidden = hf.count(&["hidden_size"])?;
        let mut config = hf.base(
            hidden,
            hf.count(&["num_hidden_layers"])?,
            hf.count(&["num_attention_heads"])?,
            hf.count(&["ffn_dim"])?,
            hf.count(&["max_position_embeddings"])?,
        )?;
        config.embedding = hf.count_or(&["word_embed_proj_dim"], hidden)?;
        config.activation = hf.activation(&["activation_function"], "relu")?;
        // Two rows of the table are left over from its padding index.
        config.position = Position::Learned { offset: 2 };
        if !hf.flag_or("do_layer_norm_before", true) {
            config.residual = Residual::PostNorm;
            config.final_norm = false;
        }
        if hf.flag_or("_remove_final_layer_norm", false) {
            config.final_norm = false;
        }
        Ok(Layout { config, tied: hf.tied(true), place: Box::new(place) })
    },
    from_gguf: |_| Err(Error::new(ErrorKind::Unsupported, "OPT in GGUF is not supported")),
};

fn place(part: Part) -> Option<Place> {
    let (i, name) = match part {
        Part::Embedding => return Place::whole("model.decoder.embed_tokens"),
        Part::Positions => return Place::whole("model.decoder.embed_positions"),
        Part::ProjectIn => return Place::whole("model.decoder.project_in"),
        Part::ProjectOut => return Place::whole("model.decoder.project_out"),
        Part::FinalNorm => return Place::whole("model.decoder.final_layer_norm"),
        Part::Head => return Place::whole("lm_head"),
        Part::AttentionNorm(i) => (i, "self_attn_layer_norm"),
        Part::Query(i) => (i, "self_attn.q_proj"),
        Part::Key(i) => (i, "self_attn.k_proj"),
        Part::Value(i) => (i, "self_attn.v_proj"),
        Part::Output(i) => (i, "self_attn.out_proj"),
        Part::MlpNorm(i) => (i, "final_layer_norm"),
        Part::Up(i) => (i, "fc1"),
        Part::Down(i) => (i, "fc2"),
        _ => return None,
    };
    Place::whole(format!("model.decoder.layers.{i}.{name}"))
}
