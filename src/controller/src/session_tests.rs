//! One test a rule of the stream (2-protocol.md, "Envelopes", "The stream"; 5-cases.md).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use aegis_core::session::Outbound;
use aegis_kinds::tool::ToolDescriptor;
use aegis_wire::{
    Code, Envelope, Reason, ServerSigningKey, SigningKey, Unverified,
    edge::{Command, Event},
    envelope::{Route, seal},
    operator::{NodeStatus, OperatorService, ShutdownNode},
    token::{Confirmation, NodeClaims, Role},
};

use super::*;
use crate::{
    background,
    testing::{
        Daemon, Host, Operator, audit_lines, capabilities, controller, hello, host, owners_tool, restarted,
        tenant,
    },
};

const BEAT: Event = Event::Heartbeat { draining: false, in_flight: 0 };

/// What the node looks like to an operator.
async fn seen(controller: &Arc<Controller>, host: &Host) -> aegis_wire::operator::Node {
    let viewer = Operator::new(controller, "default", Role::Viewer);
    let nodes = viewer
        .service
        .list_nodes(viewer.call("ListNodes"), aegis_wire::operator::ListNodes::default())
        .await
        .unwrap();
    nodes.into_iter().find(|node| node.node_id == host.id).unwrap()
}

/// The envelope with some of its bytes changed, as somebody on the way could.
fn altered(envelope: &Envelope, from: &[u8], to: &[u8]) -> Unverified {
    assert_eq!(from.len(), to.len());
    let mut bytes = envelope.to_bytes().to_vec();
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    Unverified::from_bytes(bytes.into()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn hello_is_answered_and_the_node_is_connected() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    assert_eq!(seen(&controller, &host).await.status, NodeStatus::Disconnected);
    let mut daemon = Daemon::open(&controller, &host, "s1");
    daemon.send(&hello(&host));
    let welcome = daemon.command().await.unwrap();
    let expected = Command::Welcome { name: "web-1".into(), tags: vec![], drain: false };
    assert_eq!(welcome, expected);
    tokio::time::advance(Duration::from_secs(30)).await;
    daemon.heartbeat().await;
    let node = seen(&controller, &host).await;
    assert_eq!((node.status, node.connected), (NodeStatus::Connected, true));
    assert_eq!(node.since.to_string(), "2026-11-20T12:00:00Z");
    assert_eq!(node.last_heartbeat_at.unwrap().to_string(), "2026-11-20T12:00:30Z");
    drop(daemon);
    assert_eq!(seen(&controller, &host).await.status, NodeStatus::Disconnected);
    let lines = audit_lines(&controller).join("\n");
    assert!(lines.contains(&format!("connect Ok {}", host.id)) && lines.contains("disconnect Ok"), "{lines}");
}

/// What a stream that begins with this envelope ends with.
async fn first(controller: &Arc<Controller>, host: &Host, envelope: Unverified) -> ApiError {
    let mut daemon = Daemon::open(controller, host, "s1");
    daemon.events.send(Ok(envelope)).unwrap();
    daemon.end().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_isnt_the_nodes_is_refused_as_if_there_were_no_node() {
    let controller = controller().await;
    let mine = host(&controller, "default", 1, "web-1").await;
    let theirs = host(&controller, "t-other", 2, "db-1").await;
    let mut sealed = Daemon::open(&controller, &mine, "s1");
    let good = sealed.sealed(&hello(&mine));
    let signature = good.to_bytes()[good.to_bytes().len() - 64..].to_vec();

    let unknown = Host { id: NodeId::of_public_key(&[3; 32]), ..mine.clone() };
    let other_key = Host { key: SigningKey::from_seed(&[3; 32]), ..mine.clone() };
    let foreign_sender = Host { id: theirs.id.clone(), ..mine.clone() };
    let foreign_token = Host { token: theirs.token.clone(), ..mine.clone() };
    let mut answers = vec![
        first(&controller, &mine, altered(&good, &signature, &[0; 64])).await,
        first(&controller, &mine, altered(&good, b"docker", b"podman")).await,
    ];
    for host in [unknown, other_key, foreign_sender, foreign_token] {
        let mut daemon = Daemon::open(&controller, &host, "s2");
        daemon.send(&hello(&host));
        answers.push(daemon.end().await.unwrap());
    }
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
        assert_eq!(answer.code, Code::Unauthenticated);
    }
    assert_eq!(seen(&controller, &mine).await.status, NodeStatus::Disconnected);
    let lines = audit_lines(&controller).join("\n");
    for rule in ["signature doesn't fit", "no such node", "token is another node's"] {
        assert!(lines.contains(rule), "{rule}: {lines}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_token_fits_one_node_one_key_one_tenant_and_this_controller() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let good = NodeClaims {
        iss: "aegis-controller".into(),
        sub: host.id.clone(),
        tid: tenant("default"),
        role: "edge".into(),
        jti: "j".into(),
        iat: controller.now_seconds(),
        exp: controller.now_seconds() + 60,
        cnf: Confirmation::of(&host.key.public()),
    };
    let stranger = ServerSigningKey::new(SigningKey::from_seed(&[99; 32]));
    let own = &controller.signing;
    let user = controller.mint_user_token(&tenant("default"), "x", Role::Admin, None, 0).unwrap().token;
    let other_key = Confirmation::of(&SigningKey::from_seed(&[2; 32]).public());
    let cases = [
        ("another key", NodeClaims { cnf: other_key, ..good.clone() }.mint(own).unwrap()),
        ("another tenant", NodeClaims { tid: tenant("t-other"), ..good.clone() }.mint(own).unwrap()),
        ("another role", NodeClaims { role: "relay".into(), ..good.clone() }.mint(own).unwrap()),
        ("expired", NodeClaims { exp: good.iat, ..good.clone() }.mint(own).unwrap()),
        ("unknown kid", good.mint(&stranger).unwrap()),
        ("a user token", user),
        ("no token", String::new()),
    ];
    for (number, (what, token)) in cases.into_iter().enumerate() {
        let host = Host { token, ..host.clone() };
        let mut daemon = Daemon::open(&controller, &host, &format!("s{number}"));
        daemon.send(&hello(&host));
        assert_eq!(daemon.end().await.unwrap().code, Code::Unauthenticated, "{what}");
    }
    let host = Host { token: good.mint(own).unwrap(), ..host };
    Daemon::connect(&controller, &host, "last").await;
}

#[tokio::test(start_paused = true)]
async fn the_first_event_is_hello_within_ten_seconds_and_once() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let mut daemon = Daemon::open(&controller, &host, "s1");
    daemon.send(&BEAT);
    assert_eq!(daemon.end().await.unwrap().message, "the first event wasn't Hello");
    let mut daemon = Daemon::open(&controller, &host, "s2");
    let opened = tokio::time::Instant::now();
    assert_eq!(daemon.end().await.unwrap().message, "no Hello within 10 s");
    assert_eq!(opened.elapsed().as_secs(), 10);
    let mut daemon = Daemon::connect(&controller, &host, "s3").await;
    daemon.send(&hello(&host));
    assert_eq!(daemon.end().await.unwrap().message, "a second Hello on the same stream");
}

#[tokio::test(start_paused = true)]
async fn a_recorded_hello_opens_no_second_stream() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let mut daemon = Daemon::open(&controller, &host, "s1");
    let recorded = daemon.sealed(&hello(&host));
    daemon.deliver(recorded.clone());
    daemon.command().await.unwrap();
    let replayed = first(&controller, &host, recorded.into()).await;
    assert_eq!(replayed.code, Code::Invalid);
    daemon.heartbeat().await;
    assert!(seen(&controller, &host).await.connected, "the real one lives on");
}

