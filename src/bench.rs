//! How well the text methods do on suspects whose bases are known.
//!
//! Every method × representation × knowledge level × labelled fine-tunes ×
//! prompt strategy is one row: top-1 with its Wilson interval, mean reciprocal
//! rank, ROC AUC by base, and the same under one-to-one matching.

use crate::encoder::Encoder;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::text::training::Training;
use crate::evidence::text::{
    Corpus, Knowledge, METHODS, Means, Representation, Setup, TextMethod, observe, on_encoder,
};
use crate::evidence::{Observations, TextEvidence, fused, matching, stats};
use crate::responses::{Group, Responses};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The suspects, what is known of them, and the bases.
pub struct Suite {
    /// Everybody's responses, the bases first.
    responses: Responses,
    /// How many of them are bases.
    bases: usize,
    /// By suspect: its base.
    truth: Vec<usize>,
    /// Methods beside those of [`METHODS`].
    extra: Vec<Box<dyn TextMethod>>,
}

/// What the attributor has learnt from besides the bases' own responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labelled {
    /// No fine-tunes.
    None,
    /// Every second of the other suspects with its label.
    Some,
    /// All other suspects with their labels.
    All,
}

impl Labelled {
    /// Its name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Some => "some",
            Self::All => "all",
        }
    }
}

/// One row's setting.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Setting {
    /// Name of the method, or `fused`.
    pub method: String,
    /// What classifiers read.
    pub representation: Representation,
    /// Whom they know.
    pub knowledge: Knowledge,
    /// Known fine-tunes to learn from.
    pub labelled: Labelled,
    /// The prompts used: `all`, or the name of a prompt set.
    pub prompts: String,
}

/// One row's result.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// What was tried.
    #[serde(flatten)]
    pub setting: Setting,
    /// How many prompts it used.
    pub columns: usize,
    /// Suspects with the right base first.
    pub right: usize,
    /// Suspects in all.
    pub suspects: usize,
    /// 95 % Wilson interval of the share.
    pub interval: (f64, f64),
    /// Suspects whose base gets the most votes; `None` where nobody votes.
    pub votes: Option<usize>,
    /// Suspects right under the best one-to-one matching.
    pub matched: usize,
    /// Mean of 1 over the rank of the right base.
    pub reciprocal: f64,
    /// Area under the ROC curve of each base that has suspects: its own against the others'.
    pub auc: BTreeMap<String, f64>,
    /// Mean of these.
    pub mean_auc: Option<f64>,
    /// Rank of the right base, by suspect.
    pub ranks: BTreeMap<String, usize>,
    /// Score of each base, by suspect, in the order of `bases`; `None` where it could not be compared.
    pub scores: BTreeMap<String, Vec<Option<f64>>>,
    /// Names of the bases.
    pub bases: Vec<String>,
}

