//! The tests on weights, measured where descent is known: every fine-tune
//! against every base, every disguise, and models that have nothing to do
//! with each other.

use super::build::{base_path, tune_name};
use super::disguise::{How, disguise};
use super::files::family_of;
use super::plan::{BASES, Base, Storage};
use super::publish::candidate;
use super::say;
use super::uniform::{excess, kolmogorov_smirnov};
use crate::anatomy::Anatomy;
use crate::error::{Error, Result};
use crate::evidence::lineage::{Lineage, Relation};
use crate::evidence::weights::{METHODS, Pair, compare, rows};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What "below 1e-6" is as a natural logarithm.
const CLEAR: f64 = -13.8155;
/// A false match: p below 1 % after correction, or called kin.
const FALSE: f64 = -4.6052;

/// A model whose descent is known.
struct Known {
    name: String,
    /// Models of one root are kin: a base's label, or a spare's own name.
    root: String,
    path: PathBuf,
    anatomy: Anatomy,
}

impl Known {
    fn open(path: PathBuf, name: String, root: String) -> Result<Self> {
        let mut files = candidate(&path)?;
        files.label.clone_from(&name);
        Ok(Self { anatomy: Anatomy::open(&files)?, name, root, path })
    }
}

/// The models of a folder under `out`, by name; none where it does not exist.
fn files_in(out: &Path, folder: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(out.join(folder)).into_iter().flatten().flatten();
    let mut found: Vec<(String, PathBuf)> = entries
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "gguf"))
        .map(|p| (p.file_stem().unwrap_or_default().to_string_lossy().into_owned(), p))
        .collect();
    found.sort();
    found
}

/// All that is there of a zoo.
struct Zoo {
    bases: Vec<Known>,
    tunes: Vec<Known>,
    adapters: Vec<Known>,
    spares: Vec<Known>,
}

impl Zoo {
    fn open(out: &Path) -> Result<Self> {
        let mut zoo = Self { bases: vec![], tunes: vec![], adapters: vec![], spares: vec![] };
        for (number, base) in BASES.iter().enumerate() {
            let label = || base.label.to_owned();
            zoo.bases.push(Known::open(base_path(out, base), label(), label())?);
            for round in 0..base.tunes.len() {
                let name = tune_name(number, round);
                let path = out.join("tunes").join(format!("{name}.gguf"));
                if path.exists() {
                    zoo.tunes.push(Known::open(path, name, label())?);
                }
            }
        }
        for (name, path) in files_in(out, "adapters") {
            let of = BASES.iter().filter(|b| name.starts_with(&format!("{}-", b.label)));
            if let Some(base) = of.max_by_key(|b| b.label.len()) {
                zoo.adapters.push(Known::open(path, name, base.label.to_owned())?);
            }
        }
        for (name, path) in files_in(out, "extra") {
            zoo.spares.push(Known::open(path, name.clone(), name)?);
        }
        Ok(zoo)
    }

    fn all(&self) -> impl Iterator<Item = &Known> {
        self.bases.iter().chain(&self.tunes).chain(&self.adapters).chain(&self.spares)
    }
}

/// p from its natural logarithm, to be read.
fn shown(ln_p: Option<f64>) -> String {
    match ln_p {
        None => "–".into(),
        Some(p) if p < -6.9 => {
            let ten = p / std::f64::consts::LN_10;
            let whole = libm::floor(ten);
            let lead = libm::round(libm::pow(10.0, ten - whole));
            if lead >= 10.0 { format!("1e{}", whole + 1.0) } else { format!("{lead}e{whole}") }
        }
        Some(p) => format!("{:.3}", libm::exp(p)),
    }
}

fn of_method(lineage: &Lineage, name: &str) -> Option<f64> {
    lineage.tests.iter().find(|t| t.method == name).and_then(|t| t.ln_p)
}

fn is_match(lineage: &Lineage) -> bool {
    lineage.relation.kin() || lineage.ln_p.is_some_and(|p| p < FALSE)
}