/// Connects, lets `attack` send something, and gives what the stream ends with.
async fn attacked(attack: impl AsyncFnOnce(&mut Daemon, &Host)) -> ApiError {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let mut daemon = Daemon::connect(&controller, &host, "s1").await;
    daemon.heartbeat().await;
    attack(&mut daemon, &host).await;
    let end = daemon.end().await.unwrap();
    assert!(!seen(&controller, &host).await.connected);
    let lines = audit_lines(&controller).join("\n");
    assert!(lines.contains(&format!("envelope Refused {}: {}", host.id, end.message)), "{lines}");
    end
}

#[tokio::test(start_paused = true)]
async fn a_replayed_event_ends_the_stream() {
    let end = attacked(async |daemon, _| {
        let event = daemon.sealed(&BEAT);
        daemon.deliver(event.clone());
        daemon.command().await.unwrap();
        daemon.deliver(event);
    })
    .await;
    assert_eq!(end.message, "the envelope's sequence is 3, expected 4");
}

#[tokio::test(start_paused = true)]
async fn a_reordered_event_ends_the_stream() {
    let end = attacked(async |daemon, _| {
        let _held_back = daemon.sealed(&BEAT);
        daemon.send(&BEAT);
    })
    .await;
    assert_eq!(end.message, "the envelope's sequence is 4, expected 3");
}

