//! Output distance, after Yax et al., "PhyloLM: Inferring the Phylogeny of Large
//! Language Models and Predicting their Performances in Benchmarks" (2024): a
//! prompt is a gene, the first characters of a completion are its allele, and
//! models are as far apart as populations are. Text alone is compared, so
//! tokenizers may differ.

use super::openings::OPENINGS;
use super::{Plan, QueryMethod, Record, Subject, foreign};
use crate::decoder::Sampling;
use crate::error::Result;
use crate::evidence::lineage::{Basis, Null, Test, Tree};
use crate::evidence::{Access, stats};
use crate::tokenizer::Tokenizer;
use std::collections::BTreeMap;

/// Characters of an allele.
const ALLELE: usize = 4;

/// Tokens of a completion at the most.
const TOKENS: usize = 6;

/// The least similarity told from none: a distance of 9.2.
const LEAST: f64 = 1e-4;

/// Bootstrap rounds over the openings.
const ROUNDS: usize = 1000;

/// Nei's distance of completions.
pub struct OutputDistance;

impl QueryMethod for OutputDistance {
    fn name(&self) -> &'static str {
        "output-distance"
    }

    fn observe(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        tell: &mut dyn FnMut(usize),
    ) -> Result<Record> {
        if plan.draws == 0 {
            return Ok(Record::Draws(vec![]));
        }
        let tokenizer = subject.tokenizer;
        // Streams of models differ, so that equal luck is not taken for kinship.
        let own = subject
            .label
            .bytes()
            .fold(plan.seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let enough =
            |tokens: &[u32]| allele(tokenizer, tokens).is_ok_and(|a| a.chars().count() >= ALLELE);
        let draws = OPENINGS.iter().enumerate().map(|(i, opening)| {
            let seed = own.wrapping_add((i * plan.draws) as u64);
            let sampling = Sampling { temperature: 1.0, top_p: 1.0, max_tokens: TOKENS, seed };
            subject
                .model
                .completions(
                    &tokenizer.prompt(opening)?,
                    plan.draws,
                    &sampling,
                    &|t| tokenizer.is_end(t),
                    &enough,
                    tell,
                )?
                .iter()
                .map(|tokens| allele(tokenizer, tokens))
                .collect()
        });
        draws.collect::<Result<_>>().map(Record::Draws)
    }

    fn test(
        &self,
        suspect: &Record,
        candidates: &[Option<Record>],
        plan: &Plan,
    ) -> Result<Vec<Option<Test>>> {
        let suspect = counts(suspect)?;
        let others = candidates
            .iter()
            .map(|c| c.as_ref().map(counts).transpose())
            .collect::<Result<Vec<_>>>()?;
        let comparable = |o: &Option<Vec<Counts>>| {
            o.as_ref().is_some_and(|o| !o.is_empty() && o.len() == suspect.len())
        };
        let tables: Vec<Option<Vec<Share>>> = others
            .iter()
            .map(|o| o.as_ref().filter(|_| comparable(o)).map(|o| shares(&suspect, o)))
            .collect();
        let everything: Vec<usize> = (0..suspect.len()).collect();
        let all: Vec<Option<f64>> =
            tables.iter().map(|t| t.as_ref().map(|t| similarity(t, &everything))).collect();
        let mut firsts = vec![0; tables.len()];
        for chosen in stats::resamples(suspect.len(), ROUNDS, plan.seed) {
            let scores = tables.iter().map(|t| t.as_ref().map(|t| similarity(t, &chosen)));
            let best = scores.enumerate().filter_map(|(c, s)| Some((c, s?)));
            if let Some((c, _)) = best.max_by(|a, b| a.1.total_cmp(&b.1)) {
                firsts[c] += 1;
            }
        }
        let test = |c: usize| {
            let statistic = all[c]?;
            let controls: Vec<f64> =
                (0..all.len()).filter(|k| *k != c).filter_map(|k| all[k]).collect();
            let mut notes = vec![
                "A likeness of what is said, not a proof: models of the same texts are near too."
                    .to_owned(),
            ];
            if !controls.is_empty() {
                notes.push(format!(
                    "nearest of all candidates in {:.0} % of {ROUNDS} resamples of the openings",
                    100.0 * f64::from(firsts[c]) / ROUNDS as f64
                ));
            }
            Some(Test {
                method: self.name().into(),
                about: format!(
                    "similarity of the first {ALLELE} characters of {} completions of each of {} \
                     openings, 0 to 1 (Nei's genetic identity, after Yax et al., PhyloLM, 2024)",
                    plan.draws,
                    suspect.len()
                ),
                access: Access::Query,
                statistic,
                ln_p: None,
                basis: Basis::Descriptive,
                null: (!controls.is_empty()).then(|| Null {
                    about: "the suspect's similarity to the other candidates".into(),
                    mean: stats::mean(&controls).unwrap_or(0.0),
                    deviation: stats::deviation(&controls).unwrap_or(0.0),
                    controls,
                }),
                map: None,
                notes,
            })
        };
        Ok((0..candidates.len()).map(test).collect())
    }
}

