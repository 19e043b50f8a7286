//! What is wrong with manifests is said whole, with its place, and nothing is changed.

use crate::world::*;

#[test]
fn the_same_object_in_two_documents_is_named_with_both_places() {
    let faults =
        by("f").faults(&realm(), &[("a.yaml", &group("web", "all")), ("b.yaml", &group("web", "tags=x"))]);
    let places = "b.yaml:4:18: error: 'EdgeGroup/web' is declared twice (first here: a.yaml:4:18)";
    assert!(faults.len() == 1 && faults[0].starts_with(places), "{faults:?}");
}

#[test]
fn one_host_by_name_and_by_id_is_the_same_object() {
    let faults = by("f")
        .faults(&realm(), &[("a.yaml", &node("web-1", "{}")), ("b.yaml", &node(WEB_1, "{drain: true}"))]);
    let places = format!("b.yaml:4:18: error: EdgeNode/{WEB_1} is declared twice (the other: a.yaml:4:18)");
    assert!(faults.len() == 1 && faults[0].starts_with(&places), "{faults:?}");
}

#[test]
fn a_cycle_of_groups_is_shown_as_a_path_at_the_reference() {
    let text =
        group("in", "group:a") + &group("a", "group:b") + &group("b", "group:c") + &group("c", "group:a");
    let faults = by("f").faults(&realm(), &[("a.yaml", &text)]);
    assert_eq!(
        faults,
        ["a.yaml:10:18: error: a cycle: EdgeGroup/a → EdgeGroup/b → EdgeGroup/c → EdgeGroup/a \
          | remove one of the references"]
    );
    let own = by("f").faults(&realm(), &[("a.yaml", &group("a", "group:a"))]);
    assert!(own[0].starts_with("a.yaml:5:18: error: group 'a' names itself"), "{own:?}");
}

#[test]
fn what_the_same_apply_creates_can_be_referred_to_and_comes_first() {
    let realm = realm();
    let text = group("top", "group:middle") + &group("middle", "group:base") + &group("base", "all");
    let plan = by("f").plan(&realm, &text);
    let phases: Vec<Vec<&str>> =
        plan.phases.iter().map(|phase| phase.iter().map(|item| item.key.name.as_str()).collect()).collect();
    assert_eq!(phases, [["base"], ["middle"], ["top"]]);
    let report = carry_out(&realm, plan).unwrap();
    assert_eq!(
        outcomes(&report),
        ["EdgeGroup/base created", "EdgeGroup/middle created", "EdgeGroup/top created"]
    );
}

#[test]
fn what_prune_removes_cant_be_referred_to() {
    let realm = realm();
    by("f").apply(&realm, &group("base", "all"));
    let top = group("top", "group:base");
    let faults = by("f").prune().faults(&realm, &[("a.yaml", &top)]);
    assert_eq!(
        faults,
        [
            "a.yaml:5:18: error: EdgeGroup/base is removed by this very plan | declare it, or remove the reference"
        ]
    );
    // Without --prune it stays, so it can.
    assert_eq!(outcomes(&by("f").apply(&realm, &top)), ["EdgeGroup/top created"]);
}

#[test]
fn a_rollout_needs_its_group_and_context_and_arguments_that_its_tool_takes() {
    let realm = realm();
    let rollout = |name: &str, rest: &str| {
        let spec = format!("\n  tool: cmd.run\n  args: {{command: uptime}}\n{rest}");
        document("Rollout", name, &spec)
    };
    let text = rollout("group", "  target: group:wbe\n")
        + &rollout("context", "  target: all\n  securityContext: x\n");
    assert_eq!(
        by("f").faults(&realm, &[("a.yaml", &text)]),
        [
            "a.yaml:8:11: error: there is no EdgeGroup/wbe | declare it, or see `aegis get EdgeGroup`",
            "a.yaml:18:20: error: there is no SecurityContext/x | declare it, or see `aegis get SecurityContext`",
        ]
    );
    let argument = "\n  target: all\n  tool: cmd.run\n  args:\n    comand: ls\n";
    let faults = by("f").faults(&realm, &[("a.yaml", &document("Rollout", "argument", argument))]);
    let place = "a.yaml:9:13: error: 'comand' is no argument of cmd.run; did you mean 'command'?";
    assert!(faults.len() == 1 && faults[0].starts_with(place), "{faults:?}");
    let fine = rollout("fine", "  target: group:new\n") + &group("new", "all");
    let report = by("f").apply(&realm, &fine);
    assert_eq!(outcomes(&report), ["EdgeGroup/new created", "Rollout/fine created"]);
}

#[test]
fn what_doesnt_exist_is_named_with_its_place_and_the_nearest_name() {
    let realm = realm();
    by("other").apply(&realm, &group("backend", "all"));
    let text = group("web", "all")
        + &group("top", "group:wbe")
        + &group("far", "group:nothing-like-it")
        + &document("EdgeGroup", "pins", "\n  selector: all\n  pinned:\n    - web-1\n    - web-3\n");
    let faults = by("f").faults(&realm, &[("a.yaml", &text)]);
    assert_eq!(
        faults,
        [
            "a.yaml:10:18: error: there is no EdgeGroup/wbe | did you mean 'web'?",
            "a.yaml:15:18: error: there is no EdgeGroup/nothing-like-it | declare it, or see `aegis get EdgeGroup`",
            "a.yaml:24:7: error: no host called 'web-3' is enrolled | did you mean 'web-1'?",
        ]
    );
    assert_eq!(outcomes(&by("f").apply(&realm, &group("top", "group:backend"))), ["EdgeGroup/top created"]);
}

