//! Runs and whose they are: strangers can't tell them from what isn't there, and what is changed under a run changes
//! nothing of it.

use aegis_tests::{
    Output, Program, SOON, World, eventually,
    fleet::{dispatched, events, results},
};
use serde_json::Value;

/// What a caller sees of an answer, with the thing's name taken out.
fn shape(output: &Output, name: &str) -> (i32, String, String) {
    (output.code, output.stdout.replace(name, "NAME"), output.stderr.replace(name, "NAME"))
}

/// To `stranger` each command says of `foreign` what it says of `unknown`, and ends with exit 5.
#[track_caller]
fn look_alike(stranger: &Program, commands: &[&str], foreign: &str, unknown: &str) {
    for command in commands {
        let one = stranger.run(&command.replace("NAME", foreign));
        let other = stranger.run(&command.replace("NAME", unknown));
        assert_eq!(shape(&one, foreign), shape(&other, unknown), "{command}");
        assert_eq!(one.code, 5, "{command}: {one:#?}");
    }
}

/// The run that was begun last.
#[track_caller]
fn newest(world: &World) -> Value {
    world.run("edge fleet runs -o json").ok().array().swap_remove(0)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned())).collect()
}

#[test]
fn runs_rollouts_and_tools_of_another_tenant_look_as_if_they_were_not_there() {
    let world = World::new();
    let _host = world.host("web-1");
    world.allow_everything();
    world.run("controller tenant create t-other").ok();
    let stranger = world.user("t-other", "admin");
    let run = world.start_fleet_run(&format!("--target all {}", world.wait_for_gate()));
    eventually("it is dispatched", SOON, || (dispatched(&run.stdout()) == 1).then_some(()));
    let id = newest(&world)["run_id"].as_str().unwrap().to_owned();

    let commands = [
        "edge fleet show NAME",
        "edge fleet show NAME --follow",
        "edge fleet show NAME --output-of web-1",
        "edge fleet show NAME -o json",
        "edge fleet cancel NAME",
    ];
    look_alike(&stranger, &commands, &id, "r-01a1fb2387f98b923d0b");
    // A prefix finds nothing of others either.
    look_alike(&stranger, &commands, &id[..12], "r-01a1fb2387");
    let node = world.node("web-1")["node_id"].as_str().unwrap().to_owned();
    let commands = [
        "edge tools ls --node NAME",
        "edge tools show cmd.run --node NAME",
        "edge fleet run --target @NAME --tool host.facts",
        "edge call --target @NAME --tool host.facts",
        "edge fleet keys rotate --target @NAME",
    ];
    look_alike(&stranger, &commands, &node, "n-0123456789abcdef0123");
    look_alike(&stranger, &commands, "web-1", "web-9");
    stranger.run("edge fleet run --target all --tool host.facts").exit(5);
    stranger.run("edge call --tool host.facts").exit(5).says_not("web-1");
    assert!(stranger.run("edge fleet runs -o json").ok().array().is_empty());

    // It ran on through all of that.
    assert_eq!(newest(&world)["state"], "running");
    world.open_gate();
    run.wait().ok();
}

#[test]
fn a_rollout_of_another_tenant_is_neither_seen_nor_steered() {
    let world = World::new();
    let _host = world.host("web-1");
    world.allow_everything();
    world.run("controller tenant create t-other").ok();
    let stranger = world.user("t-other", "admin");
    let manifest = world.write(
        "rollout.yaml",
        "apiVersion: aegis.dev/v1\nkind: Rollout\nmetadata: {name: app}\nspec:\n  target: all\n  \
         tool: cmd.run\n  args: {command: 'true'}\n  strategy: {requireMin: 2}\n",
    );
    world.run(&format!("apply --yes -f {}", manifest.display())).ok();
    let commands = [
        "rollout status NAME",
        "rollout status NAME --watch",
        "rollout pause NAME",
        "rollout resume NAME",
        "rollout abort NAME",
        "get Rollout NAME",
        "describe Rollout/NAME",
        "delete Rollout/NAME --yes",
    ];
    look_alike(&stranger, &commands, "app", "ppa");
    assert!(stranger.run("rollout ls -o json").ok().array().is_empty());
    eventually("it waits as before", SOON, || {
        let status = world.run("rollout status app -o json").json();
        (status["phase"] == "waiting").then_some(())
    });
}

