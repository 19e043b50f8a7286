//! The tables of tools and of what is refused.

use std::collections::BTreeSet;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{arguments as a, *};

fn check(tool: &str, arguments: &Value) -> Result<(), ArgumentError> {
    check_arguments(&find(tool).unwrap().parameters(), arguments)
}

fn refusal(tool: &str, arguments: &Value) -> String {
    check(tool, arguments).unwrap_err().to_string()
}

#[test]
fn every_tool_has_a_name_of_its_own_and_a_whole_schema() {
    let names: BTreeSet<&str> = BUILTINS.iter().map(|tool| tool.name).collect();
    assert_eq!(names.len(), BUILTINS.len());
    assert_eq!(BUILTINS.len(), 32);
    for tool in BUILTINS {
        let schema = tool.parameters();
        assert_eq!((&schema["type"], &schema["title"]), (&json!("object"), &json!(tool.name)));
        assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
        let text = schema.to_string();
        for absent in ["$ref", "$defs", "\"null\"", "oneOf\":[{\"const", "default\":null"] {
            assert!(!text.contains(absent), "{}: {text}", tool.name);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{}: {name} {property}", tool.name);
            assert!(property["type"].is_string(), "{}: {name} {property}", tool.name);
        }
        assert_eq!(tool.checker().map(Checker::parameters), Some(&schema), "{}", tool.name);
        let descriptor = tool.descriptor();
        let json = serde_json::to_value(&descriptor).unwrap();
        assert_eq!(serde_json::from_value::<ToolDescriptor>(json).unwrap(), descriptor);
    }
}

#[test]
fn only_what_only_looks_is_read_only() {
    let looks: Vec<&str> =
        BUILTINS.iter().filter(|t| t.class == ToolClass::ReadOnly).map(|t| t.name).collect();
    assert_eq!(
        looks,
        [
            "fs.read",
            "fs.list",
            "fs.glob",
            "fs.grep",
            "service.status",
            "docker.ps",
            "docker.images",
            "docker.logs",
            "docker.inspect",
            "kubectl.get",
            "kubectl.describe",
            "kubectl.logs",
            "host.facts",
        ]
    );
}

#[test]
fn tools_need_the_programs_that_they_wrap() {
    for tool in BUILTINS {
        let needs: &[&str] = match family(tool.name) {
            "docker" => &["docker"],
            "kubectl" => &["kubectl"],
            "service" => &["systemctl", "service"],
            "shell" => &["shell"],
            _ => &[],
        };
        assert_eq!(tool.needs, needs, "{}", tool.name);
        assert_eq!(tool.fleet_capable, tool.name != "docker.exec", "{}", tool.name);
    }
}

/// Every argument of a tool, given: what the schema takes, the type takes, whole.
fn whole<T: Serialize + DeserializeOwned>(tools: &[&str], arguments: &Value) {
    for tool in tools {
        check(tool, arguments).unwrap();
        let schema = find(tool).unwrap().parameters();
        let known = schema["properties"].as_object().map_or(0, serde_json::Map::len);
        let given = arguments.as_object().unwrap().len();
        // `command` and `cmd` exclude each other, so `cmd.run` comes twice.
        assert!(given == known || *tool == "cmd.run", "{tool}: {given} of {known} arguments");
    }
    let read: T = serde_json::from_value(arguments.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), *arguments);
}

