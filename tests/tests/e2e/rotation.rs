//! Keys and tokens are replaced on the host, with and without its daemon; what is cut off anywhere is finished.

use std::{fs, path::Path};

use aegis_edge::rotate::STEPS;
use aegis_tests::{Daemon, Output, Terminal, World, mode};
use serde_json::Value;

/// `aegis edge VERB` on the host of this name.
fn on_host(world: &World, name: &str, verb: &str) -> String {
    format!("edge {verb} --config {}", world.config(name).display())
}

fn rotate(world: &World, name: &str) -> Value {
    world.program().run(&on_host(world, name, "keys rotate --force -o json")).ok().json()
}

fn status(world: &World, name: &str) -> Value {
    world.program().run(&on_host(world, name, "status -o json")).ok().json()
}

/// The host is, or soon will be, connected with the key that is on its disk, and nothing is left to do.
#[track_caller]
fn is_whole(world: &World, name: &str, what: &str) {
    world.wait_for_node(name, &format!("{what}: connected with its key"), |node| {
        let key = &status(world, name)["key_fingerprint"];
        let is_done = !world.config(name).with_file_name("node.key.next").exists();
        is_done && node["connected"] == true && node["key_fingerprint"] == *key
    });
}

/// The seeds that are kept.
fn archived(config: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(config.with_file_name("archive")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|x| x == "key")).map(|p| fs::read(p).unwrap()).collect()
}

#[test]
fn a_key_is_rotated_with_and_without_a_running_daemon() {
    let world = World::new();
    let id = world.enroll("web-1");
    let config = world.config("web-1");
    let old = fs::read(config.with_file_name("node.key")).unwrap();
    let before = status(&world, "web-1");
    let first = rotate(&world, "web-1");
    assert_eq!(
        (&first["node_id"], &first["old_fingerprint"]),
        (&id.clone().into(), &before["key_fingerprint"])
    );
    assert_eq!(status(&world, "web-1")["key_fingerprint"], first["new_fingerprint"]);
    assert_eq!(archived(&config), [old]);
    assert_eq!(mode(&config.with_file_name("archive")), 0o700);

    let mut daemon = world.connect("web-1");
    is_whole(&world, "web-1", "without a daemon");
    let second = rotate(&world, "web-1");
    assert_eq!(second["old_fingerprint"], first["new_fingerprint"]);
    // It comes back by itself, well before the old key is good for nothing, and is the same node still.
    world.wait_for_audit("the daemon comes back with the new key", |audit| {
        let of = |action: &str| audit.iter().filter(|event| event["action"] == action).count();
        of("rotate") == 2 && of("connect") == 2
    });
    daemon.wait_for("Connected");
    is_whole(&world, "web-1", "with a daemon");
    assert_eq!(world.node("web-1")["node_id"], id);
    assert_eq!(archived(&config).len(), 2);
    daemon.process.terminate().ok();
    world.audit_is_intact();
}

#[test]
fn a_host_connects_wherever_its_rotation_was_killed() {
    let world = World::new();
    for (number, step) in STEPS.iter().enumerate() {
        let name = format!("web-{number}");
        world.enroll(&name);
        let old = fs::read(world.config(&name).with_file_name("node.key")).unwrap();
        let armed = world.program().env("AEGIS_FAULT", format!("{step}:1"));
        armed.run(&on_host(&world, &name, "keys rotate --force")).exit(128 + 9);
        let _daemon = world.connect(&name);
        is_whole(&world, &name, step);
        assert_ne!(fs::read(world.config(&name).with_file_name("node.key")).unwrap(), old, "{step}");
        assert_eq!(archived(&world.config(&name)), [old], "{step}");
    }
    world.audit_is_intact();
}

#[test]
fn a_killed_rotation_is_said_again() {
    let world = World::new();
    for (number, step) in STEPS.iter().enumerate() {
        let name = format!("web-{number}");
        let _daemon = world.host(&name);
        let armed = world.program().env("AEGIS_FAULT", format!("{step}:1"));
        armed.run(&on_host(&world, &name, "keys rotate --force")).exit(128 + 9);
        let pending = &status(&world, &name)["pending_key"];
        assert_eq!(pending.is_string(), number < 7, "{step}: {pending}");
        rotate(&world, &name);
        is_whole(&world, &name, step);
    }
}

#[test]
fn a_running_daemon_finishes_a_rotation_when_its_key_is_refused() {
    let mut world = World::new();
    let mut daemon = world.host("web-1");
    let armed = world.program().env("AEGIS_FAULT", format!("{}:1", STEPS[2]));
    armed.run(&on_host(&world, "web-1", "keys rotate --force")).exit(128 + 9);
    // The stream is over before the old key is; the next one is opened with a key that isn't good any more.
    world.crash_controller();
    is_whole(&world, "web-1", "refused");
    daemon.wait_for("Connected");
}

#[test]
fn a_rotation_asks_and_without_anybody_to_ask_it_wants_force() {
    let world = World::new();
    let id = world.enroll("web-1");
    let key = status(&world, "web-1")["key_fingerprint"].clone();
    let line = on_host(&world, "web-1", "keys rotate");
    world.program().run(&line).exit(4).says("--force");
    let mut terminal = Terminal::start(world.program().command(&line));
    terminal.read_until(&format!("Replace the key {} of {id}? [y/N]", key.as_str().unwrap()));
    terminal.type_line("n");
    terminal.wait().exit(7).says("not rotated");
    assert_eq!(status(&world, "web-1")["key_fingerprint"], key);
    let mut terminal = Terminal::start(world.program().command(&line));
    terminal.read_until("[y/N]");
    terminal.type_line("y");
    terminal.wait().ok().says("rotated").says(key.as_str().unwrap());
    assert_ne!(status(&world, "web-1")["key_fingerprint"], key);
}

