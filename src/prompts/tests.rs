use super::{picker as by_name, *};
use crate::responses::{Column, Group};
use crate::samples;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Responses by prompt, then candidate; "-" is a gap.
pub fn table(prompts: &[Vec<String>]) -> Responses {
    let bases = prompts.first().map_or(0, Vec::len);
    let cell = |p: &Vec<String>, b: usize| Some(p[b].clone()).filter(|s| s != "-");
    Responses {
        columns: (0..prompts.len())
            .map(|i| Column { prompt: Some(format!("p{i}")), ..Column::default() })
            .collect(),
        labels: (0..bases).map(|b| format!("m{b}")).collect(),
        rows: (0..bases).map(|b| prompts.iter().map(|p| cell(p, b)).collect()).collect(),
    }
}

/// What all candidates may say where the prompt tells nothing.
pub fn plain(rng: &mut ChaCha8Rng) -> String {
    let words = ["the house", "a river", "some stone", "my friend", "one winter", "her garden"];
    let mut word = || words[rng.random_range(0..words.len())];
    format!("It was {} and {} by {}.", word(), word(), word())
}

/// A way of writing for each of four candidates.
pub fn telling(b: usize, rng: &mut ChaCha8Rng) -> String {
    let n = rng.random_range(10..99);
    match b {
        0 => format!("\nfn f{n}() {{ x[{n}] = {n}; }}\n"),
        1 => format!("{n}{n}{n} {n}"),
        2 => format!("Да, это было давно {n}"),
        _ => "lol".into(),
    }
}

pub fn quiet() -> impl FnMut(u64, u64) {
    |_, _| ()
}

fn pick(picker: &dyn Picker, r: &Responses, budget: usize, seed: u64) -> Vec<usize> {
    picker.pick(r, budget, seed, &mut quiet()).unwrap()
}

#[test]
fn the_built_in_prompts_are_short_unique_and_explained() {
    let (curated, naive) = (curated().unwrap(), naive().unwrap());
    assert!((120..=170).contains(&curated.len()) && (120..=170).contains(&naive.len()));
    let mut met = std::collections::HashSet::new();
    for p in curated.iter().chain(&naive) {
        // Rows meet by trimmed text, so that is what must differ.
        assert!(met.insert(p.prompt.trim().to_owned()), "twice: {}", p.prompt);
        assert!(!p.prompt.trim().is_empty() && p.prompt.chars().count() <= 120, "{}", p.prompt);
        assert!(!p.why.trim().is_empty(), "{}", p.prompt);
    }
    assert!(naive.iter().all(|p| p.set == "naive" && p.base.is_none()));
    let mut bases: Vec<(&str, usize)> = vec![];
    for p in &curated {
        assert_eq!(p.set, "curated");
        assert!(p.why.contains(';'), "names no source: {}", p.why);
        let base = p.base.as_deref().unwrap();
        match bases.iter_mut().find(|b| b.0 == base) {
            Some(b) => b.1 += 1,
            None => bases.push((base, 1)),
        }
    }
    assert_eq!(bases.len(), 16);
    assert!(bases.iter().all(|b| (8..=12).contains(&b.1)), "{bases:?}");
    assert_eq!(Strategy::Both.prompts().unwrap().len(), met.len());
}

#[test]
fn every_picker_keeps_its_promises() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut rows: Vec<Vec<String>> = (0..12)
        .map(|p| {
            (0..4)
                .map(|b| if p % 3 == 0 { telling(b, &mut rng) } else { plain(&mut rng) })
                .collect()
        })
        .collect();
    rows[2] = ["a", "-", "-", "-"].map(Into::into).to_vec();
    rows[5] = vec!["-".into(); 4];
    rows[6][1] = "-".into();
    rows[7][0] = String::new();
    let r = table(&rows);
    for picker in PICKERS {
        let name = picker.name();
        for budget in [1, 2, 5, 10, 11, 99] {
            let got = pick(picker, &r, budget, 7);
            assert_eq!(got.len(), budget.min(10), "{name} {budget}");
            let mut sorted = got.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), got.len(), "{name} picks none twice");
            assert!(
                !got.contains(&2) && !got.contains(&5),
                "{name} picks no prompt with one answer"
            );
            assert_eq!(got, pick(picker, &r, budget, 7), "{name} is the same again");
        }
        assert_eq!(by_name(name).unwrap().name(), name);
        let e = picker.pick(&r, 0, 1, &mut quiet()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Usage, "{name}");
    }
    assert_ne!(pick(&Random, &r, 10, 1), pick(&Random, &r, 10, 2));
    assert!(by_name("x").err().unwrap().hint_text().unwrap().contains("greedy"));
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    let one = table(&[vec!["a".into(), "-".into()], vec!["b".into(), "-".into()]]);
    let apart = table(&[vec!["a".into(), "-".into()], vec!["-".into(), "b".into()]]);
    for picker in PICKERS {
        let e = picker.pick(&one, 3, 1, &mut quiet()).unwrap_err();
        assert!(e.what().contains("only 1 of 2 candidates"), "{}: {e}", picker.name());
        assert!(e.hint_text().is_some());
        let e = picker.pick(&Responses::default(), 3, 1, &mut quiet()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Samples);
        let e = picker.pick(&apart, 3, 1, &mut quiet()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Mismatch, "{}: {e}", picker.name());
    }
}

