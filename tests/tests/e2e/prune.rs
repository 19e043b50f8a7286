//! `--prune`: what the same owner declared before and no longer declares.

use aegis_tests::World;
use serde_json::json;

use crate::declarative::{group, node};

fn groups(world: &World) -> Vec<String> {
    let groups = world.run("get EdgeGroup -o json").ok().array();
    groups.iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn prune_removes_only_what_its_owner_declared() {
    let world = World::new();
    world.enroll("web-1");
    world.write("mine/a.yaml", &(group("a", "all") + &group("b", "all") + &node("web-1", "one, two")));
    world.write("theirs/c.yaml", &(group("c", "all") + &node("web-1", "three")));
    world.run("apply -f mine --yes").ok();
    world.run("apply -f theirs --yes").ok();
    world.run("edge group create d --selector all").ok();
    world.run("edge tag add web-1 four").ok();

    world.write("mine/a.yaml", &(group("a", "all") + &node("web-1", "one")));
    // Without --prune nothing goes, and it is said what would.
    world.run("apply -f mine --yes").ok().says("--prune");
    assert_eq!(groups(&world), ["a", "b", "c", "d"]);
    assert_eq!(world.node("web-1")["tags"], json!(["four", "one", "three", "two"]));
    world.run("diff -f mine --prune --exit-code").exit(10).says("- EdgeGroup/b delete").says("- tag two");
    world.run("apply -f mine --prune --yes").ok();
    assert_eq!(groups(&world), ["a", "c", "d"]);
    assert_eq!(world.node("web-1")["tags"], json!(["four", "one", "three"]));
    world.run("diff -f mine --prune --exit-code").exit(0);
    world.run("diff -f theirs --prune --exit-code").exit(0);
}

#[test]
fn an_empty_directory_prunes_only_when_that_is_meant() {
    let world = World::new();
    world.write("fleet/a.yaml", &group("a", "all"));
    world.run("apply -f fleet --yes").ok();
    std::fs::remove_file(world.path().join("fleet/a.yaml")).unwrap();
    world.run("apply -f fleet --prune").exit(2).says("--yes");
    assert_eq!(groups(&world), ["a"]);
    world.run("diff -f fleet --prune --exit-code").exit(10);
    world.run("apply -f fleet --prune --dry-run").ok();
    assert_eq!(groups(&world), ["a"]);
    // Without --prune an empty directory is a mistake.
    world.run("apply -f fleet --yes").exit(2);
    world.run("apply -f fleet --prune --yes").ok().says("deleted");
    assert!(groups(&world).is_empty());
}

#[test]
fn who_is_renamed_takes_over_or_leaves_everything() {
    let world = World::new();
    world.write("old/a.yaml", &group("a", "all"));
    world.run("apply -f old --yes").ok();
    // Under a new name the same declaration adopts, and the old one prunes nothing of it away.
    world.run("apply -f old --owner new --yes").ok();
    std::fs::remove_file(world.path().join("old/a.yaml")).unwrap();
    world.run("apply -f old --prune --yes").ok();
    assert_eq!(groups(&world), ["a"]);
    world.run("apply -f old --owner new --prune --yes").ok();
    assert!(groups(&world).is_empty());
}

#[test]
fn what_is_still_referred_to_is_not_pruned() {
    let world = World::new();
    world.write("mine/a.yaml", &(group("inner", "tags=x") + &group("outer", "group:inner")));
    world.run("apply -f mine --yes").ok();
    // The same apply would remove what one of its own documents needs.
    world.write("mine/a.yaml", &group("outer", "group:inner"));
    for verb in ["diff --exit-code", "apply --yes"] {
        world.run(&format!("{verb} -f mine --prune")).exit(2).says("inner");
    }
    assert_eq!(groups(&world), ["inner", "outer"]);
    // Both go together.
    world.write("mine/a.yaml", "");
    world.run("apply -f mine --prune --yes").ok();
    assert!(groups(&world).is_empty());
}
