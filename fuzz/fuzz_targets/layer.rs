//! Any layers are merged or refused, and what was merged is an image that can be read.
//!
//! The bytes are a script of entries: with check sums that are right, as else nothing would come behind the first header.
#![no_main]

use aegis_image::{Limits, merge_and_read};
use libfuzzer_sys::fuzz_target;

/// Names that lead to each other, up, out and away.
const NAMES: [&str; 16] = [
    "a",
    "a/b",
    "a/b/c",
    "/a/b",
    "../a",
    "./",
    "a/../b",
    "b",
    "b/a",
    ".wh.a",
    "a/.wh.b",
    "a/.wh..wh..opq",
    "/.wh.b",
    "..",
    "/",
    "b/.wh..",
];
const KINDS: &[u8; 12] = b"0125SxLKg364";

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { total_bytes: 1 << 20, file_bytes: 1 << 18, entries: 1_000, ..Limits::default() };
    // As it is, too: for the headers themselves.
    let _ = merge_and_read(&[bytes], &limits);

    let mut layers = vec![Vec::new()];
    let mut script = bytes.iter().copied();
    while let (Some(kind), Some(name), Some(link), Some(size)) =
        (script.next(), script.next(), script.next(), script.next())
    {
        if kind == 255 && layers.len() < 4 {
            layers.push(Vec::new());
            continue;
        }
        let content: Vec<u8> = script.by_ref().take(usize::from(size)).collect();
        let layer = layers.last_mut().expect("there is always one");
        let mut header = [0_u8; 512];
        let field = |header: &mut [u8; 512], at: usize, text: &[u8]| {
            header[at..at + text.len()].copy_from_slice(text)
        };
        field(&mut header, 0, NAMES[usize::from(name) % NAMES.len()].as_bytes());
        field(&mut header, 100, format!("{:07o}", u32::from(link) * 17).as_bytes());
        field(&mut header, 124, format!("{:011o}", content.len()).as_bytes());
        header[156] = KINDS[usize::from(kind) % KINDS.len()];
        field(&mut header, 157, NAMES[usize::from(link) % NAMES.len()].as_bytes());
        field(&mut header, 257, b"ustar\0");
        field(&mut header, 148, b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        field(&mut header, 148, format!("{sum:06o}\0").as_bytes());
        layer.extend_from_slice(&header);
        layer.extend_from_slice(&content);
        layer.resize(layer.len().next_multiple_of(512), 0);
    }
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    if let Ok(entries) = merge_and_read(&layers, &limits) {
        assert!(entries >= 11, "what every image has isn't there");
    }
});
