//! Apply, diff and the other verbs over manifests.

use aegis_tests::World;

/// A manifest of a group.
pub fn group(name: &str, selector: &str) -> String {
    format!(
        "apiVersion: aegis.dev/v1\nkind: EdgeGroup\nmetadata:\n  name: {name}\nspec:\n  selector: {selector}\n---\n"
    )
}

/// A manifest of a host's tags.
pub fn node(name: &str, tags: &str) -> String {
    format!(
        "apiVersion: aegis.dev/v1\nkind: EdgeNode\nmetadata:\n  name: {name}\nspec:\n  tags: [{tags}]\n---\n"
    )
}

/// A manifest of a security context.
pub fn context(name: &str, tool: &str) -> String {
    format!(
        "apiVersion: aegis.dev/v1\nkind: SecurityContext\nmetadata:\n  name: {name}\nspec:\n  capabilities:\n    - tools: [{tool}]\n---\n"
    )
}

#[test]
fn applied_twice_everything_is_unchanged() {
    let world = World::new();
    world.enroll("web-1");
    let all = group("web", "tags=web") + &node("web-1", "prod, web") + &context("look", "fs.read");
    world.write("fleet/fleet.yaml", &all);
    let first = world.run("apply -f fleet/fleet.yaml --yes -o json").ok().json();
    assert_eq!(first["summary"], serde_json::json!({"created": 2, "updated": 1}));
    assert_eq!((&first["owner"], &first["dry_run"]), (&"fleet".into(), &false.into()));
    let second = world.run("apply -f fleet/fleet.yaml --yes -o json").ok().json();
    assert_eq!(second["summary"], serde_json::json!({"unchanged": 3}));
    assert!(second["revision"].is_null(), "nothing was written: {second}");
    assert_eq!(world.run("history -o json").ok().array().len(), 1);
    world.audit_is_intact();
}

#[test]
fn diff_tells_by_its_exit_code() {
    let world = World::new();
    world.write("fleet/fleet.yaml", &group("web", "tags=web"));
    world.run("diff -f fleet").ok().says("+ EdgeGroup/web create");
    world.run("diff -f fleet --exit-code").exit(10);
    world.run("apply -f fleet --yes").ok();
    world.run("diff -f fleet --exit-code").exit(0).says("1 unchanged");
    world.write("fleet/fleet.yaml", &group("web", "tags=db"));
    let markdown = world.run("diff -f fleet --exit-code --output markdown").exit(10);
    assert!(markdown.stdout.contains("```diff\n@@ EdgeGroup/web update @@"), "{}", markdown.stdout);
    // Another owner wants another value: nobody takes it without saying so.
    world.write("other/other.yaml", &group("web", "os=linux"));
    world.run("diff -f other --exit-code").exit(11).says("selector").says("fleet");
    world.run("diff -f other --exit-code --force-conflicts").exit(10);
    world.run("diff -f other").ok().says("conflict");
    // Nothing of all that was a change.
    assert_eq!(world.run("history -o json").ok().array().len(), 1);
}

#[test]
fn the_plan_that_diff_shows_is_what_apply_does() {
    let world = World::new();
    world.enroll("web-1");
    let old = group("a", "tags=a") + &group("b", "tags=b") + &node("web-1", "one, two");
    world.write("fleet/fleet.yaml", &old);
    world.run("apply -f fleet --yes").ok();
    let new = group("b", "tags=other") + &group("c", "tags=c") + &node("web-1", "two, three");
    world.write("fleet/fleet.yaml", &new);
    let plan = world.run("diff -f fleet --prune -o json").ok().json();
    let done = world.run("apply -f fleet --prune --yes -o json").ok().json();
    assert_eq!((&plan["objects"], &plan["summary"]), (&done["objects"], &done["summary"]));
    assert_eq!(done["summary"], serde_json::json!({"created": 1, "updated": 2, "deleted": 1}));
}

