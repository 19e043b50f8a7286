//! What scripts rely on (issue 2, "Contracts that scripts rely on").

use aegis_tests::{Daemon, World, is_rfc3339_utc, mode};

#[test]
fn a_controller_is_ready_once_its_admin_context_is_there() {
    let world = World::new();
    // `Controller::start` returns at the line `controller ready on ADDR`; nothing is waited for after that.
    let controller = world.controller.as_ref().unwrap();
    assert_eq!(mode(&controller.context()), 0o600);
    let text = std::fs::read_to_string(controller.context()).unwrap();
    for field in ["endpoint:", "ca_fingerprint:", "tenant: default", "token:"] {
        assert!(text.contains(field), "{field} isn't in {text}");
    }
    assert!(text.contains(&controller.address().to_string()), "{text}");
    assert_eq!(mode(controller.data()), 0o700);
    world.run("edge ls").ok();
}

#[test]
fn an_enrolment_token_says_where_and_until_when() {
    let world = World::new();
    let line = "controller enrollment-token create --label web-1 --ttl 5m --output json";
    let token = world.run(line).ok().json();
    let address = world.controller.as_ref().unwrap().address().to_string();
    assert_eq!(token["controller_endpoint"], address);
    assert!(is_rfc3339_utc(&token["expires_at"]), "{token}");
    let text = token["token"].as_str().unwrap();
    let hint = token["command_hint"].as_str().unwrap();
    assert!(hint.contains("aegis edge enroll") && hint.contains(text), "{hint}");
    assert_eq!(text.split('.').count(), 3, "a JWT");
    for bad in ["16m", "0s", "soon"] {
        let line = format!("controller enrollment-token create --label web-1 --ttl {bad}");
        world.run(&line).exit(2);
    }
}

#[test]
fn a_host_enrols_runs_and_is_listed() {
    let world = World::new();
    let id = world.enroll("web-1");
    let offline = world.node("web-1");
    assert_eq!((&offline["connected"], &offline["status"]), (&false.into(), &"Disconnected".into()));
    assert!(offline["last_heartbeat_at"].is_null());

    let _daemon = world.connect("web-1");
    let node = world.wait_for_node("web-1", "connected", |node| node["connected"] == true);
    let keys: Vec<&str> = node.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = [
        "node_id",
        "name",
        "status",
        "connected",
        "os",
        "arch",
        "tags",
        "labels",
        "since",
        "last_heartbeat_at",
    ];
    for key in documented {
        assert!(keys.contains(&key), "{key} isn't in {keys:?}");
    }
    assert_eq!(node["node_id"], id);
    assert!(id.starts_with("n-") && id.len() == 22, "{id}");
    assert_eq!((&node["status"], &node["os"]), (&"Connected".into(), &std::env::consts::OS.into()));
    assert_eq!(node["arch"], std::env::consts::ARCH);
    assert_eq!((&node["tags"], &node["labels"]), (&serde_json::json!([]), &serde_json::json!({})));
    for time in ["since", "enrolled_at"] {
        assert!(is_rfc3339_utc(&node[time]), "{time}: {node}");
    }
}

#[test]
fn a_preview_lists_nodes_and_why_others_are_skipped() {
    let world = World::new();
    let _up = world.host("web-1");
    let away = world.enroll("web-2");
    let preview = world.run("edge fleet preview --target all --output json").ok().json();
    let keys: Vec<&String> = preview.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["nodes", "skipped"]);
    let nodes = preview["nodes"].as_array().unwrap();
    assert_eq!((nodes.len(), &nodes[0]["name"]), (1, &"web-1".into()));
    assert!(nodes[0]["node_id"].is_string());

    // `all` is every connected host; who is named and away is skipped with a reason.
    let preview = world.run(&format!("edge fleet preview --target @{away} -o json")).ok().json();
    assert_eq!(preview["nodes"], serde_json::json!([]));
    let skipped = &preview["skipped"][0];
    assert_eq!((&skipped["node_id"], &skipped["reason"]), (&away.into(), &"disconnected".into()));

    world.run("edge fleet preview --target 'tags=('").exit(2).says("^");
    world.run("edge fleet preview --target 'colour=red'").exit(2).says("colour").says("^");
    world.run("edge fleet preview --target group:nobody").exit(5);
    world.run("edge fleet preview --target @n-ffffffff").exit(5);
}

