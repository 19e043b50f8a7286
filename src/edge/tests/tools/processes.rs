//! Real processes: their output, their end, and the end of everything that they started.

use std::time::{Duration, Instant};

use aegis_core::fleet::TargetOutcome;
use serde_json::json;
use tokio::sync::mpsc;

use aegis_edge::tools::{CHUNK, Call, Running, TAIL};

use crate::fixture::{Fixture, alive, text, until};

fn script(text: &str) -> Call {
    Fixture::call("shell", json!({ "script": text }))
}

#[tokio::test]
async fn the_exit_code_tells_how_a_program_ended() {
    let host = Fixture::open();
    let result = host.run("cmd.run", json!({"command": "true"})).await;
    assert_eq!((result.outcome, result.exit_code, result.error.as_str()), (TargetOutcome::Ok, Some(0), ""));
    let result = host.shell("echo out; echo err >&2; exit 42").await;
    assert_eq!((result.outcome, result.exit_code), (TargetOutcome::Error, Some(42)));
    assert_eq!((text(&result).as_str(), result.stderr.bytes.as_slice()), ("out\n", &b"err\n"[..]));
    assert_eq!(result.error, "exit code 42");
}

#[tokio::test]
async fn the_end_by_a_signal_is_no_exit_code() {
    let result = Fixture::open().shell("kill -9 $$").await;
    assert_eq!((result.outcome, result.exit_code), (TargetOutcome::Error, None));
    assert_eq!(result.error, "ended by signal 9 (SIGKILL)");
}

#[tokio::test]
async fn a_program_that_is_not_there_or_can_not_be_run_is_a_clear_error() {
    let host = Fixture::open();
    let result = host.run("cmd.run", json!({"command": "no-such-program"})).await;
    assert_eq!(result.outcome, TargetOutcome::Error);
    assert!(
        result.error.starts_with("there is no program 'no-such-program' in /usr/local/sbin:"),
        "{}",
        result.error
    );
    std::fs::write(host.work.path().join("plain"), "#!/bin/sh\n").unwrap();
    let result = host.run("cmd.run", json!({"command": host.path("plain")})).await;
    assert!(result.error.contains("make it executable"), "{}", result.error);
}

#[tokio::test]
async fn each_argument_stays_one_argument() {
    let arguments = ["a b", "'\"", "line\nbreak", "$(reboot)", "`id`", "", "-n", "*", "ä\u{1}"];
    let mut args = vec!["%s|"];
    args.extend(arguments);
    let result = Fixture::open().run("cmd.run", json!({"command": "printf", "args": args})).await;
    assert_eq!(text(&result), arguments.map(|argument| format!("{argument}|")).concat());
}

#[tokio::test]
async fn nothing_of_the_daemons_environment_is_passed_on() {
    let allowed = ["CALL_ID", "HOME", "LANG", "LOGNAME", "MINE", "PATH", "TZ", "USER"];
    assert!(
        std::env::vars().any(|(name, _)| !allowed.contains(&name.as_str())),
        "there is one to be passed on"
    );
    let env = json!({"command": "env", "env": {"MINE": "a=b"}});
    let result = Fixture::open().run("cmd.run", env).await;
    let shown = text(&result);
    let names: std::collections::BTreeSet<_> =
        shown.lines().filter_map(|line| line.split('=').next()).collect();
    assert!(names.iter().all(|name| allowed.contains(name)), "{shown}");
    assert!(names.contains("MINE") && shown.contains("PATH=/usr/local/sbin:/usr/local/bin:"), "{shown}");
}

#[tokio::test]
async fn no_descriptor_is_inherited() {
    let leak = std::fs::File::open("/dev/null").unwrap();
    // As if whoever started the daemon had left it open.
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let result = Fixture::open().shell("ls /proc/$$/fd").await;
    assert_eq!(text(&result).split_ascii_whitespace().collect::<Vec<_>>(), ["0", "1", "2"]);
}

