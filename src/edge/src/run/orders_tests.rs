//! Every check of an order, by the one order that only this check refuses.

use std::{fs, time::Duration};

use aegis_core::{NodeId, fleet::TargetOutcome};
use aegis_wire::edge::{Event, Order, Refusal};

use super::{
    Control,
    contexts::Contexts,
    fake::{CONFIG, Lab},
    fake_orders::*,
    identity::Identity,
    orders::{Against, Rejected},
    seen::Seen,
};
use crate::{clock::Clock, config::EdgeConfig};

/// The rule, and that a neighbour of the refused order is obeyed.
async fn refused(change: impl Fn(&mut Order), rule: Refusal, says: &str) {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let mut order = lab.order(1);
    change(&mut order);
    let (refusal, error) = lab.refusal(&mut stream, &order).await;
    assert_eq!(refusal, rule, "{error}");
    assert!(error.contains(says), "{error}");
    assert!(error.contains("; ") || rule == Refusal::Misdirected, "no way out: {error}");
    assert_eq!(lab.calls.started(), 0);
    lab.run(&mut stream, 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_the_envelope_does_not_vouch_for_ends_the_stream() {
    for other in [None, Some([0; 32]), Some([7; 32])] {
        let mut lab = Lab::start();
        let mut stream = lab.live().await;
        let envelope = lab.forged(&mut stream, &lab.order(1), other);
        stream.to.send(Ok(envelope)).await.unwrap();
        assert_eq!(lab.try_event(&mut stream).await, None);
        assert_eq!(lab.calls.started(), 0);
        let status = lab.wait_for("Disconnected").await;
        assert!(status.last_error.unwrap().contains("isn't signed by the controller"));
    }
    // The same envelope with the right digest is obeyed.
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let order = lab.order(1);
    let envelope = lab.forged(&mut stream, &order, Some(order.to_signed().digest()));
    stream.to.send(Ok(envelope)).await.unwrap();
    lab.until(|| lab.calls.has_started(&command(1))).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_of_another_node_that_the_envelope_vouches_for_is_no_order_for_this_one() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let order = Order { node: NodeId::of_public_key(&[3; 32]), ..lab.order(1) };
    let digest = lab.order(1).to_signed().digest();
    let envelope = lab.forged(&mut stream, &order, Some(digest));
    stream.to.send(Ok(envelope)).await.unwrap();
    assert_eq!(lab.try_event(&mut stream).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_has_expired_is_refused() {
    refused(|order| order.expires_at_ms -= 90_001, Refusal::Expired, "expired 30001 ms ago").await;
}

#[tokio::test(start_paused = true)]
async fn an_order_is_good_for_as_long_as_clocks_may_differ() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let order = Order { expires_at_ms: lab.clock.now_ms() - 30_000, ..lab.order(1) };
    lab.invoke(&mut stream, &order).await;
    lab.until(|| lab.calls.has_started(&command(1))).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_good_for_ever_is_refused() {
    refused(|order| order.expires_at_ms = i64::MAX, Refusal::Expired, "longer than any order").await;
}

#[tokio::test(start_paused = true)]
async fn an_order_of_another_tenant_is_refused() {
    let other = |order: &mut Order| order.tenant = "other".parse().unwrap();
    refused(other, Refusal::Misdirected, "of tenant other, this host is of default").await;
}

#[tokio::test(start_paused = true)]
async fn an_order_for_another_node_is_refused() {
    let other = |order: &mut Order| order.node = NodeId::of_public_key(&[3; 32]);
    refused(other, Refusal::Misdirected, "this host is n-").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_is_done_once_also_by_another_order_and_on_another_stream() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let order = lab.order(1);
    lab.run(&mut stream, 1).await;
    lab.calls.end(&command(1));
    assert_eq!(lab.result(&mut stream).await.outcome, TargetOutcome::Ok);
    assert_eq!(lab.refusal(&mut stream, &order).await.0, Refusal::Repeated);
    let other = Order { tool: "fs.read".into(), expires_at_ms: order.expires_at_ms + 1, ..order.clone() };
    assert_eq!(lab.refusal(&mut stream, &other).await.0, Refusal::Repeated);
    drop(stream);
    let mut next = lab.live().await;
    assert_eq!(lab.refusal(&mut next, &order).await.0, Refusal::Repeated);
    assert_eq!(lab.calls.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_comes_again_while_it_runs_is_neither_begun_nor_answered_twice() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let order = lab.order(1);
    lab.run(&mut stream, 1).await;
    lab.invoke(&mut stream, &order).await;
    lab.run(&mut stream, 2).await;
    lab.calls.end(&command(1));
    let result = lab.result(&mut stream).await;
    assert_eq!((result.command, result.outcome, result.refusal), (command(1), TargetOutcome::Ok, None));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_refused_is_not_begun_later() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let order = Order { security_context: "ops".into(), ..lab.order(1) };
    assert_eq!(lab.refusal(&mut stream, &order).await.0, Refusal::Context);
    lab.send(&mut stream, &push(1, &[("ops", granting(&["host.*"]))])).await;
    assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
    assert_eq!(lab.refusal(&mut stream, &order).await.0, Refusal::Repeated);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_remembers_no_more_commands_takes_no_new_one() {
    let lab = Lab::start();
    let (now_ms, mut seen) = (lab.clock.now_ms(), Seen::default());
    let mut noted = 2_u32;
    while seen.note(&command(noted), now_ms + 60_000, now_ms).is_ok() {
        noted += 1;
    }
    let (identity, contexts) = (Identity::load(&lab.state).unwrap(), Contexts::new());
    let config = EdgeConfig::default();
    let order = lab.order(1).to_signed();
    let against =
        Against { identity: &identity, now_ms, seen: &mut seen, contexts: &contexts, config: &config };
    let checked = against.check(&order, Some(order.digest()), b"{}");
    let Err(Rejected::Refused { refusal, message, .. }) = checked else { panic!("it is taken") };
    assert_eq!(refusal, Refusal::Busy);
    assert!(message.contains("; ask again"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_context_that_the_host_does_not_have_is_refused() {
    let ops = |order: &mut Order| order.security_context = "ops".into();
    refused(ops, Refusal::Context, "no security context 'ops'; it has default").await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_the_context_does_not_grant_is_refused() {
    let shell = |order: &mut Order| order.tool = "shell".into();
    refused(shell, Refusal::Tool, "'default' doesn't grant shell").await;
}

#[tokio::test(start_paused = true)]
async fn a_context_pushed_a_moment_ago_is_in_force_for_the_next_call() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let shell = |number| Order { tool: "shell".into(), ..lab.order(number) };
    assert_eq!(lab.refusal(&mut stream, &shell(1)).await.0, Refusal::Tool);
    // Nobody waits for the Ack.
    lab.send(&mut stream, &push(1, &[("default", granting(&["shell"]))])).await;
    lab.invoke(&mut stream, &shell(2)).await;
    assert_eq!(lab.answer(&mut stream).await, Event::Ack { sequence: 3 });
    lab.until(|| lab.calls.has_started(&command(2))).await;
    lab.send(&mut stream, &push(2, &[("default", granting(&["fs.*"]))])).await;
    lab.invoke(&mut stream, &shell(3)).await;
    assert_eq!(lab.answer(&mut stream).await, Event::Ack { sequence: 5 });
    assert_eq!(lab.result(&mut stream).await.refusal, Some(Refusal::Tool));
}

#[tokio::test(start_paused = true)]
async fn contexts_stay_over_a_reconnect_and_revisions_begin_anew() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.send(&mut stream, &push(7, &[("ops", granting(&["shell"]))])).await;
    assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
    drop(stream);
    let mut stream = lab.live().await;
    let order = Order { security_context: "ops".into(), tool: "shell".into(), ..lab.order(1) };
    lab.invoke(&mut stream, &order).await;
    lab.until(|| lab.calls.has_started(&command(1))).await;
    lab.send(&mut stream, &push(1, &[])).await;
    assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
    let order = Order { command: command(2), ..order };
    assert_eq!(lab.refusal(&mut stream, &order).await.0, Refusal::Context);
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_not_newer_ends_the_stream() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.send(&mut stream, &push(2, &[])).await;
    assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
    lab.send(&mut stream, &push(2, &[("ops", granting(&["shell"]))])).await;
    assert_eq!(lab.try_event(&mut stream).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_pushed_context_cannot_widen_what_the_hosts_owner_allows() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.send(&mut stream, &push(1, &[("default", granting(&["*"]))])).await;
    assert!(matches!(lab.answer(&mut stream).await, Event::Ack { .. }));
    let order = |number, tool: &str| Order { tool: tool.into(), ..lab.order(number) };
    lab.invoke(&mut stream, &order(1, "shell")).await;
    lab.until(|| lab.calls.has_started(&command(1))).await;

    let policy = "    localPolicy:\n      capabilities: [{tools: ['host.*', 'fs.*'], paths: [/srv]}]\n      deny: [host.secret]\n    mountPoints: [/opt]\n";
    fs::write(lab.state.config(), format!("{CONFIG}{policy}")).unwrap();
    lab.control.send(Control::Reload).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    for (number, tool, says) in [
        (2, "shell", "the host's localPolicy doesn't grant shell"),
        (3, "host.secret", "the host's localPolicy denies host.secret"),
        (4, "fs.read", "the host's own config"),
    ] {
        let (refusal, error) = lab.refusal(&mut stream, &order(number, tool)).await;
        assert_eq!(refusal, Refusal::Tool, "{error}");
        assert!(error.contains(says), "{error}");
    }
    lab.invoke(&mut stream, &order(5, "host.facts")).await;
    lab.until(|| lab.calls.has_started(&command(5))).await;
}

#[tokio::test(start_paused = true)]
async fn arguments_other_than_those_that_were_signed_are_refused() {
    let other = |order: &mut Order| order.arguments_sha256 = Order::digest_of(b"{ }");
    refused(other, Refusal::Arguments, "aren't those that were signed").await;
}

#[tokio::test(start_paused = true)]
async fn arguments_that_are_not_json_are_refused() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let order = Order { arguments_sha256: Order::digest_of(b"{"), ..lab.order(1) };
    lab.invoke_with(&mut stream, &order, b"{").await;
    let result = lab.result(&mut stream).await;
    assert_eq!((result.refusal, result.outcome), (Some(Refusal::Arguments), TargetOutcome::Error));
    assert!(result.error.contains("aren't JSON"));
}

#[tokio::test(start_paused = true)]
async fn what_the_toolbox_refuses_is_answered_with_its_rule() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    let rules: [(&'static [u8], _); 5] = [
        (br#"{"refuse": "arguments"}"#, Refusal::Arguments),
        (br#"{"refuse": "path"}"#, Refusal::Path),
        (br#"{"refuse": "command"}"#, Refusal::Command),
        (br#"{"refuse": "domain"}"#, Refusal::Domain),
        (br#"{"refuse": "rate"}"#, Refusal::Rate),
    ];
    for (number, (arguments, refusal)) in (1..).zip(rules) {
        let order = Order { arguments_sha256: Order::digest_of(arguments), ..lab.order(number) };
        lab.invoke_with(&mut stream, &order, arguments).await;
        let result = lab.result(&mut stream).await;
        assert_eq!((result.command, result.refusal), (command(number), Some(refusal)));
    }
    assert_eq!(lab.calls.started(), 0);
    // None of them counts as work.
    let Event::Heartbeat { in_flight: 0, .. } = lab.event(&mut stream).await else { panic!("work") };
}

/// The order of the checks, by orders that fail all from one on: the first one decides.
#[tokio::test(start_paused = true)]
async fn the_first_check_that_fails_decides() {
    let mut lab = Lab::start();
    let mut stream = lab.live().await;
    lab.run(&mut stream, 1).await;
    lab.calls.end(&command(1));
    lab.result(&mut stream).await;
    let worst = Order {
        expires_at_ms: 1,
        tenant: "other".parse().unwrap(),
        node: NodeId::of_public_key(&[3; 32]),
        security_context: "none".into(),
        tool: "shell".into(),
        arguments_sha256: [0; 32],
        ..lab.order(1)
    };
    let good = lab.order(1);
    let mut order = worst.clone();
    let mut rules = vec![lab.refusal(&mut stream, &order).await.0];
    order.expires_at_ms = good.expires_at_ms;
    rules.push(lab.refusal(&mut stream, &order).await.0);
    order.tenant = good.tenant;
    rules.push(lab.refusal(&mut stream, &order).await.0);
    order.node = good.node;
    rules.push(lab.refusal(&mut stream, &order).await.0);
    order.command = command(2);
    rules.push(lab.refusal(&mut stream, &order).await.0);
    (order.command, order.security_context) = (command(3), good.security_context);
    rules.push(lab.refusal(&mut stream, &order).await.0);
    (order.command, order.tool) = (command(4), good.tool);
    rules.push(lab.refusal(&mut stream, &order).await.0);
    assert_eq!(
        rules,
        [
            Refusal::Expired,
            Refusal::Misdirected,
            Refusal::Misdirected,
            Refusal::Repeated,
            Refusal::Context,
            Refusal::Tool,
            Refusal::Arguments
        ]
    );
}
