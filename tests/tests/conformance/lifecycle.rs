//! How instances come, sleep, wake and go.

use std::{
    net::Shutdown,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use aegis_tests::{
    Process, eventually,
    runtime::{BOOTS, Runtime, http::Request},
};
use serde_json::json;

use crate::stage::{Guest, Stage};

crate::scenarios! {
    an_idle_app_is_paused_and_stopped_and_a_request_wakes_it,
    what_is_used_is_not_put_to_sleep,
    a_pause_holds_every_process_and_a_resume_lets_them_go_on,
    two_requests_at_once_wake_one_instance,
    a_client_that_leaves_does_not_stop_the_wake,
    an_instance_stops_and_starts_by_hand,
    logs_are_followed_over_a_pause_and_kept,
}

/// Declares an app that is put to sleep this soon. Gives the folder of its manifest.
#[track_caller]
fn declare(runtime: &Runtime, name: &str, image: &str, pause: &str, stop: &str) -> PathBuf {
    let folder = runtime.path().join(name);
    std::fs::create_dir(&folder).unwrap();
    let manifest = format!(
        "apiVersion: aegis.dev/v1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  image: {image}\n  \
         command: [httpd, -f, -vv, -p, '80', -h, /srv]\n  expose: [80]\n  serve: true\n  \
         idle: {{pauseAfter: {pause}, stopAfter: {stop}}}\n"
    );
    std::fs::write(folder.join("app.yaml"), manifest).unwrap();
    runtime.run(&format!("apply --yes --owner {name} -f {}", folder.display())).ok();
    eventually(&format!("{name} is there"), BOOTS, || (!runtime.live(name).is_empty()).then_some(()));
    folder
}

fn state(runtime: &Runtime, app: &str) -> String {
    let all = runtime.get("/v1/instances");
    let all = all.as_array().or_else(|| all["instances"].as_array()).unwrap();
    let mut mine: Vec<_> = all.iter().filter(|one| one["app"] == app).collect();
    mine.sort_by_key(|one| one["created_at"].as_str().unwrap_or_default().to_owned());
    mine.last().map_or("none", |one| one["state"].as_str().unwrap()).to_owned()
}

#[track_caller]
fn becomes(runtime: &Runtime, app: &str, wanted: &str) {
    eventually(&format!("{app} is {wanted}"), BOOTS, || (state(runtime, app) == wanted).then_some(()));
}

fn an_idle_app_is_paused_and_stopped_and_a_request_wakes_it(stage: &Stage) {
    stage.needs("pause_resume");
    let runtime = &stage.runtime;
    declare(runtime, "sleepy", &stage.web, "1s", "4s");
    becomes(runtime, "sleepy", "paused");
    assert_eq!(runtime.page("sleepy").expect(200).text(), "one\n");
    becomes(runtime, "sleepy", "paused");
    becomes(runtime, "sleepy", "stopped");
    // A request boots it again, and waits for it.
    assert_eq!(runtime.page("sleepy").expect(200).text(), "one\n");
    runtime.run("app delete sleepy").ok();
}

fn what_is_used_is_not_put_to_sleep(stage: &Stage) {
    stage.needs("pause_resume");
    let runtime = &stage.runtime;
    declare(runtime, "busy", &stage.web, "1s", "10m");
    // An exec that only waits: no CPU, no network, and still somebody is there.
    let exec = runtime.begin("exec busy -- sleep 4");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_ne!(state(runtime, "busy"), "paused", "after {:?}", begun.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
    exec.wait_within(BOOTS).ok();
    becomes(runtime, "busy", "paused");
    // Somebody who follows its log.
    let follower = runtime.begin("logs busy --follow");
    runtime.page("busy").expect(200).text();
    eventually("the request is in the log", BOOTS, || {
        follower.stdout().contains("response:200").then_some(())
    });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_ne!(state(runtime, "busy"), "paused", "after {:?}", begun.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
    drop(follower);
    becomes(runtime, "busy", "paused");
    runtime.run("app delete busy").ok();
}

fn a_pause_holds_every_process_and_a_resume_lets_them_go_on(stage: &Stage) {
    stage.needs("pause_resume");
    let runtime = &stage.runtime;
    let count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done";
    let guest = Guest::start(runtime, &["sh", "-c", count], json!({}));
    let lines = || runtime.run(&format!("logs {}", guest.id)).ok().stdout.lines().count();
    eventually("it counts", BOOTS, || (lines() > 2).then_some(()));
    runtime.run(&format!("instance pause {}", guest.id)).ok();
    let before = lines();
    thread::sleep(Duration::from_millis(700));
    assert!(lines() <= before + 1, "{} lines became {}", before, lines());
    assert_eq!(runtime.instance(&guest.id)["state"], "paused");
    runtime.run(&format!("instance resume {}", guest.id)).ok();
    eventually("it goes on", BOOTS, || (lines() > before + 2).then_some(()));
    // Its clock is right again.
    let clock: u64 = guest.says("date +%s").parse().unwrap();
    assert!(clock.abs_diff(aegis_tests::unix_seconds()) < 60);
}

fn two_requests_at_once_wake_one_instance(stage: &Stage) {
    let runtime = &stage.runtime;
    // Out of a pause, and out of nothing: without a request for so long, it was stopped.
    for (name, state, stop) in [("woken", "paused", "10m"), ("booted", "stopped", "1s")] {
        if state == "paused" && runtime.status()["capabilities"]["pause_resume"] != true {
            continue;
        }
        declare(runtime, name, &stage.web, "1s", stop);
        becomes(runtime, name, state);
        let router = runtime.router();
        let pages: Vec<String> = thread::scope(|scope| {
            let request = || Request::get("/").header("host", &format!("{name}.localhost")).send(router);
            let calls: Vec<_> = (0..2).map(|_| scope.spawn(request)).collect();
            calls
                .into_iter()
                .map(|call| call.join().unwrap().expect("an answer").expect(200).text())
                .collect()
        });
        assert_eq!(pages, ["one\n", "one\n"], "{state}");
        assert!(runtime.live(name).len() <= 1, "{state}");
        runtime.run(&format!("app delete {name}")).ok();
    }
}

fn a_client_that_leaves_does_not_stop_the_wake(stage: &Stage) {
    let runtime = &stage.runtime;
    declare(runtime, "left-alone", &stage.web, "1s", "1s");
    becomes(runtime, "left-alone", "stopped");
    let request = Request::get("/").header("host", "left-alone.localhost");
    let stream = request.begin(runtime.router()).expect("the router");
    becomes(runtime, "left-alone", "starting");
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    // It gets as far as it would have, and is put to sleep again after that.
    eventually("it runs all the same", BOOTS, || {
        ["running", "paused"].contains(&state(runtime, "left-alone").as_str()).then_some(())
    });
    assert_eq!(runtime.page("left-alone").expect(200).text(), "one\n");
    runtime.run("app delete left-alone").ok();
}

fn an_instance_stops_and_starts_by_hand(stage: &Stage) {
    let runtime = &stage.runtime;
    let trap =
        "trap 'echo goodbye; exit 7' TERM; httpd -p 80 -h /srv; echo hello; while :; do sleep 0.1; done";
    let guest = Guest::start(runtime, &["sh", "-c", trap], json!({"expose": [{"guest": 80}]}));
    let port = runtime.instance(&guest.id)["endpoints"][0]["address"].clone();
    eventually("it began", BOOTS, || {
        runtime.run(&format!("logs {}", guest.id)).stdout.contains("hello").then_some(())
    });
    runtime.run(&format!("instance stop {}", guest.id)).ok();
    runtime.wait_for(&guest.id, "stopped");
    eventually("SIGTERM came first, and its last words are kept", BOOTS, || {
        runtime.run(&format!("logs {}", guest.id)).stdout.contains("goodbye").then_some(())
    });
    runtime.run(&format!("instance start {}", guest.id)).ok();
    let again = runtime.wait_for(&guest.id, "running");
    assert_eq!(again["endpoints"][0]["address"], port, "the port is the same");
    for line in ["instance pause inst-nobody", "instance start inst-nobody"] {
        assert_ne!(runtime.run(line).code, 0);
    }
}

fn logs_are_followed_over_a_pause_and_kept(stage: &Stage) {
    let runtime = &stage.runtime;
    let line = "for i in 1 2 3 4 5; do echo line $i; done; echo problem >&2; sleep 100000";
    let guest = Guest::start(runtime, &["sh", "-c", line], json!({}));
    let id = &guest.id;
    eventually("all is written", BOOTS, || {
        runtime.run(&format!("logs {id}")).stdout.contains("line 5").then_some(())
    });
    let tail = runtime.run(&format!("logs {id} --tail 2")).ok();
    assert_eq!((tail.stdout + &tail.stderr).lines().count(), 2);
    let mut follower = Process::start(runtime.command(&["logs", "-f", id]));
    eventually("what was is shown", BOOTS, || follower.stdout().contains("line 5").then_some(()));
    if runtime.status()["capabilities"]["pause_resume"] == true {
        runtime.run(&format!("instance pause {id}")).ok();
        runtime.run(&format!("instance resume {id}")).ok();
    }
    assert!(follower.ended().is_none(), "it follows over a pause");
    runtime.exec(id, "echo from an exec").ok();
    runtime.run(&format!("instance stop {id}")).ok();
    // The end of the instance is the end of its log.
    follower.wait_within(BOOTS);
    let answer = runtime.ask(&Request::get(&format!("/v1/instances/{id}/logs"))).expect(200).text();
    let records: Vec<serde_json::Value> =
        answer.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(records[0]["kind"].is_string(), "a header first: {}", records[0]);
    let main: Vec<&str> = records
        .iter()
        .filter(|r| r["source"] == "main" && r["stream"] == "stdout")
        .filter_map(|r| r["line"].as_str())
        .collect();
    assert_eq!(&main[..5], ["line 1", "line 2", "line 3", "line 4", "line 5"]);
}
