//! The real controller and the real daemon in a simulated network with simulated time: cut off, slow, and with clocks
//! that jump. Hours pass in seconds, and every run is the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod lab;

use std::time::Duration;

use aegis_wire::operator::NodeStatus;
use tokio::time::Instant;

use lab::{Lab, Operator, cut, heal};

/// After this time of silence a node is disconnected (2-protocol.md, "The stream").
const SILENCE: Duration = Duration::from_secs(90);
/// The longest wait between two attempts, a fifth of jitter included, and the longest attempt.
const BACK_WITHIN: Duration = Duration::from_secs(72 + 30);

#[test]
fn a_daemon_cut_off_for_two_minutes_comes_back_by_itself() -> turmoil::Result {
    Lab::new(Duration::from_millis(50)).run(async |operator: Operator| {
        operator.enroll().await;
        operator.wait_for(NodeStatus::Connected, Duration::from_secs(5)).await;
        // The stream has lived for a while, with heartbeats.
        tokio::time::sleep(Duration::from_mins(5)).await;
        let node = operator.node().await;
        let age = operator.now().duration_since(node.last_heartbeat_at.unwrap());
        assert!(age.as_secs() <= 31, "the last heartbeat is {age:?} old");
        assert_eq!(operator.audited("connect").await, 1, "one stream, for all of the time");

        cut();
        let begin = Instant::now();
        operator.wait_for(NodeStatus::Disconnected, SILENCE).await;
        tokio::time::sleep_until(begin + Duration::from_mins(2)).await;
        assert_eq!(operator.node().await.status, NodeStatus::Disconnected);
        let last = operator.node().await.last_heartbeat_at;

        heal();
        operator.wait_for(NodeStatus::Connected, BACK_WITHIN).await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        let node = operator.node().await;
        assert!(node.last_heartbeat_at > last, "its heart beats again");
        assert_eq!(node.status, NodeStatus::Connected);
        assert_eq!(operator.audited("connect").await, 2);
        assert_eq!(operator.audited("disconnect").await, 1);
        operator.audit_is_intact().await;
    })
}

#[test]
fn cuts_of_any_length_are_survived() -> turmoil::Result {
    Lab::new(Duration::from_millis(200)).run(async |operator: Operator| {
        operator.enroll().await;
        for seconds in [1, 7, 15, 31, 45, 89, 91, 600] {
            operator.wait_for(NodeStatus::Connected, BACK_WITHIN).await;
            tokio::time::sleep(Duration::from_secs(70)).await;
            cut();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            heal();
        }
        // What a short cut leaves half open is noticed, too: by the silence at the latest.
        tokio::time::sleep(SILENCE).await;
        operator.wait_for(NodeStatus::Connected, BACK_WITHIN).await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(operator.node().await.status, NodeStatus::Connected);
        let (connects, disconnects) =
            (operator.audited("connect").await, operator.audited("disconnect").await);
        // Every stream's end is known, but for the one that lives.
        assert_eq!(disconnects + 1, connects);
        assert!(connects >= 6, "{connects} connects: the five long cuts were noticed");
        operator.audit_is_intact().await;
    })
}

#[test]
fn a_day_passes_and_the_token_is_renewed() -> turmoil::Result {
    Lab::new(Duration::from_millis(5)).run(async |operator: Operator| {
        operator.enroll().await;
        let first = operator.node_token();
        operator.wait_for(NodeStatus::Connected, Duration::from_secs(5)).await;
        tokio::time::sleep(Duration::from_hours(23)).await;
        let second = operator.node_token();
        assert_ne!(first, second, "renewed before it ends");
        tokio::time::sleep(Duration::from_hours(4)).await;
        assert_eq!(operator.node().await.status, NodeStatus::Connected, "beyond the first token's end");
        // The new one is as good after a cut.
        cut();
        tokio::time::sleep(Duration::from_mins(2)).await;
        heal();
        operator.wait_for(NodeStatus::Connected, BACK_WITHIN).await;
        operator.audit_is_intact().await;
    })
}

#[test]
fn a_clock_that_jumps_by_an_hour_is_named_and_the_stream_comes_back_when_it_is_right() -> turmoil::Result {
    Lab::new(Duration::from_millis(50)).run(async |operator: Operator| {
        operator.enroll().await;
        operator.wait_for(NodeStatus::Connected, Duration::from_secs(5)).await;
        for jump in [3600, -3600] {
            tokio::time::sleep(Duration::from_mins(2)).await;
            operator.set_daemon_clock(jump);
            operator.wait_for(NodeStatus::Disconnected, SILENCE).await;
            let said = operator.until_daemon_says("clock", Duration::from_mins(2)).await;
            assert!(said.contains("clock"), "{said}");
            operator.set_daemon_clock(0);
            operator.wait_for(NodeStatus::Connected, BACK_WITHIN).await;
        }
        // Half a minute is within what clocks may be off.
        operator.set_daemon_clock(25);
        let streams = operator.audited("connect").await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(operator.node().await.status, NodeStatus::Connected);
        assert_eq!(operator.audited("connect").await, streams, "the same stream");
        operator.audit_is_intact().await;
    })
}
