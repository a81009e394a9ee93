//! Samples in CSV and TSV, and in plain text.

use super::collect::{Collector, Fault};
use super::{Sample, fields};
use crate::error::{Error, ErrorKind, Result};

/// How a table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    delimiter: u8,
    header: bool,
}

/// Tells whether `text` is a table, and how its columns are parted.
pub fn layout(text: &str) -> Option<Layout> {
    let delimiters = [b'\t', b',', b';'];
    let first = |d: u8| records(text, d).next().and_then(|r| r.ok());
    // A header that names a known field settles it; the most columns win.
    let named = delimiters.iter().filter_map(|&d| {
        let r = first(d)?;
        let known = |f: &str| fields::is_prompt(f) || fields::is_response(f);
        let short = r.iter().all(is_column_name);
        (short && r.iter().any(known)).then_some((r.len(), d))
    });
    if let Some((_, delimiter)) = named.max_by_key(|(n, d)| (*n, *d == b',')) {
        return Some(Layout { delimiter, header: true });
    }
    // Without one, a table has the same two or more columns in every row, and
    // no blank line between rows: sentences have commas, too.
    let blank = text.trim().lines().any(|l| l.trim().is_empty());
    for delimiter in delimiters.into_iter().filter(|&d| d == b'\t' || !blank) {
        let rows: Vec<_> = records(text, delimiter).take(50).collect();
        let Some(Ok(head)) = rows.first() else { continue };
        let even = rows.iter().all(|r| r.as_ref().is_ok_and(|r| r.len() == head.len()));
        if head.len() < 2 || rows.len() < 2 || !even {
            continue;
        }
        if head.iter().all(is_column_name) {
            return Some(Layout { delimiter, header: true });
        }
        if delimiter == b'\t' && head.len() == 2 {
            return Some(Layout { delimiter, header: false });
        }
    }
    None
}

/// Whether a field of the first row may be a column's name rather than text.
fn is_column_name(field: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.' | '(' | ')');
    let field = field.trim();
    field.len() <= 40 && field.split(' ').count() <= 3 && field.chars().all(plain)
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
}

fn records(
    text: &str,
    delimiter: u8,
) -> impl Iterator<Item = csv::Result<csv::StringRecord>> + use<'_> {
    reader(text, delimiter).into_records()
}

/// Reads a table's rows.
///
/// # Errors
/// Where its header names no column of responses.
pub fn read(text: &str, layout: Layout, name: &str, out: &mut Collector) -> Result<()> {
    let mut rows = records(text, layout.delimiter);
    let (mut prompts, mut response, mut columns) = (vec![0], 1, 2);
    let (mut model, mut set, mut base) = (None, None, None);
    if layout.header {
        let Some(Ok(head)) = rows.next() else { return Ok(()) };
        let find = |n: &&str| head.iter().position(|f| f.trim().eq_ignore_ascii_case(n));
        response = fields::RESPONSES.iter().find_map(find).ok_or_else(|| {
            let names: Vec<&str> = head.iter().take(8).map(str::trim).collect();
            Error::new(
                ErrorKind::Samples,
                format!("the table has no column of responses; its columns are {}", names.join(", ")),
            )
            .in_file(name)
            .hint("name the column with the suspect's text \"response\", and the one with its prompt \"prompt\"")
        })?;
        prompts = fields::PROMPTS.iter().filter_map(find).collect();
        model = fields::MODELS.iter().find_map(find);
        set = fields::SETS.iter().find_map(find);
        base = fields::BASES.iter().find_map(find);
        columns = head.len();
    }
    for row in rows {
        let Ok(row) = row else {
            out.fault(Fault::Row, name.to_owned());
            continue;
        };
        let line = row.position().map_or(0, csv::Position::line);
        let origin = format!("{name} line {line}");
        if row.len() > columns {
            out.fault(Fault::Row, origin);
            continue;
        }
        let filled = |i: &usize| row.get(*i).filter(|p| !p.trim().is_empty());
        let prompt = prompts.iter().find_map(filled).map(str::to_owned);
        match row.get(response) {
            Some(text) => {
                let mut sample = Sample::new(prompt, text.to_owned(), origin);
                sample.model = model.as_ref().and_then(filled).map(str::to_owned);
                sample.set = set.as_ref().and_then(filled).map(str::to_owned);
                sample.base = base.as_ref().and_then(filled).map(|b| b.trim().to_owned());
                out.add(sample);
            }
            None => out.fault(Fault::Missing, origin),
        }
    }
    Ok(())
}

/// Reads plain text: every run of lines without a blank one is a response.
pub fn paragraphs(text: &str, name: &str, out: &mut Collector) {
    let mut open: Vec<&str> = Vec::new();
    let mut start = 0;
    for (i, line) in text.lines().chain([""]).enumerate() {
        if !line.trim().is_empty() {
            if open.is_empty() {
                start = i + 1;
            }
            open.push(line);
        } else if !open.is_empty() {
            out.add(Sample::new(None, open.join("\n"), format!("{name} line {start}")));
            open.clear();
        }
    }
}
