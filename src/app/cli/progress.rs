//! Progress on a terminal. Only here does the crate look at a clock.

use crate::job::Progress;
use crate::report::figures::{self, plain};
use std::io::Write;
use std::time::{Duration, Instant};

/// One line of progress, drawn again in place.
pub struct Bar {
    shown: bool,
    began: Instant,
    drawn: Option<Instant>,
}

impl Bar {
    /// Draws nothing unless `shown`.
    pub fn new(shown: bool) -> Self {
        Self { shown, began: Instant::now(), drawn: None }
    }

    /// Draws `p`, at most ten times a second.
    pub fn show(&mut self, p: &Progress) {
        if !self.shown || self.drawn.is_some_and(|d| d.elapsed() < Duration::from_millis(100)) {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = progress_line(p, self.began.elapsed());
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    /// Leaves the line empty.
    pub fn clear(&self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn progress_line(p: &Progress, elapsed: Duration) -> String {
    let clock = |s: u64| format!("{}:{:02}", s / 60, s % 60);
    let part = p.done.min(p.total) as f64 / p.total.max(1) as f64;
    let amount = |n| if p.unit == "bytes" { figures::bytes(n) } else { n.to_string() };
    let unit = if p.unit == "bytes" { String::new() } else { format!(" {}", p.unit) };
    let mut line = format!(
        "{:3.0} % {} · {} of {}{unit} · {} elapsed",
        part * 100.0,
        figures::truncate(&plain(&p.stage), 40),
        amount(p.done),
        amount(p.total),
        clock(elapsed.as_secs())
    );
    // The first moments say nothing about the rest.
    if part > 0.02 && elapsed > Duration::from_secs(2) {
        let left = elapsed.as_secs_f64() * (1.0 - part) / part;
        line.push_str(&format!(" · {} left", clock(left as u64)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_what_how_far_and_how_long() {
        let p = Progress { stage: "A scores".into(), done: 25, total: 100, unit: "tokens".into() };
        assert_eq!(
            progress_line(&p, Duration::from_secs(30)),
            " 25 % A scores · 25 of 100 tokens · 0:30 elapsed · 1:30 left"
        );
        let none = Progress { total: 0, ..p };
        assert!(progress_line(&none, Duration::ZERO).starts_with("  0 %"));
    }
}
