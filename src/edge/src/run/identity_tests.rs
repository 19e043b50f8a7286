//! A key or token that somebody gives the host while its daemon runs.

use std::{fs, time::Duration};

use aegis_core::{NodeId, fleet::TargetOutcome};
use aegis_wire::{
    SigningKey,
    edge::{Command, Event, Order},
};
use tokio::time::Instant;

use super::{
    Control,
    fake::{Lab, Stream, node_token, refused, token_of},
    fake_orders::*,
    stream::CLOSE_WITHIN,
};
use crate::state::write_atomic;

/// Less than any wait of the backoff.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The node's key from the test's own rotation on.
fn new_key() -> SigningKey {
    SigningKey::from_seed(&[8; 32])
}

/// Writes token and key, as a rotation does, and gives the token.
fn rotate(lab: &Lab) -> String {
    rotate_to(lab, &NodeId::of_public_key(lab.node.public().as_bytes()), &new_key())
}

/// The same for the node of this id, whose key isn't its first any more.
fn rotate_to(lab: &Lab, id: &NodeId, key: &SigningKey) -> String {
    let token = token_of(&lab.server, id.clone(), key, 0, 90_000);
    write_atomic(&lab.state.node_token(), 0o600, token.as_bytes()).unwrap();
    write_atomic(&lab.state.node_key(), 0o600, &key.seed()[..]).unwrap();
    token
}

/// The next stream, whose Hello must have this token.
async fn hello(lab: &mut Lab, token: &str) -> Stream {
    let mut stream = lab.accept().await;
    let Event::Hello { node_token, .. } = lab.event(&mut stream).await else { panic!("no hello") };
    assert_eq!(node_token, token);
    stream
}

