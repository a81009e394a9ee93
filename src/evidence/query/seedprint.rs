//! Seed prints, after Tong et al., "SeedPrints: Fingerprints Can Even Tell Which
//! Seed Your Large Language Model Was Trained From" (ICLR 2026): a model prefers
//! some hidden dimensions to others whatever it reads, that preference starts
//! with the random weights, and training keeps its order.

use super::{Plan, QueryMethod, Record, Subject, foreign};
use crate::error::Result;
use crate::evidence::Access;
use crate::evidence::lineage::{Basis, Null, Test};
use crate::evidence::null::spearman;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random sequences read, and tokens of each.
const SEQUENCES: usize = 64;
const LENGTH: usize = 8;

/// Rank correlation of mean hidden states on random tokens.
pub struct SeedPrint;

impl QueryMethod for SeedPrint {
    fn name(&self) -> &'static str {
        "seed-print"
    }

    fn observe(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        tell: &mut dyn FnMut(usize),
    ) -> Result<Record> {
        let vocab = plan.vocab.min(subject.model.config().vocab);
        if vocab == 0 {
            return Ok(Record::Print(vec![]));
        }
        let length = LENGTH.min(subject.model.config().context);
        // A number between 0 and 1 for each place, so that equal vocabularies get
        // equal tokens. Where vocabularies differ the null holds all the same.
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut sequence = |_| -> Vec<u32> {
            (0..length).map(|_| (rng.random::<f64>() * vocab as f64) as u32).collect()
        };
        let sequences: Vec<Vec<u32>> = (0..SEQUENCES).map(&mut sequence).collect();
        subject.model.mean_hidden(&sequences, tell).map(Record::Print)
    }

    fn test(
        &self,
        suspect: &Record,
        candidates: &[Option<Record>],
        _plan: &Plan,
    ) -> Result<Vec<Option<Test>>> {
        let print = |r: &'_ Record| match r {
            Record::Print(values) => Ok(values.clone()),
            _ => Err(foreign(self.name())),
        };
        let suspect = print(suspect)?;
        let n = suspect.len();
        let all = candidates
            .iter()
            .map(|c| {
                let print = c.as_ref().map(&print).transpose()?;
                // Below ten dimensions, or where all are equal, there is nothing to rank.
                Ok(print.filter(|p| p.len() == n).and_then(|p| spearman(&suspect, &p)))
            })
            .collect::<Result<Vec<_>>>()?;
        let test = |c: usize| {
            let (statistic, ln_p) = all[c]?;
            let others = (0..all.len()).filter(|k| *k != c);
            Some(Test {
                method: self.name().into(),
                about: format!(
                    "Spearman correlation between suspect and candidate of the mean last hidden \
                     state over {SEQUENCES} random sequences of {LENGTH} tokens, across {n} \
                     dimensions (after Tong et al., SeedPrints, 2026)"
                ),
                access: Access::Weights,
                statistic,
                ln_p: Some(ln_p),
                basis: Basis::Asymptotic,
                null: Some(Null {
                    about: "hidden dimensions of models made independently are in unrelated \
                            order, since training does not care how they are numbered; the tail \
                            is Student's t"
                        .into(),
                    mean: 0.0,
                    deviation: 1.0 / (n as f64 - 1.0).sqrt(),
                    controls: others.filter_map(|k| Some(all[k]?.0)).collect(),
                }),
                map: None,
                notes: vec![
                    "A shared order of dimensions shows a shared seed, not proven derivation."
                        .into(),
                ],
            })
        };
        Ok((0..candidates.len()).map(test).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| rng.random::<f64>()).collect()
    }

    #[test]
    fn independent_prints_have_uniform_p_values() {
        let plan = Plan::default();
        let candidates: Vec<_> = (0..400).map(|s| Some(Record::Print(noise(96, s)))).collect();
        let suspect = Record::Print(noise(96, 1_000));
        let tests = SeedPrint.test(&suspect, &candidates, &plan).unwrap();
        let mut p: Vec<f64> =
            tests.iter().map(|t| libm::exp(t.as_ref().unwrap().ln_p.unwrap())).collect();
        p.sort_by(f64::total_cmp);
        // Kolmogorov–Smirnov at 1 %: 1.63 / √400.
        let gap = p.iter().enumerate().map(|(i, p)| (p - (i as f64 + 0.5) / 400.0).abs());
        assert!(gap.fold(0.0, f64::max) < 0.082);
    }

    #[test]
    fn the_same_order_is_kin_and_other_sizes_do_not_compare() {
        let base = noise(64, 1);
        let near: Vec<f64> = base.iter().zip(noise(64, 2)).map(|(a, b)| a + 0.1 * b).collect();
        let candidates = [
            Some(Record::Print(base)),
            None,
            Some(Record::Print(noise(32, 3))),
            Some(Record::Print(noise(64, 4))),
        ];
        let tests = SeedPrint.test(&Record::Print(near), &candidates, &Plan::default()).unwrap();
        assert!(tests[1].is_none() && tests[2].is_none());
        let (kin, other) = (tests[0].as_ref().unwrap(), tests[3].as_ref().unwrap());
        assert!(kin.ln_p.unwrap() < -50.0 && other.ln_p.unwrap() > -5.0);
        assert_eq!(kin.null.as_ref().unwrap().controls, [other.statistic]);
        assert!(SeedPrint.test(&Record::Answers(vec![]), &candidates, &Plan::default()).is_err());
    }
}
