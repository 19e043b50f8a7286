//! Every fault that a manifest can have, and exactly what is said of it.

use super::{group, load_text, load_texts};

/// The cases of a table: what, manifest, expected.
fn cases(table: &'static str) -> Vec<(&'static str, &'static str, &'static str)> {
    let cases = table.split("\n== ").skip(1).map(|case| {
        let (what, rest) = case.split_once('\n').unwrap();
        let (manifest, expected) = rest.split_once("-- rendered\n").unwrap();
        (what, manifest, expected.trim_end())
    });
    cases.collect()
}

fn check(table: &'static str, count: usize) {
    let cases = cases(table);
    assert_eq!(cases.len(), count);
    for (what, manifest, expected) in cases {
        let found = load_text(manifest).unwrap_err();
        assert_eq!(found.render(false), expected, "{what}");
    }
}

#[test]
fn fields() {
    check(include_str!("fields.txt"), 17);
}

#[test]
fn values() {
    check(include_str!("values.txt"), 16);
}

#[test]
fn syntax() {
    check(include_str!("syntax.txt"), 21);
}

#[test]
fn line_ends_of_windows_change_nothing() {
    for (what, manifest, expected) in cases(include_str!("fields.txt")) {
        let found = load_text(&manifest.replace('\n', "\r\n")).unwrap_err();
        assert_eq!(found.render(false), expected, "{what}");
    }
}

#[test]
fn one_object_in_two_files() {
    let first = group("web", "tags=a");
    let second = format!("# a heading\n\n{}{}", group("db", "tags=b"), group("web", "tags=c"));
    let found = load_texts(&[("a.yaml", first.as_bytes()), ("b.yaml", second.as_bytes())]).unwrap_err();
    let expected = "\
error: 'EdgeGroup/web' is declared twice
  --> b.yaml:14:9
   |
14 |   name: web
   |         ^^^ again here
   |
  ::: a.yaml:5:9
   |
 5 |   name: web
   |         --- first here";
    assert_eq!(found.render(false), expected);
}

#[test]
fn one_object_twice_in_one_file() {
    let found = load_text(&group("web", "tags=a").repeat(2)).unwrap_err();
    let expected = "\
error: 'EdgeGroup/web' is declared twice
  --> fleet.yaml:12:9
   |
12 |   name: web
   |         ^^^ again here
   |
  ::: fleet.yaml:5:9
   |
 5 |   name: web
   |         --- first here";
    assert_eq!(found.render(false), expected);
}

#[test]
fn all_faults_are_collected_in_order() {
    let text =
        [group("a b", "x"), group("good", "x"), group("c", "[x]"), group("d", "x\n  more: 1")].concat();
    let found = load_text(&text).unwrap_err();
    let lines: Vec<String> = found.shown().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "fleet.yaml:5:9: error: 'a b' is not a valid name",
            "fleet.yaml:21:13: error: 'spec.selector' must be a single value, not a list",
            "fleet.yaml:29:3: error: unknown field 'more'",
        ]
    );
}

#[test]
fn line_ends_of_long_gone_machines_are_one_document_too_many() {
    let text = group("web", "a").repeat(2).replace('\n', "\r");
    let found = load_text(&text).unwrap_err();
    assert_eq!(found.shown()[0].message, "a second document begins here");
}

#[test]
fn a_value_on_other_lines_is_never_shown() {
    let text = group("web", "\n    first: |\n      hunter2\n      hunter2");
    let found = load_text(&text).unwrap_err();
    let shown = found.render(false) + &format!("{found:?}");
    assert!(
        shown.contains("'spec.selector' must be a single value, not a map") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn colour_only_when_asked_for() {
    let found = load_text("kind: Nothing\n").unwrap_err();
    assert!(!found.render(false).contains('\u{1b}'));
    assert!(found.render(true).contains("\u{1b}["));
}
