use super::*;
use crate::prompts::tests::{plain, quiet, table, telling};
use crate::prompts::{Greedy, Picker, Random, Reinforcement};

/// Forty prompts, of which these few tell the candidates apart.
fn few_telling(seed: u64) -> (Responses, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let there = vec![4, 9, 13, 22, 27, 31];
    let rows: Vec<Vec<String>> = (0..40)
        .map(|p| {
            let tells = there.contains(&p);
            (0..4).map(|b| if tells { telling(b, &mut rng) } else { plain(&mut rng) }).collect()
        })
        .collect();
    (table(&rows), there)
}

#[test]
fn the_policy_learns_to_pick_the_telling_prompts() {
    let (r, there) = few_telling(1);
    let found = |picker: &dyn Picker, seed: u64| {
        let got = picker.pick(&r, 6, seed, &mut quiet()).unwrap();
        got.iter().filter(|p| there.contains(p)).count()
    };
    let chance: usize = (0..20).map(|s| found(&Random, s)).sum();
    for seed in 0..3 {
        let n = found(&Reinforcement, seed);
        assert!(n >= 5, "{n} of 6 found");
        assert!(20 * n > 3 * chance, "{n} against {chance} by lot in 20 draws");
    }
    assert_eq!(found(&Greedy, 1), 6);
}

#[test]
fn training_is_what_makes_it_good() {
    let (r, _) = few_telling(2);
    let pool = Pool::new(&r, 6).unwrap();
    let kept: Vec<usize> = (0..40).collect();
    let arena = Arena::new(&pool, &kept, 6);
    let raw = |seed: u64| Policy::new(SEEN, STATE, 40, &mut ChaCha8Rng::seed_from_u64(seed));
    let trained = train(&arena, 6, 5, &mut quiet());
    // The mean of what the policy, left to draw, ends with.
    let mean = |policy: &Policy| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut one = || {
            let mut state = arena.start();
            for step in episode(&arena, policy, 6, &mut rng) {
                arena.pick(&mut state, step.open[step.taken]);
            }
            state.separation
        };
        (0..50).map(|_| one()).sum::<f64>() / 50.0
    };
    assert!(mean(&trained) > mean(&raw(5)) + 0.2, "{} {}", mean(&trained), mean(&raw(5)));
    // One untrained policy may prefer the right thing by luck, ten do not.
    let gain = |policy: &Policy| play_out(&arena, policy, 6).separation;
    let untrained = (0..10).map(|s| gain(&raw(s))).sum::<f64>() / 10.0;
    assert!(gain(&trained) > untrained + 0.2, "{} {untrained}", gain(&trained));
}

#[test]
fn separation_is_held_out() {
    let (r, there) = few_telling(3);
    let pool = Pool::new(&r, 6).unwrap();
    let kept: Vec<usize> = (0..40).collect();
    let arena = Arena::new(&pool, &kept, 6);
    let separation = |picks: &[usize]| {
        let mut state = arena.start();
        let gains: f64 = picks.iter().map(|p| arena.pick(&mut state, *p)).sum();
        assert!((state.separation - 0.25 - gains).abs() < 1e-12, "rewards add up");
        state.separation
    };
    assert_eq!(separation(&there[..1]), 0.25, "one prompt bears nothing out");
    let chance = separation(&[0, 1, 2, 3, 5, 6]);
    assert!((chance - 0.25).abs() < 0.15, "{chance}");
    assert!(separation(&there) > 0.7, "{}", separation(&there));
    let mut turned = there.clone();
    turned.reverse();
    assert!((separation(&there) - separation(&turned)).abs() < 1e-9, "order is nothing");
}

#[test]
fn a_pool_beyond_what_can_be_played_with_is_cut_to_its_strongest() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let n = MOST / 4 + 30;
    let rows: Vec<Vec<String>> =
        (0..n).map(|_| (0..4).map(|_| plain(&mut rng)).collect()).collect();
    let r = table(&rows);
    let pool = Pool::new(&r, 5).unwrap();
    let kept = greedy::strongest(&pool, MOST / 4, 1);
    assert_eq!(kept.len(), MOST / 4);
    assert!(kept.windows(2).all(|w| w[0] < w[1]));
}
