//! Commands under way when the host drains or ends. Time is tokio's and paused.

use std::time::Duration;

use aegis_core::fleet::TargetOutcome;
use aegis_wire::edge::{Command, Event, Order, Refusal};
use tokio::time::Instant;

use super::{
    Control,
    fake::{Lab, welcome},
};

#[tokio::test(start_paused = true)]
async fn a_draining_host_refuses_new_work_and_ends_what_it_has() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let one = lab.run(&mut stream, 1).await;
    lab.send(&mut stream, &Command::Drain { enabled: true }).await;
    assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
    let (refusal, error) = lab.refusal(&mut stream, &lab.order(2)).await;
    assert_eq!(refusal, Refusal::Draining);
    assert!(error.contains("--off"), "{error}");
    assert_eq!(lab.heartbeat(&mut stream).await, (true, 1));
    lab.calls.end(&one);
    assert_eq!(lab.result(&mut stream).await.outcome, TargetOutcome::Ok);
    lab.send(&mut stream, &Command::Drain { enabled: false }).await;
    assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
    lab.run(&mut stream, 3).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_running_work_and_its_result_arrives() {
    for by_host in [false, true] {
        let mut lab = Lab::start();
        let mut stream = lab.live().await;
        let one = lab.run(&mut stream, 1).await;
        if by_host {
            lab.control.send(Control::Stop).await.unwrap();
        } else {
            lab.send(&mut stream, &Command::Shutdown { reason: "bye".into() }).await;
            assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(!lab.daemon.is_finished() && !lab.calls.is_cancelled(&one));
        assert_eq!(lab.refusal(&mut stream, &lab.order(2)).await.0, Refusal::Draining);
        lab.calls.end(&one);
        assert_eq!(lab.result(&mut stream).await.command, one);
        assert_eq!(lab.try_event(&mut stream).await, None);
        drop(stream);
        lab.end().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_said_twice_waits_for_nothing() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let one = lab.run(&mut stream, 1).await;
    lab.control.send(Control::Stop).await.unwrap();
    lab.control.send(Control::Stop).await.unwrap();
    assert_eq!(lab.try_event(&mut stream).await, None);
    drop(stream);
    let calls = lab.calls.clone();
    lab.end().await.unwrap();
    tokio::task::yield_now().await;
    assert!(calls.is_dropped(&one));
}

#[tokio::test(start_paused = true)]
async fn shutdown_without_a_stream_does_not_wait_for_work_that_nobody_hears_of() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let one = lab.run(&mut stream, 1).await;
    lab.send(&mut stream, &Command::Shutdown { reason: "bye".into() }).await;
    assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
    drop(stream);
    lab.until(|| lab.calls.is_cancelled(&one)).await;
    let before = Instant::now();
    lab.end().await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_welcome_that_asks_for_draining_refuses_work() {
    let mut lab = Lab::start();
    let mut stream = lab.accept().await;
    lab.event(&mut stream).await;
    lab.send(&mut stream, &welcome(true)).await;
    assert_eq!(lab.refusal(&mut stream, &lab.order(1)).await.0, Refusal::Draining);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_not_waited_for() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let arguments: &[u8] = br#"{"refuse": "path"}"#;
    let order = Order { arguments_sha256: Order::digest_of(arguments), ..lab.order(1) };
    lab.invoke_with(&mut stream, &order, arguments).await;
    assert_eq!(lab.result(&mut stream).await.refusal, Some(Refusal::Path));
    lab.control.send(Control::Stop).await.unwrap();
    let before = Instant::now();
    assert_eq!(lab.try_event(&mut stream).await, None);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}