#[test]
fn greedy_finds_the_one_telling_prompt() {
    for seed in 0..5 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let there = 3 + seed as usize * 7;
        let rows: Vec<Vec<String>> = (0..40)
            .map(|p| {
                (0..4)
                    .map(|b| if p == there { telling(b, &mut rng) } else { plain(&mut rng) })
                    .collect()
            })
            .collect();
        assert_eq!(pick(&Greedy, &table(&rows), 3, seed)[0], there);
    }
}

#[test]
fn greedy_asks_what_it_does_not_know_yet() {
    // Most prompts tell 0 and 1 from 2 and 3: one bit. One tells 0 from the
    // rest and one tells 2: less than a bit, but not known from the others.
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut rows: Vec<Vec<String>> =
        (0..20).map(|_| (0..4).map(|b| telling(b / 2, &mut rng)).collect()).collect();
    for (place, odd) in [(11, 0), (17, 2)] {
        let mut say =
            |b: usize| if b == odd { telling(3, &mut rng) } else { "It was late.".into() };
        rows[place] = (0..4).map(&mut say).collect();
    }
    let r = table(&rows);
    let got = pick(&Greedy, &r, 10, 1);
    assert!(got[0] != 11 && got[0] != 17, "{got:?}");
    assert!(got.contains(&11) && got.contains(&17), "{got:?}");
}

#[test]
fn prompts_of_one_kind_do_not_crowd_out_the_others() {
    // Twenty lines of digits tell all four apart, and so do five sentences.
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut rows: Vec<Vec<String>> =
        (0..25).map(|_| (0..4).map(|b| telling(b, &mut rng)).collect()).collect();
    rows.extend((0..5).map(|_| (0..4).map(|_| plain(&mut rng)).collect()));
    let mut r = table(&rows);
    let sentences = [
        "The old bridge was closed because",
        "Да, это было",
        "def main():\n    print(",
        "駅前の店で",
        "ARTICLE 5. THE TENANT",
        "¿Dónde",
        "a, b, c,",
        "{\"id\": 7, \"name\":",
        "...",
        "हिन्दी में",
    ];
    for (i, column) in r.columns.iter_mut().enumerate() {
        let digits = format!("{}.{}e+00", 1 + i % 9, 3_141_592 + 1_234_567 * i % 6_000_000);
        column.prompt = Some(if i < 20 { digits } else { sentences[i - 20].into() });
    }
    for picker in [&Greedy as &dyn Picker, &Reinforcement] {
        let got = pick(picker, &r, 8, 1);
        let sentences = got.iter().filter(|c| (20..25).contains(*c)).count();
        assert!(sentences >= 4, "{}: {got:?}", picker.name());
    }
}

#[test]
#[ignore = "takes a minute; for the time on large pools"]
fn large_pools_take_bounded_time() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for (prompts, bases, budget) in
        [(2000, 2, 2000), (2000, 10, 150), (1000, 40, 50), (300, 200, 50)]
    {
        let mut row = |_| (0..bases).map(|b| telling(b % 4, &mut rng)).collect();
        let r = table(&(0..prompts).map(&mut row).collect::<Vec<_>>());
        for picker in [&Greedy as &dyn Picker, &Reinforcement] {
            let began = std::time::Instant::now();
            assert_eq!(pick(picker, &r, budget, 1).len(), budget);
            let spent = began.elapsed().as_secs_f64();
            println!("{} of {prompts} × {bases}, {budget}: {spent:.1} s", picker.name());
        }
    }
}

#[test]
fn the_curve_counts_and_averages() {
    let r = table(&(0..6).map(|_| vec!["a".into(), "b".into()]).collect::<Vec<_>>());
    let mut asked = vec![];
    let mut attribute = |columns: &[usize]| {
        asked.push(columns.to_vec());
        Ok(judge::Score { right: usize::from(columns.contains(&0)), total: 2 })
    };
    let mut last = (0, 0);
    let points =
        curve(&r, &[&First, &Random], &[2, 99], &[1, 2, 3], &mut attribute, &mut |done, all| {
            last = (done, all)
        })
        .unwrap();
    assert_eq!(last, (8, 8));
    assert_eq!(asked.len(), 8);
    let with_first = asked[2..5].iter().filter(|c| c.contains(&0)).count();
    assert_eq!((points[0].accuracy, points[0].seeds, points[0].picked), (0.5, 1, 2));
    assert_eq!((points[2].accuracy, points[2].seeds), (with_first as f64 / 6.0, 3));
    assert_eq!((points[3].picked, points[3].budget), (6, 99));
    assert_eq!(points[3].range, (0.5, 0.5));
}

