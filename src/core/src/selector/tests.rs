//! The grammar: each form of the reference, each error with its spot, and laws over made-up expressions.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn one(text: &str) -> Fragment {
    let selector: Selector = text.parse().unwrap();
    assert_eq!(selector.fragments().len(), 1, "{text}");
    selector.fragments()[0].clone()
}

#[test]
fn what_stands_alone() {
    for (text, target) in [
        ("all", Target::All),
        ("@n-7a3b", Target::Node("n-7a3b".into())),
        ("@n-0123456789abcdef0123", Target::Node("n-0123456789abcdef0123".into())),
        ("@web-1.example.com", Target::Node("web-1.example.com".into())),
        ("group:db-hosts", Target::Group("db-hosts".into())),
        ("  all\n", Target::All),
    ] {
        assert_eq!(text.parse::<Target>().unwrap(), target);
        assert_eq!(target.to_string(), text.trim());
    }
}

#[test]
fn every_form_of_the_reference() {
    let text = |t: &str| t.to_owned();
    for (written, fragment) in [
        ("os=linux", Fragment::Os(text("linux"))),
        ("arch=x86_64", Fragment::Arch(text("x86_64"))),
        ("tools=docker,kubectl", Fragment::Tools(list(&["docker", "kubectl"]))),
        ("labels=region=us", Fragment::Label(LabelTest::Equals(text("region"), text("us")))),
        ("labels=Exists(gpu)", Fragment::Label(LabelTest::Exists(text("gpu")))),
        (
            "labels=In(env,prod,staging)",
            Fragment::Label(LabelTest::In(text("env"), list(&["prod", "staging"]))),
        ),
        ("tags=prod", Fragment::Tags(TagTest::AllOf(list(&["prod"])))),
        ("tags=AnyOf(prod,staging)", Fragment::Tags(TagTest::AnyOf(list(&["prod", "staging"])))),
        ("tags=AllOf(prod,db)", Fragment::Tags(TagTest::AllOf(list(&["prod", "db"])))),
        ("tags=NoneOf(decommission)", Fragment::Tags(TagTest::NoneOf(list(&["decommission"])))),
    ] {
        assert_eq!(one(written), fragment);
        assert_eq!(fragment.to_string(), written, "these forms are canonical");
    }
    let example = "tags=prod tags=AllOf(db,team-platform) os=linux tools=docker";
    assert_eq!(example.parse::<Target>().unwrap().to_string(), example);
}

#[test]
fn forms_that_mean_the_same_are_the_same() {
    for (written, canonical) in [
        ("os=darwin", "os=macos"),
        ("os=macOS", "os=macos"),
        ("arch=amd64", "arch=x86_64"),
        ("arch=arm64", "arch=aarch64"),
        ("tags=a,b", "tags=AllOf(a,b)"),
        ("tags=AllOf(a)", "tags=a"),
        ("tags=AllOf(AnyOf)", "tags=AllOf(AnyOf)"),
        ("tags=AnyOf( a , b )", "tags=AnyOf(a,b)"),
        ("labels=In( env , a )", "labels=In(env,a)"),
        ("labels=Exists( gpu )", "labels=Exists(gpu)"),
        ("labels=Exists=1", "labels=Exists=1"),
        ("\tos=linux \n tags=a  ", "os=linux tags=a"),
        ("labels=a.b/c=x@y:z+1", "labels=a.b/c=x@y:z+1"),
        ("tools=a tools=b labels=x=1 labels=y=2", "tools=a tools=b labels=x=1 labels=y=2"),
    ] {
        assert_eq!(written.parse::<Target>().unwrap().to_string(), canonical);
    }
}

