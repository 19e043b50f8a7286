//! Rollouts by the real programs: each host once, whatever happens in the middle.

use std::{collections::BTreeMap, fs};

use aegis_tests::{Daemon, Output, SOON, World, eventually};
use serde_json::Value;

/// Three hosts on which anything may be done.
fn three() -> (World, Vec<Daemon>) {
    let world = World::new();
    let hosts = world.hosts(["web-1", "web-2", "web-3"]);
    world.allow_everything();
    (world, hosts)
}

/// A rollout of this shell line to all hosts; `more` are further fields of the spec, a line each.
fn rollout(world: &World, line: &str, more: &str) -> String {
    let (line, more) = (filled_in(world, line), filled_in(world, more).replace('\n', "\n  "));
    format!(
        "apiVersion: aegis.dev/v1\nkind: Rollout\nmetadata: {{name: app}}\nspec:\n  target: all\n  \
         tool: cmd.run\n  args: {{cmd: '{line}'}}\n  {more}\n"
    )
}

/// `DIR` is the world's directory.
fn filled_in(world: &World, text: &str) -> String {
    text.replace("DIR", &world.path().display().to_string())
}

/// What each host does: it writes its daemon's process id, which tells it from the others.
const DO: &str = "echo $PPID >>DIR/done";
/// The same, and then it waits for the gate, unless it was the first.
const DO_AND_WAIT: &str =
    "echo $PPID >>DIR/done; [ $(wc -l <DIR/done) = 1 ] || while [ ! -e DIR/gate ]; do sleep 0.05; done";

#[track_caller]
fn apply(world: &World, manifest: &str, flags: &str) -> Output {
    let path = world.write("rollout/rollout.yaml", manifest);
    world.run(&format!("apply --yes -f {} {flags}", path.display()))
}

/// How often each daemon did it.
fn done(world: &World) -> BTreeMap<u32, usize> {
    let mut times = BTreeMap::new();
    for pid in fs::read_to_string(world.path().join("done")).unwrap_or_default().lines() {
        *times.entry(pid.parse().unwrap()).or_default() += 1;
    }
    times
}

fn times(world: &World) -> usize {
    done(world).values().sum()
}

#[track_caller]
fn status(world: &World) -> Value {
    world.run("rollout status app -o json").json()
}

#[track_caller]
fn wait_for_phase(world: &World, phase: &str) -> Value {
    eventually(&format!("the rollout is {phase}"), SOON, || {
        Some(status(world)).filter(|status| status["phase"] == phase)
    })
}

#[track_caller]
fn wait_for_times(world: &World, wanted: usize) {
    eventually(&format!("{wanted} hosts have begun"), SOON, || (times(world) == wanted).then_some(()));
}

#[test]
fn each_host_does_it_once_and_again_only_when_the_spec_changes() {
    let (world, hosts) = three();
    let manifest = rollout(&world, DO, "strategy: {batch: 2}");
    apply(&world, &manifest, "--wait").ok();
    let once: BTreeMap<u32, usize> = hosts.iter().map(|host| (host.process.id(), 1)).collect();
    assert_eq!(done(&world), once);
    let first = status(&world);
    assert_eq!((first["phase"].as_str(), first["outcomes"]["ok"].as_u64()), (Some("complete"), Some(3)));

    apply(&world, &manifest, "--wait").ok();
    let labelled = manifest.replace("{name: app}", "{name: app, labels: {stage: one}}");
    apply(&world, &labelled, "--wait").ok();
    assert_eq!(done(&world), once);
    assert_eq!(status(&world)["runs"], first["runs"]);

    apply(&world, &labelled.replace("batch: 2", "batch: 3"), "--wait").ok();
    assert_eq!(done(&world).into_values().collect::<Vec<_>>(), [2, 2, 2]);
    world.run("rollout status app").ok().says("complete");
    world.run("rollout status ppa").exit(5);
}

#[test]
fn a_wave_that_is_not_well_halts_it_and_what_was_done_is_taken_back() {
    let (world, _hosts) = three();
    let check = "healthCheck: {tool: cmd.run, args: {cmd: '[ $(wc -l <DIR/done) != 2 ]'}}";
    apply(&world, &rollout(&world, DO, check), "--wait").exit(6);
    assert_eq!(times(&world), 2, "the third never began");
    world.run("rollout status app").exit(6).says("halted").says("health check");

    fs::remove_file(world.path().join("done")).unwrap();
    let back = format!("{check}\nrollback: {{tool: cmd.run, args: {{cmd: 'echo $PPID >>DIR/undone'}}}}");
    apply(&world, &rollout(&world, DO, &back), "--wait").exit(6);
    assert_eq!(times(&world), 2);
    let undone = fs::read_to_string(world.path().join("undone")).unwrap();
    let mut undone: Vec<u32> = undone.lines().map(|line| line.parse().unwrap()).collect();
    undone.sort_unstable();
    assert_eq!(undone, done(&world).into_keys().collect::<Vec<_>>(), "taken back where it was done");
    world.run("rollout status app").exit(6).says("rolled_back").says("health check");

    // One that is well goes through, and takes nothing back.
    apply(&world, &rollout(&world, DO, &back.replace("!= 2", "!= 0")), "--wait").ok();
    assert_eq!(times(&world), 5);
    assert_eq!(fs::read_to_string(world.path().join("undone")).unwrap().lines().count(), 2);
}

