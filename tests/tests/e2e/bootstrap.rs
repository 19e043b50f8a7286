//! The bootstrap matrix of `edge enroll`, by the real program.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use aegis_tests::{Output, Terminal, World, mode, snapshot};
use serde_json::Value;

/// A world with a host `web-1` that is enrolled.
struct Bench {
    world: World,
    config: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let world = World::new();
        world.enroll("web-1");
        let config = world.config("web-1");
        Self { world, config }
    }

    fn line(&self, token: &str, policy: &str) -> String {
        format!("edge enroll {token} --config {} --no-service {policy}", self.config.display())
    }

    fn enroll(&self, token: &str, policy: &str) -> Output {
        self.world.program().run(&self.line(token, policy))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.config.with_file_name(name)).unwrap_or_default()
    }
}

fn chosen(report: &Value, artifact: &str) -> String {
    let decisions = report["plan"]["decisions"].as_array().unwrap();
    let decision = decisions.iter().find(|decision| decision["artifact"] == artifact).unwrap();
    decision["chosen"].as_str().unwrap().to_owned()
}

#[test]
fn an_enrolment_leaves_the_documented_files_with_their_modes() {
    let bench = Bench::new();
    let directory = bench.config.parent().unwrap();
    assert_eq!(mode(directory), 0o700);
    assert_eq!(mode(&directory.join("secrets")), 0o700);
    for private in ["node.key", "node.token"] {
        assert_eq!(mode(&directory.join(private)), 0o600, "{private}");
    }
    assert_eq!(bench.read("node.key").len(), 32, "a seed");
    assert!(directory.join("node.key.pub").is_file());
    assert!(!directory.join("enrollment.jwt").exists(), "gone after success");
    let text = fs::read_to_string(&bench.config).unwrap();
    assert!(text.contains("# The tools to report") && text.contains("# localPolicy:"), "annotated: {text}");
}

#[test]
fn a_minimal_config_is_short() {
    let world = World::new();
    let (token, config) = (world.token("web-1"), world.config("web-1"));
    let line =
        format!("edge enroll {token} --config {} --minimal --no-service --non-interactive", config.display());
    world.program().run(&line).ok();
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.starts_with("cluster:") && !text.contains('#'), "{text}");
    let _daemon = world.connect("web-1");
}

#[test]
fn what_would_be_asked_is_a_conflict_where_nobody_can_be_asked() {
    let bench = Bench::new();
    let token = bench.world.token("web-1");
    let before = snapshot(bench.config.parent().unwrap());
    // Without a terminal and without a flag it is the same as --non-interactive.
    for policy in ["--non-interactive", ""] {
        let refused = bench.enroll(&token, policy).exit(4);
        for artifact in ["aegis-config.yaml", "node.key", "node.token", "--keep-existing", "--force"] {
            assert!(refused.stderr.contains(artifact), "{artifact}: {refused:#?}");
        }
    }
    assert_eq!(snapshot(bench.config.parent().unwrap()), before);
    // Nothing was used up.
    bench.enroll(&token, "--force").ok();
    bench.enroll(&token, "--force --keep-existing").exit(2);
}

#[test]
fn force_makes_everything_new_and_keeps_the_old_key_in_the_archive() {
    let bench = Bench::new();
    let key = bench.read("node.key");
    fs::write(&bench.config, fs::read_to_string(&bench.config).unwrap() + "# mine\n").unwrap();
    let report = bench.enroll(&bench.world.token("web-1"), "--force -o json").ok().json();
    assert_eq!(report["outcome"], "enrolled");
    assert_eq!(chosen(&report, "node.key"), "generate");
    assert_ne!(bench.read("node.key"), key);
    assert!(!fs::read_to_string(&bench.config).unwrap().contains("# mine"));
    let archive: Vec<_> = fs::read_dir(bench.config.with_file_name("archive")).unwrap().collect();
    let [Ok(kept)] = archive.as_slice() else { panic!("{archive:?}") };
    assert_eq!(fs::read(kept.path()).unwrap(), key);
    assert_eq!(mode(&kept.path()), 0o600);
    assert_eq!(bench.world.run("edge ls -o json").ok().array().len(), 2, "the old node stays listed");
}

