//! Pinned tools: found on the PATH in the right version, or put into target/tools.

use crate::Result;
use crate::process::{cargo, run};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The browser's target.
pub const WASM: &str = "wasm32-unknown-unknown";
const TRUNK: &str = "0.22.0-beta.1";
/// Must equal the wasm-bindgen crate in Cargo.toml.
const WASM_BINDGEN: &str = "0.2.129";
/// Of xtask/package.json.
const BINARYEN: &str = "132";
const NODE: u32 = 20;

/// Where the tools are.
#[derive(Debug, Default)]
pub struct Tools {
    /// Folders to look in before the PATH.
    folders: Vec<PathBuf>,
    /// Chromium's WebDriver; empty where no browser was asked for.
    pub chromedriver: PathBuf,
    /// Chromium.
    pub chromium: PathBuf,
}

impl Tools {
    /// `program` in `folder`, with the tools first on its PATH.
    pub fn command(&self, folder: &Path, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        command.current_dir(folder).env("PATH", self.path());
        command
    }

    /// The path of `program`, or its name where no tool is so called.
    pub fn program(&self, program: &str) -> OsString {
        find_in(&self.folders, program).map_or_else(|| program.into(), PathBuf::into_os_string)
    }

    fn path(&self) -> OsString {
        let old = env::var_os("PATH").unwrap_or_default();
        let all = self.folders.iter().cloned().chain(env::split_paths(&old));
        env::join_paths(all).unwrap_or(old)
    }

    fn add(&mut self, folder: PathBuf) {
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }
}

/// What building the page takes.
pub fn for_page(root: &Path) -> Result<Tools> {
    wasm_target(root)?;
    node()?;
    let mut tools = Tools::default();
    // Tools that run for seconds are not worth minutes of optimising: Trunk
    // only calls others, wasm-bindgen reads and writes megabytes.
    tools.add(crate_tool(root, "trunk", "trunk", TRUNK, "0")?);
    tools.add(crate_tool(root, "wasm-bindgen-cli", "wasm-bindgen", WASM_BINDGEN, "1")?);
    tools.add(binaryen(root)?);
    Ok(tools)
}

/// What all the tests take: a browser besides.
pub fn for_tests(root: &Path) -> Result<Tools> {
    let mut tools = for_page(root)?;
    (tools.chromium, tools.chromedriver) = chromium()?;
    packages(&root.join("tests/browser"), &root.join("tests/browser"))?;
    Ok(tools)
}

/// What measuring the engine beside others takes.
pub fn for_bench(root: &Path) -> Result<Tools> {
    let tools = for_tests(root)?;
    packages(&root.join("xtask/bench"), &root.join("xtask/bench"))?;
    Ok(tools)
}

/// Makes sure of the wasm target, which rustup reads from rust-toolchain.toml.
pub fn wasm_target(root: &Path) -> Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(rustc);
    rustc.current_dir(root).args(["--print", "target-libdir", "--target", WASM]);
    if output(&mut rustc).is_some_and(|dir| Path::new(dir.trim()).is_dir()) {
        return Ok(());
    }
    run(Command::new("rustup").current_dir(root).args(["target", "add", WASM]))
        .map_err(|e| format!("{e}\nThe target {WASM} is missing: install rustup (rustup.rs), or the target by the means that installed Rust."))
}

fn node() -> Result<()> {
    let version = output(Command::new("node").arg("--version"));
    let major: Option<u32> = version
        .as_deref()
        .and_then(|v| v.trim().strip_prefix('v')?.split('.').next()?.parse().ok());
    match major {
        Some(major) if major >= NODE && find("npm").is_some() => Ok(()),
        _ => Err(format!(
            "Node.js {NODE} or newer with npm is needed (found: {}): install it from nodejs.org or your system's packages.",
            version.map_or("none".into(), |v| v.trim().to_owned())
        )),
    }
}

/// The folder of a tool that is a crate, installed where it is not there in `version`.
fn crate_tool(
    root: &Path,
    package: &str,
    program: &str,
    version: &str,
    optimise: &str,
) -> Result<PathBuf> {
    let own = root.join("target/tools");
    let folders = path_folders();
    let right = |dir: &PathBuf| {
        let said = output(Command::new(dir.join(program)).arg("--version"));
        said.is_some_and(|s| s.split_whitespace().any(|word| word == version))
    };
    if let Some(dir) = [own.join("bin")]
        .iter()
        .chain(&folders)
        .find(|dir| find_in(&[(*dir).clone()], program).is_some() && right(dir))
    {
        return Ok(dir.clone());
    }
    println!(
        "{program} {version} is not there: building it into target/tools (once; a few minutes)"
    );
    let mut install = cargo(root);
    install
        .args(["install", "--locked", "--no-default-features", "--force", "--root"])
        .arg(&own)
        .arg("--target-dir")
        .arg(own.join("build"))
        .arg(format!("{package}@{version}"))
        // The features left out are only for downloading other tools.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", optimise)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    run(&mut install)?;
    // Some gigabytes that nothing needs again.
    let _ = fs::remove_dir_all(own.join("build"));
    Ok(own.join("bin"))
}

