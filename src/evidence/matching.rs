//! Matching pairs: several suspects and several candidates at once, if every
//! candidate has at most one of the suspects.
//!
//! The best one-to-one assignment is found by the Hungarian method in the form
//! of shortest augmenting paths (Jonker and Volgenant, 1987), O(n²m).

/// The column of each row in the assignment of the largest sum; `None` where
/// there are more rows than columns. `gain[row][column]` must be finite.
pub fn assign(gain: &[Vec<f64>]) -> Vec<Option<usize>> {
    let rows = gain.len();
    let columns = gain.first().map_or(0, Vec::len);
    if rows > columns {
        let turned: Vec<Vec<f64>> =
            (0..columns).map(|c| gain.iter().map(|r| r[c]).collect()).collect();
        let mut out = vec![None; rows];
        for (column, row) in assign(&turned).into_iter().enumerate() {
            if let Some(row) = row {
                out[row] = Some(column);
            }
        }
        return out;
    }
    // Potentials of rows and columns; index 0 stands for nothing.
    let (mut u, mut v) = (vec![0.0; rows + 1], vec![0.0; columns + 1]);
    let mut taken = vec![0; columns + 1];
    for row in 1..=rows {
        taken[0] = row;
        let mut at = 0;
        let mut least = vec![f64::INFINITY; columns + 1];
        let mut seen = vec![false; columns + 1];
        let mut way = vec![0; columns + 1];
        while taken[at] != 0 {
            seen[at] = true;
            let here = taken[at];
            let (mut step, mut next) = (f64::INFINITY, 0);
            for column in (1..=columns).filter(|c| !seen[*c]) {
                let cost = -gain[here - 1][column - 1] - u[here] - v[column];
                if cost < least[column] {
                    least[column] = cost;
                    way[column] = at;
                }
                if least[column] < step {
                    step = least[column];
                    next = column;
                }
            }
            for column in 0..=columns {
                if seen[column] {
                    u[taken[column]] += step;
                    v[column] -= step;
                } else {
                    least[column] -= step;
                }
            }
            at = next;
        }
        while at != 0 {
            taken[at] = taken[way[at]];
            at = way[at];
        }
    }
    let mut out = vec![None; rows];
    for column in 1..=columns {
        if taken[column] != 0 {
            out[taken[column] - 1] = Some(column - 1);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    /// The largest sum over all injections of rows into columns.
    fn oracle(gain: &[Vec<f64>], used: &mut Vec<bool>) -> f64 {
        let Some((row, rest)) = gain.split_first() else { return 0.0 };
        let mut best = f64::NEG_INFINITY;
        for c in 0..row.len() {
            if !used[c] {
                used[c] = true;
                best = best.max(row[c] + oracle(rest, used));
                used[c] = false;
            }
        }
        best
    }

    #[test]
    fn agrees_with_trying_all() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        for round in 0..200 {
            let (n, m) = (1 + round % 5, 1 + round % 6);
            let gain: Vec<Vec<f64>> = (0..n)
                .map(|_| (0..m).map(|_| f64::from(rng.random_range(-9..9))).collect())
                .collect();
            let found = assign(&gain);
            let mut columns: Vec<usize> = found.iter().flatten().copied().collect();
            assert_eq!(columns.len(), n.min(m));
            columns.sort_unstable();
            columns.dedup();
            assert_eq!(columns.len(), n.min(m));
            let sum: f64 = found.iter().enumerate().filter_map(|(r, c)| Some(gain[r][(*c)?])).sum();
            let best = if n <= m {
                oracle(&gain, &mut vec![false; m])
            } else {
                let turned: Vec<Vec<f64>> =
                    (0..m).map(|c| gain.iter().map(|r| r[c]).collect()).collect();
                oracle(&turned, &mut vec![false; n])
            };
            assert_eq!(sum, best);
        }
        assert!(assign(&[]).is_empty());
    }
}
