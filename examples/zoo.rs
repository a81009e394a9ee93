//! Runs the zoo's trainer by itself.
fn main() {
    if let Err(e) = basetrace::zoo::main(std::env::args_os()) {
        eprintln!("{e}");
        std::process::exit(1);
    }
}
