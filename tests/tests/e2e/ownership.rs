//! Two writers, one object (1-product.md, "Ownership").

use aegis_tests::World;
use serde_json::json;

use crate::declarative::{group, node};

#[test]
fn two_owners_share_a_node() {
    let world = World::new();
    world.enroll("web-1");
    world.write("red/n.yaml", &node("web-1", "red, both"));
    world.write("blue/n.yaml", &node("web-1", "blue, both"));
    world.run("apply -f red --yes").ok();
    world.run("apply -f blue --yes").ok();
    assert_eq!(world.node("web-1")["tags"], json!(["blue", "both", "red"]));
    for owner in ["red", "blue"] {
        world.run(&format!("diff -f {owner} --prune --exit-code")).exit(0);
    }
    // One leaves: what it shared stays, as the other still declares it.
    world.write("red/n.yaml", "");
    world.run("apply -f red --prune --yes").ok();
    assert_eq!(world.node("web-1")["tags"], json!(["blue", "both"]));
    let owners = world.run("get EdgeNode web-1 -o json").ok().json()["owners"].clone();
    assert_eq!(owners, json!({"tags[blue]": ["blue"], "tags[both]": ["blue"]}));
}

#[test]
fn a_conflict_is_named_field_by_field_and_can_be_forced() {
    let world = World::new();
    world.enroll("web-1");
    let host = |name: &str| node("web-1", "x").replace("  tags", &format!("  displayName: {name}\n  tags"));
    world.write("first/n.yaml", &(host("One") + &group("web", "tags=web")));
    world.run("apply -f first --yes").ok();
    world.write("second/n.yaml", &(host("Two") + &group("web", "tags=other") + &group("new", "all")));
    let refused = world.run("apply -f second --yes").exit(11).says("--force-conflicts");
    for named in ["displayName", "selector", "first", "EdgeNode/web-1", "EdgeGroup/web"] {
        assert!(refused.stdout.contains(named), "{named}: {refused:#?}");
    }
    // Not even what nobody disputes was done.
    world.run("get EdgeGroup new").exit(5);
    let report = world.run("apply -f second --yes -o json").exit(11).json();
    let conflict =
        &report["objects"].as_array().unwrap().iter().find(|o| o["kind"] == "EdgeNode").unwrap()["conflicts"];
    assert_eq!((&conflict[0]["element"], &conflict[0]["owners"]), (&json!("displayName"), &json!(["first"])));

    world.run("apply -f second --yes --force-conflicts").ok();
    assert_eq!(world.node("web-1")["display_name"], "Two");
    world.run("diff -f second --exit-code").exit(0);
    // Now it is the first one who would take something away.
    world.run("apply -f first --yes").exit(11).says("second");
    // The same value is no dispute.
    world.write("third/n.yaml", &host("Two"));
    world.run("apply -f third --yes").ok();
}

#[test]
fn a_change_by_hand_is_shown_and_reverted() {
    let world = World::new();
    world.enroll("web-1");
    world.write("fleet/n.yaml", &(node("web-1", "prod, web") + &group("web", "tags=web")));
    world.run("apply -f fleet --yes").ok();
    world.run("edge tag rm web-1 web").ok().says("fleet").says("reverts");
    world.run("edge tag add web-1 own").ok().says_not("reverts");
    assert_eq!(world.node("web-1")["tags"], json!(["own", "prod"]));
    world.run("diff -f fleet --exit-code").exit(10).says("+ tag web");
    world.run("apply -f fleet --yes --prune").ok();
    // Repaired, and what the person added is the person's.
    assert_eq!(world.node("web-1")["tags"], json!(["own", "prod", "web"]));
    world.run("diff -f fleet --prune --exit-code").exit(0);
    // A group that is removed by hand comes back, too.
    world.run("edge group rm web").ok().says("reverts");
    world.run("diff -f fleet --exit-code").exit(10).says("+ EdgeGroup/web create");
    world.run("apply -f fleet --yes").ok();
    world.run("get EdgeGroup web").ok();
}