#[test]
fn an_old_key_is_kept_as_long_as_was_said() {
    let world = World::new();
    world.enroll("web-1");
    let config = world.config("web-1");
    let keep =
        |how_long: &str| on_host(&world, "web-1", &format!("keys rotate --force --keep-old {how_long}"));
    world.program().run(&keep("0s")).ok().says("nowhere");
    assert_eq!(archived(&config).len(), 0);
    world.program().run(&keep("1ms")).ok().says("archive");
    // Its time is over by now: the next rotation removes it, and keeps its own.
    world.program().run(&keep("1h")).ok();
    assert_eq!(archived(&config).len(), 1);
    world.program().run(&keep("-1h")).exit(2);
}

#[test]
fn two_rotations_at_once_leave_one_key() {
    let world = World::new();
    let _daemon = world.host("web-1");
    let line = on_host(&world, "web-1", "keys rotate --force");
    for _ in 0..3 {
        let racing: Vec<_> = (0..3).map(|_| world.program().start(&line)).collect();
        let ended: Vec<Output> = racing.into_iter().map(aegis_tests::Process::wait).collect();
        assert!(ended.iter().any(|one| one.code == 0), "{ended:?}");
        for other in ended.into_iter().filter(|one| one.code != 0) {
            other.exit(1).says("another process is changing the key");
        }
    }
    is_whole(&world, "web-1", "after all");
}

#[test]
fn a_token_is_refreshed_and_the_key_stays() {
    let world = World::new();
    let mut daemon = world.host("web-1");
    let token = || fs::read_to_string(world.config("web-1").with_file_name("node.token")).unwrap();
    let (before, key) = (token(), status(&world, "web-1")["key_fingerprint"].clone());
    let refreshed = world.program().run(&on_host(&world, "web-1", "token refresh -o json")).ok().json();
    assert!(aegis_tests::is_rfc3339_utc(&refreshed["token_expires"]), "{refreshed}");
    assert_ne!(token(), before);
    assert_eq!((&refreshed["key_fingerprint"], &status(&world, "web-1")["key_fingerprint"]), (&key, &key));
    world.program().run(&on_host(&world, "web-1", "token refresh")).ok().says("token_expires");
    daemon.wait_for("Connected");
    assert_eq!(world.node("web-1")["key_fingerprint"], key);
}

#[test]
fn a_revoked_host_gets_neither_key_nor_token() {
    let world = World::new();
    world.enroll("web-1");
    world.run("edge keys revoke-remote web-1 --yes").ok();
    let key = fs::read(world.config("web-1").with_file_name("node.key")).unwrap();
    for verb in ["keys rotate --force", "token refresh"] {
        world.program().run(&on_host(&world, "web-1", verb)).exit(3).says("aegis edge enroll");
        assert!(!world.config("web-1").with_file_name("node.key.next").exists());
    }
    assert_eq!(fs::read(world.config("web-1").with_file_name("node.key")).unwrap(), key);
    Daemon::start(&world.program(), &world.config("web-1")).process.wait().exit(3);
}

#[test]
fn a_controller_that_is_away_changes_nothing() {
    let mut world = World::new();
    world.enroll("web-1");
    let config = world.config("web-1");
    let address = world.controller.as_ref().unwrap().address().to_string();
    world.stop_controller().ok();
    let key = fs::read(config.with_file_name("node.key")).unwrap();
    for verb in ["keys rotate --force", "token refresh"] {
        world.program().run(&on_host(&world, "web-1", verb)).exit(1).says("nothing was changed");
    }
    assert_eq!(fs::read(config.with_file_name("node.key")).unwrap(), key);
    assert!(!config.with_file_name("node.key.next").exists() && archived(&config).is_empty());
    world.controller = Some(aegis_tests::Controller::start_on(&world.program(), &world.data(), &address, ""));
    let _daemon = world.connect("web-1");
}

#[test]
fn a_daemon_that_starts_while_the_controller_is_away_finishes_a_rotation_later() {
    let mut world = World::new();
    world.enroll("web-1");
    let armed = world.program().env("AEGIS_FAULT", format!("{}:1", STEPS[2]));
    armed.run(&on_host(&world, "web-1", "keys rotate --force")).exit(128 + 9);
    let address = world.controller.as_ref().unwrap().address().to_string();
    world.stop_controller().ok();
    let mut daemon = Daemon::start(&world.program(), &world.config("web-1"));
    daemon.wait_for("Disconnected");
    world.controller = Some(aegis_tests::Controller::start_on(&world.program(), &world.data(), &address, ""));
    is_whole(&world, "web-1", "later");
    daemon.wait_for("Connected");
}

#[test]
fn a_host_that_logs_out_keeps_no_key_of_a_rotation() {
    let world = World::new();
    world.enroll("web-1");
    rotate(&world, "web-1");
    let armed = world.program().env("AEGIS_FAULT", format!("{}:1", STEPS[0]));
    armed.run(&on_host(&world, "web-1", "keys rotate --force")).exit(128 + 9);
    world.program().run(&on_host(&world, "web-1", "logout")).ok().says("node.key.next").says("archive");
    let directory = world.config("web-1").parent().unwrap().to_owned();
    let left = |name: &str| directory.join(name).exists();
    assert!(!left("node.key") && !left("node.key.next") && !left("archive"));
    // Enrolled anew, nothing of what was begun comes back.
    world.enroll("web-2");
    let armed = world.program().env("AEGIS_FAULT", format!("{}:1", STEPS[0]));
    armed.run(&on_host(&world, "web-2", "keys rotate --force")).exit(128 + 9);
    world.enroll("web-2");
    assert!(status(&world, "web-2")["pending_key"].is_null());
    let _daemon = world.connect("web-2");
}
