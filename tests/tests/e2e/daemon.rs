//! The daemon's life: one at a time, reconnecting, told what changes, ending cleanly.

use std::fs;

use aegis_tests::{Daemon, SOON, World, eventually};
use rustix::process::Signal;
use serde_json::json;

use crate::declarative::node;

#[test]
fn a_second_daemon_of_one_host_is_refused() {
    let world = World::new();
    let mut first = world.host("web-1");
    let second = Daemon::start(&world.program(), &world.config("web-1"));
    second.process.wait().exit(1).says(&first.process.id().to_string());
    first.wait_for("Connected");
    // The lock of one that was killed is nobody's.
    first.process.kill();
    let _third = world.connect("web-1");
}

#[test]
fn several_daemons_run_on_one_machine() {
    let world = World::new();
    let names = ["web-1", "web-2", "db-1"];
    let daemons: Vec<Daemon> = names.iter().map(|name| world.host(name)).collect();
    let nodes = world.run("edge ls --connected -o json").ok().array();
    assert_eq!(nodes.len(), 3);
    let ids: std::collections::BTreeSet<_> = nodes.iter().map(|node| node["node_id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    for daemon in daemons {
        daemon.process.terminate().ok();
    }
    for name in names {
        world.wait_for_node(name, "disconnected", |node| node["status"] == "Disconnected");
    }
}

#[test]
fn a_daemon_comes_back_after_the_controller_was_restarted() {
    let mut world = World::new();
    let mut daemon = world.host("web-1");
    let address = world.controller.as_ref().unwrap().address().to_string();
    world.stop_controller().ok();
    daemon.wait_for("Disconnected");
    world.controller = Some(aegis_tests::Controller::start_on(&world.program(), &world.data(), &address, ""));
    daemon.wait_for("Connected");
    world.wait_for_node("web-1", "connected", |node| node["connected"] == true);
    // A clean stop loses none of those that wait to be written.
    world.wait_for_audit("both connects", |audit| {
        audit.iter().filter(|event| event["action"] == "connect").count() == 2
    });
    world.audit_is_intact();
}

#[test]
fn a_change_of_the_config_is_in_force_at_once() {
    let world = World::new();
    let daemon = world.host("web-1");
    let text = fs::read_to_string(&daemon.config).unwrap();
    let with =
        |labels: &str| text.replace("tenant: default", &format!("tenant: default\n      labels: {labels}"));
    fs::write(&daemon.config, with("{region: home}")).unwrap();
    world.wait_for_node("web-1", "the label", |node| node["labels"] == json!({"region": "home"}));
    let preview = world.run("edge fleet preview --target labels=region=home -o json").ok().json();
    assert_eq!(preview["nodes"][0]["name"], "web-1");
    // One that can't be read changes nothing.
    fs::write(&daemon.config, "cluster: [").unwrap();
    eventually("the daemon says so", SOON, || {
        daemon.process.stderr().contains("stays in force").then_some(())
    });
    assert_eq!(world.node("web-1")["labels"], json!({"region": "home"}));
    // An editor that replaces the file is noticed, too; and so is SIGHUP.
    let new = world.write("new.yaml", &with("{region: abroad}"));
    fs::rename(new, &daemon.config).unwrap();
    daemon.process.signal(Signal::HUP);
    world.wait_for_node("web-1", "the label", |node| node["labels"] == json!({"region": "abroad"}));
    daemon.process.terminate().ok();
}

#[test]
fn draining_is_told_kept_and_taken_back() {
    let world = World::new();
    let mut daemon = world.host("web-1");
    world.run("edge drain web-1").ok().says("+ drain");
    daemon.wait_for("Draining");
    world
        .wait_for_node("web-1", "draining", |node| node["status"] == "Draining" && node["connected"] == true);
    let preview = world.run("edge fleet preview --target all -o json").ok().json();
    assert_eq!(preview["skipped"][0]["reason"], "draining", "{preview}");
    // A daemon that starts learns it when it connects.
    daemon.process.terminate().ok();
    let mut daemon = Daemon::start(&world.program(), &world.config("web-1"));
    daemon.wait_for("Draining");
    world.run("edge drain web-1 --off").ok();
    daemon.wait_for("Connected");
    // Declared, applied, and waited for.
    let manifest = crate::declarative::node("web-1", "a");
    world.write("fleet/a.yaml", &manifest.replace("spec:", "spec:\n  drain: true"));
    world.run("apply -f fleet --yes").exit(11).says("drain is owned by cli");
    world.run("apply -f fleet --yes --force-conflicts --wait --timeout 30s").ok();
    assert_eq!(world.node("web-1")["status"], "Draining");
}

#[test]
fn a_shutdown_ends_the_daemon_for_good() {
    let world = World::new();
    let daemon = world.host("web-1");
    world.run("edge shutdown web-1 --reason 'for repairs'").ok();
    daemon.process.wait().exit(0).says("for repairs");
    world.wait_for_node("web-1", "disconnected", |node| node["status"] == "Disconnected");
    // Who is away can't be told, and is said to be away at once.
    world.run("edge shutdown web-1").exit(5).says("EdgeUnavailable");
    world.wait_for_audit("why", |audit| audit.iter().any(|event| event["detail"] == "for repairs"));
}

#[test]
fn signals_end_a_daemon_cleanly() {
    let world = World::new();
    world.enroll("web-1");
    for signal in [Signal::TERM, Signal::INT] {
        let daemon = world.connect("web-1");
        daemon.process.signal(signal);
        daemon.process.wait().ok();
        world.wait_for_node("web-1", "disconnected", |node| node["status"] == "Disconnected");
        let status = format!("edge status --config {} -o json", world.config("web-1").display());
        let status = world.program().run(&status).ok().json();
        assert_eq!((&status["status"], &status["running"]), (&"Disconnected".into(), &false.into()));
    }
}

#[test]
fn status_shows_the_reference_fields_with_and_without_a_daemon() {
    let world = World::new();
    let config = world.config("web-1");
    let status = format!("edge status --config {}", config.display());
    world.program().run(&status).ok().says("NotEnrolled");
    let id = world.enroll("web-1");
    world.program().run(&status).ok().says(&id).says("Disconnected");
    let daemon = world.connect("web-1");
    let shown = world.program().run(&status).ok();
    let fields: Vec<&str> = shown.stdout.lines().filter_map(|line| line.split(':').next()).collect();
    let documented = [
        "node_id",
        "tenant",
        "status",
        "since",
        "endpoint",
        "heartbeat_age",
        "key_fingerprint",
        "token_expires",
        "capabilities",
        "  os",
        "  arch",
        "  local_tools",
        "  labels",
        "  tags",
    ];
    assert_eq!(fields, documented, "{}", shown.stdout);
    let json = world.program().run(&format!("{status} --output json")).ok().json();
    assert_eq!(
        (&json["node_id"], &json["status"], &json["tenant"]),
        (&id.into(), &"Connected".into(), &"default".into())
    );
    assert!(aegis_tests::is_rfc3339_utc(&json["token_expires"]), "{json}");
    assert_eq!(json["pid"], daemon.process.id());
    assert_eq!(json["key_fingerprint"], world.node("web-1")["key_fingerprint"]);
}

#[test]
fn logout_stops_the_daemon_and_forgets_who_the_host_is() {
    let world = World::new();
    let daemon = world.host("web-1");
    let directory = daemon.config.parent().unwrap().to_owned();
    let logout = format!("edge logout --config {}", daemon.config.display());
    world.program().run(&logout).ok().says("node.key");
    daemon.process.wait().ok();
    assert!(!directory.join("node.key").exists() && !directory.join("node.token").exists());
    assert!(directory.join("aegis-config.yaml").exists());
    world.wait_for_node("web-1", "still listed", |node| node["status"] == "Disconnected");
    world.program().run(&logout).ok();
    Daemon::start(&world.program(), &world.config("web-1")).process.wait().exit(3).says("aegis edge enroll");
    // --purge takes the folder, unless somebody else has put something there.
    fs::write(directory.join("notes.txt"), "mine").unwrap();
    world.program().run(&format!("{logout} --purge")).exit(4).says("notes.txt");
    fs::remove_file(directory.join("notes.txt")).unwrap();
    world.program().run(&format!("{logout} --purge")).ok();
    assert!(!directory.exists());
    world.program().run(&format!("{logout} --purge")).ok();
}

#[test]
fn a_host_that_is_not_enrolled_does_not_run() {
    let world = World::new();
    world.program().run("edge run --config none/aegis-config.yaml").exit(2).says("aegis edge enroll");
    world.enroll("web-1");
    let config = world.config("web-1");
    fs::remove_file(config.with_file_name("node.token")).unwrap();
    world.program().run(&format!("edge run --config {}", config.display())).exit(3).says("node.token");
}

#[test]
fn a_replacement_takes_the_name_and_the_place_of_a_revoked_host() {
    let world = World::new();
    world.write("fleet/a.yaml", &node("web-1", "web"));
    let old = world.enroll("web-1");
    world.run("apply -f fleet --yes").ok();
    world.run("edge keys revoke-remote web-1 --yes").ok().says("revoked");
    world.run(&format!("edge keys revoke-remote {old} --yes")).ok().says("unchanged");
    world.enroll("web-1");
    let report = world.run("apply -f fleet --yes -o json").ok().json();
    assert_eq!(report["objects"][0]["host"], "web-1");
    assert_ne!(report["objects"][0]["name"], json!(old));
    world.run("edge ls --tag web").ok().says("web-1");
}

#[test]
fn apply_waits_for_what_the_host_itself_says() {
    let world = World::new();
    let daemon = world.host("web-1");
    let drain = |drain: bool| {
        let spec = format!("kind: EdgeNode\nmetadata: {{name: web-1}}\nspec: {{drain: {drain}}}\n");
        world.write("d.yaml", &format!("apiVersion: aegis.dev/v1\n{spec}"));
    };
    drain(true);
    daemon.process.signal(Signal::STOP);
    world
        .run("apply -f d.yaml --yes --wait --timeout 500ms")
        .exit(8)
        .says("not every connected host follows");
    daemon.process.signal(Signal::CONT);
    // Everything is written, so there is only the waiting left.
    world.run("apply -f d.yaml --yes --wait --timeout 20s").ok().says("1 unchanged");
    assert_eq!(world.node("web-1")["draining"], json!(true));
    drain(false);
    world.run("apply -f d.yaml --yes --wait --timeout 20s").ok();
    assert_eq!(world.node("web-1")["draining"], json!(false));
}
