//! Tokens, roles and revocation, by the real programs.

use std::time::{Duration, Instant};

use aegis_tests::{Output, SOON, World, eventually, unix_seconds};

fn enroll(world: &World, name: &str, token: &str, policy: &str) -> Output {
    let config = world.config(name);
    world.program().run(&format!("edge enroll {token} --config {} {policy} --no-service", config.display()))
}

#[test]
fn an_enrolment_token_is_good_once() {
    let world = World::new();
    let token = world.token("web-1");
    enroll(&world, "web-1", &token, "--force").ok();
    let refused = enroll(&world, "web-2", &token, "--force").exit(3).says("burnt");
    assert!(!world.config("web-2").with_file_name("node.token").exists(), "{refused:#?}");
    assert_eq!(world.run("edge ls -o json").ok().array().len(), 1);
    // At once, too: of many only one gets in.
    let token = world.token("web-3");
    let hosts: Vec<String> = (0..6).map(|number| format!("race-{number}")).collect();
    let racing: Vec<_> = hosts
        .iter()
        .map(|host| {
            let config = world.config(host);
            world
                .program()
                .start(&format!("edge enroll {token} --config {} --force --no-service", config.display()))
        })
        .collect();
    let mut codes: Vec<i32> = racing.into_iter().map(|process| process.wait().code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 3, 3, 3, 3, 3]);
    assert_eq!(world.run("edge ls -o json").ok().array().len(), 2);
}

#[test]
fn an_altered_token_is_refused() {
    let world = World::new();
    let token = world.token("web-1");
    let (body, signature) = token.rsplit_once('.').unwrap();
    // Another signature; the last letter carries bits that don't count, so the first is changed.
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{body}.{first}{}", &signature[1..]);
    enroll(&world, "web-1", &forged, "--force").exit(3);
    // The signature of another token.
    let other = world.token("web-2");
    let swapped = format!("{body}.{}", other.rsplit_once('.').unwrap().1);
    enroll(&world, "web-1", &swapped, "--force").exit(3);
    // No token at all.
    for broken in ["nonsense", "a.b.c", body] {
        enroll(&world, "web-1", broken, "--force").exit(2);
    }
    assert!(!world.config("web-1").with_file_name("node.token").exists());
    // The true one is as good as before.
    enroll(&world, "web-1", &token, "--force").ok();
}

#[test]
fn a_token_that_has_expired_is_refused() {
    let world = World::new();
    let made = world.run("controller enrollment-token create --label web-1 --ttl 1s -o json").ok().json();
    let user = "controller token create --tenant default --role viewer --ttl 1s -o json";
    let user = world.run(user).ok().json()["token"].as_str().unwrap().to_owned();
    let end = unix_seconds() + 2;
    eventually("the tokens' second is over", SOON, || (unix_seconds() >= end).then_some(()));
    enroll(&world, "web-1", made["token"].as_str().unwrap(), "--force").exit(3).says("expired");
    world.admin().env("AEGIS_USER_TOKEN", &user).run("edge ls").exit(3).says("expired");
    assert!(world.run("edge ls -o json").ok().array().is_empty());
}

#[test]
fn a_wrong_certificate_authority_is_never_talked_to() {
    let world = World::new();
    let text = std::fs::read_to_string(world.data().join("admin-context.yaml")).unwrap();
    let line = text.lines().find(|line| line.starts_with("ca_fingerprint")).unwrap();
    let digits = line.rfind(|c: char| c.is_ascii_hexdigit()).unwrap();
    let last = if line.as_bytes()[digits] == b'0' { "1" } else { "0" };
    let wrong = text.replace(line, &format!("{}{last}{}", &line[..digits], &line[digits + 1..]));
    assert_ne!(wrong, text);
    let context = world.write("wrong.yaml", &wrong);
    world.program().run(&format!("edge ls --context {}", context.display())).exit(3);
    // A daemon whose config pins another CA doesn't connect either, and says why.
    world.enroll("web-1");
    let config = world.config("web-1");
    let text = std::fs::read_to_string(&config).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("caFingerprint")).unwrap();
    let digits = line.rfind(|c: char| c.is_ascii_hexdigit()).unwrap();
    let last = if line.as_bytes()[digits] == b'0' { "1" } else { "0" };
    std::fs::write(&config, text.replace(line, &format!("{}{last}{}", &line[..digits], &line[digits + 1..])))
        .unwrap();
    let daemon = aegis_tests::Daemon::start(&world.program(), &config);
    eventually("the daemon says why", SOON, || {
        daemon.status().filter(|status| status["last_error"].is_string()).map(drop)
    });
    assert_eq!(world.node("web-1")["connected"], false);
}

