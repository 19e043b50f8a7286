//! Running it: backup and restore, the service manager, signals, addresses, the operator's own certificates.

use std::time::Duration;

use aegis_tests::{Controller, Daemon, NotifySocket, Output, SOON, World};
use rustix::process::Signal;
use serde_json::json;

use crate::declarative::{group, node};

#[test]
fn a_restored_controller_knows_everything_and_its_daemons_come_back() {
    let mut world = World::new();
    let mut daemon = world.host("web-1");
    world.write("fleet/a.yaml", &(group("web", "tags=web") + &node("web-1", "web")));
    world.run("apply -f fleet --yes").ok();
    world.run("controller backup saved.tar").ok();
    world.run("controller backup saved.tar").exit(2);
    assert_eq!(aegis_tests::mode(&world.path().join("saved.tar")), 0o600);
    world.run("edge group create late --selector all").ok();

    // The machine is lost; the copy is brought up at the same address.
    let address = world.controller.as_ref().unwrap().address().to_string();
    world.controller.take().unwrap().kill();
    std::fs::remove_dir_all(world.data()).unwrap();
    world.program().run(&format!("controller restore saved.tar --data-dir {}", world.data().display())).ok();
    world
        .program()
        .run(&format!("controller restore saved.tar --data-dir {}", world.data().display()))
        .exit(1);
    world.controller = Some(Controller::start_on(&world.program(), &world.data(), &address, ""));
    // With its old token, and without anybody doing anything on the host.
    daemon.wait_for("Connected");
    world.wait_for_node("web-1", "connected", |node| node["connected"] == true);
    world.run("diff -f fleet --prune --exit-code").exit(0).says("2 unchanged");
    world.run("get EdgeGroup late").exit(5);
    assert_eq!(world.run("history -o json").ok().array().len(), 1);
    world.audit_is_intact();
    world.write("damaged.tar", "no archive");
    world.program().run("controller restore damaged.tar --data-dir other").exit(1);
    assert!(!world.path().join("other/store").exists());
}

#[test]
fn the_service_manager_is_told_when_they_are_ready() {
    let mut world = World::without_controller();
    let socket = NotifySocket::in_directory(world.path());
    let told = world.program().env("NOTIFY_SOCKET", socket.path());
    world.controller = Some(Controller::start(&told, &world.data()));
    socket.hear("READY=1");
    world.enroll("web-1");
    let mut daemon = Daemon::start(&told, &world.config("web-1"));
    socket.hear("READY=1");
    daemon.wait_for("Connected");
    daemon.process.terminate().ok();
    socket.hear("STOPPING=1");
}

#[test]
fn a_controller_ends_cleanly_and_starts_as_itself() {
    let mut world = World::new();
    world.enroll("web-1");
    let first = std::fs::read_to_string(world.data().join("admin-context.yaml")).unwrap();
    let address = world.controller.as_ref().unwrap().address().to_string();
    for signal in [Signal::TERM, Signal::INT] {
        let mut controller = world.controller.take().unwrap();
        controller.process().signal(signal);
        controller.wait().ok();
        world.controller = Some(Controller::start_on(&world.program(), &world.data(), &address, ""));
        assert_eq!(std::fs::read_to_string(world.data().join("admin-context.yaml")).unwrap(), first);
        assert_eq!(world.run("edge ls -o json").ok().array().len(), 1);
    }
    // Two at once would destroy each other's work.
    let second = format!("controller run --data-dir {} --listen 127.0.0.1:0", world.data().display());
    world.program().run(&second).exit(1);
    world.run("edge ls").ok();
    // An address that is taken is said to be so.
    world
        .program()
        .run(&format!("controller run --data-dir other --listen {address}"))
        .exit(1)
        .says(&address);
}

#[test]
fn a_controller_that_is_away_is_said_to_be_away() {
    let mut world = World::new();
    world.write("fleet/a.yaml", &group("web", "tags=web"));
    world.stop_controller().ok();
    for line in
        ["edge ls", "apply -f fleet --yes", "diff -f fleet", "get EdgeGroup", "controller audit verify"]
    {
        let refused: Output = world.run(line).exit(1);
        assert!(refused.stderr.starts_with("error: ") && refused.stdout.is_empty(), "{refused:#?}");
    }
}

