//! The shape of what programs read: arrays of objects, `snake_case`, RFC 3339 in UTC, nothing else on stdout.

use aegis_tests::{World, is_rfc3339_utc};
use serde_json::Value;

use crate::declarative::group;

/// A world in which every list has something to list.
fn world() -> World {
    let world = World::new();
    world.enroll("web-1");
    let file = world.write("fleet/fleet.yaml", &group("web", "tags=web"));
    world.run(&format!("apply -f {} --yes", file.display())).ok();
    world.run("edge tag add web-1 prod").ok();
    world
}

#[test]
fn every_list_is_an_array_of_objects_in_snake_case() {
    let world = world();
    let lists = [
        "edge ls",
        "edge group ls",
        "get EdgeNode",
        "get EdgeGroup",
        "history",
        "controller tenant ls",
        "controller audit ls",
    ];
    for list in lists {
        let items = world.run(&format!("{list} --output json")).ok().array();
        assert!(!items.is_empty(), "{list}");
        for item in items {
            assert!(item.is_object(), "{list}: {item}");
            check(list, "", &item);
        }
        world.run(&format!("{list} --output yaml")).ok();
        let table = world.run(list).ok();
        let heads = table.stdout.lines().next().unwrap();
        assert_eq!(heads, heads.to_uppercase(), "{list}");
    }
    for empty in ["get SecurityContext", "history --owner nobody", "edge ls --tag none"] {
        assert!(world.run(&format!("{empty} -o json")).ok().array().is_empty(), "{empty}");
    }
}

#[test]
fn every_report_is_an_object_in_snake_case() {
    let world = world();
    let token = world.token("web-2");
    let reports = [
        "get EdgeGroup web".to_owned(),
        "describe EdgeGroup/web".to_owned(),
        "describe EdgeNode/web-1".to_owned(),
        "history 1".to_owned(),
        "rollback 1 --dry-run".to_owned(),
        "diff -f fleet".to_owned(),
        "apply -f fleet --yes".to_owned(),
        "edge tag add web-1 eu".to_owned(),
        "edge fleet preview --target all".to_owned(),
        "edge drain web-1 --dry-run".to_owned(),
        "controller audit verify".to_owned(),
        "controller tenant create t-new".to_owned(),
        "controller enrollment-token create --label x".to_owned(),
        "controller token create --tenant default --role viewer --ttl 1m".to_owned(),
        format!("edge enroll {token} --config {} --force --no-service", world.config("web-2").display()),
        format!("edge status --config {}", world.config("web-2").display()),
        format!("edge logout --config {}", world.config("web-2").display()),
        "edge keys revoke-remote web-1".to_owned(),
    ];
    for report in reports {
        let found = world.run(&format!("{report} --output json")).ok().json();
        assert!(found.is_object(), "{report}: {found}");
        check(&report, "", &found);
    }
}

/// Manifests have camelCase, and labels and elements the names that people give them: those are data, not fields.
const DATA: [&str; 6] = ["spec", "labels", "annotations", "owners", "metadata", "elements"];

pub fn check(command: &str, at: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_snake =
                    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
                assert!(is_snake, "{command}: {at}.{name}");
                if !DATA.contains(&name.as_str()) {
                    check(command, &format!("{at}.{name}"), value);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| check(command, at, item)),
        Value::String(_) if is_time(at) => assert!(is_rfc3339_utc(value), "{command}: {at} is {value}"),
        _ => {}
    }
}

fn is_time(field: &str) -> bool {
    let name = field.rsplit('.').next().unwrap_or_default();
    name.ends_with("_at") || ["since", "time", "token_expires"].contains(&name)
}

#[test]
fn nothing_but_data_is_on_stdout_and_no_escape_codes_anywhere() {
    let world = world();
    let broken = world.write("broken/a.yaml", "kind: EdgeGrop\n");
    let lines = [
        "edge ls".to_owned(),
        "apply -f fleet --yes".to_owned(),
        "diff -f fleet".to_owned(),
        "edge tag rm web-1 prod".to_owned(),
        format!("validate -f {}", broken.display()),
        "edge tag add nobody x".to_owned(),
        "--help".to_owned(),
        "edge --help".to_owned(),
        "nonsense".to_owned(),
    ];
    for line in lines {
        world.run(&line).says_not("\u{1b}");
        world.admin().env("TERM", "xterm-256color").run(&line).says_not("\u{1b}");
    }
    let failed = world.run("edge tag add nobody x -o json").exit(5);
    assert_eq!(failed.stdout, "");
    let daemon = world.run("edge status --config nowhere/aegis-config.yaml").ok();
    daemon.says("NotEnrolled").says_not("\u{1b}");
}