#[test]
fn a_paused_rollout_begins_nothing_until_it_is_resumed() {
    let (world, _hosts) = three();
    let wait = "echo $PPID >>DIR/done; while [ ! -e DIR/gate ]; do sleep 0.05; done";
    apply(&world, &rollout(&world, wait, "strategy: {batch: 1}"), "").ok();
    wait_for_times(&world, 1);
    world.run("rollout pause app").ok();
    world.open_gate();
    let ended = |status: &Value| status["outcomes"]["ok"] == 1;
    let paused = eventually("the first wave ends", SOON, || Some(status(&world)).filter(ended));
    assert_eq!(paused["phase"], "paused", "{paused}");
    // Others' work on the same hosts is done meanwhile, and the rollout still stands.
    world.fleet_run("--target all --tool cmd.run --arg command=true").ok();
    assert_eq!((times(&world), status(&world)["phase"].as_str()), (1, Some("paused")));
    world.run("rollout resume app").ok();
    world.run("rollout status app --watch").ok().says("complete");
    assert_eq!(done(&world).into_values().collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn an_abort_ends_it_where_it_is_and_who_waits_exits_seven() {
    let (world, _hosts) = three();
    let manifest = rollout(&world, DO_AND_WAIT, "strategy: {batch: 1}");
    apply(&world, &manifest, "").ok();
    wait_for_times(&world, 2);
    let watcher = world.admin().start("rollout status app --watch");
    world.run("rollout abort app").ok();
    watcher.wait().exit(7);
    let aborted = status(&world);
    assert_eq!(aborted["phase"], "aborted", "{aborted}");
    assert_eq!(aborted["outcomes"]["ok"], 1, "{aborted}");
    assert_eq!(aborted["outcomes"]["cancelled"], 1, "{aborted}");
    world.open_gate();
    apply(&world, &manifest, "--wait").exit(7);
    world.run("rollout resume app");
    assert_eq!(times(&world), 2, "the same spec begins nothing again");
    apply(&world, &rollout(&world, DO, ""), "--wait").ok();
    assert_eq!(times(&world), 5);
}

#[test]
fn a_host_that_joins_later_catches_up_once() {
    let world = World::new();
    let first = world.host("web-1");
    world.allow_everything();
    apply(&world, &rollout(&world, DO, "catchUp: true"), "--wait").ok();
    let second = world.host("web-2");
    wait_for_times(&world, 2);
    let caught_up = |status: &Value| {
        let hosts = status["hosts"].as_array().unwrap();
        hosts.len() == 2 && hosts.iter().all(|host| host["state"] == "ok")
    };
    eventually("both are done", SOON, || Some(status(&world)).filter(caught_up));
    assert_eq!(done(&world), BTreeMap::from([(first.process.id(), 1), (second.process.id(), 1)]));
    // Another that comes again has had its turn.
    second.process.terminate();
    let third = world.connect("web-2");
    let fourth = world.host("web-3");
    wait_for_times(&world, 3);
    assert!(!done(&world).contains_key(&third.process.id()));
    assert!(done(&world).contains_key(&fourth.process.id()));
}

#[test]
fn a_controller_that_is_killed_goes_on_where_it_was() {
    let (mut world, mut hosts) = three();
    let more = "strategy: {batch: 1, onError: continue}";
    apply(&world, &rollout(&world, DO_AND_WAIT, more), "").ok();
    wait_for_times(&world, 2);
    let first = status(&world);
    assert_eq!(first["outcomes"]["ok"], 1, "{first}");
    let first = first["hosts"].as_array().unwrap().iter().find(|host| host["state"] == "ok").unwrap().clone();
    world.crash_controller();
    world.open_gate();
    for host in &mut hosts {
        host.wait_for("Connected");
    }
    let last = eventually("it is over", 2 * SOON, || {
        Some(status(&world)).filter(|status| !status["finished_at"].is_null())
    });
    let times_of: Vec<usize> = hosts.iter().map(|host| done(&world)[&host.process.id()]).collect();
    let of_first = hosts.iter().position(|host| {
        host.config.parent().unwrap().file_name().unwrap().to_str() == first["name"].as_str()
    });
    assert_eq!(times_of[of_first.unwrap()], 1, "{last}");
    // What the second did isn't known: it is never asked twice, and the third once.
    assert_eq!(times_of, [1, 1, 1], "{last}");
    assert_eq!(
        (&last["outcomes"]["ok"], &last["outcomes"]["disconnected"]),
        (&2.into(), &1.into()),
        "{last}"
    );
    world.audit_is_intact();
}

#[test]
fn a_rollout_that_is_deleted_is_cancelled_and_forgotten() {
    let (world, _hosts) = three();
    let manifest = rollout(&world, DO_AND_WAIT, "strategy: {batch: 1}");
    apply(&world, &manifest, "").ok();
    wait_for_times(&world, 2);
    world.run("delete Rollout/app --yes").ok();
    eventually("its run is cancelled", SOON, || {
        let runs = world.run("edge fleet runs -o json").ok().array();
        (runs[0]["state"] == "cancelled").then_some(())
    });
    eventually("it is forgotten", SOON, || (world.run("rollout status app").code == 5).then_some(()));
    assert_eq!(times(&world), 2);
    // Declared again it begins anew.
    world.open_gate();
    apply(&world, &manifest, "--wait").ok();
    assert_eq!(times(&world), 5);
}

#[test]
fn it_waits_for_as_many_hosts_as_it_needs() {
    let world = World::new();
    let _first = world.host("web-1");
    world.allow_everything();
    apply(&world, &rollout(&world, DO, "strategy: {requireMin: 2}"), "").ok();
    let waiting = wait_for_phase(&world, "waiting");
    assert!(waiting["message"].as_str().unwrap().contains('2'), "{waiting}");
    assert_eq!(times(&world), 0);
    assert_eq!(world.run("edge fleet runs -o json").ok().array().len(), 0);
    let _second = world.host("web-2");
    wait_for_phase(&world, "complete");
    assert_eq!(done(&world).into_values().collect::<Vec<_>>(), [1, 1]);
}