/// The folder of wasm-opt.
fn binaryen(root: &Path) -> Result<PathBuf> {
    let right = |dir: &PathBuf| {
        let said = output(Command::new(dir.join("wasm-opt")).arg("--version"));
        said.is_some_and(|s| s.split_whitespace().any(|word| word == BINARYEN))
    };
    if let Some(dir) = path_folders().iter().find(|d| d.join("wasm-opt").is_file() && right(d)) {
        return Ok(dir.clone());
    }
    let own = root.join("target/tools/npm");
    packages(&root.join("xtask"), &own)?;
    Ok(own.join("node_modules/.bin"))
}

/// Installs the locked npm packages of `from` into `to/node_modules`, unless
/// the very same lock file was installed there before.
fn packages(from: &Path, to: &Path) -> Result<()> {
    const FILES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];
    let read = |path: PathBuf| {
        fs::read(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
    };
    let lock = read(from.join("package-lock.json"))?;
    let mark = to.join("node_modules/.installed-lock.json");
    if fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    node()?;
    let write = |path: PathBuf, bytes: Vec<u8>| {
        fs::write(&path, bytes).map_err(|e| format!("{} cannot be written: {e}", path.display()))
    };
    if from != to {
        fs::create_dir_all(to).map_err(|e| format!("{} cannot be made: {e}", to.display()))?;
        for file in FILES {
            write(to.join(file), read(from.join(file))?)?;
        }
    }
    let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(Command::new("npm").current_dir(to).args(npm))?;
    write(mark, lock)
}

/// Chromium and its driver; installed where this is Debian and we may.
fn chromium() -> Result<(PathBuf, PathBuf)> {
    let both = || {
        let named =
            |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|p| p.is_file());
        let browser = named("CHROMIUM").or_else(|| {
            ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|n| find(n))
        })?;
        let driver = named("CHROMEDRIVER").or_else(|| find("chromedriver"))?;
        Some((browser, driver))
    };
    if let Some(found) = both() {
        return Ok(found);
    }
    let root = output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    if root && find("apt-get").is_some() {
        println!("Chromium or chromedriver is not there: installing them");
        let apt = |arguments: &[&str]| {
            run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update", "-qq"])?;
        apt(&["install", "-y", "-qq", "--no-install-recommends", "chromium", "chromium-driver"])?;
    }
    both().ok_or_else(|| {
        "Chromium and chromedriver are needed for the browser tests: install them (Debian: apt-get install chromium chromium-driver) or name them in CHROMIUM and CHROMEDRIVER.".into()
    })
}

/// What a program says on its standard output, if it runs and ends well.
fn output(command: &mut Command) -> Option<String> {
    let done = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

fn path_folders() -> Vec<PathBuf> {
    env::var_os("PATH").map(|p| env::split_paths(&p).collect()).unwrap_or_default()
}

fn find(program: &str) -> Option<PathBuf> {
    find_in(&path_folders(), program)
}

fn find_in(folders: &[PathBuf], program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    folders.iter().map(|dir| dir.join(OsStr::new(&name))).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pins_agree_with_the_manifests() {
        let root = crate::root();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("wasm-bindgen = \"={WASM_BINDGEN}\"")));
        let packages = fs::read_to_string(root.join("xtask/package.json")).unwrap();
        assert!(packages.contains(&format!("\"binaryen\": \"{BINARYEN}.")));
    }

    #[test]
    fn lock_files_name_no_registry() {
        for folder in ["xtask", "xtask/bench", "tests/browser"] {
            let lock = crate::root().join(folder).join("package-lock.json");
            let lock = fs::read_to_string(&lock).unwrap_or_else(|e| panic!("{folder}: {e}"));
            assert!(!lock.contains("resolved"), "{folder}: set omit-lockfile-registry-resolved");
        }
    }

    #[test]
    fn tools_come_first_on_the_path() {
        let mut tools = Tools::default();
        tools.add("/first/of/all".into());
        tools.add("/first/of/all".into());
        let path = tools.path();
        let folders: Vec<_> = env::split_paths(&path).collect();
        assert_eq!(folders[0], Path::new("/first/of/all"));
        assert_ne!(folders[1], Path::new("/first/of/all"));
        assert_eq!(tools.program("no-such-tool"), "no-such-tool");
    }
}