#[test]
fn a_group_that_changes_or_goes_changes_nothing_of_the_run_that_used_it() {
    let world = World::new();
    let _hosts = world.hosts(["web-1", "web-2", "web-3"]);
    world.allow_everything();
    for host in ["web-1", "web-2"] {
        world.run(&format!("edge tag add {host} web")).ok();
    }
    world.run("edge group create web --selector tags=web").ok();
    let flags = format!("--target group:web {} --mode rolling=1", world.wait_for_gate());
    let run = world.start_fleet_run(&flags);
    eventually("the first is dispatched", SOON, || (dispatched(&run.stdout()) == 1).then_some(()));
    // One comes to the group, one leaves it, and then there is no group.
    world.run("edge tag add web-3 web").ok();
    world.run("edge tag rm web-2 web").ok();
    world.run("edge group rm web").ok();
    world.open_gate();
    let run = run.wait().ok();
    assert_eq!(results(&run.stdout), pairs(&[("web-1", "ok"), ("web-2", "ok")]));
    assert_eq!(newest(&world)["target"], "group:web");
    world.fleet_run("--target group:web --tool host.facts").exit(5);
}

#[test]
fn a_host_that_is_drained_is_skipped_and_named() {
    let world = World::new();
    let _hosts = world.hosts(["web-1", "web-2"]);
    world.allow_everything();
    world.run("edge drain web-1").ok();
    let run = "--target all --tool cmd.run --arg command=true";
    let shown = world.fleet_run(run).ok();
    assert!(shown.stderr.lines().any(|line| line.starts_with("web-1 is skipped:")), "{shown:#?}");
    let json = world.fleet_run(&format!("{run} -o json")).ok();
    assert_eq!(results(&json.stdout), pairs(&[("web-2", "ok")]));
    assert_eq!(events(&json.stdout)[0]["skipped"][0]["name"], "web-1", "{}", json.stdout);
    world.fleet_run(&format!("{run} --require-min 2")).exit(9);
    world.run("edge drain web-1 --off").ok();
    assert_eq!(results(&world.fleet_run(&format!("{run} -o json")).ok().stdout).len(), 2);
}

#[test]
fn a_revoke_ends_what_runs_on_the_host_and_its_result_is_disconnected() {
    let world = World::new();
    let hosts = world.hosts(["web-1", "web-2"]);
    world.allow_everything();
    let (gate, mark) = (world.gate(), world.path().join("pids"));
    let script =
        format!("echo $PPID $$ >>{}; while [ ! -e {} ]; do sleep 0.05; done", mark.display(), gate.display());
    let flags = format!("--target all --tool cmd.run --arg 'cmd={script}' --on-error continue");
    let run = world.start_fleet_run(&flags);
    let text = || std::fs::read_to_string(&mark).unwrap_or_default();
    eventually("both run", SOON, || (text().lines().count() == 2).then_some(()));
    let of_first = hosts[0].process.id().to_string();
    let pid = text()
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(daemon, _)| *daemon == of_first))
        .map(|(_, pid)| pid.to_owned());
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.unwrap()));
    assert!(process.exists());
    world.run("edge keys revoke-remote web-1 --yes").ok();
    eventually("its result is there", SOON, || {
        (results(&run.stdout()) == pairs(&[("web-1", "disconnected")])).then_some(())
    });
    eventually("its process is gone", SOON, || (!process.exists()).then_some(()));
    world.open_gate();
    let run = run.wait().exit(1);
    assert_eq!(results(&run.stdout), pairs(&[("web-1", "disconnected"), ("web-2", "ok")]));
    world.fleet_run("--target @web-1 --tool host.facts").exit(5);
}