#[test]
fn what_apply_refers_to_it_may_create_in_the_same_run() {
    let world = World::new();
    let id = world.enroll("web-1");
    let all = group("outer", "group:inner") + &group("inner", "tags=x") + &node("web-1", "x");
    world.write("fleet/fleet.yaml", &all);
    world.run("apply -f fleet --yes").ok();
    let preview = world.run("edge fleet preview --target group:outer -o json").ok().json();
    assert_eq!(preview["skipped"][0]["node_id"], id, "{preview}");
    world.run("diff -f fleet --exit-code").exit(0);
}

#[test]
fn a_broken_manifest_is_named_by_line_and_nothing_is_changed() {
    let world = World::new();
    let broken = [
        (
            "unknown field",
            group("ok", "tags=x") + &group("web", "x").replace("selector", "selectr"),
            "selector",
        ),
        (
            "unknown kind",
            group("ok", "tags=x") + "apiVersion: aegis.dev/v1\nkind: EdgeGrup\nmetadata: {name: a}\n",
            "EdgeGroup",
        ),
        ("twice", group("web", "tags=x") + &group("web", "tags=y"), "web"),
        ("selector", group("ok", "tags=x") + &group("web", "colour=red"), "colour"),
        ("syntax", group("ok", "tags=x") + "kind: [\n", ""),
        ("duplicate key", group("web", "tags=x").replace("kind:", "kind: EdgeGroup\nkind:"), "kind"),
    ];
    for (what, text, says) in broken {
        let file = world.write("fleet/fleet.yaml", &text);
        for verb in ["apply --yes", "diff", "validate"] {
            let output = world.run(&format!("{verb} -f {}", file.display())).exit(2).says(says);
            let lines: Vec<&str> = output.stderr.lines().collect();
            let at = lines.iter().position(|line| line.contains(&format!("--> {}:", file.display())));
            let at = at.unwrap_or_else(|| panic!("{what}: no place in {}", output.stderr));
            let place: Vec<&str> = lines[at].rsplitn(3, ':').take(2).collect();
            assert!(place.iter().all(|number| number.parse::<u32>().is_ok()), "{what}: {}", lines[at]);
            // Below the place: the source line, and what points at the spot in it.
            assert!(
                lines[at..].iter().any(|line| line.contains("| ") && line.contains('^')),
                "{what}: {lines:#?}"
            );
            assert!(lines.iter().any(|line| line.starts_with("error: 1 error")), "{what}: {lines:#?}");
        }
    }
    assert_eq!(world.run("get EdgeGroup -o json").ok().array().len(), 0);
    assert_eq!(world.run("history -o json").ok().array().len(), 0);
    // What only the controller can know: also before anything is changed.
    let unknown = group("ok", "tags=x") + &node("nobody", "x");
    let file = world.write("fleet/fleet.yaml", &unknown);
    world.run(&format!("apply -f {} --yes", file.display())).exit(2).says("nobody");
    assert_eq!(world.run("get EdgeGroup -o json").ok().array().len(), 0);
}

#[test]
fn manifests_come_from_files_directories_and_stdin() {
    let world = World::new();
    world.write("fleet/a.yaml", &group("a", "tags=a"));
    world.write("fleet/b.yml", &group("b", "tags=b"));
    world.write("fleet/deep/c.yaml", &group("c", "tags=c"));
    let count = |output: aegis_tests::Output| output.ok().json()["objects"].as_array().unwrap().len();
    assert_eq!(count(world.run("diff -f fleet -o json")), 2);
    assert_eq!(count(world.run("diff -f fleet -R -o json")), 3);
    assert_eq!(count(world.run("diff -f fleet/a.yaml -f fleet/deep/c.yaml --owner x -o json")), 2);
    assert_eq!(count(world.admin().run_with("diff -f - --owner x -o json", &group("d", "tags=d"))), 1);
    world.run("diff -f nowhere").exit(2).says("nowhere");
}

#[test]
fn what_is_exported_differs_in_nothing() {
    let world = World::new();
    world.enroll("web-1");
    let all = group("web", "tags=web") + &node("web-1", "prod") + &context("look", "fs.read");
    world.write("fleet/fleet.yaml", &all);
    world.run("apply -f fleet --yes").ok();
    world.run("edge group set-pinned web --add web-1").ok();
    let exported = world.run("export").ok().stdout;
    assert!(!exported.is_empty());
    world.admin().run_with("diff -f - --owner whoever --exit-code", &exported).exit(0).says("3 unchanged");
    let one = world.run("export EdgeGroup").ok().stdout;
    assert!(one.contains("kind: EdgeGroup") && !one.contains("kind: EdgeNode"), "{one}");
    world.run("export EdgeGroup -o json").ok().array();
}

