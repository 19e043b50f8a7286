//! What works without any controller: help, completions, schemas, validation; and the examples of this repository.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
};

use aegis_tests::World;

use crate::declarative::group;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every manifest below `directory`.
fn manifests(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(manifests(&path));
        } else if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            found.push(path);
        }
    }
    found
}

#[test]
fn help_version_completions_and_schemas_need_no_controller() {
    let world = World::without_controller();
    let program = world.program();
    program.run("--help").ok().says("Exit codes").says("apply");
    program.run("--version").ok().says("aegis 0.");
    program.run("help edge tag add").ok().says("--dry-run");
    program.run("edge enroll --help").ok().says("--keep-existing");
    for shell in ["bash", "zsh", "fish"] {
        assert!(program.run(&format!("completions {shell}")).ok().stdout.contains("aegis"), "{shell}");
    }
    program.run("completions csh").exit(2);
    program.run("explain EdgeNode").ok().says("tags");
    program.run("explain EdgeGroup.spec.selector").ok().says("selector");
    program.run("explain EdgeGrup").exit(2).says("EdgeGroup");
    program.run("explain EdgeGroup.spec.selektor").exit(2).says("selector");
    for kind in ["", "EdgeNode", "EdgeGroup", "SecurityContext"] {
        assert!(program.run(&format!("schema {kind}")).ok().json().is_object(), "{kind}");
    }
}

#[test]
fn a_misspelt_command_is_exit_2() {
    let world = World::without_controller();
    for line in
        ["nonsense", "edge nonsense", "edge tag", "apply", "edge ls --nonsense", "", "edge fleet preview"]
    {
        let output = world.program().run(line).exit(2);
        assert_eq!(output.stdout, "", "{line}");
        assert!(output.stderr.contains("Usage") || output.stderr.contains("usage"), "{output:#?}");
    }
}

#[test]
fn validate_asks_nobody() {
    let world = World::without_controller();
    let good = world.write("good.yaml", &group("web", "tags=web"));
    world.program().run(&format!("validate -f {}", good.display())).ok();
    world.program().run_with("validate -f -", &group("web", "tags=web")).ok();
    world.program().run_with("validate -f -", &group("web", "tags=(")).exit(2).says("<stdin>").says("^");
    // Hostile input: an answer at once, within bounds.
    let bomb = (1..=9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        text + &format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(9).trim_end_matches(", "))
    });
    let deep = "[".repeat(100_000);
    let tabs = "kind:\tEdgeGroup\n\tspec: 1\n".to_owned();
    for (what, text) in [("bomb", bomb), ("deep", deep), ("tabs", tabs)] {
        let begin = std::time::Instant::now();
        world.program().run_with("validate -f -", &text).exit(2);
        assert!(begin.elapsed().as_secs() < 5, "{what} took {:?}", begin.elapsed());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let world = World::without_controller();
    // Longer than a pipe holds, so that writing on after the reader has gone can't but fail.
    for line in ["schema", "completions zsh", "--help"] {
        let mut command = world.program().command(line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{line}: {said}");
        assert_ne!(output.status.code(), Some(101), "{line}");
    }
}

#[test]
fn every_example_is_valid() {
    let world = World::without_controller();
    let examples = manifests(&repository().join("examples"));
    assert!(!examples.is_empty());
    for example in examples {
        // Where a secret's value comes from has to be there.
        let program = world.program().env("GREETING_TOKEN", "abc");
        program.run(&format!("validate -f {}", example.display())).ok();
        let text = std::fs::read_to_string(&example).unwrap();
        let line = text.lines().next().unwrap();
        let schema = line
            .strip_prefix("# yaml-language-server: $schema=")
            .unwrap_or_else(|| panic!("no modeline: {line}"));
        assert!(example.parent().unwrap().join(schema).is_file(), "{}: {schema}", example.display());
    }
}

#[test]
fn every_example_can_be_applied_and_is_then_unchanged() {
    let world = World::new();
    for name in ["web-1", "web-2", "db-1"] {
        world.enroll(name);
    }
    let examples = manifests(&repository().join("examples")).into_iter();
    // Those are for this machine's daemon: `the_examples_of_apps_can_be_applied`.
    let of_controllers = examples.filter(|example| !example.parent().unwrap().ends_with("examples/app"));
    for (number, example) in of_controllers.enumerate() {
        // Each on its own, also where several are in one folder.
        let line = |verb: &str| format!("{verb} --owner example-{number} -f {}", example.display());
        world.run(&line("apply --yes")).ok().says("created");
        let again = world.run(&line("apply --yes -o json")).ok().json();
        let summary = again["summary"].as_object().unwrap();
        assert_eq!(summary.keys().collect::<Vec<_>>(), ["unchanged"], "{}: {again}", example.display());
        world.run(&line("diff --exit-code --prune")).exit(0);
    }
    let web = world.run("edge fleet preview --target group:web -o json").ok().json();
    assert_eq!(web["skipped"].as_array().unwrap().len(), 2, "{web}");
}

#[test]
fn a_daemons_config_is_validated_too() {
    let world = World::without_controller();
    world.write("bare.yaml", "cluster:\n  edge:\n    endpoint: fleet.example.com:50056\n");
    let wrapped =
        "apiVersion: aegis.dev/v1\nkind: NodeConfig\nspec:\n  cluster:\n    edge:\n      lables: {a: b}\n";
    world.write("wrong.yaml", wrapped);
    let program = world.program();
    program.run("validate -f bare.yaml").exit(0).says("1 document is valid");
    program.run("validate -f wrong.yaml").exit(2).says("wrong.yaml:6:").says("did you mean 'labels'?");
    let verdict = program.run("validate -f wrong.yaml -f bare.yaml -o json").exit(2).json();
    assert_eq!((&verdict["valid"], &verdict["diagnostics"][0]["line"]), (&false.into(), &6.into()));
}
