//! Commands under way: how many, how they end, what is heard of them. Time is tokio's and paused.

use std::{fs, time::Duration};

use aegis_core::fleet::{CommandId, TargetOutcome};
use aegis_wire::edge::{Command, Event, Order, Refusal};
use bytes::Bytes;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    Control,
    fake::{CONFIG, Lab},
    fake_offer::ended,
    fake_orders::*,
};
use crate::tools::{Output, Tail, ToolResult};

#[tokio::test(start_paused = true)]
async fn a_command_runs_and_its_result_comes_once_after_its_output() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let command = lab.run(&mut stream, 1).await;
    lab.calls.print(&command, b"one").await;
    lab.calls.print(&command, b"two").await;
    let stderr = Output { stderr: true, data: Bytes::from_static(b"\0\xff") };
    let sink = lab.calls.sink(&command);
    let printing = tokio::spawn(async move { sink.send(stderr).await.unwrap() });
    let result = ToolResult {
        stdout: Tail { bytes: b"onetwo".to_vec(), total: 6 },
        stderr: Tail { bytes: vec![0, 0xff], total: 2 },
        data: Some(serde_json::json!({"a": 1})),
        ..ended(TargetOutcome::Ok)
    };
    let mut pieces = vec![];
    for _ in 0..3 {
        let Event::CommandProgress { command: whose, stderr, data } = lab.answer(&mut stream).await else {
            panic!("no output")
        };
        assert_eq!(whose, command);
        pieces.push((stderr, data));
    }
    printing.await.unwrap();
    lab.calls.end_with(&command, result);
    let result = lab.result(&mut stream).await;
    let expected = [(false, "one".into()), (false, "two".into()), (true, Bytes::from_static(b"\0\xff"))];
    assert_eq!(pieces, expected);
    assert_eq!((result.outcome, result.exit_code, result.refusal), (TargetOutcome::Ok, Some(0), None));
    assert_eq!((result.stdout.as_ref(), result.stderr_bytes), (&b"onetwo"[..], 2));
    assert_eq!(result.data.as_ref(), br#"{"a":1}"#);
    lab.until(|| lab.calls.is_dropped(&command)).await;
    assert_eq!(lab.heartbeat(&mut stream).await, (false, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_printed_before_the_end_comes_before_the_result() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let command = lab.run(&mut stream, 1).await;
    let sink = lab.calls.sink(&command);
    // As many as the way takes, without a turn for the daemon in between; then the end.
    let mut printed = 0;
    while sink.try_send(Output { stderr: false, data: Bytes::from_static(b"x") }).is_ok() {
        printed += 1;
    }
    lab.calls.end(&command);
    assert!(printed > 1);
    for _ in 0..printed {
        assert!(matches!(lab.answer(&mut stream).await, Event::CommandProgress { .. }));
    }
    assert_eq!(lab.result(&mut stream).await.outcome, TargetOutcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_on_while_a_tool_runs_and_say_how_many() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.run(&mut stream, 1).await;
    lab.run(&mut stream, 2).await;
    for beats in 1..=2 {
        let before = Instant::now();
        assert_eq!(lab.heartbeat(&mut stream).await, (false, 2), "{beats}");
        assert!(before.elapsed() <= Duration::from_secs(30));
    }
}

/// Prints as long as anybody takes it.
fn flood(lab: &Lab, command: &CommandId) -> JoinHandle<()> {
    let sink = lab.calls.sink(command);
    let piece = || Output { stderr: false, data: Bytes::from(vec![7; 32 * 1024]) };
    tokio::spawn(async move {
        while sink.send(piece()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn heartbeats_acks_and_refusals_keep_their_place_while_output_floods() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let command = lab.run(&mut stream, 1).await;
    let flood = flood(&lab, &command);
    // Nobody reads for a while, and the tool waits.
    tokio::time::sleep(Duration::from_secs(20)).await;
    lab.send(&mut stream, &Command::Drain { enabled: true }).await;
    for number in 2..42 {
        lab.invoke(&mut stream, &lab.order(number)).await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (mut ack, mut refused, mut pieces) = (false, 0, 0);
    while !ack || refused < 40 {
        match lab.event(&mut stream).await {
            Event::Ack { .. } => ack = true,
            Event::CommandResult(result) if result.refusal == Some(Refusal::Draining) => refused += 1,
            Event::CommandProgress { .. } => pieces += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(pieces <= 4, "{pieces} pieces went before them");
    let before = Instant::now();
    assert_eq!(lab.heartbeat(&mut stream).await, (true, 1));
    assert!(before.elapsed() <= Duration::from_secs(11), "{:?}", before.elapsed());
    flood.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_nothing_is_given_up_and_its_work_ended() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let command = lab.run(&mut stream, 1).await;
    let flood = flood(&lab, &command);
    // The controller's end is there, and reads nothing: neither output nor refusals nor heartbeats.
    for number in 2..40 {
        lab.invoke(&mut stream, &Order { tool: "shell".into(), ..lab.order(number) }).await;
    }
    let before = Instant::now();
    let _next = lab.live().await;
    let after = before.elapsed();
    assert!((Duration::from_secs(90)..Duration::from_secs(130)).contains(&after), "{after:?}");
    assert!(lab.calls.is_cancelled(&command));
    flood.abort();
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_asks_and_does_not_listen_is_not_listened_to() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let refused = |number| Order { tool: "shell".into(), ..lab.order(number) };
    let mut asked = 0;
    let patience = Duration::from_secs(1);
    while asked < 500
        && tokio::time::timeout(patience, lab.invoke(&mut stream, &refused(asked))).await.is_ok()
    {
        asked += 1;
    }
    assert!((64..200).contains(&asked), "{asked}");
    // The last one was sealed and never sent, so what follows isn't in sequence; what was sent is answered.
    for number in 0..asked {
        assert_eq!(lab.result(&mut stream).await.command, command(number));
    }
}

#[tokio::test(start_paused = true)]
async fn sixteen_run_at_once_sixty_four_wait_and_more_are_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    for number in 0..80 {
        lab.invoke(&mut stream, &lab.order(number)).await;
    }
    let (refusal, error) = lab.refusal(&mut stream, &lab.order(80)).await;
    assert_eq!(refusal, Refusal::Busy);
    assert!(error.contains("16 tools and 64 wait; ask later"), "{error}");
    assert_eq!(lab.calls.started(), 16);
    assert_eq!(lab.heartbeat(&mut stream).await, (false, 80));
    // They begin in their order, each when another ends.
    lab.calls.end(&command(3));
    assert_eq!(lab.result(&mut stream).await.command, command(3));
    lab.until(|| lab.calls.has_started(&command(16))).await;
    assert_eq!(lab.calls.started(), 17);
    lab.invoke(&mut stream, &lab.order(81)).await;
    assert_eq!(lab.heartbeat(&mut stream).await, (false, 80));
}

#[tokio::test(start_paused = true)]
async fn the_bound_is_the_configs_and_changes_with_it() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let set = |most: u16| {
        fs::write(lab.state.config(), format!("{CONFIG}    maxConcurrentTools: {most}\n")).unwrap();
        lab.control.send(Control::Reload)
    };
    set(1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    for number in 0..3 {
        lab.invoke(&mut stream, &lab.order(number)).await;
    }
    assert_eq!(lab.heartbeat(&mut stream).await, (false, 3));
    assert_eq!(lab.calls.started(), 1);
    set(2).await.unwrap();
    lab.until(|| lab.calls.started() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_one_that_waits_counts_from_its_arrival() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    for number in 0..16 {
        lab.run(&mut stream, number).await;
    }
    lab.invoke(&mut stream, &Order { deadline: Duration::from_secs(10), ..lab.order(16) }).await;
    lab.invoke(&mut stream, &Order { deadline: Duration::from_secs(20), ..lab.order(17) }).await;
    let before = Instant::now();
    let late = lab.result(&mut stream).await;
    assert_eq!((late.command, late.outcome, late.refusal), (command(16), TargetOutcome::TimedOut, None));
    assert!(late.error.contains("before it was its turn; allow more time"), "{}", late.error);
    assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&before.elapsed()));
    lab.calls.end(&command(0));
    lab.result(&mut stream).await;
    lab.until(|| lab.calls.has_started(&command(17))).await;
    let left = lab.calls.time(&command(17));
    assert!((Duration::from_secs(9)..=Duration::from_secs(10)).contains(&left), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn cancel_ends_one_that_runs_and_its_result_says_so() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let one = lab.run(&mut stream, 1).await;
    let two = lab.run(&mut stream, 2).await;
    lab.cancel(&mut stream, 1).await;
    let result = lab.result(&mut stream).await;
    assert_eq!((result.command, result.outcome), (one.clone(), TargetOutcome::Cancelled));
    assert!(lab.calls.is_cancelled(&one) && !lab.calls.is_cancelled(&two));
}

#[tokio::test(start_paused = true)]
async fn cancel_of_one_that_waits_answers_at_once_and_it_never_begins() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    for number in 0..18 {
        lab.invoke(&mut stream, &lab.order(number)).await;
    }
    lab.cancel(&mut stream, 16).await;
    let result = lab.result(&mut stream).await;
    assert_eq!((result.command, result.outcome), (command(16), TargetOutcome::Cancelled));
    lab.calls.end(&command(0));
    lab.result(&mut stream).await;
    lab.until(|| lab.calls.has_started(&command(17))).await;
    assert!(!lab.calls.has_started(&command(16)));
}

#[tokio::test(start_paused = true)]
async fn cancel_and_credit_for_one_that_is_over_or_unknown_change_nothing() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let one = lab.run(&mut stream, 1).await;
    lab.calls.end(&one);
    lab.result(&mut stream).await;
    for number in [1, 99] {
        lab.cancel(&mut stream, number).await;
        lab.send(&mut stream, &Command::OutputCredit { command: command(number), bytes: 9 }).await;
    }
    let two = lab.run(&mut stream, 2).await;
    lab.calls.end(&two);
    assert_eq!(lab.result(&mut stream).await.command, two);
}

#[tokio::test(start_paused = true)]
async fn window_and_credit_reach_the_command_that_they_are_for() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let (one, two) = (lab.run(&mut stream, 1).await, lab.run(&mut stream, 2).await);
    lab.send(&mut stream, &Command::OutputCredit { command: one.clone(), bytes: 500 }).await;
    lab.until(|| lab.calls.credit(&one) == 1500).await;
    assert_eq!(lab.calls.credit(&two), 1000);
}

#[tokio::test(start_paused = true)]
async fn when_the_stream_breaks_its_commands_end_and_nothing_of_them_is_heard_on_the_next() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    for number in 0..17 {
        lab.invoke(&mut stream, &lab.order(number)).await;
    }
    lab.until(|| lab.calls.started() == 16).await;
    drop(stream);
    lab.until(|| lab.calls.is_cancelled(&command(0)) && lab.calls.is_cancelled(&command(15))).await;
    let mut next = lab.live().await;
    // What it prints and how it ends is known after the next stream is there, and isn't for it.
    let late = lab.calls.sink(&command(0)).try_send(Output { stderr: false, data: Bytes::from_static(b"x") });
    drop(late);
    tokio::time::sleep(Duration::from_secs(2)).await;
    lab.until(|| lab.calls.is_dropped(&command(0)) && lab.calls.is_dropped(&command(15))).await;
    lab.run(&mut next, 20).await;
    assert!(!lab.calls.has_started(&command(16)), "one that waited began without anybody to hear of it");
    assert!(matches!(lab.event(&mut next).await, Event::Heartbeat { in_flight: 1, .. }));
}
