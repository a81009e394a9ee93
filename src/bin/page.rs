//! The page itself: what is seen and clicked.

fn main() {
    #[cfg(target_arch = "wasm32")]
    basetrace::app::page::start();
}