#[test]
fn filters_of_ls_are_all_demanded() {
    let world = World::new();
    for name in ["web-1", "web-2"] {
        world.enroll(name);
        world.run(&format!("edge tag add {name} prod")).ok();
    }
    world.run("edge tag add web-1 eu").ok();
    let config = world.config("web-1");
    let text =
        std::fs::read_to_string(&config).unwrap().replace("tenant:", "labels: {region: home}\n      tenant:");
    std::fs::write(&config, text).unwrap();
    let _daemon = world.connect("web-1");
    let names = |flags: &str| -> Vec<String> {
        let nodes = world.run(&format!("edge ls -o json {flags}")).ok().array();
        nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = names("");
    all.sort();
    assert_eq!(all, ["web-1", "web-2"]);
    assert_eq!(names("--tag prod").len(), 2);
    assert_eq!(names("--tag prod --tag eu"), ["web-1"]);
    assert_eq!(names("--tag prod --tag us").len(), 0);
    assert_eq!(names("--label region=home"), ["web-1"]);
    assert_eq!(names("--label region=abroad").len(), 0);
    assert_eq!(names("--connected"), ["web-1"]);
    world.run("edge ls --label region").exit(2);
}

#[test]
fn the_environment_says_where_everything_is() {
    let world = World::new();
    let admin = world.data().join("admin-context.yaml");
    // Without a context there is none to guess.
    world.program().run("edge ls").exit(2).says("AEGIS_CONTEXT");
    world.program().run(&format!("edge ls --context {}", admin.display())).ok();
    // AEGIS_HOME moves ~/.aegis.
    let home = world.path().join("elsewhere");
    std::fs::create_dir(&home).unwrap();
    std::fs::copy(&admin, home.join("context.yaml")).unwrap();
    let moved = world.program().env("AEGIS_HOME", &home);
    moved.run("edge ls").ok();
    // Without it, it is below the home directory.
    let user = world.path().join("user");
    std::fs::create_dir_all(user.join(".aegis")).unwrap();
    std::fs::copy(&admin, user.join(".aegis/context.yaml")).unwrap();
    let plain = world.program().without("AEGIS_HOME").env("HOME", &user);
    plain.run("edge ls").ok();

    // The daemon's files: below AEGIS_HOME, or where AEGIS_CONFIG says.
    moved.run(&format!("edge enroll {} --non-interactive --no-service", world.token("a"))).ok();
    assert!(home.join("edge/node.token").is_file());
    let config = world.path().join("own/edge.yaml");
    let own = moved.env("AEGIS_CONFIG", &config);
    own.run(&format!("edge enroll {} --non-interactive --no-service", world.token("b"))).ok();
    assert!(config.is_file() && config.with_file_name("node.token").is_file());
    let mut daemon = Daemon { process: own.start("edge run"), config };
    daemon.wait_for("Connected");
    assert_eq!(own.run("edge status -o json").ok().json()["status"], "Connected");

    // AEGIS_OUTPUT is the default of --output, AEGIS_USER_TOKEN wins over the context's token.
    assert_eq!(world.admin().env("AEGIS_OUTPUT", "json").run("edge ls").ok().array().len(), 2);
    world.admin().env("AEGIS_OUTPUT", "json").run("edge ls -o table").ok().says("NODE ID");
    world.admin().env("AEGIS_OUTPUT", "prose").run("edge ls").exit(2);
    world.admin().env("AEGIS_USER_TOKEN", "no.such.token").run("edge ls").exit(3);
    world.user("default", "viewer").run("edge ls").ok();
}

#[test]
fn apply_with_yes_asks_nothing_and_without_a_terminal_neither() {
    let world = World::new();
    let file = world.write("fleet/fleet.yaml", &crate::declarative::group("web", "tags=web"));
    world.run(&format!("apply -f {} --yes", file.display())).ok().says("created");
    world.run(&format!("apply -f {}", file.display())).ok().says("1 unchanged");
}