/// Each wrong text, what is marked in it, and a part of what is said.
const WRONG: &[(&str, &str, &str)] = &[
    ("", "", "the expression is empty; write all, @NODE"),
    (" \n ", " \n ", "the expression is empty"),
    ("tag=prod", "tag", "unknown key 'tag'; did you mean 'tags'?"),
    ("os=linux zone=eu", "zone", "unknown key 'zone'; the keys are os, arch, tools, labels, tags"),
    ("OS=linux", "OS", "unknown key 'OS'; did you mean 'os'?"),
    ("=x", "", "unknown key ''"),
    ("group=web", "group", "did you mean 'group:web'?"),
    ("tags", "tags", "write tags=VALUE"),
    ("al", "al", "did you mean 'all'?"),
    ("n-7a3b", "n-7a3b", "did you mean '@n-7a3b'?"),
    ("prod", "prod", "'prod' is no condition; write all, @NODE"),
    ("tags=AnyOff(a)", "AnyOff", "tags has no function 'AnyOff'; did you mean 'AnyOf'?"),
    ("tags=Exists(a)", "Exists", "the functions of tags are AnyOf, AllOf, NoneOf"),
    ("labels=AnyOf(a)", "AnyOf", "the functions of labels are Exists, In"),
    ("tags=(a)", "", "tags has no function ''"),
    ("tags=anyof(a)", "anyof", "did you mean 'AnyOf'?"),
    ("tags=AnyOf(a", "(", "this '(' is never closed; add a ')'"),
    ("tags=a)", ")", "this ')' has no '('"),
    ("tags=AnyOf(AllOf(a))", "(", "functions can't be nested"),
    ("tags=AnyOf(a)b", "b", "'b' can't follow a ')'; separate conditions by spaces"),
    ("tags=AnyOf(a)(b)", "(b)", "can't follow a ')'"),
    ("tags=AnyOf()", "AnyOf()", "AnyOf needs arguments"),
    ("tags=AnyOf( )", "AnyOf( )", "AnyOf needs arguments"),
    ("tags=AnyOf", "AnyOf", "AnyOf needs arguments; write tags=AnyOf(…)"),
    ("tags=AnyOf(a,)", "", "tags needs a value here; separate values by one ','"),
    ("tags=", "", "tags needs a value here"),
    ("tags=a, b", "", "separate values by one ',' without spaces"),
    ("tools=a,,b", "", "tools needs a value here"),
    ("os=", "", "os needs a value here"),
    ("os=linux,macos", ",macos", "os takes one value"),
    ("arch=x(y)", "(", "'(' can't be in a value; a value is made of A-Z, a-z, 0-9 and . _ : / @ + -"),
    ("tags=pröd", "ö", "'ö' can't be in a value"),
    ("tags=a\u{1b}[31m", "\u{1b}", "'\\u{1b}' can't be in a value"),
    ("labels=", "", "labels needs a key and a value"),
    ("labels=gpu", "gpu", "labels=Exists(KEY) for any value"),
    ("labels=gpu=", "", "labels needs a value here"),
    ("labels==x", "", "labels needs a value here"),
    ("labels=a=1,b=2", ",b=2", "only one label can stand here"),
    ("labels=Exists(a,b)", ",b", "Exists takes one label"),
    ("labels=In(env)", "env", "In needs a label and at least one value"),
    ("labels=In(env,)", "", "In needs a value here"),
    ("labels=In(,a)", "", "In needs a value here"),
    ("os=linux os=macos", "os=macos", "os is given twice"),
    ("arch=a tags=x arch=a", "arch=a", "arch is given twice"),
    ("@", "", "the name of a node is missing"),
    ("@web(1)", "web(1)", "'web(1)' can't be the name of a node; it is 1 to 253 of"),
    ("group:", "", "the name of a group is missing"),
    ("group:a/b", "a/b", "can't be the name of a group"),
    ("all os=linux", "all", "'all' must stand alone"),
    ("os=linux @n-7a3b", "@n-7a3b", "'@n-7a3b' must stand alone"),
    ("group:a group:b", "group:a", "'group:a' must stand alone"),
];

#[test]
fn every_mistake_is_pointed_at() {
    for (text, marked, said) in WRONG {
        let error = text.parse::<Target>().unwrap_err();
        assert_eq!(&text[error.span.clone()], *marked, "in {text:?}: {error}");
        assert!(error.to_string().contains(said), "in {text:?}: {error}");
    }
}

#[test]
fn a_selector_is_conditions_only() {
    for text in ["all", " @web ", "group:a"] {
        let error = text.parse::<Selector>().unwrap_err();
        assert_eq!(&text[error.span.clone()], text.trim());
        assert!(error.to_string().contains("only conditions can stand here"), "{error}");
    }
}

