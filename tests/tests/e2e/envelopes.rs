//! Somebody with a host's own files, who doesn't keep to the rules of its stream, before a real controller.

use std::{fs, sync::Arc, time::UNIX_EPOCH};

use aegis_core::session::Outbound;
use aegis_tests::World;
use aegis_wire::{
    ApiError, Code, Envelope, SigningKey,
    dial::{TcpDialer, connect},
    edge::{Capabilities, EdgeClient, Event},
    envelope::{Route, seal},
};
use futures::{StreamExt, channel::mpsc};

/// What a host has that enrolled.
struct Host {
    id: String,
    key: SigningKey,
    token: String,
}

impl Host {
    fn enroll(world: &World, name: &str) -> Self {
        let id = world.enroll(name);
        let config = world.config(name);
        let key = SigningKey::from_bytes(&fs::read(config.with_file_name("node.key")).unwrap()).unwrap();
        let token = fs::read_to_string(config.with_file_name("node.token")).unwrap();
        Self { id, key, token: token.trim().to_owned() }
    }

    fn hello(&self) -> Event {
        Event::Hello { node_token: self.token.clone(), capabilities: Capabilities::default() }
    }
}

/// Seals by `host`'s rules, but for what a test changes.
struct Sealer<'a> {
    host: &'a Host,
    key: &'a SigningKey,
    stream: &'a str,
    outbound: Outbound,
    off_ms: i64,
}

impl<'a> Sealer<'a> {
    fn of(host: &'a Host, stream: &'a str) -> Self {
        Self { host, key: &host.key, stream, outbound: Outbound::default(), off_ms: 0 }
    }

    fn seal(&mut self, event: &Event) -> Envelope {
        let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        let route = Route { sender: &self.host.id, stream: self.stream };
        seal(self.key, route, &mut self.outbound, now + self.off_ms, event).unwrap()
    }
}

/// Makes the envelope that breaks a rule; it is given the last that was good.
type Attack = fn(&mut Sealer<'_>, &Envelope) -> Envelope;

const HEARTBEAT: Event = Event::Heartbeat { draining: false, in_flight: 0 };

/// Opens a stream with `hello`, then sends `then`. Gives how many commands came, and how the stream ended.
async fn talk(world: &World, hello: Envelope, then: Vec<Envelope>) -> (usize, ApiError) {
    let context = fs::read_to_string(world.data().join("admin-context.yaml")).unwrap();
    let pin = context.lines().find_map(|line| line.strip_prefix("ca_fingerprint: ")).unwrap();
    let endpoint = world.controller.as_ref().unwrap().address().to_string().parse().unwrap();
    let channel =
        connect(&endpoint, &pin.trim_matches('"').parse().unwrap(), Arc::new(TcpDialer)).await.unwrap();
    let (sender, events) = mpsc::unbounded();
    sender.unbounded_send(hello).unwrap();
    let mut commands = match EdgeClient::new(channel).connect(events).await {
        Ok(commands) => commands,
        Err(error) => return (0, error),
    };
    let mut count = 0;
    let mut then = then.into_iter();
    // The stream is kept open from our side: it is the controller that has to end it.
    let end = tokio::time::timeout(aegis_tests::SOON, async {
        while let Some(command) = commands.next().await {
            match command {
                Ok(_) => {
                    count += 1;
                    if let Some(next) = then.next() {
                        sender.unbounded_send(next).unwrap();
                    }
                }
                Err(error) => return error,
            }
        }
        panic!("the stream ended without a reason");
    });
    let end = end.await.expect("the controller ends the stream");
    (count, end)
}

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
}

