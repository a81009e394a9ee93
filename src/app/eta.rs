//! The time that a run still takes, from its progress in tokens.

/// Milliseconds that count: older speed says little, for models differ.
const WINDOW: f64 = 30_000.0;
/// Milliseconds before anything is said.
const FIRST: f64 = 1_000.0;

/// Estimates the time left. The clock is the caller's.
#[derive(Clone, Debug, Default)]
pub struct Eta {
    /// (milliseconds, tokens done), oldest first.
    seen: Vec<(f64, u64)>,
}

impl Eta {
    /// Notes that `done` tokens were done at `now`.
    pub fn note(&mut self, now: f64, done: u64) {
        // A point each half second is enough.
        let crowded = self.seen.len() > 1
            && self.seen.iter().rev().nth(1).is_some_and(|&(t, _)| now - t < 500.0);
        if crowded {
            self.seen.pop();
        }
        self.seen.push((now, done));
        let old = self.seen.iter().take_while(|&&(t, _)| now - t > WINDOW).count();
        self.seen.drain(..old.saturating_sub(1));
    }

    /// Seconds until `total` tokens are done; `None` where nothing can be said yet.
    pub fn left(&self, total: u64) -> Option<f64> {
        let (&(t0, n0), &(t1, n1)) = (self.seen.first()?, self.seen.last()?);
        if t1 - t0 < FIRST || n1 <= n0 {
            return None;
        }
        Some(total.saturating_sub(n1) as f64 * (t1 - t0) / (n1 - n0) as f64 / 1000.0)
    }
}

/// A time in rough words: `about 40 s left`.
pub fn words(seconds: f64) -> String {
    match seconds {
        s if s < 5.0 => "a few s left".into(),
        s if s < 55.0 => format!("about {:.0} s left", (s / 5.0).ceil() * 5.0),
        s if s < 3300.0 => format!("about {:.0} min left", (s / 60.0).ceil()),
        s => {
            let minutes = (s / 60.0).ceil() as u64;
            format!("about {} h {} min left", minutes / 60, minutes % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_speed_gives_the_time() {
        let mut eta = Eta::default();
        assert_eq!(eta.left(100), None);
        for i in 0..=400_u32 {
            eta.note(f64::from(i) * 50.0, u64::from(i));
        }
        // 20 tokens a second, 600 to go.
        assert!((eta.left(1000).unwrap() - 30.0).abs() < 0.5);
        assert_eq!(eta.left(400), Some(0.0));
        assert!(eta.seen.len() < 100);
    }

    #[test]
    fn an_older_speed_is_forgotten() {
        let mut eta = Eta::default();
        for i in 0..=100_u32 {
            eta.note(f64::from(i) * 1000.0, u64::from(i));
        }
        for i in 1..=100_u32 {
            eta.note(100_000.0 + f64::from(i) * 1000.0, 100 + u64::from(i) * 10);
        }
        // Now 10 tokens a second.
        assert!((eta.left(1200).unwrap() - 10.0).abs() < 1.0);
    }

    #[test]
    fn times_are_rough() {
        for (s, w) in [
            (0.0, "a few s left"),
            (31.0, "about 35 s left"),
            (54.9, "about 55 s left"),
            (61.0, "about 2 min left"),
            (7261.0, "about 2 h 2 min left"),
        ] {
            assert_eq!(words(s), w);
        }
    }
}