#[test]
fn the_judge_knows_writers_by_their_ways() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut write = |n: usize, telling_ones: bool| -> Vec<Vec<String>> {
        (0..n)
            .map(|_| {
                (0..4)
                    .map(|b| if telling_ones { telling(b, &mut rng) } else { plain(&mut rng) })
                    .collect()
            })
            .collect()
    };
    let (ways, chance, suspects) = (write(20, true), write(20, false), write(20, true));
    let all: Vec<usize> = (0..20).collect();
    let good = judge::cross_validated(&table(&ways), &all).unwrap();
    assert_eq!((good.right, good.total), (80, 80));
    let bad = judge::cross_validated(&table(&chance), &all).unwrap();
    assert!(bad.total == 80 && bad.right < 40, "{bad:?}");
    let (whole, single) =
        judge::attributed(&table(&ways), &table(&suspects), &[0, 1, 2, 3], &all).unwrap();
    assert_eq!((whole.right, single.right), (4, 80));
    let (whole, _) =
        judge::attributed(&table(&ways), &table(&suspects), &[1, 0, 2, 3], &all).unwrap();
    assert_eq!((whole.right, whole.total), (2, 4));
    assert!(judge::cross_validated(&table(&ways), &[0]).is_err(), "half of one is nothing");
}

/// Compares the pickers on suspects whose base is known; BASETRACE_PAIRS is a folder with bases.jsonl,
/// suspects-dev.jsonl and truth-dev.json. Run with `--ignored --nocapture`.
#[test]
#[ignore = "needs responses that are not in the repository"]
fn figures() {
    let folder = std::path::PathBuf::from(std::env::var("BASETRACE_PAIRS").unwrap());
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let of = |name: &str| -> Vec<Group> {
        crate::responses::by_model(&samples::parse(name, &read(name)).unwrap(), "?").unwrap()
    };
    let mut groups = of("bases.jsonl");
    let n = groups.len();
    groups.extend(of("suspects-dev.jsonl"));
    let all = Responses::new(&groups);
    let part = |range: std::ops::Range<usize>| Responses {
        columns: all.columns.clone(),
        labels: all.labels[range.clone()].to_vec(),
        rows: all.rows[range].to_vec(),
    };
    let (bases, suspects) = (part(0..n), part(n..groups.len()));
    let truth: std::collections::HashMap<String, String> =
        serde_json::from_slice(&read("truth-dev.json")).unwrap();
    let truth: Vec<usize> = suspects
        .labels
        .iter()
        .map(|s| bases.labels.iter().position(|b| *b == truth[s]).unwrap())
        .collect();
    println!("{} columns, {} bases, {} suspects", all.columns.len(), n, truth.len());
    let pool = pool::Pool::new(&bases, 1).unwrap();
    println!("kinds: {:?}", pool.kinds);
    let sort = |columns: &[usize]| {
        let kinds: std::collections::BTreeSet<usize> =
            columns.iter().map(|c| pool.kinds[*c]).collect();
        kinds.len() as f64
    };
    let began = std::time::Instant::now();
    for picker in PICKERS {
        let seeds: u64 = match picker.name() {
            "random" => 10,
            "rl" => 3,
            _ => 1,
        };
        for budget in [10, 25, 50, 150] {
            let mut rows: Vec<[f64; 5]> = vec![];
            let mut spent = 0.0;
            for seed in 0..seeds {
                let t = std::time::Instant::now();
                let columns = pick(picker, &bases, budget, seed);
                spent += t.elapsed().as_secs_f64() / seeds as f64;
                let share = |s: judge::Score| s.right as f64 / s.total as f64;
                let (whole, single) =
                    judge::attributed(&bases, &suspects, &truth, &columns).unwrap();
                let own = judge::cross_validated(&bases, &columns).unwrap();
                rows.push([
                    share(whole),
                    share(single),
                    share(own),
                    share(judge::transferred(&bases, &columns).unwrap()),
                    sort(&columns),
                ]);
                if !picker.seeded() {
                    break;
                }
            }
            let mean = |k: usize| rows.iter().map(|r| r[k]).sum::<f64>() / rows.len() as f64;
            println!(
                "{:7} {budget:4}: suspects {:.2}, their answers {:.3}, bases held out {:.3}, unpicked {:.3}, {:.0} kinds ({} seeds, {spent:.1} s a pick)",
                picker.name(),
                mean(0),
                mean(1),
                mean(2),
                mean(3),
                mean(4),
                rows.len()
            );
        }
    }
    println!("{:.0} s", began.elapsed().as_secs_f64());
}
