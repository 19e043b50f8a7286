//! Tenants: what is another's looks like what isn't there.

use aegis_tests::{Output, World};

/// What a caller sees of an answer, with the thing's name taken out.
fn shape(output: &Output, name: &str) -> (i32, String, String) {
    (output.code, output.stdout.replace(name, "NAME"), output.stderr.replace(name, "NAME"))
}

#[test]
fn what_is_foreign_looks_as_what_is_unknown() {
    let world = World::new();
    let id = world.enroll("web-1");
    world.run("edge tag add web-1 prod").ok();
    world.run("edge group create web --selector tags=prod").ok();
    world.run("controller tenant create t-other").ok();
    let stranger = world.user("t-other", "admin");

    let unknown = "n-0123456789abcdef0123";
    let node_commands = [
        "edge tag add NAME x",
        "edge tag rm NAME prod",
        "edge drain NAME",
        "edge shutdown NAME",
        "edge keys revoke-remote NAME",
        "edge keys revoke-remote NAME --dry-run",
        "get EdgeNode NAME",
        "describe EdgeNode/NAME",
        "delete EdgeNode/NAME --yes",
        "edge fleet preview --target @NAME",
        "edge group create mine --selector @NAME --dry-run",
    ];
    for command in node_commands {
        let foreign = stranger.run(&command.replace("NAME", &id));
        let nobody = stranger.run(&command.replace("NAME", unknown));
        assert_eq!(shape(&foreign, &id), shape(&nobody, unknown), "{command}");
        // By name, too.
        let foreign = stranger.run(&command.replace("NAME", "web-1"));
        let nobody = stranger.run(&command.replace("NAME", "web-9"));
        assert_eq!(shape(&foreign, "web-1"), shape(&nobody, "web-9"), "{command}");
        // A group of one's own may name whom it likes; everything else is not found.
        assert!(foreign.code == 5 || command.starts_with("edge group create"), "{command}: {foreign:#?}");
    }
    let group_commands = [
        "get EdgeGroup NAME",
        "describe EdgeGroup/NAME",
        "delete EdgeGroup/NAME --yes",
        "edge group rm NAME",
        "edge group set-pinned NAME --add n-00000000",
        "edge fleet preview --target group:NAME",
        "history 1",
        "rollback 1 --yes",
    ];
    for command in group_commands {
        let foreign = stranger.run(&command.replace("NAME", "web"));
        let nobody = stranger.run(&command.replace("NAME", "bew").replace(" 1", " 77"));
        let foreign = (
            foreign.code,
            foreign.stdout.replace("web", "NAME"),
            foreign.stderr.replace("web", "NAME").replace(" 1", " 77"),
        );
        assert_eq!(foreign, shape(&nobody, "bew"), "{command}");
        assert_eq!(nobody.code, 5, "{command}: {nobody:#?}");
    }
    for list in ["edge ls", "edge group ls", "get EdgeNode", "history"] {
        let found = stranger.run(&format!("{list} -o json")).ok().array();
        assert!(
            found.iter().all(|item| item["name"] != "web" && item["node_id"] != id.as_str()),
            "{list}: {found:?}"
        );
    }
    let tenants = stranger.run("controller tenant ls -o json").ok().array();
    assert!(tenants.iter().all(|tenant| tenant["tenant"] == "t-other"), "{tenants:?}");
    // And nothing of it reached the host.
    assert_eq!(world.node("web-1")["tags"], serde_json::json!(["prod"]));
    assert_eq!(world.node("web-1")["status"], "Disconnected");
}

#[test]
fn a_token_of_one_tenant_speaks_for_no_other() {
    let world = World::new();
    world.run("controller tenant create t-other").ok();
    let stranger = world.user("t-other", "admin");
    stranger.run("controller enrollment-token create --label x --tenant default").exit(5);
    stranger.run("controller enrollment-token create --label x --tenant t-nobody").exit(5);
    stranger.run("controller token create --tenant default --role admin --ttl 1h").exit(5);
    let own = stranger.run("controller enrollment-token create --label x -o json").ok().json();
    assert_eq!(own["tenant"], "t-other");
    world.run("controller token create --tenant t-nobody --role viewer --ttl 1h").exit(5);
    world.run("controller tenant create 'Not A Slug'").exit(2);
}

#[test]
fn a_host_stays_in_its_tenant() {
    let world = World::new();
    world.run("controller tenant create t-other").ok();
    let id = world.enroll("web-1");
    let stranger = world.user("t-other", "admin");
    let token = stranger.run("controller enrollment-token create --label web-1 -o json").ok().json();
    let token = token["token"].as_str().unwrap();
    let config = world.config("web-1");
    // The same key for another tenant: refused, whether the files are kept or the token is missing.
    let line = format!("edge enroll {token} --config {} --keep-existing --no-service", config.display());
    world.program().run(&line).exit(4);
    std::fs::remove_file(config.with_file_name("node.token")).unwrap();
    world.program().run(&line).exit(3);
    assert!(!config.with_file_name("node.token").exists());
    assert_eq!(world.node("web-1")["node_id"], id);
    assert!(stranger.run("edge ls -o json").ok().array().is_empty());
    // The token wasn't used up: with a new key the host moves.
    world.program().run(&line.replace("--keep-existing", "--force")).ok();
    assert_eq!(stranger.run("edge ls -o json").ok().array()[0]["name"], "web-1");
}