#[test]
fn the_config_file_is_read_and_checked() {
    let mut world = World::without_controller();
    let config = world.write("c.yaml", "tenants: [t-web]\npublicEndpoint: localhost:50056\n");
    let line = |config: &std::path::Path| {
        format!("controller run --data-dir data --listen 127.0.0.1:0 --config {}", config.display())
    };
    let broken = world.write("broken.yaml", "tenant: [t-web]\n");
    world.program().run(&line(&broken)).exit(2).says("tenant").says("broken.yaml");
    let process = world.program().start(&line(&config));
    aegis_tests::eventually("it is ready", aegis_tests::SOON, || {
        process.stdout().contains("ready on").then_some(())
    });
    let context = std::fs::read_to_string(world.path().join("data/admin-context.yaml")).unwrap();
    assert!(context.contains("localhost:50056"), "{context}");
    process.terminate().ok();
    // Tenants of the config are there, at each start.
    world.controller = Some(Controller::start(&world.program(), &world.path().join("data")));
    let admin = world.program().env("AEGIS_CONTEXT", world.path().join("data/admin-context.yaml"));
    let tenants = admin.run("controller tenant ls -o json").ok().array();
    let names: Vec<_> = tenants.iter().map(|tenant| tenant["tenant"].clone()).collect();
    assert_eq!(names, [json!("default"), json!("t-web")]);
}

#[test]
fn every_deed_is_in_the_audit_log() {
    let world = World::new();
    let daemon = world.host("web-1");
    world.write("fleet/a.yaml", &group("web", "tags=web"));
    world.run("apply -f fleet --yes").ok();
    world.run("edge tag add web-1 prod").ok();
    world.run("edge keys revoke-remote web-1").ok();
    daemon.process.wait().exit(3);
    let refused = world.admin().env("AEGIS_USER_TOKEN", "a.b.c").run("edge ls");
    refused.exit(3);
    let actions = ["enroll", "connect", "plan.begin", "write", "plan.finish", "revoke", "disconnect"];
    let audit = world.wait_for_audit("every deed", |audit| {
        actions.iter().all(|action| audit.iter().any(|event| event["action"] == *action))
    });
    let sequences: Vec<u64> = audit.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequences:?}");
    for event in &audit {
        for field in ["time", "subject", "tenant", "action", "object", "outcome"] {
            assert!(event[field].is_string(), "{field}: {event}");
        }
    }
    world.audit_is_intact();
}

/// Runs a demo, and looks that nothing of it is left.
fn show(demo: &str, says: &[&str], bound: Duration) {
    let world = World::without_controller();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(demo);
    let mut command = std::process::Command::new(script);
    command.arg(aegis_tests::binary()).env("TMPDIR", world.path());
    let mut shown = aegis_tests::Process::start(command).wait_within(bound).ok();
    for text in says {
        shown = shown.says(text);
    }
    assert_eq!(std::fs::read_dir(world.path()).unwrap().count(), 0, "its directory is gone");
    let place = world.path().to_string_lossy().into_owned();
    let left: Vec<String> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.contains("aegis-demo") && line.contains(&place))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "processes are left");
}

#[test]
fn the_demo_does_what_it_shows_and_leaves_nothing_behind() {
    show("quickstart/demo.sh", &["three hosts enrol", "2 deleted", "nothing is left running"], 2 * SOON);
}

#[test]
fn the_demo_of_a_fleet_does_what_it_shows_and_leaves_nothing_behind() {
    let says =
        ["halted: fail-fast", "(exit code 6)", "3 cancelled", "rolled_back", "nothing is left running"];
    show("fleet/demo.sh", &says, 2 * SOON);
}

#[test]
fn the_demo_of_an_app_does_what_it_shows_and_leaves_nothing_behind() {
    let says = ["hello from aegis", "(exit code 42)", "paused", "this is visit 3", "nothing is left running"];
    // A dozen boots, under emulation where there is no KVM.
    show("app/demo.sh", &says, 10 * SOON);
}
