//! Inputs that are made to hurt: each ends soon, in a clear error.

use std::{fmt::Write as _, io::Read};

use super::{super::*, Kinds, group, load_text, load_texts};

const HEAD: &str = "apiVersion: aegis.dev/v1\nkind: EdgeNode\nmetadata: {name: a}\nspec:\n";

/// The only line that is said of `text`.
fn said(text: &str) -> String {
    let found = load_text(text).unwrap_err();
    assert_eq!(found.count(), 1, "{}", found.render(false));
    let rendered = found.render(false);
    assert!(rendered.len() < 4096, "{} bytes are shown", rendered.len());
    found.shown()[0].to_string()
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |text, n| text + &line(n) + "\n")
}

/// A list of eight `leaf`s, a list of eight aliases to that, and so on.
fn bomb(leaf: &str, levels: u32) -> String {
    let mut text = format!("{HEAD}  vars:\n    l0: &l0 [{}]\n", [leaf; 8].join(","));
    for level in 1..=levels {
        let aliases = vec![format!("*l{}", level - 1); 8].join(",");
        writeln!(text, "    l{level}: &l{level} [{aliases}]").unwrap();
    }
    text
}

#[test]
fn a_bomb_of_aliases() {
    let said = said(&bomb("x", 9));
    assert!(said.contains("aliases"), "{said}");
}

#[test]
fn a_bomb_of_long_texts() {
    let said = said(&bomb(&"x".repeat(100_000), 9));
    assert!(said.contains("aliases"), "{said}");
}

#[test]
fn ten_thousand_anchors() {
    let anchors = lines(10_000, |n| format!("    k{n}: &a{n} x"));
    assert_eq!(
        said(&format!("{HEAD}  vars:\n{anchors}")),
        "fleet.yaml:1006:19: error: too many anchors and aliases in one document"
    );
}

#[test]
fn deep_nesting() {
    for text in [
        format!("{HEAD}  vars:\n    x: {}", "[".repeat(10_000)),
        format!("{HEAD}  vars:\n    x: {}", "{a: ".repeat(10_000)),
        format!("{HEAD}  vars:\n    x: {}", "- ".repeat(10_000)),
        format!("{HEAD}  vars:\n    x:\n      {}a", "- ".repeat(10_000)),
        "[".repeat(10_000),
        format!("kind: EdgeNode\n{}: x", "? ".repeat(10_000)),
    ] {
        let said = said(&text);
        assert!(said.starts_with("fleet.yaml:"), "{said}");
    }
    let nested: String = (0..300).fold(String::new(), |text, n| format!("{text}\n{}a:", " ".repeat(n + 4)));
    assert_eq!(
        said(&format!("{HEAD}  vars:{nested}")),
        "fleet.yaml:68:67: error: nested deeper than 64 levels"
    );
    let list = format!("{HEAD}  vars: {{x: {}{}}}", "[".repeat(62), "]".repeat(62));
    assert_eq!(said(&list), "fleet.yaml:5:74: error: nested deeper than 64 levels");
    let list = format!("{HEAD}  vars: {{x: {}{}}}", "[".repeat(61), "]".repeat(61));
    assert_eq!(load_text(&list).unwrap().len(), 1);
}

#[test]
fn one_line_of_a_megabyte() {
    let long = "x".repeat(1 << 20);
    assert_eq!(
        said(&format!("{HEAD}  tags: {long}\n")),
        "fleet.yaml:5:9: error: 'spec.tags' must be a list, not a string"
    );
    let unknown = said(&format!("{HEAD}  {long}: 1\n"));
    assert!(unknown.len() < 300, "{unknown}");
    let items = "a, ".repeat(50_000);
    let far = load_text(&format!("{HEAD}  vars: {{x: [{items}], y: *z}}\n")).unwrap_err();
    let place = far.shown()[0].place.clone().unwrap();
    assert_eq!((place.line, place.column), (5, 150_020));
    assert!(far.render(false).contains("--> fleet.yaml:5:150020"), "{}", far.render(false));
    assert!(far.render(false).contains("y: *z"), "{}", far.render(false));
    assert_eq!(said(&format!("{HEAD}  vars: {{{long}\n")), "fleet.yaml:5:9: error: '{' isn't closed");
}

#[test]
fn a_document_that_is_too_large_isnt_parsed() {
    let text = format!("{HEAD}  displayName: |\n{}", "    0123456789\n".repeat(300_000));
    assert_eq!(said(&text), "fleet.yaml:1:1: error: a document has at most 4 MiB");
}

#[test]
fn a_document_of_too_many_values() {
    let text = format!("{HEAD}  vars:\n    x: [{}]\n", "1,".repeat(300_000));
    let said = said(&text);
    assert!(said.ends_with("more than 100000 values in one document"), "{said}");
}