#[test]
fn history_and_rollback_go_back_and_forth() {
    let world = World::new();
    world.write("fleet/fleet.yaml", &group("web", "tags=old"));
    world.run("apply -f fleet --yes").ok();
    world.write("fleet/fleet.yaml", &(group("web", "tags=new") + &group("db", "tags=db")));
    world.run("apply -f fleet --yes").ok();
    let history = world.run("history -o json").ok().array();
    let revisions: Vec<_> = history.iter().map(|entry| entry["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, [2, 1], "newest first");
    assert_eq!((&history[0]["owner"], &history[0]["subject"]), (&"fleet".into(), &"admin".into()));
    world.run("history 2").ok().says("EdgeGroup/db").says("tags=new");
    world.run("rollback 1 --dry-run").ok().says("tags=old");
    world.run("rollback 1 --yes").ok();
    let group = world.run("get EdgeGroup web -o json").ok().json();
    assert_eq!(group["spec"]["selector"], "tags=old");
    assert_eq!(world.run("get EdgeGroup -o json").ok().array().len(), 1, "what came later is gone");
    world.run("rollback 1 --yes").ok().says("unchanged");
    // The manifests stay as they are, so the next apply goes forward again.
    world.run("diff -f fleet --exit-code").exit(10);
    world.run("rollback 99 --yes").exit(5).says("aegis history");
    world.run("history 99").exit(5);
}

#[test]
fn objects_are_shown_described_and_deleted() {
    let world = World::new();
    let id = world.enroll("web-1");
    world.write("fleet/fleet.yaml", &(group("web", "tags=web") + &node("web-1", "web")));
    world.run("apply -f fleet --yes").ok();
    for word in ["EdgeGroup", "edgegroup", "groups"] {
        assert_eq!(world.run(&format!("get {word} -o json")).ok().array()[0]["name"], "web", "{word}");
    }
    for name in ["web-1", id.as_str(), &id[..8]] {
        let found = world.run(&format!("get EdgeNode {name} -o json")).ok().json();
        assert_eq!(found["name"], id, "{name}");
    }
    world.run("describe EdgeGroup/web").ok().says("owners:").says("fleet").says(&id);
    world.run("get EdgeGroup nobody").exit(5).says("there is no EdgeGroup/nobody");
    world.run("describe EdgeGroup/nobody").exit(5);
    world.run("delete EdgeGroup/nobody --yes").exit(5);
    world.run("get EdgeGrup").exit(2).says("EdgeGroup");
    world.run("delete EdgeGroup/web --yes").ok().says("deleted");
    world.run("get EdgeGroup web").exit(5);
    world.run("apply -f fleet --yes").ok();
    world.run("delete -f fleet --yes").ok();
    assert_eq!(world.run("export").ok().stdout, "");
    assert_eq!(world.node("web-1")["tags"], serde_json::json!([]), "the host itself stays");
    world.run("delete -f fleet --yes").ok();
}

#[test]
fn of_ten_thousand_objects_the_one_that_is_broken_is_named() {
    let world = World::new();
    let broken =
        "apiVersion: aegis.dev/v1\nkind: EdgeGroup\nmetadata:\n  name: broken\nspec:\n  selectr: all\n---\n";
    let mut all: Vec<String> = (0..10_000).map(|number| group(&format!("g{number}"), "all")).collect();
    all.insert(7_000, broken.to_owned());
    world.write("fleet/fleet.yaml", &all.concat());
    let refused = world.run("apply -f fleet --yes").exit(2).says("did you mean 'selector'?");
    assert!(refused.stderr.contains("error: 1 error in the manifests"), "{}", refused.stderr);
    // 7,000 documents of seven lines come before, and five lines of its own.
    assert!(refused.stderr.contains("fleet.yaml:49006:3"), "{}", refused.stderr);
    assert!(world.run("get EdgeGroup -o json").ok().array().is_empty());
}
