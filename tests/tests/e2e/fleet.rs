//! A tool on many hosts: what each flag does, every exit code, and what is left of it afterwards.

use aegis_tests::{
    SOON, World, eventually,
    fleet::{count, dispatched, events, results},
};
use rustix::process::Signal;

/// Three hosts on which anything may be done.
fn three() -> (World, Vec<aegis_tests::Daemon>) {
    let world = World::new();
    let hosts = world.hosts(["web-1", "web-2", "web-3"]);
    world.allow_everything();
    (world, hosts)
}

/// Flags for a command that fails on the host that runs it second.
fn second_fails(world: &World) -> String {
    let mark = world.path().join("ran");
    format!("--tool cmd.run --arg 'cmd=echo x >>{0}; [ $(wc -l <{0}) != 2 ]'", mark.display())
}

#[test]
fn all_hosts_do_it_and_the_command_succeeds() {
    let (world, _hosts) = three();
    let run = world.fleet_run("--target all --tool cmd.run --arg command=echo --arg args=hello").ok();
    for host in ["web-1", "web-2", "web-3"] {
        assert!(
            run.stdout.lines().any(|line| line.starts_with(host) && line.contains("hello")),
            "a line of {host} with its output: {run:#?}"
        );
    }
    run.says("3 ok");
    let runs = world.run("edge fleet runs -o json").ok().array();
    assert_eq!((runs[0]["state"].as_str(), runs[0]["outcomes"]["ok"].as_u64()), (Some("ok"), Some(3)));
    let id = runs[0]["run_id"].as_str().unwrap();
    world.run(&format!("edge fleet show {id}")).ok().says("hello").says("web-2");
    // A unique prefix does, as everywhere.
    world.run(&format!("edge fleet show {}", &id[..18])).ok().says("cmd.run");
}

