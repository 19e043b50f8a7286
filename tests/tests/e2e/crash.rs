//! Killed at any moment, run again: everything converges, nothing is lost, nothing is orphaned.

use std::fs;

use aegis_tests::{Controller, SOON, World, copy_dir, eventually};
use serde_json::json;

use crate::declarative::{context, group, node};

/// What is declared first.
fn before() -> String {
    group("stays", "tags=a")
        + &group("changes", "tags=a")
        + &group("goes", "tags=a")
        + &node("web-1", "one, two")
}

/// What is declared then: of each kind of step one, over six objects.
fn after() -> String {
    group("stays", "tags=a")
        + &group("changes", "tags=b")
        + &group("comes", "group:changes")
        + &node("web-1", "two, three")
        + &context("look", "fs.read")
}

/// A world with `before` applied, `after` in the manifest, and the controller stopped.
fn world() -> World {
    let mut world = World::new();
    world.enroll("web-1");
    world.write("fleet/a.yaml", &before());
    world.run("apply -f fleet --yes").ok();
    world.write("fleet/a.yaml", &after());
    world.stop_controller();
    world
}

/// The controller has exactly what `after` says, owned by `fleet` and nobody else, and remembers all of it.
fn has_converged(world: &World, what: &str) {
    world.run("apply -f fleet --prune --yes").ok();
    world.run("diff -f fleet --prune --exit-code").exit(0);
    let groups = world.run("get EdgeGroup -o json").ok().array();
    let names: Vec<_> = groups.iter().map(|group| group["name"].clone()).collect();
    assert_eq!(names, ["changes", "comes", "stays"], "{what}");
    assert_eq!(world.node("web-1")["tags"], json!(["three", "two"]), "{what}");
    world.audit_is_intact();
    // An orphan would be left by this, as nobody would remember whose it is.
    fs::remove_file(world.path().join("fleet/a.yaml")).unwrap();
    world.run("apply -f fleet --prune --yes").ok();
    assert_eq!(world.run("export").ok().stdout, "", "{what}");
    world.write("fleet/a.yaml", &after());
}

#[test]
fn the_controller_is_killed_between_any_two_writes_of_an_apply() {
    let mut world = world();
    let begin = world.path().join("begin");
    fs::rename(world.data(), &begin).unwrap();
    for place in ["before", "after"] {
        let mut killed = 0;
        for number in 1.. {
            let what = format!("store.commit.{place}:{number}");
            copy_dir(&begin, &world.data());
            let armed = world.program().env("AEGIS_FAULT", &what);
            let mut controller = Controller::start(&armed, &world.data());
            let cut = world.run("apply -f fleet --prune --yes");
            let is_over = cut.code == 0 && controller.process().ended().is_none();
            if is_over {
                assert!(
                    killed >= 3,
                    "{place}: an apply is at least begin, write, finish; it was {killed} commits"
                );
                controller.stop();
                fs::remove_dir_all(world.data()).unwrap();
                break;
            }
            killed += 1;
            assert!(killed < 100, "{place}: the apply never comes to an end");
            assert_eq!(controller.wait().code, 128 + 9, "{what}: killed by the fault");
            world.controller = Some(Controller::start(&world.program(), &world.data()));
            has_converged(&world, &what);
            world.stop_controller().ok();
            fs::remove_dir_all(world.data()).unwrap();
        }
    }
}

#[test]
fn an_apply_is_killed_in_the_middle() {
    let world = World::new();
    let all: String = (0..1500).map(|number| group(&format!("g{number:04}"), "tags=a")).collect();
    world.write("fleet/a.yaml", &all);
    let mut cut_short = 0;
    // Each time a little later: from before the first write to somewhere between the first and the last.
    for objects in [0, 1, 300, 900] {
        let apply = world.admin().start("apply -f fleet --yes");
        let reached = |count: usize| apply.stdout().lines().count() >= count;
        eventually("the apply gets so far", SOON, || reached(objects).then_some(()));
        cut_short += usize::from(apply.kill().code == 128 + 9);
    }
    assert!(cut_short >= 2, "only {cut_short} were killed before they were done");
    world.run("apply -f fleet --yes").ok();
    world.run("diff -f fleet --prune --exit-code").exit(0).says("1500 unchanged");
    fs::write(world.path().join("fleet/a.yaml"), group("g0000", "tags=a")).unwrap();
    world.run("apply -f fleet --prune --yes").ok().says("1499 deleted");
    assert_eq!(world.run("get EdgeGroup -o json").ok().array().len(), 1);
    world.audit_is_intact();
}

