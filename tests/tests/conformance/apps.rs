//! Apps: created, published, served, listed, rolled back and deleted.

use std::thread;

use aegis_tests::{eventually, runtime::BOOTS, runtime::http::Request};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::stage::{App, HTTPD, Stage, site};

crate::scenarios! {
    an_app_lives_as_the_reference_says,
    twenty_serves_at_once_make_one_instance,
    publishes_in_one_second_keep_their_order,
    an_app_deleted_while_it_starts_leaves_nothing,
    an_app_goes_back_to_an_earlier_release,
    a_process_that_ends_stops_its_instance_and_tells_its_code,
    what_is_not_there_or_not_right_is_told,
}

fn an_app_lives_as_the_reference_says(stage: &Stage) {
    let runtime = &stage.runtime;
    let image = &stage.web;
    let line = format!("app create --name life --image {image} --expose 80 -- {} -vv", HTTPD.join(" "));
    runtime.run(&line).ok().says("App created: life (id=app-");
    runtime.run("app publish life --label v1").ok().says("Published release rel-").says("(label=v1)");
    runtime.run("app list").ok().says("NAME").says("IMAGE").says("ID").says("life").says(image);
    runtime
        .run("app info life")
        .ok()
        .says("Name:    life")
        .says("Command: httpd -f -p 80")
        .says("Ports:   80")
        .says("Releases (1):")
        .says("(v1)");
    let mut serving = runtime.begin("app serve life");
    let id = eventually("it serves", BOOTS, || {
        let said = serving.stdout();
        assert!(serving.ended().is_none(), "it ended: {said}{}", serving.stderr());
        let id = said.lines().find_map(|line| line.strip_prefix("Instance: "))?.trim().to_owned();
        said.contains("Press Ctrl+C to stop").then_some(id)
    });
    let router = format!("Serving life on http://{}", runtime.router());
    assert!(serving.stdout().contains(&router), "{}", serving.stdout());
    assert_eq!(runtime.page("life").expect(200).text(), "one\n");
    runtime.run("instance list").ok().says("STATE").says("CONNS").says(&id).says("running");
    let info = runtime.run(&format!("instance info {id}")).ok();
    for line in [
        "State:       running",
        "Ports:       80",
        "Connections: ",
        "Created:",
        "Last Active:",
        "Release:     rel-",
    ] {
        assert!(info.stdout.contains(line), "'{line}' isn't in {info:#?}");
    }
    runtime.run("exec life -- echo hello").ok().says("hello");
    runtime.run(&format!("exec {id} -- cat /etc/os-release")).ok().says("Aegis base");
    eventually("the request is in the log", BOOTS, || {
        runtime.run("logs life").stdout.contains("response:200").then_some(())
    });
    runtime.run(&format!("app logs {id}")).ok().says("response:200");
    serving.signal(Signal::INT);
    serving.wait();
    assert!(runtime.live("life").is_empty());
    runtime.run("app delete life").ok().says("App \"life\" deleted");
    runtime.run("app list").ok().says_not("life");
    assert_ne!(runtime.run("app info life").code, 0);
}

