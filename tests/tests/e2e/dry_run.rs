//! `--dry-run`: every command that changes something can be asked what it would do, and then does nothing.

use aegis_tests::{World, snapshot};

use crate::declarative::group;

#[test]
fn a_dry_run_of_every_command_changes_nothing() {
    let world = World::new();
    let daemon = world.host("web-1");
    world.write("fleet/fleet.yaml", &group("web", "tags=web"));
    world.run("apply -f fleet --yes").ok();
    world.write("fleet/fleet.yaml", &group("web", "tags=other"));
    world.run("edge tag add web-1 prod").ok();
    let state = || {
        let parts = ["export", "history -o json", "controller audit ls -o json", "get EdgeNode -o json"];
        parts.map(|part| world.run(part).ok().stdout)
    };
    let before = state();
    let commands = [
        "apply -f fleet --prune",
        "delete EdgeGroup/web",
        "delete -f fleet",
        "rollback 1",
        "edge tag add web-1 eu",
        "edge tag rm web-1 prod",
        "edge group create db --selector tags=db",
        "edge group set-pinned web --add web-1",
        "edge group rm web",
        "edge drain web-1",
        "edge shutdown web-1",
        "edge keys revoke-remote web-1",
    ];
    for command in commands {
        for format in ["table", "json"] {
            world.run(&format!("{command} --dry-run -o {format}")).ok();
            assert_eq!(state(), before, "{command}");
        }
    }
    assert_eq!(world.node("web-1")["status"], "Connected");
    drop(daemon);
}

#[test]
fn a_dry_run_of_an_enrolment_touches_neither_disk_nor_network() {
    let mut world = World::new();
    let token = world.token("web-1");
    world.enroll("web-2");
    world.stop_controller();
    let before = snapshot(world.path());
    for name in ["web-1", "web-2"] {
        for policy in ["", "--force", "--keep-existing", "--non-interactive"] {
            let config = world.config(name);
            let line =
                format!("edge enroll {token} --config {} --dry-run {policy} -o json", config.display());
            let output = world.program().run(&line);
            // What --non-interactive can't decide is a conflict in a dry run, too.
            assert!(output.code == 0 || (output.code == 4 && policy == "--non-interactive"), "{output:#?}");
            assert_eq!(snapshot(world.path()), before, "{name} {policy}");
            if output.code == 0 {
                let report = output.json();
                assert_eq!(report["outcome"], "planned", "{report}");
                assert_eq!(report["plan"]["decisions"].as_array().unwrap().len(), 7, "{report}");
            }
        }
    }
}