#[test]
fn keep_existing_needs_no_controller_and_heals_the_config() {
    let mut bench = Bench::new();
    let token = bench.world.token("web-1");
    bench.world.stop_controller();
    let (key, node_token) = (bench.read("node.key"), bench.read("node.token"));
    // The tenant is gone from the config, and somebody has written a comment.
    let text = fs::read_to_string(&bench.config).unwrap();
    let cut: String = text.split_inclusive('\n').filter(|line| !line.trim().starts_with("tenant:")).collect();
    fs::write(&bench.config, format!("# mine\n{cut}")).unwrap();
    fs::set_permissions(bench.config.with_file_name("node.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let report = bench.enroll(&token, "--keep-existing -o json").ok().json();
    assert_eq!(
        (&report["outcome"], &report["plan"]["contacts_controller"]),
        (&"reused".into(), &false.into())
    );
    let healed = fs::read_to_string(&bench.config).unwrap();
    assert!(healed.starts_with("# mine\n") && healed.contains("tenant: default"), "{healed}");
    assert_eq!((bench.read("node.key"), bench.read("node.token")), (key, node_token));
    assert_eq!(mode(&bench.config.with_file_name("node.key")), 0o600, "the mode is repaired");
    assert!(!bench.config.with_file_name("enrollment.jwt").exists());
}

#[test]
fn keep_existing_refuses_what_is_unsafe() {
    let bench = Bench::new();
    let token = bench.world.token("web-1");
    let directory = bench.config.parent().unwrap();
    // A token that belongs to another key.
    bench.world.enroll("web-2");
    let foreign = bench.world.config("web-2").with_file_name("node.token");
    let own = bench.read("node.token");
    fs::copy(&foreign, directory.join("node.token")).unwrap();
    bench.enroll(&token, "--keep-existing").exit(4).says("node.token");
    fs::write(directory.join("node.token"), &own).unwrap();
    // A config for another controller.
    let text = fs::read_to_string(&bench.config).unwrap();
    let address = bench.world.controller.as_ref().unwrap().address().to_string();
    fs::write(&bench.config, text.replace(&address, "elsewhere.example:50056")).unwrap();
    bench.enroll(&token, "--keep-existing").exit(4).says("elsewhere.example:50056");
    // One that can't be read.
    fs::write(&bench.config, "cluster: [").unwrap();
    bench.enroll(&token, "--keep-existing").exit(4).says("aegis-config.yaml");
    fs::write(&bench.config, text).unwrap();
    // A key that is none.
    let key = bench.read("node.key");
    fs::write(directory.join("node.key"), "short").unwrap();
    bench.enroll(&token, "--keep-existing").exit(4).says("node.key");
    fs::write(directory.join("node.key"), key).unwrap();
    bench.enroll(&token, "--keep-existing").ok();
}

#[test]
fn an_enrolment_that_fails_leaves_no_token_and_says_what_became_of_the_other() {
    let mut world = World::new();
    let (token, config) = (world.token("web-1"), world.config("web-1"));
    world.stop_controller();
    let line = format!("edge enroll {token} --config {} --force --no-service", config.display());
    world.program().run(&line).exit(1).says("wasn't used");
    assert!(!config.with_file_name("node.token").exists());
    let leftovers = snapshot(config.parent().unwrap());
    assert!(!leftovers.keys().any(|name| name.contains("tmp")), "{leftovers:?}");
    // The controller comes back where it was, and the same token works.
    let port = token_endpoint(&world);
    world.controller = Some(aegis_tests::Controller::start_on(&world.program(), &world.data(), &port, ""));
    world.program().run(&line.replace("--force", "--non-interactive")).ok();
    assert!(config.with_file_name("node.token").exists());
    assert!(!config.with_file_name("enrollment.jwt").exists());
}

fn token_endpoint(world: &World) -> String {
    let context = fs::read_to_string(world.data().join("admin-context.yaml")).unwrap();
    let line = context.lines().find_map(|line| line.strip_prefix("endpoint: ")).unwrap();
    line.trim_matches('"').to_owned()
}

#[test]
fn a_token_on_stdin_is_in_no_process_list() {
    let world = World::new();
    let (token, config) = (world.token("web-1"), world.config("web-1"));
    let line = format!("edge enroll - --config {} --no-service --non-interactive", config.display());
    world.program().run_with(&line, &format!("{token}\n")).ok();
}

#[test]
fn on_a_terminal_every_question_is_asked_and_answered() {
    let bench = Bench::new();
    let (key, token) = (bench.read("node.key"), bench.world.token("web-1"));
    fs::write(&bench.config, fs::read_to_string(&bench.config).unwrap() + "# mine\n").unwrap();
    let start = || Terminal::start(bench.world.program().command(&bench.line(&token, "")));

    // Abort: nothing is changed.
    let before = snapshot(bench.config.parent().unwrap());
    let mut terminal = start();
    terminal.read_until("[a] abort?");
    terminal.type_line("a");
    terminal.wait().exit(7).says("nothing was changed");
    assert_eq!(snapshot(bench.config.parent().unwrap()), before);

    // Keep the config and the key, take a new token. A mistyped answer is asked again.
    let mut terminal = start();
    terminal.read_until("aegis-config.yaml");
    terminal.read_until("[u] use existing");
    terminal.type_line("what");
    terminal.read_until("[u] use existing");
    terminal.type_line("u");
    terminal.read_until("node.key");
    terminal.read_until("[r] reuse");
    terminal.type_line("reuse");
    terminal.read_until("node.token");
    terminal.read_until("[p] replace");
    terminal.type_line("p");
    let done = terminal.wait().ok().says("enrolled");
    assert_eq!(bench.read("node.key"), key, "{done:#?}");
    assert!(fs::read_to_string(&bench.config).unwrap().contains("# mine"));
    assert_eq!(bench.world.run("edge ls -o json").ok().array().len(), 1, "the same node");
    let _daemon = bench.world.connect("web-1");
}