#[test]
fn a_failure_halts_a_rolling_run_with_exit_six_and_continue_goes_on_with_exit_one() {
    let (world, _hosts) = three();
    let flags = second_fails(&world);
    let run = world.fleet_run(&format!("--target all {flags} --mode rolling=1 -o json")).exit(6);
    let outcomes: Vec<String> = {
        let mut results: Vec<_> = events(&run.stdout);
        results.retain(|event| event["event"] == "result");
        results.sort_by_key(|event| event["target"].as_u64());
        results.iter().map(|event| event["outcome"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(outcomes, ["ok", "error", "not_started"]);
    assert_eq!(std::fs::read_to_string(world.path().join("ran")).unwrap().lines().count(), 2);

    std::fs::remove_file(world.path().join("ran")).unwrap();
    let again =
        world.fleet_run(&format!("--target all {flags} --mode rolling=1 --on-error continue -o json"));
    let again = again.exit(1);
    assert_eq!((count(&again.stdout, "ok"), count(&again.stdout, "error")), (2, 1));

    std::fs::remove_file(world.path().join("ran")).unwrap();
    let after =
        world.fleet_run(&format!("--target all {flags} --mode sequential --on-error stop-after=2 -o json"));
    assert_eq!(count(&after.exit(1).stdout, "ok"), 2);
}

#[test]
fn sequential_hosts_run_in_the_order_of_their_ids_one_at_a_time() {
    let (world, _hosts) = three();
    let run =
        world.fleet_run("--target all --tool cmd.run --arg command=true --mode sequential -o json").ok();
    let mut in_flight = 0;
    let mut order = Vec::new();
    for event in events(&run.stdout) {
        match event["event"].as_str().unwrap() {
            "dispatched" => {
                in_flight += event["targets"].as_array().unwrap().len();
                assert_eq!(in_flight, 1, "{}", run.stdout);
            }
            "result" => {
                in_flight -= 1;
                order.push(event["node_id"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(order, sorted);
    assert_eq!(order.len(), 3);
}

#[test]
fn ctrl_c_cancels_on_every_host_and_exits_seven() {
    let (world, _hosts) = three();
    let run = world.start_fleet_run(&format!("--target all {}", world.wait_for_gate()));
    eventually("all are dispatched", SOON, || (dispatched(&run.stdout()) == 3).then_some(()));
    run.signal(Signal::INT);
    let run = run.wait().exit(7);
    assert_eq!(count(&run.stdout, "cancelled"), 3, "{}", run.stdout);
    let runs = world.run("edge fleet runs -o json").ok().array();
    assert_eq!(runs[0]["state"], "cancelled");
}

#[test]
fn a_run_is_cancelled_from_elsewhere_and_who_waits_for_it_exits_seven() {
    let (world, _hosts) = three();
    let flags = format!("--target all {} --mode rolling=2", world.wait_for_gate());
    let run = world.start_fleet_run(&flags);
    eventually("the first wave is dispatched", SOON, || (dispatched(&run.stdout()) == 2).then_some(()));
    let id = world.run("edge fleet runs -o json").ok().array()[0]["run_id"].as_str().unwrap().to_owned();
    world.run(&format!("edge fleet cancel {id}")).ok();
    let run = run.wait().exit(7);
    assert_eq!(
        (count(&run.stdout, "cancelled"), count(&run.stdout, "not_started")),
        (2, 1),
        "{}",
        run.stdout
    );
    // Of a finished one it is no error, and changes nothing.
    world.run(&format!("edge fleet cancel {id}")).ok();
    world.run("edge fleet cancel r-00000000000000000000").exit(5);
}

#[test]
fn a_deadline_is_kept_on_the_host_and_exits_eight() {
    let (world, _hosts) = three();
    let began = std::time::Instant::now();
    let run = world.fleet_run(&format!("--target all {} --deadline 300ms -o json", world.wait_for_gate()));
    assert_eq!(count(&run.exit(8).stdout, "timed_out"), 3);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn too_few_hosts_are_exit_nine_and_none_of_them_hears_of_it() {
    let (world, _hosts) = three();
    let mark = world.path().join("ran");
    let flags = format!("--target all --tool cmd.run --arg command=touch --arg args={}", mark.display());
    world.fleet_run(&format!("{flags} --require-min 4")).exit(9).says("3");
    assert!(!mark.exists());
    assert_eq!(world.run("edge fleet runs -o json").ok().array().len(), 0);
    world.fleet_run(&format!("{flags} --require-min 3")).ok();
    assert!(mark.exists());
}

#[test]
fn a_host_that_is_away_or_unknown_is_exit_five_at_once() {
    let world = World::new();
    world.enroll("web-1");
    let run = world.fleet_run("--target @web-1 --tool host.facts").exit(5).says("web-1");
    assert!(run.stderr.contains("hint:"), "{run:#?}");
    world.fleet_run("--target @web-9 --tool host.facts").exit(5);
    world.fleet_run("--target all --tool host.facts").exit(5);
    world.fleet_run("--target group:none --tool host.facts").exit(5);
}

#[test]
fn who_may_not_is_exit_three_and_it_is_recorded() {
    let (world, _hosts) = three();
    let viewer = world.user("default", "viewer");
    viewer.run("edge fleet run --target all --tool host.facts").exit(3);
    viewer.run("edge fleet runs").ok();
    viewer.run("edge fleet cancel r-00000000000000000000").exit(3);
}

#[test]
fn what_cannot_be_right_is_exit_two_before_anything_is_dispatched() {
    let (world, _hosts) = three();
    for flags in [
        "--target all --tool host.facts --mode rolling",
        "--target all --tool host.facts --mode serial",
        "--target all --tool host.facts --mode rolling=0",
        "--target all --tool host.facts --on-error ignore",
        "--target all --tool host.facts --deadline 0s",
        "--target all --tool host.facts --deadline -1s",
        "--target all --tool host.facts --deadline 1000h",
        "--target all --tool host.facts --max-concurrency 0",
        "--target all --tool host.facts --max-concurrency -1",
        "--target 'color=red' --tool host.facts",
        "--target '' --tool host.facts",
        "--target all --tool no.such",
        "--target all --tool cmd.run",
        "--target all --tool cmd.run --arg comand=true",
        "--target all --tool fs.read --arg path=/etc/hostname --arg limit=many",
        "--target all --tool cmd.run --arg command=true --security-context nowhere",
    ] {
        world.fleet_run(flags).exit(2);
    }
    assert_eq!(world.run("edge fleet runs -o json").ok().array().len(), 0, "nothing was begun");
}

#[test]
fn the_same_key_is_the_same_run() {
    let (world, _hosts) = three();
    let mark = world.path().join("ran");
    let flags =
        format!("--target all --tool cmd.run --arg 'cmd=echo x >>{}' --idempotency-key once", mark.display());
    let first = world.fleet_run(&format!("{flags} -o json")).ok();
    let second = world.fleet_run(&format!("{flags} -o json")).ok();
    let id = |stdout: &str| events(stdout)[0]["run"]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(id(&first.stdout), id(&second.stdout));
    assert_eq!(results(&first.stdout), results(&second.stdout));
    assert_eq!(std::fs::read_to_string(&mark).unwrap().lines().count(), 3, "each host did it once");
    world.fleet_run("--target all --tool host.facts --idempotency-key once").exit(1).says("once");
}

#[test]
fn a_controller_that_is_killed_finishes_its_runs_honestly() {
    let (mut world, hosts) = three();
    // The first to run passes, the others wait.
    let mark = world.path().join("ran");
    let command = format!(
        "mkdir {} 2>/dev/null && exit 0; while [ ! -e {} ]; do sleep 0.05; done",
        mark.display(),
        world.gate().display()
    );
    let run =
        world.start_fleet_run(&format!("--target all --tool cmd.run --arg 'cmd={command}' --mode rolling=2"));
    eventually("one result is there", SOON, || (count(&run.stdout(), "ok") == 1).then_some(()));
    world.crash_controller();
    let runs = world.run("edge fleet runs -o json").ok().array();
    assert_eq!((runs.len(), runs[0]["state"].as_str()), (1, Some("interrupted")));
    let outcomes = &runs[0]["outcomes"];
    let of = |outcome: &str| outcomes[outcome].as_u64();
    assert_eq!((of("ok"), of("disconnected"), of("not_started")), (Some(1), Some(1), Some(1)), "{outcomes}");
    drop(run);
    // What ran when the stream broke is ended, and the hosts come back.
    for mut host in hosts {
        host.wait_for("Connected");
    }
    world.audit_is_intact();
}

#[test]
fn every_dispatch_refusal_and_result_is_in_the_audit_log() {
    let world = World::new();
    let id = world.enroll("web-1");
    let _host = world.connect("web-1");
    // Nothing is declared: the host itself refuses.
    world.fleet_run("--target all --tool cmd.run --arg command=true").exit(6).says("SecurityContext");
    world.allow_everything();
    world.fleet_run("--target all --tool cmd.run --arg command=true").ok();
    world.fleet_run("--target all --tool no.such").exit(2);
    let audit = world.wait_for_audit("the run", |audit| {
        let has = |action: &str, outcome: &str| {
            audit.iter().any(|event| event["action"] == action && event["outcome"] == outcome)
        };
        has("dispatch", "ok") && has("result", "ok") && has("run", "refused")
    });
    let of_host = |action: &str| {
        let named = |event: &&serde_json::Value| {
            event["action"] == action && event["detail"].as_str().is_some_and(|detail| detail.contains(&id))
        };
        audit.iter().filter(named).count()
    };
    assert_eq!((of_host("dispatch"), of_host("result")), (2, 2), "{audit:#?}");
    world.audit_is_intact();
}

#[test]
fn what_was_pushed_a_moment_ago_is_in_force_for_the_next_call() {
    let (world, _hosts) = three();
    let run = "--target all --tool cmd.run --arg command=true";
    for round in 0..5 {
        let context = "apiVersion: aegis.dev/v1\nkind: SecurityContext\nmetadata: {name: default}\nspec:\n  \
             capabilities: [{tools: [host.facts]}]\n";
        world.allow(context);
        world.fleet_run(run).exit(6);
        world.allow_everything();
        assert_eq!(world.fleet_run(run).code, 0, "round {round}");
    }
}

#[test]
fn what_is_pushed_cannot_widen_what_a_hosts_owner_allows() {
    let world = World::new();
    world.enroll("web-1");
    let config = world.config("web-1");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += "      localPolicy:\n        capabilities:\n          - tools: [host.facts, cmd.run]\n            commands: [uname]\n";
    std::fs::write(&config, text).unwrap();
    let _host = world.connect("web-1");
    world.allow_everything();
    world.fleet_run("--target all --tool cmd.run --arg command=uname").ok();
    world.fleet_run("--target all --tool cmd.run --arg command=true").exit(6).says("localPolicy");
    world.fleet_run("--target all --tool fs.list --arg path=/etc").exit(1).says("localPolicy");
}
