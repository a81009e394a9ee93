//! Names for files that arrive under a name that another file has already.
//!
//! A browser tells a file's name, never where it lies, so two models from two
//! folders may both be `model.gguf`. Neither may push the other out unsaid.

use std::collections::{BTreeMap, BTreeSet};

/// `path` as the `n`th of its name: `a.gguf` as `a (2).gguf`, `m/config.json`
/// as `m (2)/config.json`. The first keeps its name.
pub fn numbered(path: &str, n: usize) -> String {
    if n <= 1 {
        return path.to_owned();
    }
    let (top, rest) = path.find('/').map_or((path, ""), |i| path.split_at(i));
    match top.rfind('.').filter(|&i| rest.is_empty() && i > 0) {
        Some(dot) => format!("{} ({n}){}", &top[..dot], &top[dot..]),
        None => format!("{top} ({n}){rest}"),
    }
}

/// The names under which `held` has files that arrived as `path`.
pub fn namesakes(path: &str, held: &BTreeSet<&str>) -> Vec<String> {
    (1..).map(|n| numbered(path, n)).take_while(|name| held.contains(name.as_str())).collect()
}

/// The name for each of `paths`, which arrived together. `other(i, name)` says
/// whether `name` belongs to a file that is not the `i`th one given again.
///
/// What lies in one folder keeps one folder's name, so that a model's parts
/// stay together.
pub fn names(paths: &[String], other: impl Fn(usize, &str) -> bool) -> Vec<String> {
    let mut tops: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, path) in paths.iter().enumerate() {
        tops.entry(path.split('/').next().unwrap_or_default()).or_default().push(i);
    }
    let mut out = paths.to_vec();
    for members in tops.values() {
        let mut n = 1;
        while members.iter().any(|&i| other(i, &numbered(&paths[i], n))) {
            n += 1;
        }
        for &i in members {
            out[i] = numbered(&paths[i], n);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_before_the_ending_or_on_the_folder() {
        for (path, second) in [
            ("a.gguf", "a (2).gguf"),
            ("a.b.gguf", "a.b (2).gguf"),
            ("a", "a (2)"),
            (".hidden", ".hidden (2)"),
            ("m.v1/config.json", "m.v1 (2)/config.json"),
            ("m/sub/x.bin", "m (2)/sub/x.bin"),
        ] {
            assert_eq!(numbered(path, 1), path);
            assert_eq!(numbered(path, 2), second);
        }
    }

    #[test]
    fn all_of_one_name_are_found() {
        let held = BTreeSet::from(["a.gguf", "a (2).gguf", "b.gguf", "b (3).gguf"]);
        assert_eq!(namesakes("a.gguf", &held), ["a.gguf", "a (2).gguf"]);
        assert_eq!(namesakes("b.gguf", &held), ["b.gguf"]);
        assert!(namesakes("c.gguf", &held).is_empty());
    }

    #[test]
    fn a_folder_moves_as_one_and_the_rest_stays() {
        let paths = ["m/config.json", "m/model.safetensors", "n/config.json"].map(str::to_owned);
        let held = ["m/config.json", "m (2)/model.safetensors"];
        let got = names(&paths, |_, name| held.contains(&name));
        assert_eq!(got, ["m (3)/config.json", "m (3)/model.safetensors", "n/config.json"]);
    }

    #[test]
    fn the_same_file_given_again_keeps_its_name() {
        let paths = ["a.gguf".to_owned()];
        assert_eq!(names(&paths, |_, _| false), paths);
        // Its twin is held under the first name, itself under the second.
        assert_eq!(names(&paths, |_, name| name == "a.gguf"), ["a (2).gguf"]);
    }
}