#[tokio::test(start_paused = true)]
async fn an_event_31_seconds_off_ends_the_stream_and_30_doesnt() {
    let end = attacked(async |daemon, _| {
        let event = daemon.sealed(&BEAT);
        tokio::time::advance(Duration::from_secs(30)).await;
        daemon.deliver(event);
        daemon.command().await.unwrap();
        let event = daemon.sealed(&BEAT);
        tokio::time::advance(Duration::from_secs(31)).await;
        daemon.deliver(event);
    })
    .await;
    assert!(end.message.contains("off by 31000 ms; compare the clocks"), "{end}");
    let ahead = attacked(async |daemon, host| {
        let route = Route { sender: host.id.as_str(), stream: "s1" };
        let now = daemon.controller.clock.now_ms() + 3_600_000;
        let event = seal(&host.key, route, &mut daemon.outbound, now, &BEAT).unwrap();
        daemon.deliver(event);
    })
    .await;
    assert!(ahead.message.contains("off by 3600000 ms"), "{ahead}");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_stream_ends_the_stream() {
    let end = attacked(async |daemon, host| {
        let mut outbound = Outbound::default();
        let route = Route { sender: host.id.as_str(), stream: "s0" };
        let now = daemon.controller.clock.now_ms();
        let mut other = || seal(&host.key, route, &mut outbound, now, &BEAT).unwrap();
        let _ = (other(), other());
        daemon.deliver(other());
    })
    .await;
    assert_eq!(end.message, "the envelope belongs to another stream");
}

#[tokio::test(start_paused = true)]
async fn a_body_altered_while_the_header_is_intact_ends_the_stream() {
    let end = attacked(async |daemon, _| {
        let event = daemon.sealed(&Event::CapabilityUpdate(capabilities("web-1")));
        daemon.events.send(Ok(altered(&event, b"docker", b"podman"))).unwrap();
    })
    .await;
    assert_eq!(end.message, "the envelope's signature doesn't fit");
}

#[tokio::test(start_paused = true)]
async fn an_event_by_another_key_ends_the_stream() {
    let end = attacked(async |daemon, host| {
        let route = Route { sender: host.id.as_str(), stream: "s1" };
        let now = daemon.controller.clock.now_ms();
        let other = SigningKey::from_seed(&[7; 32]);
        let event = seal(&other, route, &mut daemon.outbound, now, &BEAT).unwrap();
        daemon.deliver(event);
    })
    .await;
    assert_eq!(end.message, "the envelope's signature doesn't fit");
}

#[tokio::test(start_paused = true)]
async fn a_second_stream_replaces_the_first_whose_end_does_not_evict_it() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let mut one = Daemon::connect(&controller, &host, "s1").await;
    // Somebody without the key doesn't replace anything.
    let thief = Host { key: SigningKey::from_seed(&[9; 32]), ..host.clone() };
    let mut stolen = Daemon::open(&controller, &thief, "s2");
    stolen.send(&hello(&thief));
    stolen.end().await.unwrap();
    one.heartbeat().await;

    let mut two = Daemon::connect(&controller, &host, "s3").await;
    assert_eq!(one.end().await.unwrap().code, Code::Conflict);
    drop(one);
    assert!(seen(&controller, &host).await.connected);
    two.heartbeat().await;
    drop(two);
    assert!(!seen(&controller, &host).await.connected);
}

