//! From inputs to documents, when nothing is wrong or only one thing is.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{super::*, Group, Kinds, Spec, group, load_text};

fn read(inputs: &[&str], stdin: &str, recursive: bool) -> Result<Sources, Diagnostics> {
    let inputs: Vec<Input> = inputs.iter().map(|input| input.parse().unwrap()).collect();
    Sources::read(&inputs, &mut stdin.as_bytes(), ReadOptions { recursive, allow_empty: false })
}

fn names(sources: &Sources) -> Vec<String> {
    load(sources, &Kinds).unwrap().iter().map(|document| document.key.name.clone()).collect()
}

#[test]
fn a_document_is_decoded_with_where_it_stands() {
    let text = "# fleet\napiVersion: aegis.dev/v1\nkind: EdgeGroup # a group\nmetadata:\n  name: web\n  labels: {team: \"a\"}\nspec:\n  selector: tags=web\n";
    let documents = load_text(text).unwrap();
    let document = &documents[0];
    assert_eq!(document.key.to_string(), "EdgeGroup/web");
    assert_eq!(document.meta.labels["team"], "a");
    assert_eq!(document.spec, Spec::Group(Group { selector: "tags=web".into() }));
    assert_eq!(document.origin, Origin { source: 0, first_line: 2, range: 8..text.len() });
    assert_eq!(document.hash, blake3::hash(&text.as_bytes()[8..]));
}

#[test]
fn json_and_quoted_kinds_are_manifests_too() {
    for text in [
        r#"{"apiVersion": "aegis.dev/v1", "kind": "EdgeGroup", "metadata": {"name": "web"}, "spec": {"selector": "all"}}"#,
        "spec: {selector: all}\nkind: 'EdgeGroup'\nmetadata: {name: web}\napiVersion: aegis.dev/v1\n",
        "spec: {selector: all}\nkind: &kind EdgeGroup\nmetadata: {name: web}\napiVersion: aegis.dev/v1\n",
        "%YAML 1.2\n--- !!map\nspec: {selector: all}\nkind:\n  EdgeGroup\nmetadata: {name: web}\napiVersion: aegis.dev/v1\n...\n",
        "apiVersion: aegis.dev/v1\nkind: EdgeGroup\nmetadata: {name: web}\nspec: {selector: \"all\nkind: EdgeNode\"}\n",
        "apiVersion: aegis.dev/v1\nspec: {selector: \"all\nkind: EdgeNode\n\"}\nkind: EdgeGroup\nmetadata: {name: web}\n",
    ] {
        let documents = load_text(text).unwrap_or_else(|found| panic!("{text}\n{}", found.render(false)));
        assert_eq!(documents[0].key.to_string(), "EdgeGroup/web");
    }
}

#[test]
fn files_directories_and_standard_input_in_their_order() {
    let home = tempfile::tempdir().unwrap();
    let at = |path: &str| home.path().join(path);
    fs::create_dir_all(at("dir/below")).unwrap();
    fs::write(at("one.txt"), group("one", "x")).unwrap();
    fs::write(at("dir/b.yaml"), format!("{}{}", group("b1", "x"), group("b2", "x"))).unwrap();
    fs::write(at("dir/a.yml"), group("a", "x")).unwrap();
    fs::write(at("dir/below/c.yaml"), group("c", "x")).unwrap();
    let (one, dir) = (at("one.txt").display().to_string(), at("dir").display().to_string());
    let sources = read(&[&dir, "-", &one], &group("in", "x"), false).unwrap();
    assert_eq!(names(&sources), ["a", "b1", "b2", "in", "one"]);
    assert_eq!(&*sources.sources()[2].name, "<stdin>");
    assert_eq!(names(&read(&[&dir], "", true).unwrap()), ["a", "b1", "b2", "c"]);
    // The same file by two names is one file.
    let again = at("dir/a.yml").display().to_string();
    assert_eq!(names(&read(&[&dir, &again], "", false).unwrap()), ["a", "b1", "b2"]);
}

