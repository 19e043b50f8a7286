//! Rules of the repository that no compiler checks: which crate may use which, what may be depended on, and how long a
//! file may be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Who may use whom (docs/architecture.md). A crate that isn't here has no place yet.
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("kinds", &["core"]),
    ("wire", &["core", "kinds"]),
    ("engine", &["core", "kinds", "wire"]),
    ("store", &["core", "kinds", "wire", "engine"]),
    ("controller", &["core", "kinds", "wire", "engine", "store"]),
    ("edge", &["core", "kinds", "wire", "engine", "store"]),
    ("harness", &[]),
    ("image", &["core"]),
    ("backend", &["core", "harness"]),
    ("gateway", &["core"]),
    ("runtime", &["core", "kinds", "wire", "engine", "store", "harness", "image", "backend", "gateway"]),
    ("cli", &["core", "kinds", "wire", "engine", "store", "controller", "edge"]),
];

/// Crates that stay free of I/O, and what would bring it in.
const PURE: &[&str] = &["core", "kinds"];
const IMPURE: &[&str] =
    &["tokio", "tonic", "hyper", "rustix", "getrandom", "tracing", "heed", "notify", "rustls"];

/// Variables that only tests and the harness read; all others are in `src/cli/src/environment.rs`.
const TEST_VARIABLES: &[&str] = &["AEGIS_UPDATE", "AEGIS_FAULT"];

const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

fn manifest(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

fn sources() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root())
        .output()
        .expect("git lists the sources");
    let text = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<PathBuf> = text
        .lines()
        .filter(|p| !p.contains("/gen/"))
        .map(|p| root().join(p))
        .filter(|p| p.exists())
        .collect();
    assert!(files.len() > 50, "only {} sources were found", files.len());
    files
}

#[test]
fn crates_use_only_what_is_below_them() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let allowed =
            layers.get(name.as_str()).unwrap_or_else(|| panic!("src/{name} has no place in LAYERS"));
        let manifest = manifest(&root().join("src").join(&name).join("Cargo.toml"));
        let dependencies =
            manifest.get("dependencies").and_then(|d| d.as_table()).cloned().unwrap_or_default();
        for used in dependencies.keys().filter_map(|key| key.strip_prefix("aegis-")) {
            assert!(allowed.contains(&used), "src/{name} may not use {used}");
        }
        if PURE.contains(&name.as_str()) {
            for used in dependencies.keys() {
                assert!(!IMPURE.contains(&used.as_str()), "src/{name} is pure and may not use {used}");
            }
        }
    }
}

#[test]
fn generated_types_are_named_only_in_wire() {
    for path in sources() {
        let in_wire = path.starts_with(root().join("src/wire"));
        let is_test = path.starts_with(root().join("tests"));
        let text = fs::read_to_string(&path).unwrap();
        if !in_wire && !is_test {
            for name in ["prost::", "tonic::", "wire::proto"] {
                assert!(!text.contains(name), "{} names {name}", path.display());
            }
        }
    }
}

#[test]
fn no_file_is_too_long() {
    for path in sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines, {LONGEST_FILE} is the most", path.display());
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // Written in parts, so that this file doesn't find itself.
    let marks =
        [["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["#[ign", "ore"]].map(|m| m.concat());
    // A process that a test starts and kills is a test that doesn't run by itself.
    let victims = ["#[ign", "ore = \"started by "].concat();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap().replace(&victims, "");
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{} has {mark}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in sources().iter().filter(|path| path.starts_with(root().join("src"))) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with("//!"), "{} has no header", path.display());
    }
}

#[test]
fn environment_variables_are_declared_once() {
    let table = fs::read_to_string(root().join("src/cli/src/environment.rs")).unwrap();
    for path in sources().iter().filter(|path| path.starts_with(root().join("src"))) {
        let text = fs::read_to_string(path).unwrap();
        for (at, _) in text.match_indices("\"AEGIS_") {
            let name: String =
                text[at + 1..].chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            // A prefix alone is what a filter looks for, and no variable.
            let is_prefix = name == "AEGIS_";
            let for_tests = TEST_VARIABLES.contains(&name.as_str()) || name.starts_with("AEGIS_TEST_");
            let known = table.contains(&format!("\"{name}\"")) || for_tests || is_prefix;
            assert!(known, "{} reads {name}, which environment.rs doesn't declare", path.display());
        }
    }
}

#[test]
fn dependencies_keep_the_rules_of_deny_toml() {
    let deny = manifest(&root().join("deny.toml"));
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let banned: BTreeSet<String> =
        deny["bans"]["deny"].as_array().unwrap().iter().map(|row| text(&row["name"])).collect();
    let licenses: BTreeSet<String> = deny["licenses"]["allow"].as_array().unwrap().iter().map(text).collect();

    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo tells its metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        assert!(!banned.contains(name), "{name} is banned by deny.toml");
        let expression = package["license"].as_str().unwrap_or_else(|| panic!("{name} has no license"));
        assert!(is_allowed(expression, &licenses), "{name} is under {expression}");
    }
}

/// Whether an SPDX expression can be met with what is allowed: one of each OR, all of an AND.
fn is_allowed(expression: &str, licenses: &BTreeSet<String>) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    expression.split(" AND ").all(|all| all.split(" OR ").any(|one| licenses.contains(one.trim())))
}

#[test]
fn the_tests_that_cases_md_names_exist() {
    let cases = fs::read_to_string(root().join("tests/CASES.md")).unwrap();
    let sources: String = sources().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let is_test = |word: &&str| {
        word.len() > 12 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let named: Vec<&str> = cases.split('`').filter(is_test).collect();
    assert!(named.len() > 40, "only {} tests are named", named.len());
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "tests/CASES.md names {name}, which isn't there");
    }
}