#[tokio::test(start_paused = true)]
async fn a_revoke_closes_the_stream_within_a_second_and_for_good() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let mut daemon = Daemon::connect(&controller, &host, "s1").await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    let since = tokio::time::Instant::now();
    let node = operator.service.revoke_node(operator.call("RevokeNode"), "web-1".into()).await.unwrap();
    assert_eq!((node.status, node.connected), (NodeStatus::Revoked, false));
    let end = daemon.end().await.unwrap();
    assert_eq!((end.code, end.message.as_str()), (Code::PermissionDenied, "the node was revoked"));
    assert_eq!(end.reason, Some(Reason::Revoked));
    assert!(since.elapsed() < Duration::from_secs(1));
    let mut again = Daemon::open(&controller, &host, "s2");
    again.send(&hello(&host));
    assert_eq!(again.end().await.unwrap().reason, Some(Reason::Revoked));
    // The token of enrolment is dead, too, whatever becomes of the record.
    let stored = nodes::get(&*controller.store, &host.id).unwrap().unwrap().0;
    assert!(controller.is_spent(&stored.jti).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_id_is_refused() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let stored = nodes::get(&*controller.store, &host.id).unwrap().unwrap().0;
    let mut batch = Batch::new();
    let spent = crate::enrollment::Spent { node: host.id.clone(), ends: i64::MAX };
    batch.put(crate::keyspace::jti(&stored.jti), nodes::json(&spent));
    controller.store.commit(batch).await.unwrap();
    let mut daemon = Daemon::open(&controller, &host, "s1");
    daemon.send(&hello(&host));
    assert_eq!(daemon.end().await.unwrap().code, Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn ninety_seconds_of_silence_disconnect() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let mut daemon = Daemon::connect(&controller, &host, "s1").await;
    let sweeper = tokio::spawn(background::sweep(controller.clone()));
    tokio::time::sleep(Duration::from_secs(80)).await;
    daemon.heartbeat().await;
    tokio::time::sleep(Duration::from_secs(85)).await;
    assert!(seen(&controller, &host).await.connected);
    let end = daemon.end().await.unwrap();
    assert_eq!((end.code, end.message.as_str()), (Code::Unavailable, "nothing heard for 90 s"));
    assert!(!seen(&controller, &host).await.connected);
    sweeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_over_the_stream_and_an_unrenewed_one_ends_it() {
    let controller = controller().await;
    let (one, two) = (host(&controller, "default", 1, "a").await, host(&controller, "default", 2, "b").await);
    let (mut renewing, mut lazy) =
        (Daemon::connect(&controller, &one, "s1").await, Daemon::connect(&controller, &two, "s2").await);
    let minute = Duration::from_mins(1);
    for _ in 0..23 * 60 {
        tokio::time::advance(minute).await;
        renewing.heartbeat().await;
        lazy.heartbeat().await;
    }
    renewing.send(&Event::TokenRequest);
    let Command::NodeToken { token } = renewing.command().await.unwrap() else { panic!("no token") };
    let renewed = NodeClaims::verify(&token, &controller.keys, controller.now_seconds()).unwrap();
    assert!(renewed.is_bound_to(&one.key.public()));
    assert_eq!(renewed.exp, controller.now_seconds() + 24 * 3600);
    for _ in 0..59 {
        tokio::time::advance(minute).await;
        renewing.heartbeat().await;
        lazy.heartbeat().await;
    }
    tokio::time::advance(minute).await;
    renewing.heartbeat().await;
    lazy.send(&BEAT);
    let end = lazy.end().await.unwrap();
    assert_eq!((end.code, end.message.as_str()), (Code::Unauthenticated, "the node token has ended"));
    assert_eq!(end.reason, Some(Reason::TokenEnded));
    Daemon::connect(&controller, &Host { token, ..one }, "s3").await;
}

#[tokio::test(start_paused = true)]
async fn new_capabilities_are_stored_hot_and_the_same_ones_arent() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let mut daemon = Daemon::connect(&controller, &host, "s1").await;
    let revision = controller.store.revision();
    let mut changed = capabilities("web-1");
    changed.labels.insert("rack".into(), "7".into());
    daemon.send(&Event::CapabilityUpdate(changed.clone()));
    daemon.heartbeat().await;
    assert_eq!(seen(&controller, &host).await.labels, changed.labels);
    assert!(controller.store.revision() > revision);
    let revision = controller.store.revision();
    daemon.send(&Event::CapabilityUpdate(changed));
    for _ in 0..10 {
        daemon.heartbeat().await;
    }
    assert_eq!(controller.store.revision(), revision, "heartbeats write nothing either");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_changes_all_the_time_is_told_to_wait_on_whichever_stream() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let racked = |number: u32| {
        let mut changed = capabilities("web-1");
        changed.labels.insert("rack".into(), number.to_string());
        changed
    };
    let mut daemon = Daemon::connect(&controller, &host, "s1").await;
    for number in 0..5 {
        daemon.send(&Event::CapabilityUpdate(racked(number)));
        daemon.heartbeat().await;
    }
    daemon.send(&Event::CapabilityUpdate(racked(4)));
    daemon.heartbeat().await;
    daemon.send(&Event::CapabilityUpdate(racked(5)));
    assert_eq!(daemon.end().await.unwrap().code, Code::Exhausted);
    let says = |number| Event::Hello { node_token: host.token.clone(), capabilities: racked(number) };
    let mut daemon = Daemon::open(&controller, &host, "s2");
    daemon.send(&says(6));
    assert_eq!(daemon.end().await.unwrap().code, Code::Exhausted);
    tokio::time::advance(Duration::from_secs(10)).await;
    let mut daemon = Daemon::open(&controller, &host, "s3");
    daemon.send(&says(7));
    assert!(matches!(daemon.command().await.unwrap(), Command::Welcome { .. }));
    assert_eq!(seen(&controller, &host).await.labels, racked(7).labels);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_connects_in_a_circle_does_not_fill_the_audit_log() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let circle = async |name: &str, times: u32| {
        for number in 0..times {
            drop(Daemon::connect(&controller, &host, &format!("{name}-{number}")).await);
        }
    };
    let comings = || {
        let lines = audit_lines(&controller);
        lines.into_iter().filter(|line| line.contains("connect")).collect::<Vec<_>>()
    };
    circle("first", 30).await;
    assert_eq!(comings().len(), 20);
    let left_out =
        format!("left_out Ok {}: connects and disconnects that were left out before this: 40", host.id);
    // It is said when the host has come to rest.
    let sweep = tokio::spawn(background::sweep(controller.clone()));
    tokio::time::sleep(Duration::from_mins(2)).await;
    sweep.abort();
    assert_eq!(comings()[20..], [left_out.as_str()]);
    // Or when it comes again before that.
    circle("second", 30).await;
    assert_eq!(comings().len(), 41);
    tokio::time::advance(Duration::from_secs(3)).await;
    circle("third", 1).await;
    let said = comings();
    assert_eq!((said[41].as_str(), said.len()), (left_out.as_str(), 43), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_of_one_do_not_silence_those_of_others() {
    let controller = controller().await;
    let refuse = |subject: &str, tenant: &str, count: usize| {
        for _ in 0..count {
            controller.audit_refusal(controller.event(
                subject,
                tenant,
                "call",
                "x",
                &format!("by {subject} of {tenant}"),
            ));
        }
    };
    refuse("one", "default", 5000);
    refuse("two", "default", 1);
    for subject in 0..100 {
        refuse(&format!("many-{subject}"), "default", 100);
    }
    refuse("one", "t-other", 1);
    refuse("", "", 5000);
    let lines = audit_lines(&controller);
    let count = |words: &str| lines.iter().filter(|line| line.ends_with(words)).count();
    assert_eq!(
        (count("by one of default"), count("by two of default"), count("by one of t-other")),
        (200, 1, 1)
    );
    assert_eq!((count("of default"), count("by  of ")), (1000, 1000));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_reaches_a_connected_daemon_and_nothing_is_queued_for_another() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    let order = || ShutdownNode { node: "web-1".into(), reason: "maintenance".into() };
    let away = operator.service.shutdown_node(operator.call("ShutdownNode"), order()).await.unwrap_err();
    assert_eq!(away.code, Code::Unavailable);
    let mut daemon = Daemon::connect(&controller, &host, "s1").await;
    operator.service.shutdown_node(operator.call("ShutdownNode"), order()).await.unwrap();
    assert_eq!(daemon.command().await.unwrap(), Command::Shutdown { reason: "maintenance".into() });
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_node_is_there_and_disconnected() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let daemon = Daemon::connect(&controller, &host, "s1").await;
    // As after kill -9: nothing was said about the end.
    std::mem::forget(daemon);
    tokio::time::advance(Duration::from_mins(1)).await;
    let again = restarted(&controller);
    let node = seen(&again, &host).await;
    assert_eq!(
        (node.status, node.since.to_string().as_str()),
        (NodeStatus::Disconnected, "2026-11-20T12:01:00Z")
    );
    Daemon::connect(&again, &host, "s2").await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_small() {
    let controller = controller().await;
    let (_events, incoming) = tokio::sync::mpsc::unbounded_channel();
    let incoming = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming);
    let commands = Session::new(controller, crate::testing::peer(), incoming).into_commands();
    // Ten thousand of them share a goal of 45 KiB each with TLS and HTTP/2, which need 40.
    assert!(size_of_val(&commands) <= 1536, "{} bytes", size_of_val(&commands));
}

#[tokio::test(start_paused = true)]
async fn capabilities_are_plain_text_of_bounded_size() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let before = seen(&controller, &host).await;
    let mut escape = capabilities("web-1");
    escape.labels.insert("x".into(), "\u{1b}[2J".into());
    let mut large = capabilities("web-1");
    large.local_tools = vec!["t".repeat(100); 1000];
    let with_tools = |tools| Capabilities { tools, ..capabilities("web-1") };
    let many = with_tools((0..65).map(|number| owners_tool(&format!("app.t{number}"))).collect());
    let twice = with_tools(vec![owners_tool("app.start"); 2]);
    let shadow = with_tools(vec![owners_tool("fs.read")]);
    let mut described = owners_tool("app.start");
    described.parameters["description"] = "x".repeat(60 * 1024).into();
    let of_size = (0..5).map(|number| ToolDescriptor { name: format!("app.t{number}"), ..described.clone() });
    let heavy = with_tools(of_size.collect());
    let refused = [escape, large, many, twice, shadow, heavy];
    for (number, capabilities) in refused.into_iter().enumerate() {
        let mut daemon = Daemon::connect(&controller, &host, &format!("s{number}")).await;
        daemon.send(&Event::CapabilityUpdate(capabilities.clone()));
        assert_eq!(daemon.end().await.unwrap().code, Code::Invalid);
        let mut daemon = Daemon::open(&controller, &host, &format!("h{number}"));
        daemon.send(&Event::Hello { node_token: host.token.clone(), capabilities });
        assert_eq!(daemon.end().await.unwrap().code, Code::Invalid);
    }
    assert_eq!(seen(&controller, &host).await.labels, before.labels);
    let mut daemon = Daemon::connect(&controller, &host, "last").await;
    daemon.send(&Event::CapabilityUpdate(with_tools(vec![owners_tool("app.start")])));
    daemon.heartbeat().await;
    let stored = nodes::get(&*controller.store, &host.id).unwrap().unwrap().0;
    assert_eq!(stored.capabilities.tools[0].name, "app.start");
}
