//! The daemon against a controller in memory. Time is tokio's and paused: nothing here waits.

use std::{fs, os::unix::fs::PermissionsExt, sync::atomic::Ordering, time::Duration};

use aegis_core::{ExitCode, session::Refused};
use aegis_wire::{
    ApiError, Reason, ServerSigningKey, SigningKey, Unverified,
    edge::{Command, Event},
    envelope::{Route, seal},
};
use bytes::Bytes;
use tokio::time::Instant;

use super::{fake::*, *};

/// Whether the stream is given up, with what reason in `status.json`.
async fn given_up(lab: &Lab, stream: &mut Stream, reason: &str) {
    while lab.try_event(stream).await.is_some() {}
    given_up_because(lab, reason).await;
}

async fn given_up_because(lab: &Lab, reason: &str) {
    let given_up = async {
        loop {
            let status = lab.wait_for("Disconnected").await;
            if status.last_error.as_deref().is_some_and(|error| error.contains(reason)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), given_up).await.expect(reason);
}

/// The bytes of the drain order that would be next, with `change` made to them.
fn altered(lab: &Lab, stream: &mut Stream, change: impl Fn(&mut Vec<u8>)) -> Unverified {
    let sender = lab.server.public().sender();
    let route = Route { sender: &sender, stream: &stream.id };
    let command = Command::Shutdown { reason: "maintenance".into() };
    let envelope = seal(lab.server.key(), route, &mut stream.outbound, lab.clock.now_ms(), &command).unwrap();
    let mut bytes = envelope.to_bytes().to_vec();
    change(&mut bytes);
    Unverified::from_bytes(Bytes::from(bytes)).unwrap()
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
}

#[tokio::test(start_paused = true)]
async fn hello_comes_first_and_carries_token_and_capabilities() {
    let mut lab = Lab::start();
    let mut stream = lab.accept().await;
    let Event::Hello { node_token, capabilities } = lab.event(&mut stream).await else { panic!("no hello") };
    assert_eq!(node_token, fs::read_to_string(lab.state.node_token()).unwrap());
    assert_eq!((capabilities.hostname.as_str(), capabilities.os.as_str()), ("web-1", "linux"));
    assert_eq!(capabilities.labels["region"], "eu");
    lab.send(&mut stream, &welcome(false)).await;
    let status = lab.wait_for("Connected").await;
    assert_eq!((status.name.as_deref(), status.tags), (Some("web-1"), vec!["prod".to_owned()]));
    assert_eq!(status.pid, std::process::id());
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_every_thirty_seconds_and_their_answer_is_noted() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    for _ in 0..3 {
        let before = Instant::now();
        let Event::Heartbeat { draining: false, in_flight: 0 } = lab.event(&mut stream).await else {
            panic!("no heartbeat")
        };
        assert!(before.elapsed() <= Duration::from_secs(30));
        lab.send(&mut stream, &Command::HeartbeatAck).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let beat = lab.wait_for("Connected").await.last_heartbeat_ms.unwrap();
    assert!(u64::try_from(lab.clock.now_ms()).unwrap() - beat < 2000);
}

#[tokio::test(start_paused = true)]
async fn a_command_with_an_altered_body_is_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let envelope = altered(&lab, &mut stream, |bytes| replace(bytes, b"maintenance", b"Maintenance"));
    stream.to.send(Ok(envelope)).await.unwrap();
    given_up(&lab, &mut stream, "signature doesn't fit").await;
    assert!(!lab.daemon.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_command_with_another_kind_is_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let envelope = altered(&lab, &mut stream, |bytes| replace(bytes, b"shutdown", b"shutdowm"));
    stream.to.send(Ok(envelope)).await.unwrap();
    given_up(&lab, &mut stream, "signature doesn't fit").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_without_a_signature_is_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    // The signature is the last field: its tag, its length, 64 bytes.
    let envelope = altered(&lab, &mut stream, |bytes| bytes.truncate(bytes.len() - 66));
    stream.to.send(Ok(envelope)).await.unwrap();
    given_up(&lab, &mut stream, "signature doesn't fit").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_with_a_zero_signature_is_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let envelope = altered(&lab, &mut stream, |bytes| {
        let end = bytes.len();
        bytes[end - 64..].fill(0);
    });
    stream.to.send(Ok(envelope)).await.unwrap();
    given_up(&lab, &mut stream, "signature doesn't fit").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_by_another_key_is_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let foreign = ServerSigningKey::new(SigningKey::from_seed(&[9; 32]));
    let own = std::mem::replace(&mut lab.server, foreign);
    let envelope = lab.sealed(&mut stream, &Command::Shutdown { reason: "x".into() });
    lab.server = own;
    stream.to.send(Ok(envelope)).await.unwrap();
    given_up(&lab, &mut stream, "signature doesn't fit").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_by_another_sender_is_refused_even_when_signed_by_the_pinned_key() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let route = Route { sender: "controller:other", stream: &stream.id.clone() };
    let now = lab.clock.now_ms();
    let envelope = seal(lab.server.key(), route, &mut stream.outbound, now, &Command::HeartbeatAck).unwrap();
    stream.to.send(Ok(envelope.into())).await.unwrap();
    given_up(&lab, &mut stream, "controller:other").await;
}

#[tokio::test(start_paused = true)]
async fn a_replayed_command_is_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let envelope = lab.sealed(&mut stream, &Command::Drain { enabled: true });
    stream.to.send(Ok(envelope.clone())).await.unwrap();
    assert!(matches!(lab.event(&mut stream).await, Event::Ack { sequence: 2 }));
    stream.to.send(Ok(envelope)).await.unwrap();
    given_up(&lab, &mut stream, "sequence is 2, expected 3").await;
}

#[tokio::test(start_paused = true)]
async fn a_reordered_command_is_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let _first = lab.sealed(&mut stream, &Command::Drain { enabled: true });
    let second = lab.sealed(&mut stream, &Command::Drain { enabled: false });
    stream.to.send(Ok(second)).await.unwrap();
    given_up(&lab, &mut stream, "sequence is 3, expected 2").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_of_another_stream_is_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let own = std::mem::replace(&mut stream.id, "another".into());
    let envelope = lab.sealed(&mut stream, &Command::Shutdown { reason: "x".into() });
    stream.id = own;
    stream.to.send(Ok(envelope)).await.unwrap();
    given_up(&lab, &mut stream, "another stream").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_thirty_one_seconds_off_is_refused_and_thirty_is_not() {
    for (off, refused) in [(31_000, true), (-31_000, true), (30_000, false), (-30_000, false)] {
        let mut lab = Lab::start();
        let mut stream = lab.live().await;
        lab.clock.offset_ms.store(off, Ordering::Relaxed);
        let envelope = lab.sealed(&mut stream, &Command::Drain { enabled: true });
        lab.clock.offset_ms.store(0, Ordering::Relaxed);
        stream.to.send(Ok(envelope)).await.unwrap();
        if refused {
            given_up(&lab, &mut stream, "compare the clocks").await;
        } else {
            assert!(matches!(lab.event(&mut stream).await, Event::Ack { sequence: 2 }));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_by_an_hour_ends_the_stream_with_a_reason_and_the_next_one_works() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    // The controller's clock stays where it was: seal first, then jump.
    let envelope = lab.sealed(&mut stream, &Command::HeartbeatAck);
    lab.clock.offset_ms.store(3_600_000, Ordering::Relaxed);
    stream.to.send(Ok(envelope)).await.unwrap();
    let status = lab.wait_for("Disconnected").await;
    assert!(status.last_error.unwrap().contains("compare the clocks"));
    lab.clock.offset_ms.store(0, Ordering::Relaxed);
    lab.live().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_opened_again_with_a_new_id_after_about_a_second() {
    let mut lab = Lab::start();
    let first = lab.live().await;
    let (id, before) = (first.id.clone(), Instant::now());
    drop(first);
    let second = lab.live().await;
    assert_ne!(second.id, id);
    assert!(
        (Duration::from_millis(800)..Duration::from_secs(2)).contains(&before.elapsed()),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_away_is_dialled_again_and_again() {
    let mut lab = Lab::start();
    let stream = lab.live().await;
    *lab.reach.lock().unwrap() =
        Err(ApiError::unavailable("can't reach ctl.example:50056: connection refused"));
    drop(stream);
    tokio::time::sleep(Duration::from_mins(2)).await;
    let status = lab.wait_for("Disconnected").await;
    assert!(status.last_error.unwrap().contains("connection refused"));
    *lab.reach.lock().unwrap() = Ok(());
    let before = Instant::now();
    lab.live().await;
    assert!(before.elapsed() <= Duration::from_secs(73), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_never_answers_hello_is_given_up() {
    let mut lab = Lab::start();
    let mut stream = lab.accept().await;
    given_up(&lab, &mut stream, "didn't answer Hello").await;
}

#[tokio::test(start_paused = true)]
async fn drain_is_acknowledged_reported_and_taken_back() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.send(&mut stream, &Command::Drain { enabled: true }).await;
    assert_eq!(lab.event(&mut stream).await, Event::Ack { sequence: 2 });
    lab.wait_for("Draining").await;
    assert_eq!(lab.event(&mut stream).await, Event::Heartbeat { draining: true, in_flight: 0 });
    lab.send(&mut stream, &Command::Drain { enabled: false }).await;
    assert_eq!(lab.event(&mut stream).await, Event::Ack { sequence: 3 });
    lab.wait_for("Connected").await;
}

#[tokio::test(start_paused = true)]
async fn a_welcome_can_ask_for_draining() {
    let mut lab = Lab::start();
    let mut stream = lab.accept().await;
    lab.event(&mut stream).await;
    lab.send(&mut stream, &welcome(true)).await;
    lab.wait_for("Draining").await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_acknowledged_ends_well_and_does_not_come_back() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.send(&mut stream, &Command::Shutdown { reason: "bye".into() }).await;
    assert_eq!(lab.event(&mut stream).await, Event::Ack { sequence: 2 });
    assert_eq!(lab.try_event(&mut stream).await, None);
    drop(stream);
    lab.wait_for("Stopped").await;
    let state = lab.state.clone();
    lab.end().await.unwrap();
    assert_eq!(crate::state::running_pid(&state).unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn the_hosts_stop_closes_the_stream_and_ends_well() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.control.send(Control::Stop).await.unwrap();
    assert_eq!(lab.try_event(&mut stream).await, None);
    drop(stream);
    lab.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_a_stream_ends_at_once() {
    let lab = Lab::start();
    *lab.reach.lock().unwrap() = Err(ApiError::unavailable("away"));
    lab.control.send(Control::Stop).await.unwrap();
    let before = Instant::now();
    lab.end().await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_ends_with_exit_three_and_the_way_out() {
    let mut lab = Lab::start();
    let stream = lab.live().await;
    // The reason counts, not the words.
    stream.to.send(Err(refused("out with you").reason(Reason::Revoked))).await.unwrap();
    let error = lab.end().await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Unauthorized);
    assert!(matches!(error, RunError::Refused { refused: Refused::Revoked, .. }));
    assert!(error.to_string().contains("run 'aegis edge enroll' with a new token"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_accepted_ends_with_exit_three() {
    let mut lab = Lab::start();
    let stream = lab.accept().await;
    stream.to.send(Err(refused("the node's token isn't accepted; it was revoked"))).await.unwrap();
    let error = lab.end().await.unwrap_err();
    assert!(matches!(error, RunError::Refused { refused: Refused::Unauthorized, .. }), "{error}");
    assert!(error.to_string().contains("token isn't accepted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_are_no_reason_to_give_up() {
    let mut lab = Lab::start();
    let stream = lab.accept().await;
    stream.to.send(Err(refused("valid from tomorrow on").reason(Reason::ClockSkew))).await.unwrap();
    lab.live().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_controller_calls_ended_is_replaced_without_anybodys_help() {
    let mut lab = Lab::start();
    let stream = lab.accept().await;
    let fresh = node_token(&lab.server, &lab.node, 0, 90_000);
    *lab.reattest.lock().unwrap() = Some(Ok(lab.reattested(fresh.clone())));
    stream.to.send(Err(refused("it is over").reason(Reason::TokenEnded))).await.unwrap();
    let mut next = lab.accept().await;
    assert!(matches!(lab.event(&mut next).await, Event::Hello { node_token, .. } if node_token == fresh));
    assert_eq!(fs::read_to_string(lab.state.node_token()).unwrap(), fresh);
    // Once: the next connection begins with Hello.
    drop(next);
    lab.live().await;
}

#[tokio::test(start_paused = true)]
async fn attesting_anew_is_tried_again_unless_it_is_refused() {
    let mut lab = Lab::start();
    let stream = lab.accept().await;
    *lab.reattest.lock().unwrap() = Some(Err(ApiError::exhausted("too many enrolments")));
    stream.to.send(Err(refused("it is over").reason(Reason::TokenEnded))).await.unwrap();
    while lab.reattest.lock().unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    *lab.reattest.lock().unwrap() = Some(Err(refused("too long ago; run 'aegis edge enroll'")));
    let error = lab.end().await.unwrap_err();
    assert!(matches!(error, RunError::Refused { refused: Refused::Unauthorized, .. }), "{error}");
    assert!(error.to_string().contains("too long ago; run 'aegis edge enroll'"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_new_token_by_another_key_is_not_taken() {
    let mut lab = Lab::start();
    let stream = lab.accept().await;
    let old = fs::read_to_string(lab.state.node_token()).unwrap();
    let forger = ServerSigningKey::new(SigningKey::from_seed(&[9; 32]));
    *lab.reattest.lock().unwrap() = Some(Ok(lab.reattested(node_token(&forger, &lab.node, 0, 90_000))));
    stream.to.send(Err(refused("it is over").reason(Reason::TokenEnded))).await.unwrap();
    given_up_because(&lab, "a new node token is refused").await;
    assert_eq!(fs::read_to_string(lab.state.node_token()).unwrap(), old);
    // It is asked for again.
    let fresh = node_token(&lab.server, &lab.node, 0, 90_000);
    *lab.reattest.lock().unwrap() = Some(Ok(lab.reattested(fresh)));
    lab.live().await;
}

#[tokio::test(start_paused = true)]
async fn the_token_is_renewed_when_a_quarter_of_its_life_is_left() {
    let mut lab = Lab::start_with(4000);
    let mut stream = lab.live().await;
    let event = loop {
        match lab.event(&mut stream).await {
            Event::Heartbeat { .. } => lab.send(&mut stream, &Command::HeartbeatAck).await,
            other => break other,
        }
    };
    assert_eq!(event, Event::TokenRequest);
    let passed = lab.clock.now_seconds() - 1_800_000_000;
    assert!((3000..3003).contains(&passed), "{passed}");
    let token = node_token(&lab.server, &lab.node, 3000, 90_000);
    lab.send(&mut stream, &Command::NodeToken { token: token.clone() }).await;
    // A heartbeat may have been under way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fs::read_to_string(lab.state.node_token()).unwrap(), token);
    let mode = fs::metadata(lab.state.node_token()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(stream);
    let mut next = lab.accept().await;
    assert!(matches!(lab.event(&mut next).await, Event::Hello { node_token, .. } if node_token == token));
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_for_another_key_is_refused_and_the_old_one_stays() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let old = fs::read_to_string(lab.state.node_token()).unwrap();
    let foreign = node_token(&lab.server, &SigningKey::from_seed(&[5; 32]), 0, 90_000);
    lab.send(&mut stream, &Command::NodeToken { token: foreign }).await;
    let forged = ServerSigningKey::new(SigningKey::from_seed(&[9; 32]));
    let forged = node_token(&forged, &lab.node, 0, 90_000);
    lab.send(&mut stream, &Command::NodeToken { token: forged }).await;
    assert!(matches!(lab.event(&mut stream).await, Event::Heartbeat { .. }));
    assert_eq!(fs::read_to_string(lab.state.node_token()).unwrap(), old);
}

#[tokio::test(start_paused = true)]
async fn a_changed_config_updates_the_capabilities_on_the_open_stream() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    fs::write(lab.state.config(), CONFIG.replace("region: eu", "region: us")).unwrap();
    lab.control.send(Control::Reload).await.unwrap();
    let Event::CapabilityUpdate(capabilities) = lab.event(&mut stream).await else { panic!("no update") };
    assert_eq!(capabilities.labels["region"], "us");
    // Said once; a reload that changes nothing says nothing.
    lab.control.send(Control::Reload).await.unwrap();
    assert!(matches!(lab.event(&mut stream).await, Event::Heartbeat { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_config_leaves_the_old_one_in_force() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    fs::write(lab.state.config(), "cluster: {edge: {lables: {}}}").unwrap();
    lab.control.send(Control::Reload).await.unwrap();
    assert!(matches!(lab.event(&mut stream).await, Event::Heartbeat { .. }));
    drop(stream);
    let mut next = lab.accept().await;
    let Event::Hello { capabilities, .. } = lab.event(&mut next).await else { panic!("no hello") };
    assert_eq!(capabilities.labels["region"], "eu");
}

#[tokio::test(start_paused = true)]
async fn a_second_daemon_on_the_same_files_is_refused_with_the_pid() {
    let mut lab = Lab::start();
    let _stream = lab.live().await;
    let error = prepare(&lab.state).map(|_| ()).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Generic);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn modes_that_are_too_permissive_are_repaired_at_start() {
    let mut lab = Lab::start();
    fs::set_permissions(lab.state.node_key(), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(lab.state.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    lab.live().await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&lab.state.node_key()), mode(lab.state.dir())), (0o600, 0o700));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_enrolled_is_told_so() {
    for missing in ["node.key", "node.token", "server.key.pub"] {
        let lab = Lab::start();
        fs::remove_file(lab.dir.path().join(missing)).unwrap();
        let error = lab.end().await.unwrap_err();
        assert!(matches!(error, RunError::NotEnrolled(name) if name == missing), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Unauthorized);
        assert!(error.hint().unwrap().contains("aegis edge enroll"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_key_is_never_used() {
    let lab = Lab::start();
    let foreign = node_token(&lab.server, &SigningKey::from_seed(&[5; 32]), 0, 90_000);
    fs::write(lab.state.node_token(), foreign).unwrap();
    assert!(matches!(lab.end().await.unwrap_err(), RunError::Foreign));
}