fn allele(tokenizer: &Tokenizer, tokens: &[u32]) -> Result<String> {
    Ok(tokenizer.continuation(tokens)?.trim_start().chars().take(ALLELE).collect())
}

/// How often each allele was drawn.
type Counts = BTreeMap<String, f64>;

fn counts(record: &Record) -> Result<Vec<Counts>> {
    let Record::Draws(draws) = record else { return Err(foreign("output-distance")) };
    let count = |draws: &Vec<String>| {
        let mut counts = Counts::new();
        draws.iter().for_each(|d| *counts.entry(d.clone()).or_insert(0.0) += 1.0);
        counts
    };
    Ok(draws.iter().map(count).collect())
}

/// One opening's Σ p₁p₂, Σ p₁² and Σ p₂² over alleles.
type Share = [f64; 3];

fn shares(a: &[Counts], b: &[Counts]) -> Vec<Share> {
    let size = |c: &Counts| c.values().sum::<f64>();
    // Two draws without return: Nei, 1978, "Estimation of average heterozygosity
    // and genetic distance from a small number of individuals".
    let twice = |c: &Counts| {
        let n = size(c);
        let pairs: f64 = c.values().map(|v| v * (v - 1.0)).sum();
        if n > 1.0 { pairs / (n * (n - 1.0)) } else { 0.0 }
    };
    let both = |(a, b): (&Counts, &Counts)| {
        let common: f64 = a.iter().filter_map(|(k, v)| Some(v * b.get(k)?)).sum();
        [common / (size(a) * size(b)).max(1.0), twice(a), twice(b)]
    };
    a.iter().zip(b).map(both).collect()
}

/// Nei's identity over the chosen openings, within [`LEAST`] and 1.
fn similarity(shares: &[Share], chosen: &[usize]) -> f64 {
    let sum = |i: usize| chosen.iter().map(|g| shares[*g][i]).sum::<f64>();
    let scale = (sum(1) * sum(2)).sqrt();
    if scale > 0.0 { (sum(0) / scale).clamp(LEAST, 1.0) } else { LEAST }
}

/// The tree of models by their distance −ln S, joined by average linkage
/// (UPGMA; Sokal and Michener, 1958). `records` are those of `leaves`, of which
/// the first `candidates` are candidates; models without a record are left out.
///
/// # Errors
/// Records of another method.
pub fn tree(leaves: &[String], candidates: usize, records: &[Option<Record>]) -> Result<Tree> {
    let mut kept = vec![];
    for (i, (leaf, record)) in leaves.iter().zip(records).enumerate() {
        if let Some(record) = record {
            kept.push((i < candidates, leaf.clone(), counts(record)?));
        }
    }
    let n = kept.len();
    let mut distances = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..i {
            let shares = shares(&kept[i].2, &kept[j].2);
            let everything: Vec<usize> = (0..shares.len()).collect();
            let distance = -libm::log(similarity(&shares, &everything));
            distances[i][j] = distance;
            distances[j][i] = distance;
        }
    }
    Ok(Tree {
        about: format!(
            "−ln of the similarity of completions' first {ALLELE} characters (Nei's distance); \
             joined at the mean distance between the leaves of both sides (UPGMA)"
        ),
        candidates: kept.iter().filter(|k| k.0).count(),
        joins: upgma(&distances),
        leaves: kept.into_iter().map(|k| k.1).collect(),
        distances,
    })
}