#[test]
fn who_breaks_a_rule_of_the_stream_is_out() {
    let world = World::new();
    let host = Host::enroll(&world, "web-1");
    let stranger = SigningKey::generate().unwrap();
    // Each begins well: Hello is answered, and a heartbeat too. Then comes what breaks a rule.
    let attacks: [(&str, Attack); 5] = [
        ("replayed", |_, last| last.clone()),
        ("reordered", |sealer, _| {
            sealer.seal(&HEARTBEAT);
            sealer.seal(&HEARTBEAT)
        }),
        ("late", |sealer, _| {
            sealer.off_ms = -40_000;
            sealer.seal(&HEARTBEAT)
        }),
        ("early", |sealer, _| {
            sealer.off_ms = 40_000;
            sealer.seal(&HEARTBEAT)
        }),
        ("from another stream", |sealer, _| {
            sealer.stream = "s-another";
            sealer.seal(&HEARTBEAT)
        }),
    ];
    for (name, attack) in attacks {
        let stream = format!("s-{name}");
        let mut sealer = Sealer::of(&host, &stream);
        let hello = sealer.seal(&host.hello());
        let heartbeat = sealer.seal(&HEARTBEAT);
        let bad = attack(&mut sealer, &heartbeat);
        let (answered, end) = run(talk(&world, hello, vec![heartbeat, bad]));
        assert_eq!(answered, 2, "{name}: the welcome, and the good heartbeat's answer");
        assert!(
            matches!(end.code, Code::Unauthenticated | Code::PermissionDenied | Code::Invalid),
            "{name}: {end}"
        );
        world.wait_for_node("web-1", "disconnected", |node| node["connected"] == false);
    }
    // By another key, from the first word on and in the middle.
    let mut sealer = Sealer::of(&host, "s-key");
    let hello = sealer.seal(&host.hello());
    sealer.key = &stranger;
    let forged = sealer.seal(&HEARTBEAT);
    let (answered, _) = run(talk(&world, hello, vec![forged]));
    assert_eq!(answered, 1, "only the welcome");
    let mut sealer = Sealer::of(&host, "s-forged");
    sealer.key = &stranger;
    let (answered, forged) = run(talk(&world, sealer.seal(&host.hello()), vec![]));
    assert_eq!(answered, 0);
    // Of which nobody learns whether there is such a node.
    let nobody = Host { id: "n-0123456789abcdef0123".into(), key: stranger, token: host.token.clone() };
    let (_, unknown) = run(talk(&world, Sealer::of(&nobody, "s-nobody").seal(&nobody.hello()), vec![]));
    assert_eq!((forged.code, forged.message), (unknown.code, unknown.message));
    // Every attempt is in the audit log, and the honest one still gets in.
    world.wait_for_audit("two refusals", |audit| {
        audit.iter().filter(|event| event["outcome"] == "refused").count() >= 2
    });
    let _daemon = world.connect("web-1");
    world.audit_is_intact();
}

#[test]
fn a_token_is_useless_without_its_key_and_a_hello_without_its_time() {
    let world = World::new();
    let (first, second) = (Host::enroll(&world, "web-1"), Host::enroll(&world, "web-2"));
    // Node 1 with the token of node 2.
    let mixed = Host {
        id: first.id.clone(),
        key: SigningKey::from_bytes(&*first.key.seed()).unwrap(),
        token: second.token.clone(),
    };
    let (answered, end) = run(talk(&world, Sealer::of(&mixed, "s-1").seal(&mixed.hello()), vec![]));
    assert_eq!((answered, end.code), (0, Code::Unauthenticated), "{end}");
    // A token that nobody here signed.
    let forged = Host { token: format!("{}x", first.token), ..mixed };
    let (answered, end) = run(talk(&world, Sealer::of(&forged, "s-2").seal(&forged.hello()), vec![]));
    assert_eq!((answered, end.code), (0, Code::Unauthenticated), "{end}");
    // A Hello that was recorded a while ago.
    let mut sealer = Sealer::of(&first, "s-3");
    sealer.off_ms = -40_000;
    let (answered, end) = run(talk(&world, sealer.seal(&first.hello()), vec![]));
    assert_eq!(answered, 0, "{end}");
    // Who doesn't say Hello first.
    let (answered, end) = run(talk(&world, Sealer::of(&first, "s-4").seal(&HEARTBEAT), vec![]));
    assert_eq!(answered, 0, "{end}");
    let nodes = world.run("edge ls -o json").ok().array();
    assert!(nodes.iter().all(|node| node["connected"] == false), "{nodes:?}");
    assert!(nodes.iter().all(|node| node["last_heartbeat_at"].is_null()), "{nodes:?}");
}
