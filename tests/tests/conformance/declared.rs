//! Apps, kits and secrets as manifests declare them, and kits as files install them.

use std::fs;

use aegis_tests::{
    Output, eventually,
    runtime::{BOOTS, Runtime},
};
use serde_json::json;

use crate::stage::{App, HTTPD, Stage, site, skip};

crate::scenarios! {
    a_declared_app_is_created_served_replaced_and_deleted,
    a_release_that_never_gets_ready_is_rolled_back,
    a_rollback_outlasts_a_stop_and_a_serve_by_hand,
    the_log_of_an_app_that_fails_is_kept,
    an_app_waits_for_a_workspace_that_a_task_has,
    a_kit_gives_an_app_what_it_needs,
    a_kit_is_installed_listed_and_uninstalled,
}

#[track_caller]
fn apply(runtime: &Runtime, owner: &str, manifest: &str, flags: &str) -> Output {
    let folder = runtime.path().join(owner);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("all.yaml"), manifest).unwrap();
    runtime.run(&format!("apply --yes --owner {owner} {flags} -f {}", folder.display()))
}

fn app(name: &str, image: &str, more: &str) -> String {
    format!(
        "apiVersion: aegis.dev/v1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  image: {image}\n  \
         command: [httpd, -f, -p, '80', -h, /srv]\n  expose: [80]\n  serve: true\n{more}---\n"
    )
}

#[track_caller]
fn shows(runtime: &Runtime, name: &str, text: &str) {
    eventually(&format!("{name} shows {text}"), BOOTS, || {
        runtime.page(name).text().contains(text).then_some(())
    });
}

fn a_declared_app_is_created_served_replaced_and_deleted(stage: &Stage) {
    let runtime = &stage.runtime;
    let blue = stage.registry.push("test/declared:blue", &site("blue"));
    let green = stage.registry.push("test/declared:green", &site("green"));
    let manifest = app("declared", &blue, "");
    apply(runtime, "declared", &manifest, "").ok().says("App/declared");
    shows(runtime, "declared", "blue");
    let first = runtime.live("declared")[0]["id"].clone();
    // The same again changes nothing.
    apply(runtime, "declared", &manifest, "").ok();
    let folder = runtime.path().join("declared");
    runtime.run(&format!("diff --owner declared --exit-code -f {}", folder.display())).ok();
    assert_eq!(runtime.live("declared")[0]["id"], first);
    // Another image: a new release, a new instance, and the old one is gone.
    apply(runtime, "declared", &app("declared", &green, ""), "").ok();
    shows(runtime, "declared", "green");
    eventually("one is left", BOOTS, || (runtime.live("declared").len() == 1).then_some(()));
    assert_ne!(runtime.live("declared")[0]["id"], first);
    runtime.run("get apps").ok().says("declared");
    runtime.run("describe App/declared").ok().says(&green);
    // By hand it goes the same way, and the next apply says so.
    apply(runtime, "declared", "", "--prune").ok();
    eventually("nothing of it runs", BOOTS, || runtime.live("declared").is_empty().then_some(()));
    assert_ne!(runtime.run("app info declared").code, 0);
}

fn a_release_that_never_gets_ready_is_rolled_back(stage: &Stage) {
    let runtime = &stage.runtime;
    let ready = "  readiness: {timeout: 6s}\n";
    apply(runtime, "careful", &app("careful", &stage.web, ready), "").ok();
    shows(runtime, "careful", "one");
    let first = runtime.live("careful")[0]["id"].clone();
    let deaf = app("careful", &stage.web, ready)
        .replace("command: [httpd, -f, -p, '80', -h, /srv]", "command: [sleep, '100000']");
    apply(runtime, "careful", &deaf, "");
    let told = eventually("it is told", BOOTS, || {
        let condition = runtime.get("/v1/apps/careful")["condition"].as_str().unwrap_or_default().to_owned();
        condition.contains("rolled back").then_some(condition)
    });
    runtime.run("describe App/careful").ok().says("rolled back");
    assert!(!told.is_empty());
    assert_eq!(runtime.page("careful").expect(200).text(), "one\n");
    eventually("only the old one is left", BOOTS, || {
        let live = runtime.live("careful");
        (live.len() == 1 && live[0]["id"] == first).then_some(())
    });
    runtime.run("app delete careful").ok();
}

fn a_rollback_outlasts_a_stop_and_a_serve_by_hand(stage: &Stage) {
    let runtime = &stage.runtime;
    let two = stage.registry.push("test/held:2", &site("two"));
    let condition = || runtime.get("/v1/apps/held")["condition"].as_str().unwrap_or_default().to_owned();
    for (image, text) in [(&stage.web, "one"), (&two, "two")] {
        apply(runtime, "held", &app("held", image, ""), "").ok();
        shows(runtime, "held", text);
    }
    runtime.run("app rollback held").ok();
    shows(runtime, "held", "one");
    eventually("one is left", BOOTS, || (runtime.live("held").len() == 1).then_some(()));
    let id = runtime.live("held")[0]["id"].as_str().unwrap().to_owned();
    runtime.run(&format!("instance stop {id}")).ok();
    eventually("it is stopped", BOOTS, || runtime.live("held").is_empty().then_some(()));
    runtime.run("app serve held --detach").ok();
    shows(runtime, "held", "one");
    eventually("it is settled", BOOTS, || condition().starts_with("rolled back").then_some(()));
    let serving = runtime.live("held");
    assert_eq!(serving.len(), 1, "{serving:?}");
    assert_eq!(runtime.page("held").expect(200).text(), "one\n");
    let still = runtime.live("held");
    assert!(still.len() == 1 && still[0]["id"] == serving[0]["id"], "{still:?}");
    runtime.run("app delete held").ok();
}