fn run(suspect: &Anatomy, against: &[Anatomy], seed: u64) -> Result<Vec<Lineage>> {
    let mut problems: Vec<Error> = vec![];
    let found = compare(suspect, against, seed, &mut problems, &mut |_, _, _| {});
    problems.into_iter().next().map_or(Ok(found), Err)
}

/// Bases as candidates for [`compare`].
fn candidates(out: &Path) -> Result<Vec<Anatomy>> {
    let open = |base: &Base| -> Result<Anatomy> {
        let label = base.label.to_owned();
        Ok(Known::open(base_path(out, base), label.clone(), label)?.anatomy)
    };
    BASES.iter().map(open).collect()
}

fn head(first: &[&str], last: &[&str]) -> String {
    let methods = METHODS.iter().map(|m| m.name());
    let names: Vec<&str> =
        first.iter().copied().chain(methods).chain(last.iter().copied()).collect();
    format!("| {} |\n|{}\n", names.join(" | "), "---|".repeat(names.len()))
}

/// Runs every part and returns it as Markdown; progress is told as it goes.
///
/// # Errors
/// Where models are missing or a test fails.
pub fn lineage(out: &Path, disguised: &[String], seed: u64) -> Result<String> {
    let zoo = Zoo::open(out)?;
    let bases = candidates(out)?;
    let mut text = fine_tunes(&zoo, &bases, seed)?;
    text += &disguises(out, &zoo, &bases, disguised, seed)?;
    text += &independent(&zoo, seed)?;
    text += &uniformity(&zoo, seed)?;
    Ok(text)
}

/// Every fine-tune against every base: what the true base gets, and whether
/// another one is called kin.
fn fine_tunes(zoo: &Zoo, bases: &[Anatomy], seed: u64) -> Result<String> {
    let mut text = String::from("Fine-tunes: p of the true base by method; all, by Holm\n\n");
    text += &head(&["suspect", "base"], &["all", "relation", "others' least", "false"]);
    let (mut clear, mut wrong, mut count) = (0, 0, 0);
    for tune in zoo.tunes.iter().chain(&zoo.adapters) {
        say(format_args!("{}", tune.name));
        let found = run(&tune.anatomy, bases, seed)?;
        let (mut row, mut least, mut others) = (String::new(), None, vec![]);
        for (lineage, base) in found.iter().zip(&zoo.bases) {
            if base.root == tune.root {
                row += &format!("| {} | {} |", tune.name, base.name);
                for method in METHODS {
                    row += &format!(" {} |", shown(of_method(lineage, method.name())));
                }
                row += &format!(" {} | {} |", shown(lineage.ln_p), lineage.relation.words());
                clear += usize::from(lineage.ln_p.is_some_and(|p| p < CLEAR));
            } else {
                least = least.into_iter().chain(lineage.ln_p).reduce(f64::min);
                if is_match(lineage) {
                    others.push(base.name.as_str());
                }
            }
        }
        wrong += others.len();
        count += 1;
        let _ = writeln!(text, "{row} {} | {} |", shown(least), others.join(", "));
    }
    let _ = writeln!(text, "\n{clear} of {count} true bases below 1e-6; {wrong} false matches.\n");
    Ok(text)
}

/// A disguise of a model, and the bases that it comes from.
struct Worn {
    name: String,
    path: PathBuf,
    roots: Vec<String>,
}

