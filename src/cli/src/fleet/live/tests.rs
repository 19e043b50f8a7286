//! Runs with made-up events, and what is seen of them.

use super::{
    super::{Keep, sample::Sample},
    *,
};

const PIPE: Look =
    Look { stdout: (Paint::OFF, false), stderr: (Paint::OFF, false), quiet: false, bare: false };

/// What stands on stdout and on stderr after these events.
fn shown(live: &mut Live, events: &[RunEvent]) -> (String, String) {
    let (mut board, mut pieces) = (Board::new(Keep::Nothing), Pieces::default());
    for event in events {
        if board.take(event) {
            live.on(&board, event, &mut pieces);
        }
    }
    (pieces.text(Stream::Stdout), pieces.text(Stream::Stderr))
}

#[test]
fn each_line_has_its_host_and_each_failure_its_reason() {
    let mut sample = Sample::new(["web-1", "db-2"]);
    let mut failed = sample.result(1, TargetOutcome::Error, "");
    failed.exit_code = Some(3);
    let mut refused = sample.result(0, TargetOutcome::Error, "");
    refused.error = "the context 'default' doesn't grant cmd.run\nask for another: --security-context".into();
    let events = [
        sample.started(),
        sample.kept(RunChange::WaveStarted { wave: 2, waves: 3, targets: 2 }),
        Sample::output(0, false, b"hello\nhal"),
        Sample::output(1, true, b"oh\n"),
        Sample::output(0, false, b"f\n"),
        sample.kept(RunChange::Result(failed)),
        sample.kept(RunChange::Result(refused)),
        sample.kept(RunChange::Halted { reason: "fail-fast: 1 of 2 targets failed".into() }),
        sample.finished(RunState::Halted, ""),
    ];
    let (stdout, stderr) = shown(&mut Live::new(PIPE), &events);
    assert_eq!(stdout, "web-1 | hello\nweb-1 | half\n");
    let run = &sample.run(RunState::Running).run_id;
    assert_eq!(
        stderr,
        format!(
            "{run}: cmd.run on 2 hosts (parallel, fail-fast)\n\
             == wave 2 of 3: 2 hosts\n\
             db-2  | oh\n\
             db-2 failed: exit code 3\n\
             web-1 failed: the context 'default' doesn't grant cmd.run\n    ask for another: --security-context\n\
             halted: fail-fast: 1 of 2 targets failed\n"
        )
    );
}

#[test]
fn what_did_not_end_well_is_said_in_words_and_what_was_cancelled_is_not_a_failure() {
    let mut sample = Sample::new(["web-1"]);
    for (outcome, says) in [
        (TargetOutcome::Ok, None),
        (TargetOutcome::Error, Some("web-1 failed: exit code 1")),
        (TargetOutcome::TimedOut, Some("web-1 timed out after 1.2s")),
        (TargetOutcome::Disconnected, Some("web-1 disconnected")),
        (TargetOutcome::Cancelled, None),
        (TargetOutcome::NotStarted, None),
    ] {
        assert_eq!(failure(&sample.result(0, outcome, ""), "web-1").as_deref(), says);
    }
}

#[test]
fn one_wave_needs_no_heading() {
    let mut sample = Sample::new(["web-1"]);
    let events = [sample.started(), sample.kept(RunChange::WaveStarted { wave: 1, waves: 1, targets: 1 })];
    assert!(!shown(&mut Live::new(PIPE), &events).1.contains("wave"));
}

#[test]
fn what_was_not_streamed_comes_with_the_result_and_nothing_comes_twice() {
    let mut sample = Sample::new(["web-1"]);
    let mut result = sample.result(0, TargetOutcome::Ok, "one\ntwo\nthree");
    result.stderr = "ends".into();
    result.stderr_bytes = 10;
    let events =
        [sample.started(), Sample::output(0, false, b"one\ntw"), sample.kept(RunChange::Result(result))];
    let (stdout, stderr) = shown(&mut Live::new(PIPE), &events);
    assert_eq!(stdout, "web-1 | one\nweb-1 | two\nweb-1 | three\n");
    assert!(stderr.ends_with("web-1 | ends\nweb-1: 6 bytes of its output are missing here\n"), "{stderr}");
}

