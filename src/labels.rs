//! Known fine-tunes to learn from: which candidate each comes from, by a
//! column of its own rows or by a list of labels.

use crate::error::{Error, ErrorKind, Result};
use crate::responses::Group;
use crate::source::{Source, read_vec};
use std::collections::{BTreeMap, BTreeSet};

/// The longest list of labels in bytes.
pub const MAX_FILE: u64 = 16 << 20;

const HINT: &str = "it should be a JSON object such as {\"fine-tune\": \"candidate\"}";

/// The candidate of each fine-tune, by their names.
pub type Labels = BTreeMap<String, String>;

/// Reads a JSON object of fine-tunes' names and their candidates'.
///
/// # Errors
/// Where the file cannot be read, is longer than [`MAX_FILE`] or is no such object.
pub fn read(source: &dyn Source) -> Result<Labels> {
    let fail = |kind, what: String| Error::new(kind, what).in_file(source.name()).hint(HINT);
    if source.len() > MAX_FILE {
        return Err(fail(ErrorKind::TooLarge, "is too long for a list of labels".into()));
    }
    let bytes = read_vec(source, 0, source.len() as usize)?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(text)
        .map_err(|e| fail(ErrorKind::Read, format!("is no object of names: {e}")))
}

/// Each of `groups` with its candidate: as its rows or one of `lists` says.
/// One whose candidate is not known, or not for sure, is a problem and is left out.
pub fn assign(groups: Vec<Group>, lists: &[&Labels]) -> (Vec<(String, Group)>, Vec<Error>) {
    let (mut out, mut problems) = (vec![], vec![]);
    for group in groups {
        let rows = group.samples.iter().filter_map(|s| s.base.as_ref());
        let listed = lists.iter().filter_map(|l| l.get(&group.label));
        let said: BTreeSet<String> = rows.chain(listed).cloned().collect();
        let mut said = said.into_iter();
        let fault = match (said.next(), said.next()) {
            (Some(base), None) => {
                out.push((base, group));
                continue;
            }
            (Some(one), Some(other)) => {
                format!("this fine-tune is said to come from {one} and from {other}")
            }
            (None, _) => "nothing says which candidate this fine-tune comes from".into(),
        };
        problems.push(Error::new(ErrorKind::Missing, fault).in_file(&group.label).hint(
            "it is left out; name its one candidate in the column base of its rows, or in a JSON object \
             such as {\"fine-tune\": \"candidate\"}",
        ));
    }
    (out, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responses::by_model;
    use crate::samples;
    use crate::source::MemorySource;

    fn assigned(rows: &str, labels: &str) -> (Vec<(String, String)>, Vec<String>) {
        let groups = by_model(&samples::parse("s", rows.as_bytes()).unwrap(), "me").unwrap();
        let labels = read(&MemorySource::new("t.json", labels.as_bytes())).unwrap();
        let (known, problems) = assign(groups, &[&labels]);
        let names = known.into_iter().map(|(base, g)| (g.label, base)).collect();
        (names, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn rows_or_labels_name_the_candidate_and_must_agree() {
        let rows = "model,base,response\na,x,1\na,,2\nb,,3\nc,y,4\nd,,5\ne,x,6\ne,y,7\nf,x,8\n";
        let (known, problems) = assigned(rows, r#"{"b": "y", "c": "y", "f": "z", "g": "x"}"#);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(known, [pair("a", "x"), pair("b", "y"), pair("c", "y")]);
        assert_eq!(problems.len(), 3);
        assert!(problems[0].starts_with("d: nothing says which candidate"), "{}", problems[0]);
        assert!(problems[1].starts_with("e: this fine-tune is said to come from x and from y"));
        assert!(problems[2].starts_with("f: this fine-tune is said to come from x and from z"));
    }

    #[test]
    fn what_is_no_list_of_labels_is_refused() {
        for text in ["[1]", "{\"a\": 1}", "{\"a\"", ""] {
            let e = read(&MemorySource::new("t.json", text.as_bytes())).unwrap_err();
            assert!(e.to_string().starts_with("t.json: is no object of names"), "{text}: {e}");
        }
    }
}
