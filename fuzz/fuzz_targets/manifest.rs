//! Any bytes are documents whose fields can be pointed at, or faults that can be shown; and cutting agrees with parsing.
#![no_main]

use aegis_engine::{
    declare::Kinds,
    manifest::{Sources, decode, load, split},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let sources = match Sources::from_texts([("fuzz.yaml", bytes)]) {
        Ok(sources) => sources,
        Err(found) => return shown(&found.render(false)),
    };
    let text = &sources.sources()[0].text;
    let mut end = 0;
    for piece in split(text) {
        assert!(
            end <= piece.range.start && piece.range.start < piece.range.end && piece.range.end <= text.len()
        );
        assert_eq!(text[..piece.range.start].matches('\n').count() + 1, piece.first_line);
        end = piece.range.end;
    }

    let Ok(slices) = sources.slices() else { return };
    for slice in &slices {
        sources.sniff(slice);
        // A document is the same whether it is read alone or with others.
        let (documents, found) = decode(&sources, std::slice::from_ref(slice), &Kinds);
        assert_eq!(documents.len() + found.count(), 1);
        for document in documents {
            let (first, last) =
                (slice.first_line, slice.first_line + sources.text(slice).matches('\n').count());
            for path in ["metadata.name", "spec", "spec.tags[0]", "spec.selector", "spec.a[b].c"] {
                for place in [
                    sources.place(&document.origin, path),
                    sources.place_within(&document.origin, path, 1..3),
                ] {
                    assert!((first..=last).contains(&(place.line as usize)), "{path}: {place}");
                }
            }
        }
    }
    match load(&sources, &Kinds) {
        Ok(documents) => assert_eq!(documents.len(), slices.len()),
        Err(found) => {
            assert!(found.count() > 0);
            shown(&found.render(false));
        }
    }
});

/// Something is shown, and nothing that would steer a terminal.
fn shown(text: &str) {
    assert!(!text.is_empty());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}