/// Writes every disguise of every model that `names` holds.
fn dress(out: &Path, zoo: &Zoo, names: &[String], seed: u64) -> Result<Vec<Worn>> {
    let mut worn = vec![];
    let folder = out.join("disguised");
    let mut wear = |name: String, model: &Known, how: How, with: Option<&Known>| -> Result<()> {
        let file = format!("{}-{name}.gguf", model.name).replace(' ', "-");
        let to = folder.join(file);
        disguise(&model.path, &[how], seed, &to, with.map(|k| k.path.as_path()))?;
        let mut roots = vec![model.root.clone()];
        roots.extend(with.map(|k| k.root.clone()));
        roots.dedup();
        worn.push(Worn { name, path: to, roots });
        Ok(())
    };
    for model in zoo.tunes.iter().filter(|t| names.contains(&t.name)) {
        let config = family_of(&model.path)?.config();
        for how in <How as clap::ValueEnum>::value_variants() {
            if *how == How::Merge {
                let kin = zoo.tunes.iter().find(|t| t.root == model.root && t.name != model.name);
                if let Some(kin) = kin {
                    wear("merge with another fine-tune".into(), model, *how, Some(kin))?;
                }
            } else if how.fits(&config) {
                wear(how.name(), model, *how, None)?;
            }
        }
    }
    // Two bases of one plan, and a fine-tune of each.
    let twins = |list: &'_ [Known]| -> Vec<usize> {
        ["larch", "larch-twin"]
            .iter()
            .filter_map(|root| list.iter().position(|k| k.root == *root))
            .collect()
    };
    for (list, name) in [(&zoo.bases, "merge of twins"), (&zoo.tunes, "merge of twins' fine-tunes")]
    {
        if let [a, b] = twins(list)[..] {
            wear(name.into(), &list[a], How::Merge, Some(&list[b]))?;
        }
    }
    Ok(worn)
}