#[test]
fn a_role_allows_what_it_says_and_no_more() {
    let world = World::new();
    world.enroll("web-1");
    let file = world.write("fleet/a.yaml", &crate::declarative::group("a", "all"));
    let (viewer, operator) = (world.user("default", "viewer"), world.user("default", "operator"));
    let reads = ["edge ls".to_owned(), "get EdgeGroup".to_owned(), format!("diff -f {}", file.display())];
    let writes = [
        "edge tag add web-1 x".to_owned(),
        format!("apply -f {} --yes", file.display()),
        "edge drain web-1".to_owned(),
        "edge keys revoke-remote web-1".to_owned(),
    ];
    let administers = [
        "controller token create --tenant default --role viewer --ttl 1h",
        "controller tenant create t-new",
        "controller audit verify",
        "controller backup stolen",
    ];
    for line in &reads {
        viewer.run(line).ok();
    }
    for line in &writes {
        let refused = viewer.run(line).exit(3);
        assert!(refused.stderr.contains("viewer") || refused.stderr.contains("operator"), "{refused:#?}");
    }
    for line in administers {
        viewer.run(line).exit(3);
        operator.run(line).exit(3);
    }
    assert!(!world.path().join("stolen").exists());
    assert_eq!(world.run("history -o json").ok().array().len(), 0);
    operator.run(&writes[0]).ok();
    operator.run(&writes[1]).ok();
    // Refusals are in the audit log.
    world.wait_for_audit("the refusals", |audit| {
        audit.iter().filter(|event| event["outcome"] == "refused").count() >= 2
    });
}

#[test]
fn a_revoked_host_is_out_within_a_second_and_for_good() {
    let world = World::new();
    let daemon = world.host("web-1");
    let id = world.node("web-1")["node_id"].as_str().unwrap().to_owned();
    world.run("edge keys revoke-remote web-1").ok();
    let revoked = Instant::now();
    let ended = daemon.process.wait().exit(3).says("revoked");
    assert!(revoked.elapsed() <= Duration::from_secs(1), "after {:?}: {ended:#?}", revoked.elapsed());
    assert_eq!(world.run("edge ls -o json").ok().array()[0]["status"], "Revoked");

    // Its token is refused from then on.
    let again = aegis_tests::Daemon::start(&world.program(), &world.config("web-1"));
    again.process.wait().exit(3).says("revoked");
    // A fresh enrolment token doesn't bring the key back, and isn't used up by the attempt.
    let token = world.token("web-1");
    std::fs::remove_file(world.config("web-1").with_file_name("node.token")).unwrap();
    enroll(&world, "web-1", &token, "--keep-existing").exit(3).says("revoked");
    // With a new key the machine is a new node.
    enroll(&world, "web-1", &token, "--force").ok();
    let nodes = world.run("edge ls -o json").ok().array();
    assert_eq!(nodes.len(), 2);
    assert!(nodes.iter().any(|node| node["node_id"] != id.as_str() && node["status"] == "Disconnected"));
    world.run(&format!("edge keys revoke-remote {id}")).ok();
    let _daemon = world.connect("web-1");
    world.audit_is_intact();
}

#[test]
fn an_endpoint_that_nobody_can_reach_is_refused_before_anything_is_served() {
    let world = World::without_controller();
    for wildcard in ["0.0.0.0:50056", "'[::]:50056'", "fleet.example:0"] {
        let line =
            format!("controller run --data-dir data --listen 127.0.0.1:0 --public-endpoint {wildcard}");
        world.program().run(&line).exit(2).says("--public-endpoint").says_not("ready on");
    }
    assert!(!world.path().join("data/admin-context.yaml").exists());
}

#[test]
fn no_secret_is_in_the_logs() {
    let mut world = World::new();
    let token = world.token("web-1");
    enroll(&world, "web-1", &token, "--force").ok();
    let daemon = world.connect("web-1");
    let node_token = std::fs::read_to_string(world.config("web-1").with_file_name("node.token")).unwrap();
    let context = std::fs::read_to_string(world.data().join("admin-context.yaml")).unwrap();
    let admin = context.lines().find_map(|line| line.strip_prefix("token: ")).unwrap().trim_matches('"');
    let audit = world.run("controller audit ls --limit 1000").ok().stdout;
    let daemon = daemon.process.terminate().ok();
    let controller = world.stop_controller().ok();
    for secret in [token.as_str(), node_token.trim(), admin] {
        for said in [&daemon.stderr, &daemon.stdout, &controller.stderr, &controller.stdout, &audit] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}
