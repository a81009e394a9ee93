//! The native twin of the page.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    basetrace::app::cli::main().into()
}

#[cfg(target_arch = "wasm32")]
fn main() {}