#[test]
fn what_a_schema_takes_its_type_reads() {
    let env = json!({"LANG": "C"});
    whole::<a::Run>(
        &["cmd.run"],
        &json!({"command": "ls", "args": ["-l", ""], "cwd": "/srv", "env": env, "stdin": "x"}),
    );
    whole::<a::Run>(&["cmd.run"], &json!({"cmd": "ls | wc -l", "cwd": "/srv", "env": env, "stdin": "x"}));
    whole::<a::Shell>(&["shell"], &json!({"script": "ls", "cwd": "/srv", "env": env, "stdin": "x"}));
    whole::<a::FsRead>(
        &["fs.read"],
        &json!({"path": "/etc/hosts", "offset": 1, "limit": 2, "encoding": "base64"}),
    );
    whole::<a::FsList>(&["fs.list"], &json!({"path": "/etc", "recursive": true, "limit": 1}));
    whole::<a::FsGlob>(&["fs.glob"], &json!({"path": "/etc", "pattern": "**/*.conf", "limit": 1}));
    whole::<a::FsGrep>(
        &["fs.grep"],
        &json!({"path": "/etc", "pattern": "^a", "glob": "*.conf", "ignore_case": true, "limit": 1}),
    );
    whole::<a::FsWrite>(
        &["fs.write"],
        &json!({"path": "/srv/a", "content": "", "encoding": "utf8", "mode": "0640", "create_parents": true,
            "overwrite": false}),
    );
    whole::<a::FsEdit>(&["fs.edit"], &json!({"path": "/srv/a", "old": "a", "new": "", "all": true}));
    whole::<a::FsCreateDir>(&["fs.create_dir"], &json!({"path": "/srv/a", "mode": "755", "parents": true}));
    whole::<a::FsDelete>(&["fs.delete"], &json!({"path": "/srv/a", "recursive": true}));
    whole::<a::Service>(
        &["service.status", "service.start", "service.stop", "service.restart"],
        &json!({"name": "getty@tty1.service", "user": true}),
    );
    whole::<a::DockerPs>(&["docker.ps"], &json!({"all": true}));
    whole::<a::Nothing>(&["docker.images", "host.facts"], &json!({}));
    whole::<a::DockerLogs>(&["docker.logs"], &json!({"container": "web", "tail": 5}));
    whole::<a::DockerInspect>(&["docker.inspect"], &json!({"name": "ghcr.io/a/b:1"}));
    whole::<a::DockerContainer>(
        &["docker.start", "docker.stop", "docker.restart"],
        &json!({"container": "web"}),
    );
    whole::<a::DockerExec>(&["docker.exec"], &json!({"container": "web", "command": ["ls", "-l"]}));
    whole::<a::DockerPull>(&["docker.pull"], &json!({"image": "nginx@sha256:00"}));
    whole::<a::DockerRun>(
        &["docker.run"],
        &json!({"image": "nginx", "command": ["-v"], "name": "web", "env": env, "detach": true}),
    );
    whole::<a::KubectlGet>(
        &["kubectl.get"],
        &json!({"resource": "pods", "name": "a", "namespace": "b", "all_namespaces": true, "output": "yaml"}),
    );
    whole::<a::KubectlObject>(
        &["kubectl.describe"],
        &json!({"resource": "deployments.apps", "name": "a", "namespace": "b"}),
    );
    whole::<a::KubectlLogs>(
        &["kubectl.logs"],
        &json!({"pod": "a", "container": "b", "namespace": "c", "tail": 1}),
    );
    whole::<a::KubectlApply>(&["kubectl.apply"], &json!({"manifest": "kind: Pod", "namespace": "b"}));
    whole::<a::KubectlDelete>(
        &["kubectl.delete"],
        &json!({"resource": "pod", "name": "a", "namespace": "b"}),
    );
    whole::<a::KubectlRollout>(
        &["kubectl.rollout"],
        &json!({"action": "undo", "resource": "deployment", "name": "a", "namespace": "b"}),
    );
    whole::<a::KeysRotate>(&["edge.keys.rotate"], &json!({"keep_old": "1d"}));
}

#[test]
fn what_may_be_left_out_has_its_default() {
    let write: a::FsWrite = serde_json::from_value(json!({"path": "/a", "content": ""})).unwrap();
    assert!(write.overwrite && !write.create_parents && write.mode.is_none());
    assert_eq!(write.encoding, a::Encoding::Utf8);
    check("edge.keys.rotate", &json!({})).unwrap();
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (tool, arguments, message) in [
        ("cmd.run", json!({"comand": "ls"}), "'comand' is no argument of cmd.run; did you mean 'command'?"),
        ("cmd.run", json!({}), "'command' or 'cmd' is missing: give one of them"),
        (
            "cmd.run",
            json!({"command": "a", "cmd": "b"}),
            "'command' and 'cmd' exclude each other: give one of them",
        ),
        ("cmd.run", json!({"cmd": "a", "args": ["b"]}), "'args' goes with 'command', which is missing"),
        ("cmd.run", json!({"command": "ls", "args": ["a", 1]}), "'args[1]' must be text, not a number"),
        ("cmd.run", json!({"command": "ls", "args": "a"}), "'args' must be a list, not text"),
        ("cmd.run", json!({"command": "ls", "cwd": null}), "'cwd' must be text, not null"),
        ("cmd.run", json!({"command": "ls", "env": {"A": 1}}), "'env.A' must be text, not a number"),
        ("cmd.run", json!({"command": "./ls"}), "'command' must match"),
        ("cmd.run", json!({"command": ""}), "'command' must match"),
        ("fs.read", json!({}), "'path' is missing"),
        (
            "fs.read",
            json!({"path": "etc/hosts"}),
            "'path' must match ^/[^\\x00]*$: The file: an absolute path.",
        ),
        ("fs.read", json!({"path": "/a", "encoding": "latin1"}), "'encoding' must be one of utf8, base64"),
        (
            "fs.read",
            json!({"path": "/a", "limit": 2_000_000}),
            "'limit' is not valid: the value is greater than",
        ),
        ("fs.read", json!({"path": "/a", "offset": -1}), "'offset' is not valid: the value is less than"),
        ("fs.write", json!({"path": "/a", "content": "", "mode": "0999"}), "'mode' must match"),
        ("host.facts", json!({"all": true}), "'all' is no argument of host.facts; it takes none"),
        ("docker.ps", json!({"zzzzzz": true}), "'zzzzzz' is no argument of docker.ps; it takes all"),
        ("edge.keys.rotate", json!({"keep_old": "1 day"}), "'keep_old' must match"),
        ("shell", json!(["ls"]), "the arguments are a list, not an object"),
        ("shell", json!(null), "the arguments are null, not an object"),
    ] {
        let refusal = refusal(tool, &arguments);
        assert!(refusal.starts_with(message), "{refusal}\n{message}");
    }
    let error = check("fs.read", &json!({"path": "/a", "limt": 1})).unwrap_err();
    assert_eq!(error.place.as_deref(), Some("limt"));
}