#[tokio::test]
async fn a_program_has_a_session_of_its_own_and_reads_nothing_or_what_it_is_given() {
    let host = Fixture::open();
    let result = host.shell("cat; cut -d' ' -f 5,6 /proc/$$/stat; echo $$").await;
    let shown = text(&result);
    let (ids, pid) = shown.trim().split_once('\n').unwrap();
    assert_eq!(ids, format!("{pid} {pid}"));
    let large = "x".repeat(300_000);
    let result = host.run("cmd.run", json!({"command": "wc", "args": ["-c"], "stdin": large})).await;
    assert_eq!(text(&result).trim(), "300000");
    // One that doesn't read what it is given ends well all the same.
    let result = host.run("cmd.run", json!({"command": "true", "stdin": large})).await;
    assert_eq!(result.outcome, TargetOutcome::Ok);
}

#[tokio::test]
async fn a_program_begins_where_the_call_says_and_only_beneath_what_is_granted() {
    let host = Fixture::open();
    std::fs::create_dir(host.work.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("/etc", host.work.path().join("out")).unwrap();
    let pwd = |cwd: String| json!({"command": "pwd", "args": ["-P"], "cwd": cwd});
    let result = host.run("cmd.run", pwd(host.path("sub"))).await;
    assert_eq!(text(&result).trim(), host.path("sub"));
    let result = host.run("cmd.run", pwd(host.path("out"))).await;
    assert!(result.error.contains("leads out of"), "{}", result.error);
    assert_eq!(host.prepare(Fixture::call("cmd.run", pwd("/etc".into()))).unwrap_err().rule, "path");
}

#[tokio::test]
async fn any_bytes_come_through() {
    let host = Fixture::open();
    let (mut running, mut outputs) = host.start(script(r"printf 'a\000b\377\376\n'; printf '\200' >&2"));
    let result = running.result().await;
    assert_eq!(result.stdout.bytes, b"a\0b\xff\xfe\n");
    assert_eq!(result.stderr.bytes, b"\x80");
    let mut sent = (Vec::new(), Vec::new());
    while let Ok(output) = outputs.try_recv() {
        if output.stderr { &mut sent.1 } else { &mut sent.0 }.extend_from_slice(&output.data);
    }
    assert_eq!(sent, (result.stdout.bytes, result.stderr.bytes));
}

#[tokio::test]
async fn a_hundred_megabytes_in_one_line_take_the_memory_of_its_end() {
    let host = Fixture::open();
    let (sink, mut outputs) = mpsc::channel(4);
    let mut call = script("head -c 100000000 /dev/zero | tr '\\0' x; printf end");
    call.window = 256 * 1024;
    let mut running = host.prepare(call).unwrap().start(sink);
    let handle = running.handle();
    let reader = tokio::spawn(async move {
        let (mut bytes, mut largest) = (0, 0);
        while let Some(output) = outputs.recv().await {
            bytes += output.data.len();
            largest = largest.max(output.data.len());
            handle.credit(u32::try_from(output.data.len()).unwrap());
        }
        (bytes, largest)
    });
    let result = running.result().await;
    drop(running);
    assert_eq!((result.stdout.total, result.stdout.bytes.len()), (100_000_003, TAIL));
    assert!(result.stdout.bytes.ends_with(b"xxxend"));
    let (bytes, largest) = reader.await.unwrap();
    assert_eq!(bytes, 100_000_003);
    assert!(largest <= CHUNK);
}

#[tokio::test]
async fn a_program_waits_while_nobody_reads_and_goes_on_when_somebody_does() {
    let host = Fixture::open();
    let mut call = script("for i in 1 2 3 4 5 6 7 8; do head -c 50000 /dev/zero; echo $i >progress; done");
    call.arguments["cwd"] = host.path("").into();
    call.window = 1000;
    let (mut running, mut outputs) = host.start(call);
    let mut sent = 0;
    until("the window is used up", || {
        sent += std::iter::from_fn(|| outputs.try_recv().ok()).map(|o| o.data.len()).sum::<usize>();
        sent == 1000
    })
    .await;
    // A pipe holds 64 KiB: the first round fits, the second doesn't.
    until("the first round is written", || host.work.path().join("progress").exists()).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(host.work.path().join("progress")).unwrap(), "1\n");
    assert!(outputs.try_recv().is_err());
    running.credit(500_000);
    let result = running.result().await;
    assert_eq!((result.outcome, result.stdout.total), (TargetOutcome::Ok, 400_000));
}

