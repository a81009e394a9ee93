//! The page's worker: the core behind the page.

fn main() {
    #[cfg(target_arch = "wasm32")]
    basetrace::app::worker::start();
}