fn the_log_of_an_app_that_fails_is_kept(stage: &Stage) {
    let runtime = &stage.runtime;
    let crash = app("crash", &stage.web, "")
        .replace("command: [httpd, -f, -p, '80', -h, /srv]", "command: [sh, -c, 'echo last words; exit 3']");
    apply(runtime, "crash", &crash, "");
    eventually("it fails", BOOTS, || {
        let condition = runtime.get("/v1/apps/crash")["condition"].as_str().unwrap_or_default().to_owned();
        condition.starts_with("failed").then_some(())
    });
    runtime.run("logs crash").ok().says("last words");
    runtime.run("app delete crash").ok();
}

fn an_app_waits_for_a_workspace_that_a_task_has(stage: &Stage) {
    let runtime = &stage.runtime;
    if !stage.is_vm() {
        skip("its workspaces are directories, which many can have");
    }
    let body = json!({"command": ["sleep", "1000"], "options": {"workspace": "lent"}});
    let task = runtime.post("/v1/tasks", &body).expect(201).json()["id"].as_str().unwrap().to_owned();
    let runs = || (runtime.get(&format!("/v1/tasks/{task}"))["state"] == "RUNNING").then_some(());
    eventually("the task runs", BOOTS, runs);
    apply(runtime, "waits", &app("waits", &stage.web, "  workspace: lent\n"), "");
    let way_out = format!("aegis task cancel {task}");
    eventually("it waits", BOOTS, || {
        let condition = runtime.get("/v1/apps/waits")["condition"].as_str().unwrap_or_default().to_owned();
        (condition.starts_with("waiting") && condition.contains(&way_out)).then_some(())
    });
    runtime.run(&format!("task cancel {task}")).ok();
    shows(runtime, "waits", "one");
    runtime.run("app delete waits").ok();
}

fn a_kit_gives_an_app_what_it_needs(stage: &Stage) {
    let runtime = &stage.runtime;
    let manifest = format!(
        "apiVersion: aegis.dev/v1\nkind: Kit\nmetadata: {{name: web-kit}}\nspec:\n  version: 1.0.0\n  image: {}\n  \
         config:\n    command: [httpd, -f, -p, '80', -h, /srv]\n    expose: [80]\n    env: {{FROM_KIT: 'yes'}}\n    \
         requiredSecrets: [LICENCE]\n",
        stage.web
    );
    apply(runtime, "kits", &manifest, "").ok();
    let _ = runtime.post("/v1/apps", &json!({"name": "kitted", "kit": "web-kit"})).expect(201);
    let _ = runtime.post("/v1/apps/kitted/publish", &json!({})).expect(201);
    // A secret that must be there isn't: told before anything boots.
    let refused = runtime.post("/v1/apps/kitted/serve", &json!({"wait": true}));
    assert!([409, 422].contains(&refused.status), "{}: {}", refused.status, refused.text());
    assert!(refused.text().contains("LICENCE"), "{}", refused.text());
    assert!(runtime.live("kitted").is_empty());
    runtime.run("secret set kitted LICENCE sk-licence").ok();
    let _ = runtime.post("/v1/apps/kitted/serve", &json!({"wait": true}));
    shows(runtime, "kitted", "one");
    runtime.exec("kitted", "echo $FROM_KIT $LICENCE").ok().says("yes sk-licence");
    runtime.run("app delete kitted").ok();
}

fn a_kit_is_installed_listed_and_uninstalled(stage: &Stage) {
    let runtime = &stage.runtime;
    let file = runtime.path().join("famiglia.yaml");
    let text = "# a kit\nname: famiglia\nversion: \"1.0.0\" # quoted\ndescription: Famiglia agent kit\nimage: ghcr.io/aegis/famiglia:1.0.0\n";
    fs::write(&file, text).unwrap();
    runtime.run(&format!("kit install {}", file.display())).ok().says("Kit famiglia v1.0.0 installed");
    runtime
        .run("kit list")
        .ok()
        .says("NAME")
        .says("VERSION")
        .says("famiglia")
        .says("ghcr.io/aegis/famiglia:1.0.0");
    runtime
        .run("kit info famiglia")
        .ok()
        .says("Version:     1.0.0")
        .says("Description: Famiglia agent kit")
        .says("Installed:   20");
    // An app that stands on it keeps it from going.
    let user = App::create(runtime, "user-of-kit", "x:1", &HTTPD, json!({"kit": "famiglia"}));
    let refused = runtime.run("kit uninstall famiglia");
    assert_ne!(refused.code, 0, "{refused:#?}");
    drop(user);
    runtime.run("kit uninstall famiglia").ok().says("Kit \"famiglia\" uninstalled");
    runtime.run("kit list").ok().says_not("famiglia");
    fs::write(&file, "name: [famiglia]\nversion: 1\n").unwrap();
    assert_ne!(runtime.run(&format!("kit install {}", file.display())).code, 0);
    assert_ne!(runtime.run("kit info famiglia").code, 0);
}
