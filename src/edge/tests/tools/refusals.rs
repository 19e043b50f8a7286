//! What is refused before anything begins, by which rule, and what isn't.

use aegis_core::fleet::TargetOutcome;
use serde_json::{Value, json};

use crate::fixture::{Fixture, text};

/// The rule by which a call is refused; empty: it isn't.
fn rule(host: &Fixture, tool: &str, arguments: Value) -> &'static str {
    host.prepare(Fixture::call(tool, arguments)).err().map_or("", |refused| refused.rule)
}

#[test]
fn a_tool_that_is_not_known_or_not_there_is_refused() {
    let host = Fixture::new("localTools: [git]", r#""commands": ["*"]"#);
    for (tool, arguments, message) in [
        ("cmd.rum", json!({}), "did you mean 'cmd.run'?"),
        ("quite.other", json!({}), "aegis edge tools ls"),
        ("docker.ps", json!({}), "it needs docker"),
        ("service.status", json!({"name": "x"}), "it needs systemctl or service"),
        ("shell", json!({"script": "x"}), "it needs shell"),
        ("cmd.run", json!({"cmd": "x"}), "offers no shell"),
        ("edge.keys.rotate", json!({}), "the daemon's own matter"),
    ] {
        let refused = host.prepare(Fixture::call(tool, arguments)).unwrap_err();
        assert_eq!(refused.rule, "tool", "{tool}");
        assert!(refused.message.contains(message), "{tool}: {refused}");
    }
    assert_eq!(rule(&host, "cmd.run", json!({"command": "ls"})), "");
    assert!(host.toolbox.unavailable("host.facts").is_none());
}

#[test]
fn arguments_are_as_the_schema_says() {
    let host = Fixture::open();
    for (tool, arguments) in [
        ("fs.read", json!({})),
        ("fs.read", json!({"path": 1})),
        ("fs.read", json!({"path": "relative"})),
        ("fs.read", json!({"path": "/a\u{0}b"})),
        ("fs.read", json!({"pth": "/x"})),
        ("fs.read", json!([])),
        ("cmd.run", json!({"command": "ls", "cmd": "ls"})),
        ("cmd.run", json!({})),
        ("cmd.run", json!({"command": "./x"})),
        ("cmd.run", json!({"command": "ls", "args": ["a\u{0}b"]})),
        ("cmd.run", json!({"command": "ls", "env": {"LD_PRELOAD": "/x.so"}})),
        ("cmd.run", json!({"command": "ls", "env": {"A=B": "x"}})),
        ("service.start", json!({"name": "--force"})),
        ("fs.write", json!({"path": "/x", "content": "?", "encoding": "base64"})),
        ("fs.grep", json!({"path": "/x", "pattern": "("})),
        ("fs.glob", json!({"path": "/x", "pattern": "["})),
    ] {
        let shown = format!("{tool} {arguments}");
        let given = arguments.to_string().replace("/x", &host.path("x"));
        assert_eq!(rule(&host, tool, serde_json::from_str(&given).unwrap()), "arguments", "{shown}");
    }
}

#[test]
fn commands_are_granted_by_name_or_path_and_nothing_else() {
    let host = Fixture::new("", r#""commands": ["ls", "/bin/cat"]"#);
    for (command, allowed) in [
        ("ls", true),
        ("/bin/cat", true),
        ("cat", false),
        ("/bin/ls", false),
        ("lsblk", false),
        ("sh", false),
    ] {
        let refused = rule(&host, "cmd.run", json!({ "command": command }));
        assert_eq!(refused, if allowed { "" } else { "command" }, "{command}");
    }
    assert_eq!(rule(&host, "cmd.run", json!({"cmd": "ls"})), "command");
    assert_eq!(rule(&host, "cmd.run", json!({"command": "ls", "args": ["; cat /etc/shadow"]})), "");
}

#[test]
fn paths_must_be_beneath_what_is_granted() {
    let host = Fixture::open();
    for path in [
        "/etc/shadow".to_owned(),
        host.path("../x"),
        host.path("").trim_end_matches('/').to_owned() + "x",
        host.path("a/../../b"),
    ] {
        assert_eq!(rule(&host, "fs.read", json!({ "path": path })), "path", "{path}");
    }
    let refused = host.prepare(Fixture::call("fs.read", json!({"path": host.path("../x")}))).unwrap_err();
    assert!(refused.message.contains("with '..'"), "{refused}");
    // That nothing is there is no matter of what is granted.
    assert_eq!(rule(&host, "fs.read", json!({"path": host.path("a")})), "");
}

#[test]
fn the_owners_mount_points_and_policy_narrow() {
    let config = "mountPoints: [WORK/in], localPolicy: {capabilities: [{tools: [fs.*], paths: [WORK]}]}";
    let host = Fixture::new(config, r#""commands": ["*"], "paths": ["/"]"#);
    assert_eq!(rule(&host, "fs.read", json!({"path": host.path("in/a")})), "");
    assert_eq!(rule(&host, "fs.read", json!({"path": host.path("out/a")})), "path");
    assert_eq!(rule(&host, "cmd.run", json!({"command": "ls"})), "tool");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_and_a_refused_call_takes_nothing_of_it() {
    let host = Fixture::new("", r#""commands": ["ls"], "rateLimit": "2/m""#);
    for _ in 0..5 {
        assert_eq!(rule(&host, "cmd.run", json!({"command": "cat"})), "command");
        assert_eq!(rule(&host, "cmd.run", json!({"comand": "ls"})), "arguments");
    }
    let ls = || rule(&host, "cmd.run", json!({"command": "ls"}));
    assert_eq!((ls(), ls(), ls()), ("", "", "rate"));
    tokio::time::advance(std::time::Duration::from_secs(31)).await;
    assert_eq!((ls(), ls()), ("", "rate"));
    let reloaded = host.toolbox.reloaded(
        &aegis_edge::config::EdgeConfig::default(),
        &aegis_edge::capabilities::Host::this(Some(std::ffi::OsStr::new("/bin"))),
        &aegis_edge::state::StateDir::of_config("/nonexistent/x"),
    );
    let grants = host.grants("cmd.run").unwrap();
    let call = Fixture::call("cmd.run", json!({"command": "ls"}));
    assert_eq!(reloaded.prepare(call, &grants).unwrap_err().rule, "rate");
}

#[test]
fn nothing_granted_is_nothing_allowed() {
    let host = Fixture::open();
    let refused = host.toolbox.prepare(Fixture::call("host.facts", json!({})), &[]).unwrap_err();
    assert_eq!(refused.rule, "tool");
}

const OWN: &str = "tools: [{name: own.print, class: read-only, argv: [printf, --, '%s|', 'file={file}', '{text}', \
    '{count}', '{{}', '{url}'], env: {MINE: x}, parameters: {type: object, properties: {file: {type: string, format: \
    path}, text: {type: string}, count: {type: integer}, url: {type: string, format: uri}, name: {type: string, \
    format: hostname}}}}, {name: own.dash, class: read-only, argv: [printf, '{text}'], \
    parameters: {type: object, properties: {text: {type: string}}}}]";

#[tokio::test]
async fn an_owners_tool_gets_each_argument_in_one_piece() {
    let host = Fixture::new(OWN, r#""paths": ["WORK"], "domains": ["*.example.com"]"#);
    std::fs::write(host.work.path().join("f"), "").unwrap();
    let result = host.run("own.print", json!({"text": "a b; $(id)\n'", "count": 7})).await;
    assert_eq!(text(&result), "a b; $(id)\n'|7|{}|", "{}", result.error);
    let result = host
        .run("own.print", json!({"file": host.path("f"), "text": "-n", "url": "https://a.example.com/x"}))
        .await;
    assert_eq!(text(&result), format!("file={}|-n|{{}}|https://a.example.com/x|", host.path("f")));
    assert_eq!(rule(&host, "own.print", json!({"texd": "x"})), "arguments");
    assert_eq!(rule(&host, "own.print", json!({"text": "a\u{0}"})), "arguments");
    assert_eq!(rule(&host, "own.dash", json!({"text": "-v"})), "arguments");
    assert_eq!(rule(&host, "own.dash", json!({"text": "v"})), "");
}

#[tokio::test]
async fn what_an_owners_tool_is_given_must_be_granted() {
    let host = Fixture::new(OWN, r#""paths": ["WORK"], "domains": ["*.example.com"]"#);
    assert_eq!(rule(&host, "own.print", json!({"file": "/etc/passwd"})), "path");
    for url in ["https://evil.com", "https://a.example.com@evil.com/", "file:///etc/passwd", "x"] {
        assert_eq!(rule(&host, "own.print", json!({ "url": url })), "domain", "{url}");
    }
    assert_eq!(rule(&host, "own.print", json!({"name": "example.com"})), "domain");
    assert_eq!(rule(&host, "own.print", json!({"name": "b.example.com"})), "");
    // By its text it is granted, and in truth it isn't.
    std::os::unix::fs::symlink("/etc", host.work.path().join("link")).unwrap();
    let result = host.run("own.print", json!({"file": host.path("link/passwd")})).await;
    assert_eq!(result.outcome, TargetOutcome::Error);
    assert!(result.error.contains("leads out of"), "{}", result.error);
    // What the tool is to make isn't there yet.
    let result = host.run("own.print", json!({"file": host.path("new")})).await;
    assert_eq!(result.outcome, TargetOutcome::Ok, "{}", result.error);
}

#[tokio::test]
async fn facts_are_there_without_any_grant_of_paths() {
    let result = Fixture::new("", r#""commands": []"#).run("host.facts", json!({})).await;
    let data = result.data.clone().unwrap();
    assert!(data["memory"]["totalBytes"].as_u64().unwrap() > 1 << 20, "{data}");
    assert!(text(&result).contains("\nkernel: "), "{}", text(&result));
    assert!(!data["hostname"].as_str().unwrap().is_empty());
}
