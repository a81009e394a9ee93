//! Valid files with bytes flipped, cut and overwritten: whatever comes of it,
//! no panic, and no allocation that the file's size does not account for.

use crate::build::*;
use basetrace::formats::{Archive, gather};
use basetrace::samples;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Remembers the largest single allocation of the whole test binary.
struct Watch;
static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: the caller's own promises, passed on unchanged.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: the caller's own promises, passed on unchanged.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Relaxed);
        // SAFETY: the caller's own promises, passed on unchanged.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's own promises, passed on unchanged.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static WATCH: Watch = Watch;

fn damage(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = |rng: &mut ChaCha8Rng, n: usize| rng.next_u32() as usize % n.max(1);
    for _ in 0..=at(rng, 3) {
        if bytes.is_empty() {
            return;
        }
        let i = at(rng, bytes.len());
        match at(rng, 5) {
            0 => bytes[i] ^= 1 << at(rng, 8),
            1 => bytes[i] = rng.next_u32() as u8,
            2 => bytes.truncate(i),
            3 => {
                let end = bytes.len().min(i + 8);
                bytes[i..end].fill(0xff);
            }
            _ => {
                bytes.remove(i);
            }
        }
    }
}

#[test]
fn damaged_files_are_refused_in_peace() {
    let good = file("good.gguf", gguf(3, &[], &[tensor("t", &[1], 0, 0)], 4));
    let index = br#"{"weight_map":{"a":"w"}}"#.to_vec();
    let jsonl = b"{\"prompt\":\"p\",\"response\":\"r\"}\n{\"response\":[\"a\",\"b\"]}\n".to_vec();
    let csv = b"prompt,response\n\"a\nb\",c\nd,e\n".to_vec();
    let mut rng = ChaCha8Rng::seed_from_u64(20_260_101);
    let (mut survived, mut refused) = (0, 0);
    for round in 0..6000 {
        let mut parts =
            [good_gguf(), good_safetensors("a"), CONFIG.into(), TOKENIZER.into(), index.clone()];
        damage(&mut parts[[0, 0, 1, 1, 2, 3, 4][round % 7]], &mut rng);
        let [g, w, config, tokenizer, i] = parts;
        let files = [
            good.clone(),
            file("g.gguf", g),
            file("m/w", w),
            file("m/config.json", config),
            file("m/tokenizer.json", tokenizer),
            file("m/index.json", i),
        ];
        let gathered = gather(&files);
        assert!(gathered.candidates.iter().any(|c| c.label == "good"));
        for candidate in &gathered.candidates {
            let archive = Archive::open(candidate).unwrap();
            for info in archive.tensors.values() {
                archive.read(info, 0, info.bytes).unwrap();
            }
        }
        if gathered.problems.is_empty() {
            survived += 1;
        } else {
            refused += 1;
        }
        for text in [&jsonl, &csv] {
            let mut text = text.clone();
            damage(&mut text, &mut rng);
            let _ = samples::parse("s", &text);
        }
    }
    // Both outcomes are common, or the damage is not what it should be.
    assert!(survived > 300 && refused > 1500, "{survived} survived, {refused} refused");
    let largest = LARGEST.load(Relaxed);
    assert!(largest < 8 << 20, "{largest} bytes were allocated at once");
}
