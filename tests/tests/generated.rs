//! Generated files are as the program would generate them now. `make generate` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap_complete::Shell;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// Compares `files` with what is in `directory`, where there may be no others; or writes them.
fn check(directory: &str, files: &BTreeMap<String, String>) {
    let directory = root().join(directory);
    let update = std::env::var_os("AEGIS_UPDATE").is_some();
    if update {
        fs::create_dir_all(&directory).unwrap();
    }
    let mut stale = Vec::new();
    for (name, wanted) in files {
        let path = directory.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(wanted) {
            stale.push(path.clone());
            if update {
                fs::write(&path, wanted).unwrap();
            }
        }
    }
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !files.contains_key(&name) {
            stale.push(entry.path());
            if update {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    assert!(update || stale.is_empty(), "stale: {stale:#?}; run `make generate` and commit the result");
}

fn named(files: impl IntoIterator<Item = (&'static str, String)>) -> BTreeMap<String, String> {
    files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

#[test]
fn schemas_are_current() {
    let schemas = aegis_cli::all_schemas();
    let text = |schema: &serde_json::Value| serde_json::to_string_pretty(schema).unwrap() + "\n";
    check("schemas", &schemas.iter().map(|(name, schema)| (format!("{name}.json"), text(schema))).collect());
}

#[test]
fn the_reference_is_current() {
    check(
        "docs/reference",
        &named([
            ("cli.md", aegis_cli::cli_reference()),
            ("environment.md", aegis_cli::environment_reference()),
            ("kinds.md", aegis_cli::kinds_reference()),
            ("aegisd-openapi.json", aegis_runtime::openapi()),
        ]),
    );
}

#[test]
fn man_pages_are_current() {
    check("packaging/man", &aegis_cli::man_pages());
}

#[test]
fn completions_are_current() {
    check(
        "packaging/completions",
        &named([
            ("aegis.bash", aegis_cli::completions(Shell::Bash)),
            ("_aegis", aegis_cli::completions(Shell::Zsh)),
            ("aegis.fish", aegis_cli::completions(Shell::Fish)),
        ]),
    );
}

#[test]
fn examples_satisfy_their_schemas() {
    for info in aegis_kinds::KINDS {
        let document: serde_json::Value = serde_saphyr::from_str(info.example).unwrap();
        let schema = aegis_cli::document_schema(info.name);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", info.name);

        let mut wrong = document.clone();
        wrong["spec"]["noSuchField"] = true.into();
        assert!(!validator.is_valid(&wrong), "{} accepts unknown fields", info.name);
    }
}

#[test]
fn the_annotated_config_satisfies_its_schema() {
    let schema = aegis_cli::document_schema("NodeConfig");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let bare: serde_json::Value =
        serde_saphyr::from_str("cluster: {edge: {endpoint: 'a:1', labels: {region: eu}}}").unwrap();
    assert!(validator.is_valid(&bare));
    let wrong: serde_json::Value = serde_saphyr::from_str("cluster: {edge: {endpont: 'a:1'}}").unwrap();
    assert!(!validator.is_valid(&wrong));
}