#[test]
fn a_host_goes_by_id_prefix_or_unique_name() {
    for name in [WEB_1, "n-aaaa0000000000000001", "web-1"] {
        let realm = realm();
        by("f").apply(&realm, &node(name, "{tags: [x]}"));
        assert_eq!(spec(&realm, &format!("EdgeNode/{WEB_1}")), serde_json::json!({"tags": ["x"]}));
    }
    let realm = realm();
    by("f").apply(&realm, &node("n-bbbb", "{tags: [x]}"));
    assert_eq!(spec(&realm, &format!("EdgeNode/{DB_3}")), serde_json::json!({"tags": ["x"]}));
    by("f").apply(&realm, &document("EdgeGroup", "g", "{selector: '@web-2', pinned: [web-1, n-cccc]}"));
    let stored = serde_json::json!({"selector": format!("@{WEB_2}"), "pinned": [WEB_1, DB_4]});
    assert_eq!(spec(&realm, "EdgeGroup/g"), stored);

    let faults = by("f").faults(&realm, &[("a.yaml", &node("db", "{}"))]);
    let both =
        format!("a.yaml:4:18: error: 2 hosts are called 'db': {DB_3}, {DB_4} | name it by its node id");
    assert_eq!(faults, [both]);
    let faults = by("f").faults(&realm, &[("a.yaml", &node("n-aaaa", "{}"))]);
    assert!(faults[0].contains("2 hosts are called 'n-aaaa'"), "{faults:?}");
    let faults = by("f").faults(&realm, &[("a.yaml", &node("wbe-1", "{}"))]);
    assert_eq!(faults, ["a.yaml:4:18: error: no host called 'wbe-1' is enrolled | did you mean 'web-1'?"]);
}

#[test]
fn all_faults_of_all_documents_are_said_in_the_order_of_the_files() {
    let text = group("a", "group:no") + &node("nobody", "{}") + &group("b", "group:no");
    let faults = by("f").faults(&realm(), &[("a.yaml", &text)]);
    let lines: Vec<&str> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["a.yaml:5:18", "a.yaml:9:18", "a.yaml:15:18"]);
}

#[test]
fn of_ten_thousand_objects_one_broken_one_is_named_and_nothing_changes() {
    let realm = realm();
    let groups: Vec<String> = (0..10_000).map(|n| group(&format!("g{n}"), "tags=x")).collect();
    // Four lines a document, and one for its separator.
    let broken = [
        ("spec: {selector: 'tags=x', pined: []}", "5:28: error: unknown field 'pined'"),
        ("spec: {selector: 'group:nowhere'}", "5:18: error: there is no EdgeGroup/nowhere"),
        ("spec: {selector: 'tags=x', pinned: [nobody]}", "5:37: error: no host called 'nobody' is enrolled"),
    ];
    for (spec, fault) in broken {
        let mut groups = groups.clone();
        groups[7777] = groups[7777].replace("spec: {selector: 'tags=x'}", spec);
        let faults = by("f").faults(&realm, &[("a.yaml", &groups.concat())]);
        let (line, rest) = fault.split_once(':').unwrap();
        let line = 7777 * 5 + line.parse::<usize>().unwrap();
        assert!(
            faults.len() == 1 && faults[0].starts_with(&format!("a.yaml:{line}:{rest}")),
            "{fault}: {faults:?}"
        );
    }
    assert!(inventory(&realm, "f").is_empty());
}

#[test]
fn a_pin_of_a_host_that_was_revoked_since_can_stay_and_can_go() {
    let realm = realm();
    let pinned = |pins: &str| document("EdgeGroup", "g", &format!("{{selector: all, pinned: [{pins}]}}"));
    by("fleet").apply(&realm, &pinned("web-1, web-2"));
    let left: Vec<_> = hosts().into_iter().filter(|host| host.id.as_str() != WEB_1).collect();
    realm.set_hosts(left);
    let exported = pinned(&format!("{WEB_1}, {WEB_2}"));
    assert!(!by("fleet").plan(&realm, &exported).has_differences());
    assert_eq!(steps(&by("fleet").prune().plan(&realm, &pinned(WEB_2))), [format!("g - pinned {WEB_1}")]);
    // It can't be pinned anew.
    let other = document("EdgeGroup", "h", &format!("{{selector: all, pinned: [{WEB_1}]}}"));
    let faults = by("fleet").faults(&realm, &[("a.yaml", &other)]);
    assert!(faults[0].contains("is enrolled"), "{faults:?}");
}

#[test]
fn what_another_owner_names_is_not_pruned() {
    let realm = realm();
    by("mine").apply(&realm, &(group("base", "all") + &group("rest", "all")));
    by("theirs").apply(&realm, &group("top", "group:base"));
    let stored = dump(&realm);
    let sources = sources(&[("a.yaml", &group("rest", "all"))]);
    let told = shown(by("mine").prune().declare(&realm, &sources, None).unwrap_err());
    assert!(told.contains("EdgeGroup/base: it can't go, as EdgeGroup/top names it"), "{told}");
    assert_eq!(dump(&realm), stored);
    // Once nobody names it, it goes.
    by("theirs").apply(&realm, &group("top", "all"));
    assert_eq!(steps(&by("mine").prune().plan(&realm, &group("rest", "all"))), ["base - the group"]);
}