#[test]
fn two_applies_at_once_end_and_lose_nothing() {
    let world = World::new();
    world.enroll("web-1");
    let groups: String = (0..60).map(|number| group(&format!("g{number:02}"), "tags=a")).collect();
    world.write("fleet/a.yaml", &(groups + &node("web-1", "one")));
    // The same twice, of one owner; and at the same time another owner and a person at the same host.
    world.write("other/a.yaml", &node("web-1", "two"));
    let lines = [
        "apply -f fleet --yes --prune",
        "apply -f fleet --yes --prune",
        "apply -f other --yes",
        "edge tag add web-1 three",
    ];
    for _ in 0..3 {
        let racing: Vec<_> = lines.iter().map(|line| world.admin().start(line)).collect();
        for process in racing {
            process.wait().ok();
        }
        world.run("diff -f fleet --prune --exit-code").exit(0);
        world.run("diff -f other --prune --exit-code").exit(0);
        assert_eq!(world.node("web-1")["tags"], json!(["one", "three", "two"]));
        assert_eq!(world.run("get EdgeGroup -o json").ok().array().len(), 60);
        world.run("delete -f fleet --yes").ok();
        world.run("edge tag rm web-1 two three").ok();
    }
    world.audit_is_intact();
}

#[test]
fn the_controller_is_killed_while_daemons_are_connected() {
    let mut world = World::new();
    let mut daemon = world.host("web-1");
    world.run("edge tag add web-1 prod").ok();
    world.crash_controller();
    daemon.wait_for("Connected");
    let node = world.wait_for_node("web-1", "connected again", |node| node["connected"] == true);
    assert_eq!(node["tags"], json!(["prod"]));
    world.audit_is_intact();
}

#[test]
fn an_apply_that_is_interrupted_says_which_part_it_did() {
    let world = World::new();
    let all: String = (0..1500).map(|number| group(&format!("g{number:04}"), "tags=a")).collect();
    world.write("fleet/a.yaml", &all);
    let apply = world.admin().start("apply -f fleet --yes");
    eventually("the apply has begun", SOON, || (!apply.stdout().is_empty()).then_some(()));
    apply.signal(rustix::process::Signal::INT);
    let cut =
        apply.wait().exit(7).says("of 1500 objects were not applied").says("run the same command again");
    assert!(cut.stdout.contains("created"), "{}", cut.stderr);
    // Time that is up is another code.
    world.run("apply -f fleet --yes --timeout 1ms").exit(8).says("the time is up");
    world.run("apply -f fleet --yes").ok();
    world.run("diff -f fleet --prune --exit-code").exit(0).says("1500 unchanged");
}

#[test]
fn the_controller_is_killed_while_a_host_enrols() {
    let mut world = World::new();
    // Before the commit the token is still good; after it, it is burnt, and a fresh one brings the same key in.
    for (place, again) in [("before", 0), ("after", 3)] {
        let name = format!("web-{place}");
        let (token, fresh) = (world.token(&name), world.token(&name));
        let address = world.controller.as_ref().unwrap().address().to_string();
        world.stop_controller().ok();
        let armed = world.program().env("AEGIS_FAULT", format!("store.commit.{place}:1"));
        let controller = Controller::start_on(&armed, &world.data(), &address, "");
        let config = world.config(&name);
        let line = |token: &str| {
            format!("edge enroll {token} --config {} --keep-existing --no-service", config.display())
        };
        world.program().run(&line(&token)).exit(1).says("the enrolment token may have been used");
        assert_eq!(controller.wait().code, 128 + 9);
        assert!(!config.with_file_name("node.token").exists());
        let key = fs::read(config.with_file_name("node.key")).unwrap();

        world.controller = Some(Controller::start_on(&world.program(), &world.data(), &address, ""));
        world.program().run(&line(&token)).exit(again);
        if again != 0 {
            world.program().run(&line(&fresh)).ok();
        }
        assert_eq!(fs::read(config.with_file_name("node.key")).unwrap(), key);
        assert!(!config.with_file_name("enrollment.jwt").exists());
        let _daemon = world.connect(&name);
    }
    assert_eq!(world.run("edge ls -o json").ok().array().len(), 2, "no node was made twice");
    world.audit_is_intact();
}