fn upgma(distances: &[Vec<f64>]) -> Vec<(usize, usize, f64)> {
    let n = distances.len();
    // Nodes with their leaves.
    let mut live: Vec<(usize, Vec<usize>)> = (0..n).map(|i| (i, vec![i])).collect();
    let mut joins = vec![];
    while live.len() > 1 {
        let mut best = (0, 1, f64::INFINITY);
        for i in 0..live.len() {
            for j in i + 1..live.len() {
                let pairs = live[i].1.iter().flat_map(|a| live[j].1.iter().map(move |b| (*a, *b)));
                let sum: f64 = pairs.map(|(a, b)| distances[a][b]).sum();
                let mean = sum / (live[i].1.len() * live[j].1.len()) as f64;
                if mean < best.2 {
                    best = (i, j, mean);
                }
            }
        }
        let (right, left) = (live.remove(best.1), live.remove(best.0));
        joins.push((left.0, right.0, best.2));
        live.push((n + joins.len() - 1, [left.1, right.1].concat()));
    }
    joins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(texts: &[&[&str]]) -> Record {
        Record::Draws(texts.iter().map(|g| g.iter().map(|t| (*t).to_owned()).collect()).collect())
    }

    #[test]
    fn similarity_is_the_formula_on_a_small_case() {
        let a = counts(&draws(&[&["x", "x", "y", "z"]])).unwrap();
        let b = counts(&draws(&[&["x", "y", "y", "y"]])).unwrap();
        // Σ p₁p₂ = (2·1 + 1·3) / 16; pairs: a 2/12, b 6/12.
        let want = (5.0 / 16.0) / (2.0_f64 / 12.0 * 6.0 / 12.0).sqrt();
        let got = shares(&a, &b);
        assert!((got[0][0] / (got[0][1] * got[0][2]).sqrt() - want).abs() < 1e-12);
        assert_eq!(similarity(&got, &[0]), 1.0, "beyond 1 by the luck of a small sample");
        assert_eq!(similarity(&shares(&a, &counts(&draws(&[&["q"; 4]])).unwrap()), &[0]), LEAST);
    }

    #[test]
    fn two_samples_of_one_distribution_are_alike() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut sample = |most: u64| {
            let gene = |_| (0..32).map(|_| rng.random_range(0..most).to_string()).collect();
            Record::Draws((0..40).map(gene).collect())
        };
        let (a, b, other) = (sample(8), sample(8), sample(40));
        let of = |x: &Record, y: &Record| {
            let s = shares(&counts(x).unwrap(), &counts(y).unwrap());
            similarity(&s, &(0..40).collect::<Vec<_>>())
        };
        assert!(of(&a, &b) > 0.93, "{}", of(&a, &b));
        assert!(of(&a, &other) < 0.6);
        let plan = Plan::default();
        let tests = OutputDistance.test(&a, &[Some(other), None, Some(b)], &plan).unwrap();
        let (far, near) = (tests[0].as_ref().unwrap(), tests[2].as_ref().unwrap());
        assert!(near.statistic > far.statistic && near.ln_p.is_none() && tests[1].is_none());
        assert!(near.notes[1].starts_with("nearest of all candidates in 100 %"));
    }

    #[test]
    fn the_tree_joins_by_mean_distance() {
        // Worked by hand: a and b at 2, c and d at 3, then all at the mean of four.
        let d = vec![
            vec![0.0, 2.0, 8.0, 9.0],
            vec![2.0, 0.0, 7.0, 8.0],
            vec![8.0, 7.0, 0.0, 3.0],
            vec![9.0, 8.0, 3.0, 0.0],
        ];
        assert_eq!(upgma(&d), [(0, 1, 2.0), (2, 3, 3.0), (4, 5, 8.0)]);
        let names = ["a", "b", "s"].map(String::from);
        let (x, y) = (draws(&[&["x", "x", "y"]]), draws(&[&["q", "q", "y"]]));
        let t = tree(&names, 2, &[Some(x.clone()), None, Some(y.clone())]).unwrap();
        assert_eq!((t.candidates, t.leaves.len(), t.joins.len()), (1, 2, 1));
        assert_eq!(t.distances[0][1], t.joins[0].2);
        let t = tree(&names, 2, &[Some(x.clone()), Some(y), Some(x)]).unwrap();
        assert_eq!((t.joins[0].0, t.joins[0].1), (0, 2));
    }
}