#[test]
fn an_imperative_command_said_twice_changes_nothing_more() {
    let world = World::new();
    world.enroll("web-1");
    world.run("edge tag add web-1 prod db").ok().says("+ tag prod");
    world.run("edge tag add web-1 prod").ok().says("unchanged");
    world.run("edge tag rm web-1 db").ok().says("- tag db");
    world.run("edge tag rm web-1 db").ok().says("unchanged");
    world.run("edge group create web --selector tags=web").ok().says("created");
    world.run("edge group create web --selector tags=web").ok().says("unchanged");
    world.run("edge group create web --selector tags=db").exit(2).says("the group exists");
    world.run("edge group set-pinned web --add web-1").ok();
    world.run("edge group set-pinned web --add web-1").ok().says("unchanged");
    world.run("edge group set-pinned web --rm web-1").ok().says("- pinned");
    world.run("edge group set-pinned nobody --add web-1").exit(5);
    world.run("edge group rm web").ok();
    world.run("edge group rm web").exit(5);
    world.run("edge tag add web-1 'no blanks'").exit(2);
    world.run("edge group create web --selector 'tags=('").exit(2).says("^");
}

#[test]
fn an_object_is_adopted_and_released() {
    let world = World::new();
    world.enroll("web-1");
    // By hand first, then declared: the manifest becomes an owner beside the person.
    world.run("edge tag add web-1 prod").ok();
    world.write("fleet/n.yaml", &node("web-1", "prod"));
    world.run("diff -f fleet --exit-code").ok().says("1 unchanged (1 newly owned by fleet)");
    let report = world.run("apply -f fleet --yes -o json").ok().json();
    assert_eq!(
        (&report["objects"][0]["adopted"], &report["summary"]["unchanged"]),
        (&json!(true), &json!(1))
    );
    let owners = || world.run("get EdgeNode web-1 -o json").ok().json()["owners"]["tags[prod]"].clone();
    assert_eq!(owners(), json!(["cli", "fleet"]));
    // Released by the manifest, it is the person's alone, and stays.
    world.write("fleet/n.yaml", "");
    world.run("apply -f fleet --prune --yes").ok();
    assert_eq!(owners(), json!(["cli"]));
    assert_eq!(world.node("web-1")["tags"], json!(["prod"]));
}

#[test]
fn a_refused_apply_reports_that_nothing_was_done() {
    let world = World::new();
    world.write("one.yaml", &group("web", "tags=web"));
    world.run("apply -f one.yaml --owner one --yes").ok();
    world.write("two.yaml", &(group("web", "tags=www") + &group("new", "all")));
    let report = world.run("apply -f two.yaml --owner two --yes -o json").exit(11).json();
    assert_eq!((&report["dry_run"], &report["revision"]), (&json!(false), &json!(null)));
    assert_eq!(report["summary"], json!({"failed": 1, "skipped": 1}));
    assert_eq!(report["objects"][0]["conflicts"][0]["element"], "selector");
}

#[test]
fn a_group_that_others_name_does_not_go() {
    let world = World::new();
    world.run("edge group create inner --selector all").ok();
    world.run("edge group create outer --selector group:inner").ok();
    world
        .run("edge group rm inner")
        .exit(2)
        .says("EdgeGroup/inner: it can't go, as EdgeGroup/outer names it");
    world.run("delete EdgeGroup/inner EdgeGroup/outer --yes").ok();
    world.write("theirs.yaml", &group("base", "all"));
    world.run("apply -f theirs.yaml --owner theirs --yes").ok();
    world.run("edge group create top --selector group:base").ok();
    world.write("empty.yaml", &group("other", "all"));
    world.run("diff -f empty.yaml --owner theirs --prune").exit(2).says("EdgeGroup/top names it");
    world.run("apply -f empty.yaml --owner theirs --prune --yes").exit(2).says("EdgeGroup/top names it");
    world.run("edge fleet preview --target group:top").ok();
}