#[test]
fn the_caret_stands_under_the_spot() {
    let caret = |text: &str| text.parse::<Target>().unwrap_err().caret(text);
    assert_eq!(caret("os=linux tag=prod"), "os=linux tag=prod\n         ^^^");
    assert_eq!(caret("tags=a,"), "tags=a,\n       ^");
    assert_eq!(caret(""), "\n^");
    assert_eq!(caret("os=linux\ntags=pröd"), "os=linux tags=pröd\n                ^");
    let long = format!("{} zone=x", ["tags=prod"; 40].join(" "));
    let picture = caret(&long);
    let (line, marks) = picture.split_once('\n').unwrap();
    assert!(line.chars().count() <= 200, "{picture}");
    assert_eq!(&line[marks.find('^').unwrap()..][..4], "zone");
}

#[test]
fn length_and_number_are_bounded() {
    let most = vec!["tags=a"; MAX_FRAGMENTS].join(" ");
    assert!(most.parse::<Target>().is_ok());
    let error = format!("{most} tags=b").parse::<Target>().unwrap_err();
    assert!(error.to_string().contains("more than 64 conditions"), "{error}");
    assert_eq!(error.span, most.len() + 1..most.len() + 7);
    let long = format!("tags={}", "a".repeat(MAX_LENGTH - 5));
    assert!(long.parse::<Target>().is_ok());
    let error = format!("{long}aé").parse::<Target>().unwrap_err();
    assert!(error.to_string().contains("longer than 4096 bytes"), "{error}");
    let error = format!("tags=é{}é", "a".repeat(MAX_LENGTH - 8)).parse::<Target>().unwrap_err();
    assert_eq!(error.span.start, MAX_LENGTH - 1, "the second é lies across the limit");
    let grows = format!("tags=a,{}", "b".repeat(MAX_LENGTH - 7));
    let error = grows.parse::<Target>().unwrap_err();
    assert!(
        error.to_string().contains("longer than 4096 bytes"),
        "its canonical form couldn't be read again"
    );
}

#[test]
fn it_is_text_in_json() {
    let target: Target = serde_json::from_str("\"tags=a,b\"").unwrap();
    assert_eq!(serde_json::to_string(&target).unwrap(), "\"tags=AllOf(a,b)\"");
    let error = serde_json::from_str::<Selector>("\"tag=a\"").unwrap_err().to_string();
    assert!(error.contains("unknown key 'tag'; did you mean 'tags'?"), "{error}");
}

/// A host of the model: plain sets.
#[derive(Debug, Clone, Default)]
struct Host {
    os: String,
    arch: String,
    tools: BTreeSet<String>,
    labels: BTreeMap<String, String>,
    tags: BTreeSet<String>,
}

impl Facts for Host {
    fn os(&self) -> &str {
        &self.os
    }
    fn arch(&self) -> &str {
        &self.arch
    }
    fn has_tool(&self, tool: &str) -> bool {
        self.tools.contains(tool)
    }
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
    fn has_tag(&self, tag: &str) -> bool {
        self.tags.contains(tag)
    }
}

#[test]
fn both_names_of_a_system_match_both() {
    for host in ["macos", "darwin"] {
        let facts = Host { os: host.into(), arch: "arm64".into(), ..Host::default() };
        for text in ["os=macos", "os=darwin", "arch=aarch64", "arch=arm64"] {
            assert!(text.parse::<Selector>().unwrap().matches(&facts), "{text} on {host}");
        }
        assert!(!"os=linux".parse::<Selector>().unwrap().matches(&facts));
    }
}

#[test]
fn a_host_without_a_label_is_in_no_list() {
    let facts = Host::default();
    for text in ["labels=Exists(a)", "labels=In(a,b)", "labels=a=b", "tags=AnyOf(a)", "tools=a"] {
        assert!(!text.parse::<Selector>().unwrap().matches(&facts), "{text}");
    }
    assert!("tags=NoneOf(a)".parse::<Selector>().unwrap().matches(&facts));
}

/// A few words, so that hosts and expressions often agree.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-d]", 1 => Just("AnyOf".to_owned()), 1 => "[A-Za-z0-9._:/@+-]{1,12}"]
}