#[test]
fn what_cant_be_read_is_said_all_at_once() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().display().to_string();
    let missing = format!("{path}/missing.yaml");
    fs::create_dir(home.path().join("sub")).unwrap();
    let found = read(&[&missing, &path, "-", "-"], "", false).unwrap_err();
    let said: Vec<String> = found
        .shown()
        .iter()
        .map(|d| format!("{}; {}", d.message, d.help.clone().unwrap_or_default()))
        .collect();
    assert_eq!(
        said,
        [
            format!("no such file or directory: '{missing}'; "),
            format!(
                "no manifests in '{path}'; the names of manifests end in .yaml or .yml; -R looks in the directories below too"
            ),
            "standard input is named twice; ".into(),
        ]
    );
    let empty = ReadOptions { recursive: true, allow_empty: true };
    let sources = Sources::read(&[Input::Path(home.path().into())], &mut std::io::empty(), empty).unwrap();
    assert!(load(&sources, &Kinds).unwrap().is_empty());
}

#[test]
fn no_permission() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.yaml");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(&path).is_ok() {
        return; // The administrator may read everything.
    }
    let found = read(&[&path.display().to_string()], "", false).unwrap_err();
    assert_eq!(found.shown()[0].message, format!("no permission to read '{}'", path.display()));
}

#[test]
fn of_ten_thousand_with_one_broken_that_one_is_named() {
    let mut texts: Vec<String> = (0..10_000).map(|n| group(&format!("g{n}"), "tags=a")).collect();
    let sources = Sources::from_texts([("fleet.yaml", texts.concat())]).unwrap();
    let documents = load(&sources, &Kinds).unwrap();
    assert!(documents.iter().enumerate().all(|(n, document)| document.key.name == format!("g{n}")));

    texts[7777] = group("g7777", "tags=a\n  pined: []");
    let found = load_text(&texts.concat()).unwrap_err();
    assert_eq!(found.count(), 1);
    assert_eq!(found.shown()[0].to_string(), "fleet.yaml:54447:3: error: unknown field 'pined'");
}

#[test]
fn only_the_slices_that_are_asked_for_are_decoded() {
    let first =
        Sources::from_texts([("a", [group("a", "x"), group("b", "[x]"), group("c", "x")].concat())]).unwrap();
    let slices = first.slices().unwrap();
    assert_eq!(first.sniff(&slices[1]), (Some("EdgeGroup"), Some("b")));
    let (documents, found) = decode(&first, &slices[2..], &Kinds);
    assert!(found.is_empty());
    assert_eq!(documents[0].key.name, "c");

    // The hash depends on the document alone.
    let second = Sources::from_texts([("b", format!("# moved\n\n{}", group("c", "x")))]).unwrap();
    assert_eq!(second.slices().unwrap()[0].hash, slices[2].hash);
    let objects = documents.iter().chain(&documents).map(|document| (&document.key, &document.origin));
    assert_eq!(duplicates(&first, objects).count(), 1);
}

#[test]
fn later_checks_can_point_at_a_field_and_into_its_text() {
    let sources =
        Sources::from_texts([("a", format!("\n{}", group("web", "\"tags=a or b\" # text")))]).unwrap();
    let origin = &load(&sources, &Kinds).unwrap()[0].origin;
    assert_eq!(sources.place(origin, "spec.selector").to_string(), "a:8:13");
    assert_eq!(sources.place(origin, "metadata.name").to_string(), "a:6:9");
    assert_eq!(sources.place(origin, "spec.pinned[3]").to_string(), "a:7:1");
    let within = sources.place_within(origin, "spec.selector", 7..9);
    assert_eq!((within.line, within.column, within.length), (8, 21, 2));
    let escaped = Sources::from_texts([("a", group("web", "\"tags\\u003da or b\""))]).unwrap();
    let origin = &load(&escaped, &Kinds).unwrap()[0].origin;
    assert_eq!(escaped.place_within(origin, "spec.selector", 7..9).to_string(), "a:7:13");
}
