//! `aegis exec`.

use std::time::Duration;

use aegis_tests::{Process, Terminal, eventually, runtime::BOOTS};
use serde_json::json;

use crate::stage::{Guest, Stage};

crate::scenarios! {
    exec_passes_exit_codes_through,
    exec_waits_wakes_or_refuses,
    ten_execs_at_once_keep_to_themselves,
    an_exec_whose_instance_stops_ends_with_minus_one,
    an_exec_whose_client_leaves_ends_in_the_guest,
    exec_takes_what_comes_in,
    exec_has_the_environment_of_its_instance,
    exec_on_a_terminal_is_one_in_the_guest,
}

const IDLE: [&str; 2] = ["sleep", "100000"];

fn exec_passes_exit_codes_through(stage: &Stage) {
    let runtime = &stage.runtime;
    let guest = Guest::start(runtime, &IDLE, json!({}));
    for code in [0, 1, 42, 137] {
        runtime.exec(&guest.id, &format!("exit {code}")).exit(code);
    }
    runtime.exec(&guest.id, "kill -TERM $$").exit(143);
    runtime.run(&format!("exec {} -- no-such-program", guest.id)).exit(127).says("no-such-program");
    let said = runtime.exec(&guest.id, "echo out; echo err >&2").ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\n", "err\n"));
    runtime.wait_for(&guest.id, "running");
}

fn exec_waits_wakes_or_refuses(stage: &Stage) {
    let runtime = &stage.runtime;
    // Starting: it waits until it is there.
    let guest = Guest::begin(runtime, &IDLE, json!({}));
    assert_eq!(guest.says("echo waited"), "waited");
    if runtime.status()["capabilities"]["pause_resume"] == true {
        runtime.run(&format!("instance pause {}", guest.id)).ok();
        assert_eq!(runtime.instance(&guest.id)["state"], "paused");
        assert_eq!(guest.says("echo woken"), "woken");
        assert_eq!(runtime.instance(&guest.id)["state"], "running");
    }
    runtime.run(&format!("instance stop {}", guest.id)).ok();
    runtime.wait_for(&guest.id, "stopped");
    let refused = runtime.post(&format!("/v1/instances/{}/exec", guest.id), &json!({"command": ["true"]}));
    assert_eq!(refused.status, 409, "{}", refused.text());
    let said = runtime.exec(&guest.id, "true");
    assert_ne!(said.code, 0, "{said:#?}");
    let unknown = runtime.post("/v1/instances/inst-nobody/exec", &json!({"command": ["true"]}));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    assert_ne!(runtime.exec("nobody", "true").says("nobody").code, 0);
}

fn ten_execs_at_once_keep_to_themselves(stage: &Stage) {
    let guest = Guest::start(&stage.runtime, &IDLE, json!({}));
    let begun: Vec<(i32, Process)> = (0..10)
        .map(|number| {
            let line = format!("for i in 1 2 3 4 5; do echo exec {number}; done; exit {number}");
            (number, Process::start(stage.runtime.command(&["exec", &guest.id, "--", "sh", "-c", &line])))
        })
        .collect();
    for (number, process) in begun {
        let said = process.wait_within(BOOTS).exit(number);
        assert_eq!(said.stdout, format!("exec {number}\n").repeat(5));
    }
}

fn an_exec_whose_instance_stops_ends_with_minus_one(stage: &Stage) {
    let runtime = &stage.runtime;
    let guest = Guest::start(runtime, &IDLE, json!({}));
    let exec =
        Process::start(runtime.command(&["exec", &guest.id, "--", "sh", "-c", "echo begun; sleep 1000"]));
    eventually("it runs", BOOTS, || exec.stdout().contains("begun").then_some(()));
    runtime.run(&format!("instance stop {}", guest.id)).ok();
    // −1, as far as a process can end with it.
    exec.wait_within(BOOTS).exit(255);
}

fn an_exec_whose_client_leaves_ends_in_the_guest(stage: &Stage) {
    let runtime = &stage.runtime;
    let guest = Guest::start(runtime, &IDLE, json!({}));
    let exec =
        Process::start(runtime.command(&["exec", &guest.id, "--", "sh", "-c", "echo begun; sleep 4321"]));
    eventually("it runs", BOOTS, || exec.stdout().contains("begun").then_some(()));
    exec.kill();
    eventually("the guest has ended it", BOOTS, || {
        let left = guest.says("ps | grep -c '[s]leep 4321' || true");
        (left == "0").then_some(())
    });
}

fn exec_takes_what_comes_in(stage: &Stage) {
    let guest = Guest::start(&stage.runtime, &IDLE, json!({}));
    let line = format!("exec -i {} -- sha256sum", guest.id);
    let input = "line\n".repeat(200_000);
    let said = stage.runtime.program().run_with(&line, &input).ok();
    let expected = {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(input.as_bytes()))
    };
    assert!(said.stdout.starts_with(&expected), "{said:#?}");
    // Without -i it has none, and doesn't wait for any.
    let said = stage.runtime.run(&format!("exec {} -- cat", guest.id)).ok();
    assert_eq!(said.stdout, "");
}

fn exec_has_the_environment_of_its_instance(stage: &Stage) {
    let more = json!({"options": {"env": {"COLOUR": "green"}}});
    let guest = Guest::start(&stage.runtime, &IDLE, more);
    assert_eq!(guest.says("echo $COLOUR; hostname; pwd"), format!("green\n{}\n/workspace", guest.id));
    assert_eq!(guest.says("env | grep -c ^AEGIS_ || true"), "0");
    // A long one isn't stopped by anything.
    let begun = std::time::Instant::now();
    assert_eq!(guest.says("sleep 3; echo done"), "done");
    // The guest's clock needn't run as ours does, to the percent.
    assert!(begun.elapsed() >= Duration::from_millis(2500), "{:?}", begun.elapsed());
}

fn exec_on_a_terminal_is_one_in_the_guest(stage: &Stage) {
    let guest = Guest::start(&stage.runtime, &IDLE, json!({}));
    let mut terminal = Terminal::start(stage.runtime.command(&["exec", "-t", &guest.id, "--", "sh"]));
    terminal.type_line("tty; echo $((40 + 2)) columns");
    terminal.read_until("/dev/pts/");
    terminal.read_until("42 columns");
    // Ctrl-C goes to the program in the guest, and not to this one.
    terminal.type_line("echo begun $((60 + 6)); sleep 1000");
    terminal.read_until("begun 66");
    terminal.type_line("\u{3}");
    terminal.type_line("echo still $((50 + 5))");
    terminal.read_until("still 55");
    terminal.type_line("exit 3");
    terminal.wait().exit(3);
}
