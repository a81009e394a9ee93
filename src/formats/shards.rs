//! The weight files of a Hugging Face folder: one, or shards with their index.

use super::archive::{TensorInfo, missing, without_mark};
use super::safetensors::{self, Index};
use super::sniff::MAX_JSON;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{SharedSource, read_vec};
use std::collections::{BTreeMap, BTreeSet};

/// The tensors of a candidate, and the files that they lie in.
type Opened = (Vec<SharedSource>, BTreeMap<String, TensorInfo>);

/// Opens the weights of the candidate `label`.
///
/// With an index exactly its shards are used. Tensors of types that hold no
/// weights (masks, counters) are left out.
///
/// # Errors
/// [`ErrorKind::Missing`] for shards that are not there, [`ErrorKind::Mismatch`]
/// where index and shards disagree, or what is wrong with a file.
pub fn open(label: &str, weights: &[SharedSource], index: &[SharedSource]) -> Result<Opened> {
    let (sources, index) = match index {
        [] => (unindexed(label, weights)?, None),
        [file] => {
            let index = (read_index(file)?, file);
            (indexed(label, weights, &index.0)?, Some(index))
        }
        [a, b, ..] => {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!("{label} has more than one index: {} and {}", a.name(), b.name()),
            )
            .hint("put each model into a folder of its own"));
        }
    };
    let mut tensors = BTreeMap::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (i, source) in sources.iter().enumerate() {
        for (name, entry) in safetensors::read(source.as_ref())? {
            if let Some(&other) = seen.get(&name) {
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    format!("tensor \"{name}\" is also in {}", sources[other].name()),
                )
                .in_file(source.name())
                .hint("the shards are not of one model: download them together"));
            }
            seen.insert(name.clone(), i);
            let Some(dtype) = entry.dtype else { continue };
            let bytes = usize::try_from(entry.bytes).map_err(|_| {
                Error::new(
                    ErrorKind::TooLarge,
                    format!("tensor \"{name}\" has {} bytes", entry.bytes),
                )
                .in_file(source.name())
                .hint("use the basetrace command for models of this size")
            })?;
            let info =
                TensorInfo { dtype, shape: entry.shape, source: i, offset: entry.offset, bytes };
            tensors.insert(name, info);
        }
    }
    if let Some((index, file)) = index {
        agree(&index, file, &sources, &seen)?;
    }
    if tensors.is_empty() {
        return Err(Error::new(
            ErrorKind::Missing,
            format!("the weights of {label} hold no tensors in F32, F16 or BF16"),
        )
        .hint("add the model's weights in one of these types"));
    }
    Ok((sources, tensors))
}

fn read_index(file: &SharedSource) -> Result<Index> {
    if file.len() > MAX_JSON {
        return Err(Error::new(ErrorKind::TooLarge, "the index is longer than 64 MiB")
            .in_file(file.name())
            .hint("no real index is: check which file this is"));
    }
    let bytes = read_vec(file.as_ref(), 0, file.len() as usize)?;
    serde_json::from_slice(without_mark(&bytes)).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("this is not a valid index of shards: {e}"))
            .in_file(file.name())
            .hint("download model.safetensors.index.json again")
    })
}

/// The last part of a path.
fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn indexed(label: &str, weights: &[SharedSource], index: &Index) -> Result<Vec<SharedSource>> {
    let wanted: BTreeSet<&str> = index.weight_map.values().map(|s| base(s)).collect();
    let find = |name: &&str| weights.iter().find(|w| base(w.name()) == *name).cloned();
    let absent: Vec<&str> = wanted.iter().copied().filter(|n| find(n).is_none()).collect();
    if !absent.is_empty() {
        return Err(missing(label, &list(&absent)));
    }
    Ok(wanted.iter().filter_map(find).collect())
}

/// Weight files without an index: one, or a full set of numbered shards.
fn unindexed(label: &str, weights: &[SharedSource]) -> Result<Vec<SharedSource>> {
    if weights.is_empty() {
        return Err(missing(label, "its weights, such as model.safetensors"));
    }
    let numbered: Vec<_> = weights.iter().filter_map(|w| shard_of(base(w.name()))).collect();
    let Some(&(stem, _, of)) = numbered.first() else {
        return match weights {
            [one] => Ok(vec![one.clone()]),
            [a, b, ..] => Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "{label} has several weight files and no index: {} and {}",
                    a.name(),
                    b.name()
                ),
            )
            .hint("add model.safetensors.index.json, or keep one weight file per folder")),
            [] => Err(missing(label, "its weights, such as model.safetensors")),
        };
    };
    let name = |i: u32| format!("{stem}-{i:05}-of-{of:05}.safetensors");
    let find = |i: u32| weights.iter().find(|w| base(w.name()) == name(i)).cloned();
    let absent: Vec<String> = (1..=of).filter(|i| find(*i).is_none()).map(name).collect();
    if !absent.is_empty() {
        return Err(missing(label, &list(&absent)));
    }
    Ok((1..=of).filter_map(find).collect())
}

/// Stem, number and count of a name like `model-00001-of-00003.safetensors`.
fn shard_of(name: &str) -> Option<(&str, u32, u32)> {
    let name = name.strip_suffix(".safetensors")?;
    let (name, of) = name.rsplit_once("-of-")?;
    let (stem, number) = name.rsplit_once('-')?;
    let (number, of) = (number.parse().ok()?, of.parse().ok()?);
    (1..=of).contains(&number).then_some((stem, number, of)).filter(|_| of <= 9999)
}

/// A few names as a phrase.
fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Checks that every tensor is in the shard that the index says, and no other is there.
fn agree(
    index: &Index,
    file: &SharedSource,
    sources: &[SharedSource],
    seen: &BTreeMap<String, usize>,
) -> Result<()> {
    let disagree = |what: String| {
        Err(Error::new(ErrorKind::Mismatch, what)
            .in_file(file.name())
            .hint("index and shards are not of one model: download them together"))
    };
    for (name, shard) in &index.weight_map {
        match seen.get(name).map(|&i| base(sources[i].name())) {
            Some(there) if there == base(shard) => {}
            _ => return disagree(format!("tensor \"{name}\" is not in {}", base(shard))),
        }
    }
    match seen.iter().find(|(name, _)| !index.weight_map.contains_key(*name)) {
        Some((name, &i)) => {
            disagree(format!("tensor \"{name}\" of {} is not listed", base(sources[i].name())))
        }
        None => Ok(()),
    }
}