/// Wilson's 95 % interval of `k` out of `n`.
pub fn wilson(k: usize, n: usize) -> (f64, f64) {
    let (n, z) = (n.max(1) as f64, 1.959_964);
    let p = k as f64 / n;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Share of pairs in which the member scores above the other; ties count half.
pub fn auc(members: &[f64], others: &[f64]) -> Option<f64> {
    let pair = |m: &f64, o: &f64| if m > o { 1.0 } else { f64::from(u8::from(m == o)) / 2.0 };
    let pairs: Vec<f64> =
        members.iter().flat_map(|m| others.iter().map(move |o| pair(m, o))).collect();
    stats::mean(&pairs)
}

impl Suite {
    /// Lines up everybody's responses.
    ///
    /// # Errors
    /// Suspects without a label, labels that name no base, fewer than two bases.
    pub fn new(
        bases: Vec<Group>,
        suspects: Vec<Group>,
        truth: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let fail = |what: String, hint: &str| Err(Error::new(ErrorKind::Samples, what).hint(hint));
        if bases.len() < 2 {
            return fail(
                "fewer than two bases".into(),
                "the file of bases needs a model column that names two models or more",
            );
        }
        let mut known = vec![];
        for suspect in &suspects {
            let Some(base) = truth.get(&suspect.label) else {
                return fail(
                    format!("the truth does not name the base of {}", suspect.label),
                    "add it, or leave that suspect out",
                );
            };
            let Some(at) = bases.iter().position(|b| b.label == *base) else {
                return fail(
                    format!("{base}, the base of {}, is not among the bases", suspect.label),
                    "correct the name, or add its responses",
                );
            };
            known.push(at);
        }
        if known.is_empty() {
            return fail("there are no suspects".into(), "give their responses with --suspects");
        }
        let n = bases.len();
        let groups: Vec<Group> = bases.into_iter().chain(suspects).collect();
        let (responses, _) = Responses::new(&groups).thinned(crate::responses::MAX_COLUMNS);
        Ok(Self { responses, bases: n, truth: known, extra: vec![] })
    }

    /// Adds the methods that read through `encoder`.
    pub fn add_encoder(&mut self, encoder: &Arc<Encoder>, training: Training) {
        self.extra.extend(on_encoder(encoder, training));
    }

    /// Every method that there is.
    fn methods(&self) -> impl Iterator<Item = &dyn TextMethod> {
        METHODS.iter().copied().chain(self.extra.iter().map(|m| &**m))
    }

    /// The bases' responses alone.
    pub fn bases(&self) -> Responses {
        Responses {
            columns: self.responses.columns.clone(),
            labels: self.responses.labels[..self.bases].to_vec(),
            rows: self.responses.rows[..self.bases].to_vec(),
        }
    }

    /// Names of the prompt sets, in order of appearance.
    pub fn sets(&self) -> Vec<String> {
        let mut sets: Vec<String> = vec![];
        for set in self.responses.columns.iter().filter_map(|c| c.set.as_ref()) {
            if !sets.contains(set) {
                sets.push(set.clone());
            }
        }
        sets
    }

    /// The columns of a prompt set.
    pub fn columns_of(&self, set: &str) -> Vec<usize> {
        let columns = self.responses.columns.iter().enumerate();
        columns.filter(|(_, c)| c.set.as_deref() == Some(set)).map(|(i, _)| i).collect()
    }

    /// All columns.
    pub fn all_columns(&self) -> Vec<usize> {
        (0..self.responses.columns.len()).collect()
    }

    fn corpus(&self, columns: &[usize], suspects: &[usize], labelled: &[usize]) -> Corpus {
        let at = self.responses.at(columns);
        let row = |s: &usize| at.rows[self.bases + s].clone();
        Corpus {
            prompts: at.columns.iter().map(|c| c.prompt.clone()).collect(),
            bases: at.rows[..self.bases].to_vec(),
            labelled: labelled.iter().map(|s| (self.truth[*s], row(s))).collect(),
            suspects: suspects.iter().map(row).collect(),
        }
    }

    /// What `methods` make of every suspect; with labels, each is judged by
    /// classifiers that learnt from the others alone.
    fn evidence(
        &self,
        methods: &[&dyn TextMethod],
        columns: &[usize],
        setup: &Setup,
        labelled: Labelled,
    ) -> Result<Vec<Vec<TextEvidence>>> {
        let all: Vec<usize> = (0..self.truth.len()).collect();
        let of = |corpus: &Corpus| -> Result<Vec<Vec<TextEvidence>>> {
            let mut out = vec![vec![]; corpus.suspects.len()];
            for method in methods {
                let found = observe(*method, corpus, setup, &mut |_, _| {})?;
                out.iter_mut().zip(found).for_each(|(o, f)| o.push(f));
            }
            Ok(out)
        };
        if labelled == Labelled::None {
            return of(&self.corpus(columns, &all, &[]));
        }
        let mut out = vec![];
        for s in &all {
            let known = |o: &usize| o != s && (labelled == Labelled::All || o.is_multiple_of(2));
            let others: Vec<usize> = all.iter().copied().filter(known).collect();
            out.extend(of(&self.corpus(columns, &[*s], &others))?);
        }
        Ok(out)
    }

    /// One row. `fused` stands for all methods that count, together.
    ///
    /// # Errors
    /// As the method's.
    pub fn row(&self, setting: &Setting, columns: &[usize], seed: u64) -> Result<Row> {
        let fuse = setting.method == "fused";
        let methods: Vec<&dyn TextMethod> = self
            .methods()
            .filter(|m| if fuse { m.calibration().is_some() } else { m.name() == setting.method })
            .collect();
        if methods.is_empty() {
            let names: Vec<&str> = self.methods().map(|m| m.name()).collect();
            return Err(Error::new(
                ErrorKind::Usage,
                format!("there is no method {}", setting.method),
            )
            .hint(format!("the methods are fused, {}", names.join(", "))));
        }
        let setup =
            Setup { representation: setting.representation, knowledge: setting.knowledge, seed };
        let evidence = self.evidence(&methods, columns, &setup, setting.labelled)?;
        let labels = &self.responses.labels[..self.bases];
        let mut scores = vec![];
        let mut votes = vec![];
        for texts in &evidence {
            if fuse {
                let seen = Observations {
                    candidates: labels,
                    samples: &[],
                    scores: &[],
                    seed,
                    bootstrap: 0,
                    texts,
                };
                scores.push(fused::text_logits(&seen)?);
            } else {
                let means = Means::new(&texts[0].table);
                let mut row = vec![f64::NEG_INFINITY; self.bases];
                means.candidates.iter().zip(means.whole()).for_each(|(c, v)| row[*c] = *v);
                scores.push(row);
                let share: Vec<f64> = (0..self.bases).map(|c| means.votes(c)).collect();
                votes.push(if texts[0].votes { Some(share) } else { None });
            }
        }
        Ok(self.judge(setting.clone(), columns.len(), &scores, &votes))
    }

    fn judge(
        &self,
        setting: Setting,
        columns: usize,
        scores: &[Vec<f64>],
        votes: &[Option<Vec<f64>>],
    ) -> Row {
        let rank = |s: usize, row: &[f64]| {
            let own = row[self.truth[s]];
            // Of ties the right one comes last: nobody is right by accident.
            1 + (0..row.len()).filter(|c| *c != self.truth[s] && row[*c] >= own).count()
        };
        let ranks: Vec<usize> = scores.iter().enumerate().map(|(s, row)| rank(s, row)).collect();
        let suspects = ranks.len();
        let right = ranks.iter().filter(|r| **r == 1).count();
        let finite = |v: f64| if v.is_finite() { v } else { -1e6 };
        let gain: Vec<Vec<f64>> = scores
            .iter()
            .map(|row| stats::softmax(&row.iter().map(|v| finite(*v)).collect::<Vec<_>>()))
            .map(|p| p.iter().map(|p| libm::log(p.max(1e-12))).collect())
            .collect();
        let matched = matching::assign(&gain);
        let mut areas = BTreeMap::new();
        for (b, base) in self.responses.labels[..self.bases].iter().enumerate() {
            let of = |own: bool| -> Vec<f64> {
                let suspects = (0..suspects).filter(|s| (self.truth[*s] == b) == own);
                suspects.map(|s| finite(scores[s][b])).collect()
            };
            if let Some(area) = auc(&of(true), &of(false)) {
                areas.insert(base.clone(), area);
            }
        }
        let by_votes: Vec<&Vec<f64>> = votes.iter().flatten().collect();
        let label = |s: usize| self.responses.labels[self.bases + s].clone();
        Row {
            setting,
            columns,
            right,
            suspects,
            interval: wilson(right, suspects),
            votes: (by_votes.len() == suspects)
                .then(|| by_votes.iter().enumerate().filter(|(s, row)| rank(*s, row) == 1).count()),
            matched: (0..suspects).filter(|s| matched[*s] == Some(self.truth[*s])).count(),
            reciprocal: ranks.iter().map(|r| 1.0 / *r as f64).sum::<f64>() / suspects.max(1) as f64,
            mean_auc: stats::mean(&areas.values().copied().collect::<Vec<_>>()),
            auc: areas,
            scores: scores
                .iter()
                .enumerate()
                .map(|(s, row)| {
                    (label(s), row.iter().map(|v| Some(*v).filter(|v| v.is_finite())).collect())
                })
                .collect(),
            bases: self.responses.labels[..self.bases].to_vec(),
            ranks: ranks.iter().enumerate().map(|(s, r)| (label(s), *r)).collect(),
        }
    }
}

/// The settings of a benchmark: quick, or every combination.
pub fn settings(suite: &Suite, methods: &[String], full: bool) -> Vec<Setting> {
    let mut out = vec![];
    let names = || std::iter::once("fused").chain(suite.methods().map(|m| m.name()));
    let wanted = |n: &&str| methods.is_empty() || methods.iter().any(|m| m == n);
    for name in names().filter(wanted) {
        let learns = suite.methods().any(|m| m.name() == name && m.learns());
        let all = full && learns;
        let representations =
            if all { &Representation::ALL[..] } else { &Representation::ALL[..1] };
        let levels = if all { &Knowledge::ALL[..] } else { &Knowledge::ALL[..1] };
        let labels = [Labelled::None, Labelled::Some, Labelled::All];
        let labels = if all { &labels[..] } else { &labels[..1] };
        for representation in representations {
            for knowledge in levels {
                for labelled in labels {
                    out.push(Setting {
                        method: name.into(),
                        representation: *representation,
                        knowledge: *knowledge,
                        labelled: *labelled,
                        prompts: "all".into(),
                    });
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Sample;

    fn group(label: &str, of: impl Fn(usize) -> String) -> Group {
        let sample = |i: usize| Sample::new(Some(format!("prompt {i}")), of(i), String::new());
        Group { label: label.into(), samples: (0..30).map(sample).collect() }
    }

    fn suite() -> Suite {
        let shout = |i: usize| format!("YES {i}! WHAT {i}!!");
        let calm = |i: usize| format!("well, perhaps {i} of them, quietly");
        let code = |i: usize| format!("return f({i});\n");
        let bases = vec![group("a", shout), group("b", calm), group("c", code)];
        let suspects = vec![
            group("s", move |i| format!("{} AND MORE!", shout(i))),
            group("t", move |i| format!("{}, so to say", calm(i))),
            group("u", move |i| format!("int {}", code(i))),
        ];
        let truth = [("s", "a"), ("t", "b"), ("u", "c")];
        Suite::new(bases, suspects, &truth.map(|(s, b)| (s.into(), b.into())).into()).unwrap()
    }

    #[test]
    fn every_setting_gives_a_row_and_plain_cases_are_right() {
        let suite = suite();
        for setting in settings(&suite, &[], true) {
            let row = suite.row(&setting, &suite.all_columns(), 1).unwrap();
            assert_eq!(row.suspects, 3);
            assert!(row.reciprocal > 0.3 && row.interval.0 < row.interval.1, "{setting:?}");
            let plain = setting.representation == Representation::Response
                && setting.knowledge == Knowledge::Universal;
            if plain && ["fused", "stylometry", "char-ngrams"].contains(&&*setting.method) {
                assert_eq!(row.right, 3, "{setting:?} {:?}", row.ranks);
                assert_eq!(row.mean_auc, Some(1.0), "{setting:?}");
            }
        }
    }

    #[test]
    fn intervals_and_areas_by_hand() {
        let (low, high) = wilson(8, 10);
        assert!((low - 0.4902).abs() < 1e-3 && (high - 0.9433).abs() < 1e-3);
        assert_eq!(auc(&[2.0, 1.0], &[1.0, 0.0]), Some(0.875));
        assert_eq!(auc(&[], &[1.0]), None);
    }

    #[test]
    fn unknown_names_are_said() {
        let suite = suite();
        let setting =
            Setting { method: "nonsense".into(), ..settings(&suite, &[], false)[0].clone() };
        assert!(suite.row(&setting, &[0], 1).unwrap_err().hint_text().unwrap().contains("bleu"));
        let truth = [("s".to_owned(), "z".to_owned())].into();
        let bases = vec![group("a", |i| i.to_string()), group("b", |i| i.to_string())];
        let e = Suite::new(bases, vec![group("s", |i| i.to_string())], &truth).err().unwrap();
        assert!(e.what().contains("z, the base of s"));
    }
}