#[tokio::test(start_paused = true)]
async fn another_key_opens_the_stream_anew_when_nothing_runs() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let token = rotate(&lab);
    lab.control.send(Control::Reload).await.unwrap();
    assert_eq!(lab.try_event(&mut stream).await, None);
    lab.node = new_key();
    // The events are signed with the new key, or the controller in memory wouldn't take them.
    let before = Instant::now();
    drop(stream);
    hello(&mut lab, &token).await;
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn key_after_key_is_taken_over_at_once_and_none_counts_as_a_failure() {
    let mut lab = Lab::start();
    let id = NodeId::of_public_key(lab.node.public().as_bytes());
    let mut stream = lab.live().await;
    for seed in 11..17 {
        lab.node = SigningKey::from_seed(&[seed; 32]);
        let token = rotate_to(&lab, &id, &lab.node);
        let before = Instant::now();
        lab.control.send(Control::Reload).await.unwrap();
        stream.closed().await;
        drop(stream);
        stream = hello(&mut lab, &token).await;
        assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
    }
    let before = Instant::now();
    drop(stream);
    lab.accept().await;
    assert!(before.elapsed() < Duration::from_millis(1300), "the first failure: {:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn another_key_ends_the_wait_after_failures() {
    let mut lab = Lab::start();
    let stream = lab.live().await;
    *lab.reach.lock().unwrap() = Err(aegis_wire::ApiError::unavailable("away"));
    drop(stream);
    // Waits of 1, 2, 5 and 15 s are over; one of a minute has begun.
    tokio::time::sleep(Duration::from_secs(35)).await;
    let token = rotate(&lab);
    lab.node = new_key();
    *lab.reach.lock().unwrap() = Ok(());
    let before = Instant::now();
    lab.control.send(Control::Reload).await.unwrap();
    hello(&mut lab, &token).await;
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_controller_ends_since_the_key_is_another_is_opened_anew_at_once() {
    for end in [None, Some(refused("another key"))] {
        let mut lab = Lab::start();
        let stream = lab.live().await;
        let token = rotate(&lab);
        lab.node = new_key();
        let before = Instant::now();
        if let Some(error) = end {
            stream.to.send(Err(error)).await.unwrap();
        }
        drop(stream);
        hello(&mut lab, &token).await;
        assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_stream_waits_until_the_controller_has_read_the_old_one() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let token = rotate(&lab);
    let before = Instant::now();
    lab.control.send(Control::Reload).await.unwrap();
    assert_eq!(lab.try_event(&mut stream).await, None);
    lab.node = new_key();
    hello(&mut lab, &token).await;
    // It never says so.
    assert!((CLOSE_WITHIN..CLOSE_WITHIN + AT_ONCE).contains(&before.elapsed()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn another_token_for_the_same_key_is_noticed_at_the_next_heartbeat() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let token = node_token(&lab.server, &lab.node, 0, 90_000);
    write_atomic(&lab.state.node_token(), 0o600, token.as_bytes()).unwrap();
    assert!(matches!(lab.event(&mut stream).await, Event::Heartbeat { .. }));
    assert_eq!(lab.try_event(&mut stream).await, None);
    hello(&mut lab, &token).await;
}

#[tokio::test(start_paused = true)]
async fn commands_under_way_end_on_the_old_stream_first() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.run(&mut stream, 1).await;
    let token = rotate(&lab);
    lab.control.send(Control::Reload).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    lab.run(&mut stream, 2).await;
    lab.calls.end(&command(1));
    assert_eq!(lab.result(&mut stream).await.outcome, TargetOutcome::Ok);
    lab.calls.end(&command(2));
    assert_eq!(lab.result(&mut stream).await.outcome, TargetOutcome::Ok);
    assert_eq!(lab.try_event(&mut stream).await, None);
    lab.node = new_key();
    hello(&mut lab, &token).await;
}

#[tokio::test(start_paused = true)]
async fn the_old_key_is_used_for_thirty_seconds_more_at_most() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.run(&mut stream, 1).await;
    let token = rotate(&lab);
    let before = Instant::now();
    lab.control.send(Control::Reload).await.unwrap();
    while lab.try_event(&mut stream).await.is_some() {}
    let after = before.elapsed();
    assert!((Duration::from_secs(29)..Duration::from_secs(32)).contains(&after), "{after:?}");
    assert!(lab.calls.is_cancelled(&command(1)));
    lab.node = new_key();
    hello(&mut lab, &token).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_changed_while_the_controller_was_away_is_used_for_the_next_stream() {
    let mut lab = Lab::start();
    let stream = lab.live().await;
    *lab.reach.lock().unwrap() = Err(aegis_wire::ApiError::unavailable("away"));
    drop(stream);
    lab.wait_for("Disconnected").await;
    let token = rotate(&lab);
    lab.node = new_key();
    *lab.reach.lock().unwrap() = Ok(());
    hello(&mut lab, &token).await;
}

#[tokio::test(start_paused = true)]
async fn files_that_do_not_belong_together_yet_are_left_alone() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let id = NodeId::of_public_key(lab.node.public().as_bytes());
    let token = token_of(&lab.server, id, &new_key(), 0, 90_000);
    write_atomic(&lab.state.node_token(), 0o600, token.as_bytes()).unwrap();
    lab.control.send(Control::Reload).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(lab.event(&mut stream).await, Event::Heartbeat { .. }));
    }
    write_atomic(&lab.state.node_key(), 0o600, &new_key().seed()[..]).unwrap();
    assert!(matches!(lab.event(&mut stream).await, Event::Heartbeat { .. }));
    assert_eq!(lab.try_event(&mut stream).await, None);
    lab.node = new_key();
    hello(&mut lab, &token).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_for_the_old_key_does_not_replace_the_new_keys() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.run(&mut stream, 1).await;
    let token = rotate(&lab);
    let late = node_token(&lab.server, &lab.node, 0, 99_000);
    lab.send(&mut stream, &Command::NodeToken { token: late }).await;
    lab.run(&mut stream, 2).await;
    assert_eq!(fs::read_to_string(lab.state.node_token()).unwrap(), token);
}

#[tokio::test(start_paused = true)]
async fn another_nodes_identity_is_not_taken_over() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let token = node_token(&lab.server, &new_key(), 0, 90_000);
    write_atomic(&lab.state.node_token(), 0o600, token.as_bytes()).unwrap();
    write_atomic(&lab.state.node_key(), 0o600, &new_key().seed()[..]).unwrap();
    lab.control.send(Control::Reload).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(lab.event(&mut stream).await, Event::Heartbeat { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_was_asked_for_is_answered_on_the_old_stream_and_taken_over_at_once() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let order = Order { tool: "edge.keys.rotate".into(), ..lab.order(1) };
    lab.invoke(&mut stream, &order).await;
    lab.until(|| lab.calls.has_started(&command(1))).await;
    let token = rotate(&lab);
    let before = Instant::now();
    lab.calls.end(&command(1));
    assert_eq!(lab.result(&mut stream).await.outcome, TargetOutcome::Ok);
    assert_eq!(lab.try_event(&mut stream).await, None);
    lab.node = new_key();
    drop(stream);
    hello(&mut lab, &token).await;
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
}