fn twenty_serves_at_once_make_one_instance(stage: &Stage) {
    let app = App::web(&stage.runtime, "twenty", &stage.web);
    let ids: Vec<String> = thread::scope(|scope| {
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| app.serve())).collect();
        calls.into_iter().map(|call| call.join().expect("it is served")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(stage.runtime.live("twenty").len(), 1);
    // And one more is told which one runs.
    let again = stage.runtime.post("/v1/apps/twenty/serve", &json!({})).expect(200).json();
    assert_eq!(again["id"], ids[0].as_str());
}

fn publishes_in_one_second_keep_their_order(stage: &Stage) {
    let app = App::create(&stage.runtime, "ordered", &stage.web, &HTTPD, json!({}));
    let made: Vec<Value> = (0..3).map(|_| app.publish()["id"].clone()).collect();
    let listed = stage.runtime.get("/v1/apps/ordered/releases");
    let listed = listed.as_array().or_else(|| listed["releases"].as_array()).unwrap();
    let listed: Vec<Value> = listed.iter().map(|release| release["id"].clone()).collect();
    let newest_first: Vec<Value> = made.iter().rev().cloned().collect();
    assert_eq!(listed, newest_first);
    let id = app.serve();
    assert_eq!(stage.runtime.instance(&id)["release_id"], made[2], "the latest is served");
}

fn an_app_deleted_while_it_starts_leaves_nothing(stage: &Stage) {
    let runtime = &stage.runtime;
    let app = App::web(runtime, "short", &stage.web);
    let begun = runtime.post("/v1/apps/short/serve", &json!({})).expect(201).json();
    let id = begun["id"].as_str().unwrap();
    let _ = runtime.ask(&Request::new("DELETE", "/v1/apps/short"));
    eventually("its instance is gone", BOOTS, || {
        let answer = runtime.ask(&Request::get(&format!("/v1/instances/{id}")));
        (answer.status == 404 || answer.json()["state"] == "stopped").then_some(())
    });
    assert!(runtime.live("short").is_empty());
    eventually("no machine is left", BOOTS, || {
        aegis_tests::runtime::processes::all().iter().all(|found| !found.command.contains(id)).then_some(())
    });
    assert_eq!(runtime.ask(&Request::get("/v1/apps/short")).status, 404);
    // The name is free again.
    drop(app);
    drop(App::web(runtime, "short", &stage.web));
}

fn an_app_goes_back_to_an_earlier_release(stage: &Stage) {
    let runtime = &stage.runtime;
    let reference = stage.registry.push("test/back:1", &site("old"));
    let app = App::web(runtime, "back", &reference);
    let first = runtime.get("/v1/apps/back/releases");
    app.serve();
    app.shows("old");
    // The tag moves: the next release has another digest, and what runs stays what it is.
    stage.registry.push("test/back:1", &site("new"));
    app.publish();
    app.shows("old");
    let running = runtime.live("back")[0]["id"].as_str().unwrap().to_owned();
    runtime.run(&format!("instance stop {running}")).ok();
    app.serve();
    app.shows("new");
    let first = first.as_array().or_else(|| first["releases"].as_array()).unwrap()[0]["id"].clone();
    runtime.run(&format!("app rollback back {}", first.as_str().unwrap())).ok();
    app.shows("old");
}

fn a_process_that_ends_stops_its_instance_and_tells_its_code(stage: &Stage) {
    let runtime = &stage.runtime;
    let body = json!({"command": ["sh", "-c", "echo last words; exit 42"]});
    let id = runtime.post("/v1/instances", &body).expect(201).json()["id"].as_str().unwrap().to_owned();
    let stopped = runtime.wait_for(&id, "stopped");
    assert_eq!(stopped["exit_code"], 42, "{stopped}");
    runtime.run(&format!("instance info {id}")).ok().says("stopped").says("42");
    runtime.run(&format!("logs {id}")).ok().says("last words");
    let _ = runtime.ask(&Request::new("DELETE", &format!("/v1/instances/{id}")));
}

fn what_is_not_there_or_not_right_is_told(stage: &Stage) {
    let runtime = &stage.runtime;
    for line in [
        "app info nobody",
        "app publish nobody",
        "app serve nobody",
        "app delete nobody",
        "instance info inst-nobody",
        "logs nobody",
    ] {
        let said = runtime.run(line);
        assert_ne!(said.code, 0, "{said:#?}");
        assert!(said.stderr.contains("nobody"), "{said:#?}");
    }
    assert_eq!(runtime.ask(&Request::get("/v1/apps/nobody")).status, 404);
    assert_eq!(runtime.ask(&Request::get("/v1/nothing")).status, 404);
    assert_eq!(runtime.ask(&Request::new("POST", "/v1/apps").body("application/json", "{")).status, 400);
    let answer = runtime.post("/v1/apps", &json!({"name": "No Name!", "image": "x", "command": ["true"]}));
    assert!([400, 422].contains(&answer.status), "{}", answer.text());
    assert!(answer.json()["error"]["code"].is_string(), "{}", answer.text());
    // An app that was never published can't be served.
    let app = App::create(runtime, "unpublished", &stage.web, &HTTPD, json!({}));
    let answer = runtime.post("/v1/apps/unpublished/serve", &json!({}));
    assert!([409, 422].contains(&answer.status), "{}: {}", answer.status, answer.text());
    let twice = runtime.post("/v1/apps", &json!({"name": app.name, "image": stage.web, "command": ["true"]}));
    assert_eq!(twice.status, 409, "{}", twice.text());
}