#[test]
fn many_documents_of_many_values() {
    let maps = "a: 1,".repeat(30_000);
    let text = format!("---\n{HEAD}  vars:\n    x: [{maps}]\n").repeat(8);
    assert_eq!(said(&text), "error: too many values in all documents together, aliases written out");
    let aliases = format!("    a: &a [{}]\n    b: [{}]\n", "x,".repeat(100), "*a,".repeat(150));
    let text = format!("---\n{HEAD}  vars:\n{aliases}").repeat(150);
    assert_eq!(said(&text), "error: too many values in all documents together, aliases written out");
}

#[test]
fn a_number_that_is_none() {
    assert_eq!(
        said(&format!("{HEAD}  vars:\n    x: 1e{}\n", "9".repeat(1_000_000))),
        "fleet.yaml:6:8: error: 'spec.vars.x' must be a finite number"
    );
}

#[test]
fn many_duplicate_keys() {
    let keys = lines(20_000, |n| format!("    k{n}: 1"));
    assert_eq!(
        said(&format!("{HEAD}  vars:\n{keys}    k7: 2\n")),
        "fleet.yaml:20006:5: error: duplicate key 'k7'"
    );
}

#[test]
fn a_file_of_50_megabytes_is_refused_before_it_is_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("big.yaml");
    // It takes no room on the disk, and none in memory: it isn't read.
    std::fs::File::create(&path).unwrap().set_len(50 << 20).unwrap();
    let found = Sources::read(&[Input::Path(path.clone())], &mut std::io::empty(), ReadOptions::default());
    let expected =
        format!("error: '{}' of 50 MiB is too large: a manifest file has at most 32 MiB", path.display());
    assert_eq!(found.unwrap_err().shown()[0].to_string(), expected);
}

#[test]
fn an_endless_stream_is_cut_off() {
    let found = Sources::read(&[Input::Stdin], &mut std::io::repeat(b'a'), ReadOptions::default());
    let expected = "error: '<stdin>' is too large: a manifest file has at most 32 MiB";
    assert_eq!(found.unwrap_err().shown()[0].to_string(), expected);
}

#[test]
fn all_files_together_have_a_bound() {
    let mut reader = std::io::repeat(b'#').take(30 << 20);
    let mut large = Vec::new();
    reader.read_to_end(&mut large).unwrap();
    let texts = (0..5).map(|n| (format!("{n}.yaml"), large.clone()));
    let found = Sources::from_texts(texts).unwrap_err();
    assert_eq!(found.shown()[0].to_string(), "error: more than 128 MiB of manifests, with '4.yaml'");
}

#[test]
fn too_many_documents() {
    let text = "--- a\n".repeat(200_001);
    let found = load_text(&text).unwrap_err();
    assert_eq!(found.shown()[0].message, "more than 200000 documents, the last of them in 'fleet.yaml'");
}

#[test]
fn ten_thousand_faults_are_counted_and_fifty_shown() {
    let found = load_text(&group("a", "[x]").repeat(10_000)).unwrap_err();
    assert_eq!((found.shown().len(), found.count()), (50, 10_000));
    assert_eq!(found.shown()[49].place.as_ref().unwrap().line, 49 * 7 + 7);
}

#[test]
fn what_is_no_text() {
    let said = |bytes: &[u8]| load_texts(&[("a.yaml", bytes)]).unwrap_err().render(false);
    assert_eq!(
        said(b"kind: EdgeNode\nmetadata: {name: caf\xe9}\n"),
        "error: not UTF-8: byte 0xe9\n --> a.yaml:2:21\n  |\n2 | metadata: {name: caf\u{fffd}}\n  |                     ^\n  |\n  = help: save the file as UTF-8"
    );
    assert_eq!(
        said(b"\xff\xfek\0i\0n\0d\0"),
        "error: 'a.yaml' is UTF-16, not UTF-8\n |\n = help: convert it: iconv -f UTF-16 -t UTF-8 a.yaml"
    );
    assert!(said(b"kind: a\0b\n").starts_with("error: NUL byte: this is no text file\n --> a.yaml:1:8\n"));
    assert!(said(&vec![0; 1 << 20]).len() < 2000);
}

#[test]
fn nothing_makes_the_reader_panic() {
    let seeds = [
        group("web", "tags=a"),
        bomb("x", 1),
        format!("{HEAD}  tags: ['a', \"b\"]\n  vars: {{? x : |\n}}}}\n"),
    ];
    // Each seed with each byte replaced by each of those that mean something in YAML.
    for seed in &seeds {
        for at in 0..seed.len() {
            for byte in b"\n\t -:#&*!|>'\"%@[]{},?\0" {
                let mut bytes = seed.clone().into_bytes();
                bytes[at] = *byte;
                if let Err(found) =
                    Sources::from_texts([("a", bytes)]).and_then(|sources| load(&sources, &Kinds))
                {
                    assert!(found.count() > 0 && !found.render(false).is_empty());
                }
            }
        }
    }
}
