//! A rewrite changes the three values and nothing else.

use proptest::prelude::*;

use super::*;

const OLD: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

fn want() -> EdgeConfig {
    EdgeConfig {
        endpoint: Some("ctl.example:50056".parse().unwrap()),
        ca_fingerprint: Some(NEW.parse().unwrap()),
        tenant: Some("t-9".parse().unwrap()),
        ..EdgeConfig::default()
    }
}

const NEW: &str = "abababababababababababababababababababababababababababababababab";

fn rewritten(text: &str) -> String {
    rewrite(text, &want()).unwrap_or_else(|error| unreachable!("{error}\n{text}"))
}

#[test]
fn comments_order_and_formatting_stay() {
    let before = "\
# mine
---
cluster:   # the cluster
    edge:
        labels: { rack: '7' , region: home }  # two

        tenant:  'u-1'   # whose
        # where
        endpoint: \"old.example:1\"  # the old one
";
    let after = rewritten(before);
    let expected = before
        .replace("'u-1'", "t-9")
        .replace("\"old.example:1\"", "ctl.example:50056")
        .replace("        labels", &format!("        caFingerprint: {NEW}\n        labels"));
    assert_eq!(after, expected);
}

#[test]
fn a_file_that_says_it_already_is_not_touched() {
    let text = format!(
        "cluster: {{edge: {{endpoint: 'ctl.example:50056', caFingerprint: \"{NEW}\", tenant: t-9}}}} # é"
    );
    assert_eq!(rewritten(&text), text);
}

#[test]
fn what_is_missing_is_added_wherever_the_file_has_its_place() {
    let lines = format!("endpoint: ctl.example:50056\n    caFingerprint: {NEW}\n    tenant: t-9\n");
    for (before, after) in [
        (String::new(), format!("cluster:\n  edge:\n    {lines}")),
        ("# only words".to_owned(), format!("# only words\ncluster:\n  edge:\n    {lines}")),
        (
            "cluster:\n  edge:\n    name: a\n".to_owned(),
            format!("cluster:\n  edge:\n    {lines}    name: a\n"),
        ),
        (
            "cluster: {edge: {name: a}}\n".to_owned(),
            format!(
                "cluster: {{edge: {{endpoint: \"ctl.example:50056\", caFingerprint: \"{NEW}\", tenant: \"t-9\", name: a}}}}\n"
            ),
        ),
        (
            "cluster:\n  edge: # later\n".to_owned(),
            format!(
                "cluster:\n  edge: {{endpoint: \"ctl.example:50056\", caFingerprint: \"{NEW}\", tenant: \"t-9\"}} # later\n"
            ),
        ),
        (
            "cluster:\r\n  edge:\r\n    name: a # é\r\n".to_owned(),
            format!("cluster:\r\n  edge:\r\n    {}    name: a # é\r\n", lines.replace('\n', "\r\n")),
        ),
    ] {
        assert_eq!(rewritten(&before), after, "{before:?}");
    }
}

#[test]
fn the_manifest_form_is_rewritten_below_spec() {
    let before =
        "apiVersion: aegis.dev/v1\nkind: NodeConfig\nspec:\n  cluster:\n    edge:\n      tenant: u-1\n";
    let after = rewritten(before);
    assert!(after.starts_with(
        "apiVersion: aegis.dev/v1\nkind: NodeConfig\nspec:\n  cluster:\n    edge:\n      endpoint"
    ));
    assert!(after.ends_with("      tenant: t-9\n"), "{after}");
}

#[test]
fn what_cannot_be_set_in_place_is_refused() {
    for text in [
        "cluster:\n  edge:\n    endpoint: |\n      a:1\n",
        "cluster:\n  edge:\n    endpoint: a:1\n    lables: {}\n",
        "cluster: [",
    ] {
        assert!(rewrite(text, &want()).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each value in any of its spellings, with anything around it: exactly the values are exchanged.
    #[test]
    fn everything_else_is_byte_identical(
        order in Just(["endpoint", "caFingerprint", "tenant", "name", "labels"]).prop_shuffle(),
        quotes in prop::array::uniform3(prop::sample::select(vec!["", "'", "\""])),
        gaps in prop::array::uniform5(prop::sample::select(vec!["", "\n", "    # é comment: {x}\n", "  \n# at the margin\n"])),
        ends in prop::array::uniform5(prop::sample::select(vec!["", " # why", "  ", "\t# tab"])),
        space in prop::sample::select(vec![" ", "   "]),
    ) {
        let file = |values: [&str; 3]| {
            let mut lines = vec![String::from("# head\ncluster:\n  edge:\n")];
            for (index, key) in order.iter().enumerate() {
                let value = match *key {
                    "endpoint" => values[0],
                    "caFingerprint" => values[1],
                    "tenant" => values[2],
                    "name" => "web-1",
                    _ => "{a: b,  'c': \"d\"}",
                };
                lines.push(format!("{}    {key}:{space}{value}{}\n", gaps[index], ends[index]));
            }
            lines.concat()
        };
        let quote = |index: usize, value: &str| format!("{0}{value}{0}", quotes[index]);
        let before = file([&quote(0, "old.example:1"), &quote(1, OLD), &quote(2, "u-1")]);
        let after = file(["ctl.example:50056", NEW, "t-9"]);
        prop_assert_eq!(rewrite(&before, &want()).unwrap(), after);
    }
}