#[test]
fn after_a_lost_connection_what_is_missing_is_said_unless_the_result_has_it() {
    let mut sample = Sample::new(["web-1", "web-2"]);
    let started = sample.started();
    let (mut board, mut pieces) = (Board::new(Keep::Nothing), Pieces::default());
    let mut live = Live::new(PIPE);
    let before = [started, Sample::output(0, false, b"one\n"), Sample::output(1, false, b"one\n")];
    // The first host printed on while nobody listened and again afterwards, the second only in between.
    let after = [
        Sample::output(0, false, b"three\n"),
        sample.ended(0, TargetOutcome::Ok, "one\ntwo\nthree\n"),
        sample.ended(1, TargetOutcome::Ok, "one\ntwo\n"),
    ];
    for event in &before {
        board.take(event);
        live.on(&board, event, &mut pieces);
    }
    live.reattached();
    for event in &after {
        board.take(event);
        live.on(&board, event, &mut pieces);
    }
    let stdout = pieces.text(Stream::Stdout);
    assert_eq!(stdout, "web-1 | one\nweb-2 | one\nweb-1 | three\nweb-2 | two\n");
    let stderr = pieces.text(Stream::Stderr);
    assert!(stderr.ends_with("\nweb-1: 4 bytes of its output are missing here\n"), "{stderr}");
}

#[test]
fn a_host_cannot_steer_the_terminal_and_a_pipe_gets_its_bytes() {
    let mut sample = Sample::new(["web-1"]);
    let mut result = sample.result(0, TargetOutcome::Error, "");
    result.error = "\x1b[2Jgone".into();
    result.stdout_bytes = 6;
    let events = [
        sample.started(),
        Sample::output(0, false, b"\x1b[2J\xff\n"),
        sample.kept(RunChange::Result(result)),
    ];
    let terminal = Look { stdout: (Paint::OFF, true), stderr: (Paint::OFF, true), ..PIPE };
    let (stdout, stderr) = shown(&mut Live::new(terminal), &events);
    assert_eq!(stdout, "web-1 | ^[[2J\u{fffd}\n");
    assert!(stderr.contains("web-1 failed: ^[[2Jgone\n"), "{stderr}");
    assert!(shown(&mut Live::new(PIPE), &events).0.starts_with("web-1 | \x1b[2J"));
}

#[test]
fn a_single_call_has_the_bare_output_and_a_quiet_run_none() {
    let mut sample = Sample::new(["web-1"]);
    let events =
        [sample.started(), Sample::output(0, false, b"50%"), sample.ended(0, TargetOutcome::Ok, "50%")];
    let bare = Look { bare: true, ..PIPE };
    assert_eq!(shown(&mut Live::new(bare), &events), ("50%".into(), String::new()));
    let quiet = Look { quiet: true, ..PIPE };
    assert_eq!(shown(&mut Live::new(quiet), &events).0, "");
}

#[test]
fn skipped_hosts_are_named_or_counted() {
    let mut sample = Sample::new(["web-1"]);
    let RunEvent { what: RunChange::Started { run, targets, .. }, .. } = sample.started() else { return };
    let skipped = (0..12).map(|number| Sample::skipped(&format!("db-{number}"))).collect();
    let mut sample = Sample::new(["web-1"]);
    let events = [sample.kept(RunChange::Started { run, targets, skipped })];
    let (_, stderr) = shown(&mut Live::new(PIPE), &events);
    assert!(stderr.starts_with("db-0 is skipped: disconnected\n"), "{stderr}");
    assert!(stderr.contains("db-9 is skipped") && !stderr.contains("db-10"), "{stderr}");
    assert!(stderr.contains("… and 2 more hosts are skipped\n"), "{stderr}");
}

#[test]
fn what_a_context_cut_off_is_missing_and_nothing_is_shown_twice() {
    let mut sample = Sample::new(["web-1"]);
    let mut result = sample.result(0, TargetOutcome::Ok, "0123456789");
    result.stdout_bytes = 17;
    let events = [
        sample.started(),
        Sample::output(0, false, b"01234"),
        Sample::output(0, false, b"56789"),
        sample.kept(RunChange::Result(result)),
    ];
    let (stdout, stderr) = shown(&mut Live::new(PIPE), &events);
    assert_eq!(stdout, "web-1 | 0123456789\n");
    assert!(stderr.ends_with("web-1: 7 bytes of its output are missing here\n"), "{stderr}");
}