#[tokio::test]
async fn what_is_beyond_the_granted_output_is_read_and_dropped() {
    let host = Fixture::new("", r#""commands": ["*"], "maxOutput": "1KiB""#);
    let (mut running, mut outputs) = host.start(script("head -c 1000000 /dev/zero; exit 3"));
    let result = running.result().await;
    assert_eq!((result.exit_code, result.stdout.total), (Some(3), 1_000_000));
    assert_eq!(result.stdout.bytes.len(), 1024);
    assert_eq!(std::iter::from_fn(|| outputs.try_recv().ok()).map(|o| o.data.len()).sum::<usize>(), 1024);
}

#[tokio::test]
async fn a_listener_that_goes_does_not_stop_the_program() {
    let host = Fixture::open();
    let (mut running, outputs) = host.start(script("head -c 1000000 /dev/zero; echo end"));
    drop(outputs);
    let result = running.result().await;
    assert_eq!((result.outcome, result.stdout.total), (TargetOutcome::Ok, 1_000_004));
}

#[tokio::test]
async fn a_deadline_below_a_second_is_kept() {
    let host = Fixture::open();
    let mut call = script("echo begun; sleep 100");
    call.deadline = Duration::from_millis(300);
    let (began, mut running) = (Instant::now(), host.start(call).0);
    let result = running.result().await;
    assert_eq!((result.outcome, result.exit_code), (TargetOutcome::TimedOut, None));
    assert_eq!(text(&result), "begun\n");
    assert!((300..2_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_it_starts_runs_nothing() {
    let host = Fixture::open();
    let mut call = script("touch began");
    call.arguments["cwd"] = host.path("").into();
    let mut running = host.start(call).0;
    running.cancel();
    assert_eq!(running.result().await.outcome, TargetOutcome::Cancelled);
    assert!(!host.work.path().join("began").exists());
}

/// A tree of processes that write their numbers into files: a child; one in a session of its own, and without the
/// environment; one in a session of its own whose parent has ended; and one in a group of its own, without the
/// environment, whose parent has ended. Each can be known by one thing only.
const TREE: &str = "
    sleep 1000 & echo $! >child
    env -i setsid sh -c 'echo $$ >session; exec sleep 1000' >/dev/null 2>&1 </dev/null &
    sh -c 'setsid sh -c \"echo \\$\\$ >orphan; exec sleep 1000\" >/dev/null 2>&1 </dev/null &'
    sh -c 'env -i timeout 1000 sh -c \"echo \\$\\$ >job; exec sleep 1000\" >/dev/null 2>&1 </dev/null &'
    echo $$ >leader
    wait";

const TREE_NAMES: [&str; 5] = ["child", "session", "orphan", "job", "leader"];

async fn tree(host: &Fixture, text: &str) -> (Running, Vec<String>) {
    let mut call = script(text);
    call.arguments["cwd"] = host.path("").into();
    let running = host.start(call).0;
    let read = |name: &str| {
        std::fs::read_to_string(host.work.path().join(name)).unwrap_or_default().trim().to_owned()
    };
    until("all of them run", || TREE_NAMES.iter().all(|name| !read(name).is_empty())).await;
    let pids: Vec<_> = TREE_NAMES.map(read).into_iter().collect();
    assert!(pids.iter().all(|pid| alive(pid)), "{pids:?}");
    (running, pids)
}

#[tokio::test]
async fn a_cancel_ends_the_whole_tree() {
    let host = Fixture::open();
    let (mut running, pids) = tree(&host, TREE).await;
    let began = Instant::now();
    running.cancel();
    running.cancel();
    let result = running.result().await;
    assert_eq!(
        (result.outcome, result.exit_code, result.error.as_str()),
        (TargetOutcome::Cancelled, None, "")
    );
    assert!(pids.iter().all(|pid| !alive(pid)), "{pids:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "SIGTERM is enough: {:?}", began.elapsed());
}

#[tokio::test]
async fn what_does_not_heed_sigterm_is_killed_after_five_seconds() {
    let host = Fixture::open();
    let stubborn = format!("trap '' TERM; {}", TREE.replace("wait", "while :; do wait; done"));
    let (mut running, pids) = tree(&host, &stubborn).await;
    let began = Instant::now();
    running.cancel();
    let result = running.result().await;
    assert_eq!(result.outcome, TargetOutcome::Cancelled);
    assert!(pids.iter().all(|pid| !alive(pid)), "{pids:?}");
    assert!((4_900..7_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_a_process_starts_on_its_way_out_is_ended_too() {
    let host = Fixture::open();
    let late = "trap 'sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >late; exit' TERM
        echo $$ >began
        while :; do sleep 0.02; done";
    std::fs::write(host.work.path().join("late.sh"), late).unwrap();
    // In a session of its own and without the environment: once it has ended, nothing leads to what it started.
    let mut call = script("env -i setsid sh ./late.sh >/dev/null 2>&1");
    call.arguments["cwd"] = host.path("").into();
    let mut running = host.start(call).0;
    until("it runs", || host.work.path().join("began").exists()).await;
    running.cancel();
    assert_eq!(running.result().await.outcome, TargetOutcome::Cancelled);
    let pid = std::fs::read_to_string(host.work.path().join("late")).unwrap();
    assert!(!alive(pid.trim()), "{pid}");
}

#[tokio::test]
async fn a_deadline_ends_the_whole_tree_also_when_it_is_stopped() {
    let host = Fixture::open();
    let mut call = script(&TREE.replace("wait", "sleep 0.3; kill -STOP $(cat session) $$"));
    call.arguments["cwd"] = host.path("").into();
    call.deadline = Duration::from_millis(1_500);
    let (began, mut running) = (Instant::now(), host.start(call).0);
    let result = running.result().await;
    assert_eq!(result.outcome, TargetOutcome::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(5), "SIGTERM is enough: {:?}", began.elapsed());
    for name in TREE_NAMES {
        let pid = std::fs::read_to_string(host.work.path().join(name)).unwrap();
        assert!(!alive(pid.trim()), "{name}");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_the_whole_tree() {
    let host = Fixture::open();
    let (running, pids) = tree(&host, TREE).await;
    drop(running);
    until("all of them have ended", || pids.iter().all(|pid| !alive(pid))).await;
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipe_does_not_hold_up_the_result() {
    let host = Fixture::open();
    let began = Instant::now();
    let result = host.shell("sleep 1000 & echo $!").await;
    assert_eq!(result.outcome, TargetOutcome::Ok);
    let took = began.elapsed();
    assert!((900..3_000).contains(&took.as_millis()), "{took:?}");
    let pid = text(&result);
    until("the rest of the group has ended", || !alive(pid.trim())).await;
    // One in a session of its own stays, as a service does, and doesn't hold up the result either.
    let began = Instant::now();
    let result = host.shell("setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.2").await;
    assert!(began.elapsed() < Duration::from_secs(3));
    let pid = text(&result).trim().to_owned();
    assert!(alive(&pid), "{pid}");
    let number = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(number, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_result_does_not_wait_for_credit_beyond_the_deadline() {
    let host = Fixture::open();
    let mut call = script("head -c 5000 /dev/zero");
    (call.window, call.deadline) = (10, Duration::from_millis(700));
    let (mut running, mut outputs) = host.start(call);
    let result = running.result().await;
    // The program itself has ended well, and its end is here: only nobody wanted to see it live.
    assert_eq!((result.outcome, result.stdout.total), (TargetOutcome::Ok, 5_000));
    assert_eq!(outputs.recv().await.unwrap().data.len(), 10);
}

#[tokio::test]
async fn many_tools_run_at_once() {
    let host = Fixture::open();
    let began = Instant::now();
    let all = (0..16).map(|_| host.shell("sleep 0.5; echo done"));
    let results = futures::future::join_all(all).await;
    assert!(results.iter().all(|result| text(result) == "done\n"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