fn fragment() -> impl Strategy<Value = Fragment> {
    let words = || prop::collection::vec(word(), 1..4);
    prop_oneof![
        words().prop_map(Fragment::Tools),
        (word(), word()).prop_map(|(key, value)| Fragment::Label(LabelTest::Equals(key, value))),
        word().prop_map(|key| Fragment::Label(LabelTest::Exists(key))),
        (word(), words()).prop_map(|(key, values)| Fragment::Label(LabelTest::In(key, values))),
        words().prop_map(|tags| Fragment::Tags(TagTest::AnyOf(tags))),
        words().prop_map(|tags| Fragment::Tags(TagTest::AllOf(tags))),
        words().prop_map(|tags| Fragment::Tags(TagTest::NoneOf(tags))),
    ]
}

fn selector() -> impl Strategy<Value = Selector> {
    let os = prop::option::of(prop::sample::select(vec!["linux", "macos"]));
    let arch = prop::option::of(prop::sample::select(vec!["x86_64", "aarch64"]));
    (os, arch, prop::collection::vec(fragment(), 0..5)).prop_filter_map(
        "not empty",
        |(os, arch, mut fragments)| {
            fragments.extend(os.map(|os| Fragment::Os(os.to_owned())));
            fragments.extend(arch.map(|arch| Fragment::Arch(arch.to_owned())));
            (!fragments.is_empty()).then_some(Selector { fragments })
        },
    )
}

fn target() -> impl Strategy<Value = Target> {
    let name = || "[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?";
    prop_oneof![
        1 => Just(Target::All),
        2 => name().prop_map(Target::Node),
        2 => name().prop_map(Target::Group),
        9 => selector().prop_map(Target::Selector),
    ]
}

fn host() -> impl Strategy<Value = Host> {
    let set = || prop::collection::btree_set("[a-d]".prop_map(String::from), 0..4);
    let labels =
        prop::collection::btree_map("[a-d]".prop_map(String::from), "[a-d]".prop_map(String::from), 0..4);
    (prop::sample::select(vec!["linux", "darwin"]), set(), labels, set()).prop_map(
        |(os, tools, labels, tags)| Host { os: os.into(), arch: "x86_64".into(), tools, labels, tags },
    )
}

/// What the printed text says about a host, worked out with string surgery and set algebra rather than the parser.
fn naive(text: &str, host: &Host) -> bool {
    let set = |list: &str| list.split(',').map(str::to_owned).collect::<BTreeSet<String>>();
    let os = if host.os == "darwin" { "macos" } else { &host.os };
    let labels: BTreeSet<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    text.split(' ').all(|part| {
        let (key, rest) = part.split_once('=').unwrap();
        let (function, list) = match rest.strip_suffix(')').and_then(|call| call.split_once('(')) {
            Some((function, list)) => (function, list),
            None => ("", rest),
        };
        match (key, function) {
            ("os", _) => os == rest,
            ("arch", _) => host.arch == rest,
            ("tools", _) => set(list).is_subset(&host.tools),
            ("labels", "") => labels.contains(rest),
            ("labels", "Exists") => host.labels.keys().any(|key| key == list),
            ("labels", "In") => {
                let (key, values) = list.split_once(',').unwrap();
                set(values).iter().any(|value| labels.contains(&format!("{key}={value}")))
            }
            ("tags", "AnyOf") => !set(list).is_disjoint(&host.tags),
            ("tags", "NoneOf") => set(list).is_disjoint(&host.tags),
            ("tags", _) => set(list).is_subset(&host.tags),
            _ => false,
        }
    })
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(target in target()) {
        prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
    }

    #[test]
    fn any_text_is_refused_with_a_picture_or_has_a_canonical_form(
        text in "\\PC{0,40}|((os|arch|tags|tools|labels|all|@|group:|=|,|\\(|\\)|AnyOf|In|Exists|a|b| |\n){1,14})",
    ) {
        match text.parse::<Target>() {
            Ok(target) => {
                let printed = target.to_string();
                let again = printed.parse::<Target>();
                prop_assert_eq!(again.as_ref(), Ok(&target));
                prop_assert_eq!(again.map(|again| again.to_string()), Ok(printed));
            }
            Err(error) => {
                prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {:?}", error.span, text);
                let picture = error.caret(&text);
                prop_assert!(picture.ends_with('^') && picture.lines().count() == 2, "{}", picture);
            }
        }
    }

    #[test]
    fn it_matches_what_a_naive_reading_of_the_text_says(selector in selector(), host in host()) {
        prop_assert_eq!(selector.matches(&host), naive(&selector.to_string(), &host), "{}", selector);
    }
}