#[test]
fn a_schema_that_says_it_is_a_built_in_tools_counts_for_itself() {
    let own =
        json!({"type": "object", "title": "fs.read", "properties": {"a": {}}, "additionalProperties": false});
    check_arguments(&own, &json!({"a": 1})).unwrap();
    check_arguments(&own, &json!({"path": "/a"})).unwrap_err();
    find("fs.read").unwrap().check(&json!({"path": "/a"})).unwrap();
}

#[test]
fn an_argument_that_does_not_exist_is_named_at_every_depth() {
    let inner = json!({"type": "object", "properties": {"host": {}}, "additionalProperties": false});
    let schema = json!({"type": "object", "title": "a.b", "properties": {"to": inner}});
    let refused = check_arguments(&schema, &json!({"to": {"hots": 1}})).unwrap_err();
    assert_eq!(refused.place.as_deref(), Some("to.hots"));
    assert_eq!(refused.message, "'to.hots' is no argument of a.b; did you mean 'host'?");
}

#[test]
fn a_refusal_never_repeats_a_value() {
    for (tool, arguments) in [
        ("shell", json!({"script": "x", "env": {"TOKEN": ["hunter2"]}})),
        ("fs.write", json!({"path": "hunter2", "content": "x"})),
        ("fs.read", json!({"path": "/a", "encoding": "hunter2"})),
        ("docker.logs", json!({"container": "a", "tail": "hunter2"})),
        ("shell", json!({"script": {"a": "hunter2"}})),
        ("docker.exec", json!({"container": "hunter2 ", "command": []})),
    ] {
        let refusal = refusal(tool, &arguments);
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}

#[test]
fn a_service_is_no_other_unit() {
    for name in ["nginx", "nginx.service", "php8.2-fpm.service", "getty@tty1", "dev-a\\x2db.service"] {
        check("service.restart", &json!({"name": name})).unwrap();
    }
    for name in ["reboot.target", "sshd.socket", "backup.timer", "-.mount", "a.service.target", ".service"] {
        let refusal = refusal("service.start", &json!({"name": name}));
        assert!(refusal.starts_with("'name' must match "), "{refusal}");
        assert!(refusal.ends_with("such as php8.2-fpm.service: no other units."), "{refusal}");
    }
}

#[test]
fn no_name_can_be_taken_for_an_option() {
    for (tool, arguments, place) in [
        ("service.stop", json!({"name": "-H"}), "name"),
        ("docker.logs", json!({"container": "--details"}), "container"),
        ("docker.inspect", json!({"name": "-f"}), "name"),
        ("docker.stop", json!({"container": "-t"}), "container"),
        ("docker.exec", json!({"container": "--privileged", "command": ["ls"]}), "container"),
        ("docker.pull", json!({"image": "-a"}), "image"),
        ("docker.run", json!({"image": "--privileged"}), "image"),
        ("docker.run", json!({"image": "a", "name": "-v"}), "name"),
        ("docker.run", json!({"image": "a", "env": {"--x": ""}}), "env.--x"),
        ("kubectl.get", json!({"resource": "-f"}), "resource"),
        ("kubectl.get", json!({"resource": "pods", "name": "--kubeconfig=/x"}), "name"),
        ("kubectl.get", json!({"resource": "pods", "namespace": "-A"}), "namespace"),
        ("kubectl.get", json!({"resource": "pods", "output": "jsonpath-file=/etc/shadow"}), "output"),
        ("kubectl.describe", json!({"resource": "--help"}), "resource"),
        ("kubectl.logs", json!({"pod": "-f"}), "pod"),
        ("kubectl.logs", json!({"pod": "a", "container": "-f"}), "container"),
        ("kubectl.delete", json!({"resource": "pod", "name": "--all"}), "name"),
        ("kubectl.rollout", json!({"action": "undo", "resource": "deploy", "name": "-l"}), "name"),
        ("shell", json!({"script": "x", "env": {"A=B": ""}}), "env.A=B"),
    ] {
        assert_eq!(check(tool, &arguments).unwrap_err().place.as_deref(), Some(place), "{tool}");
    }
}
