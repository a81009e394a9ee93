//! Who is who among the models given by their weights.

use crate::encoder::is_encoder;
use crate::formats::{Archive, CandidateFiles};
use std::collections::BTreeSet;

/// Models by their part in a run.
#[derive(Default)]
pub struct Models {
    /// To be compared with the suspects. Encoders among them cannot write or
    /// score text: only their weights can be compared.
    pub candidates: Vec<CandidateFiles>,
    /// The encoder that the text classifiers read through.
    pub encoder: Option<CandidateFiles>,
    /// The suspects, given by their weights.
    pub suspects: Vec<CandidateFiles>,
}

/// Gives each of `models` its part. Those with a file named in `suspects` are
/// suspects. An encoder serves the text classifiers where it is the only one
/// and `texts` says that there are samples; else encoders are compared with
/// encoders, by their weights.
pub fn sort(models: Vec<CandidateFiles>, suspects: &BTreeSet<String>, texts: bool) -> Models {
    // What cannot be opened is no encoder: as a candidate the run says why.
    let found = |c: &CandidateFiles| Archive::open(c).is_ok_and(|a| is_encoder(&a));
    let encoders: Vec<bool> = models.iter().map(found).collect();
    let only = encoders.iter().filter(|e| **e).count() == 1;
    let mut out = Models::default();
    for (model, encoder) in models.into_iter().zip(encoders) {
        if model.files.iter().any(|f| suspects.contains(f.name())) {
            out.suspects.push(model);
        } else if encoder && only && texts {
            out.encoder = Some(model);
        } else {
            out.candidates.push(model);
        }
    }
    out
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;
    use crate::encoder::samples;
    use crate::source::MemorySource;
    use std::rc::Rc;

    /// Candidates, the text encoder and the suspects, by label.
    fn sorted(models: &[&str], suspects: &[&str], texts: bool) -> [String; 3] {
        let open = |label: &&str| match label.strip_prefix("bert") {
            Some(_) => samples::files(label),
            // Whatever it is, it is no encoder.
            None => {
                let source = MemorySource::new(format!("{label}.gguf"), &b"GGUF"[..]);
                CandidateFiles { label: (*label).into(), files: vec![Rc::new(source)] }
            }
        };
        let suspects = suspects.iter().map(|s| format!("{s}.gguf")).collect();
        let found = sort(models.iter().map(open).collect(), &suspects, texts);
        let encoder: Vec<CandidateFiles> = found.encoder.into_iter().collect();
        [found.candidates, encoder, found.suspects]
            .map(|m| m.into_iter().map(|m| m.label).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn suspects_are_those_that_are_named() {
        assert_eq!(sorted(&["a", "b", "c"], &["b"], true), ["a c", "", "b"]);
        assert_eq!(sorted(&["a"], &["gone"], false), ["a", "", ""]);
        assert_eq!(sorted(&["a"], &["a"], false), ["", "", "a"]);
    }

    #[test]
    fn an_encoder_reads_text_where_it_is_alone_and_else_is_compared() {
        assert_eq!(sorted(&["bert", "a"], &[], true), ["a", "bert", ""]);
        assert_eq!(sorted(&["bert", "a"], &["a"], true), ["", "bert", "a"]);
        // Without text there is nothing to read.
        assert_eq!(sorted(&["bert", "a"], &["a"], false), ["bert", "", "a"]);
        assert_eq!(sorted(&["bert", "bert2", "a"], &[], true), ["bert bert2 a", "", ""]);
        assert_eq!(sorted(&["bert", "bert2", "a"], &["bert"], true), ["bert2 a", "", "bert"]);
        assert_eq!(sorted(&["bert"], &["bert"], true), ["", "", "bert"]);
    }
}
