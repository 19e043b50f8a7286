//! A hundred real daemons, and ten of them killed while they work.

use std::{collections::BTreeMap, time::Duration};

use aegis_tests::{
    World, eventually,
    fleet::{dispatched, events, results},
};

const HOSTS: usize = 100;
const KILLED: usize = 10;
/// A hundred debug builds on two cores.
const PATIENCE: Duration = Duration::from_mins(3);

#[test]
fn of_a_hundred_hosts_ten_are_killed_in_flight_and_every_one_is_accounted_for() {
    let world = World::new();
    let names: Vec<String> = (0..HOSTS).map(|number| format!("host-{number:03}")).collect();
    let mut hosts = world.hosts(names.iter().map(String::as_str));
    world.allow_everything();

    let quick = world.fleet_run("--target all --tool cmd.run --arg command=true -o json").ok();
    assert_eq!(results(&quick.stdout).len(), HOSTS);
    assert!(results(&quick.stdout).iter().all(|(_, outcome)| outcome == "ok"));

    let run = world.start_fleet_run(&format!("--target all {} --on-error continue", world.wait_for_gate()));
    let flags = "all are in flight";
    eventually(flags, PATIENCE, || (dispatched(&run.stdout()) == HOSTS).then_some(()));
    let mut killed = Vec::new();
    for host in hosts.drain(..KILLED) {
        let name = host.config.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        host.process.kill();
        killed.push(name);
    }
    // Their results are there at once, long before the others have ended or a deadline has passed.
    eventually("the killed ones are known", PATIENCE, || {
        (results(&run.stdout()).len() == KILLED).then_some(())
    });
    world.open_gate();
    let run = run.wait_within(PATIENCE).exit(1);

    let mut of: BTreeMap<String, usize> = BTreeMap::new();
    let ended = results(&run.stdout);
    assert_eq!(ended.len(), HOSTS, "one result each");
    for (name, outcome) in &ended {
        let expected = if killed.contains(name) { "disconnected" } else { "ok" };
        assert_eq!(outcome, expected, "{name}");
        *of.entry(name.clone()).or_default() += 1;
    }
    assert!(of.values().all(|count| *count == 1), "no host has two");
    let last = events(&run.stdout).pop().unwrap();
    assert_eq!((last["event"].as_str(), last["run"]["state"].as_str()), (Some("finished"), Some("failed")));
    let runs = world.run("edge fleet runs -o json").ok().array();
    assert_eq!(runs[0]["outcomes"]["ok"], HOSTS - KILLED);
    assert_eq!(runs[0]["outcomes"]["disconnected"], KILLED);
}