/// The table of methods against disguises: the worst p of a true base among
/// the models that wear it.
fn disguises(
    out: &Path,
    zoo: &Zoo,
    bases: &[Anatomy],
    names: &[String],
    seed: u64,
) -> Result<String> {
    struct Row {
        name: String,
        models: usize,
        worst: Vec<Option<f64>>,
        missing: usize,
        relations: Vec<Relation>,
        others: usize,
    }
    let mut rows: Vec<Row> = vec![];
    for worn in dress(out, zoo, names, seed)? {
        say(format_args!("{}", worn.path.display()));
        let anatomy = Known::open(worn.path, worn.name.clone(), String::new())?.anatomy;
        let at = rows.iter().position(|r| r.name == worn.name).unwrap_or_else(|| {
            let worst = vec![None; METHODS.len() + 1];
            let name = worn.name.clone();
            rows.push(Row { name, models: 0, worst, missing: 0, relations: vec![], others: 0 });
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.models += 1;
        for (lineage, base) in run(&anatomy, bases, seed)?.iter().zip(&zoo.bases) {
            if !worn.roots.contains(&base.root) {
                row.others += usize::from(is_match(lineage));
                continue;
            }
            let by_method = METHODS.iter().map(|m| of_method(lineage, m.name()));
            for (worst, p) in row.worst.iter_mut().zip(by_method.chain([lineage.ln_p])) {
                *worst = (*worst).into_iter().chain(p).reduce(f64::max);
            }
            row.missing += usize::from(lineage.ln_p.is_none_or(|p| p > CLEAR));
            if !row.relations.contains(&lineage.relation) {
                row.relations.push(lineage.relation);
            }
        }
    }
    let mut text = format!(
        "Disguises of {}: the largest p of a true base by method; all, by Holm\n\n",
        names.join(", ")
    );
    text += &head(&["disguise", "models"], &["all", "above 1e-6", "relations", "false"]);
    for r in rows {
        let cells: Vec<String> = r.worst.iter().map(|p| shown(*p)).collect();
        let relations: Vec<&str> = r.relations.iter().map(|r| r.words()).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            r.name,
            r.models,
            cells.join(" | "),
            r.missing,
            relations.join(", "),
            r.others
        );
    }
    text.push('\n');
    Ok(text)
}

/// All pairs of models of different roots, one candidate each: false matches.
fn independent(zoo: &Zoo, seed: u64) -> Result<String> {
    let all: Vec<&Known> = zoo.all().collect();
    let (mut pairs, mut compared, mut same, mut least) = (0, 0, 0, 0.0_f64);
    let mut wrong = vec![];
    let mut by_method = vec![0.0_f64; METHODS.len()];
    for (i, a) in all.iter().enumerate() {
        say(format_args!("independents of {}", a.name));
        for b in all[..i].iter().filter(|b| b.root != a.root) {
            let found = run(&a.anatomy, std::slice::from_ref(&b.anatomy), seed)?;
            pairs += 1;
            let lineage = &found[0];
            compared += usize::from(lineage.ln_p.is_some());
            same += usize::from(a.anatomy.config() == b.anatomy.config());
            least = least.min(lineage.ln_p.unwrap_or(0.0));
            for (least, method) in by_method.iter_mut().zip(METHODS) {
                *least = least.min(of_method(lineage, method.name()).unwrap_or(0.0));
            }
            if is_match(lineage) {
                wrong.push(format!("{} and {}: {}", a.name, b.name, shown(lineage.ln_p)));
            }
        }
    }
    let mut text = format!(
        "Independent pairs: {pairs}, {same} of them of one architecture, {compared} with a p-value.\nLeast p {}; by method",
        shown(Some(least))
    );
    for (least, method) in by_method.iter().zip(METHODS) {
        let _ = write!(text, ", {} {}", method.name(), shown(Some(*least)));
    }
    let _ = writeln!(text, ".\nCalled kin or below 0.01: {}.", wrong.len());
    wrong.iter().for_each(|w| text.push_str(&format!("- {w}\n")));
    text.push('\n');
    Ok(text)
}

/// Whether p-values are uniform between models of different seeds: one model
/// of each root, so that pairs share no more than one model.
fn uniformity(zoo: &Zoo, seed: u64) -> Result<String> {
    let roots: Vec<&Known> = zoo.bases.iter().chain(&zoo.spares).collect();
    let mut lists: Vec<(String, Vec<f64>)> =
        METHODS.iter().map(|m| (m.name().to_owned(), vec![])).collect();
    let layers =
        ["row-matching, a pair of layers in place", "row-matching, a pair of layers by two views"];
    lists.extend(layers.map(|name| (name.to_owned(), vec![])));
    for (i, a) in roots.iter().enumerate() {
        say(format_args!("null of {}", a.name));
        for b in &roots[..i] {
            let pair = Pair::new(&a.anatomy, &b.anatomy, seed)?;
            for ((_, list), method) in lists.iter_mut().zip(METHODS) {
                let test = method.test(&pair, &mut |_, _| {})?;
                list.extend(test.and_then(|t| t.ln_p).map(libm::exp));
            }
            // Every layer of one against every layer of the other.
            for (k, l) in (0..pair.layers()).flat_map(|k| (0..pair.layers()).map(move |l| (k, l))) {
                let Some(layer) = rows::layer(&pair, k, l)? else { continue };
                let both = [layer.place, layer.views];
                for ((_, list), p) in lists[METHODS.len()..].iter_mut().zip(both) {
                    list.extend(p.map(|(_, ln_p)| libm::exp(ln_p)));
                }
            }
        }
    }
    let mut text = format!(
        "Uniformity under the null: {} models with seeds of their own. KS p is two-sided and small where p-values are not uniform, cautious bounds included; excess p only where there are too many small ones.\n\n| p-values | number | below .05 | KS distance | KS p | excess | excess p |\n|---|---|---|---|---|---|---|\n",
        roots.len()
    );
    for (name, list) in &lists {
        let (Some((d, p)), Some((e, q))) = (kolmogorov_smirnov(list), excess(list)) else {
            continue;
        };
        let low = list.iter().filter(|p| **p < 0.05).count() as f64 / list.len() as f64;
        let _ = writeln!(
            text,
            "| {name} | {} | {low:.3} | {d:.3} | {p:.3} | {e:.3} | {q:.3} |",
            list.len()
        );
    }
    Ok(text)
}

/// The fine-tunes that disguises are tried on unless others are named: one of
/// each family and one of the twin, all stored in F16.
pub fn handful() -> Vec<String> {
    let plain = |base: &Base| base.tunes.iter().position(|t| t.storage == Storage::GgufF16);
    let of = |(number, base): (usize, &Base)| {
        (base.label != "alder").then(|| plain(base).map(|round| tune_name(number, round)))?
    };
    BASES.iter().enumerate().filter_map(of).collect()
}
