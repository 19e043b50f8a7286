//! What is left when `aegisd` is killed, and what it makes of that when it comes again.

use std::{fs, path::Path, process::Command};

use aegis_tests::{
    eventually,
    runtime::{
        BOOTS, Runtime,
        http::Request,
        processes::{self, mounts_below},
    },
};
use serde_json::json;

use crate::stage::{App, HTTPD, Stage};

crate::scenarios! {
    a_killed_daemon_comes_back_with_everything_and_leaves_nothing_running,
    a_daemon_killed_while_a_guest_boots_leaves_nothing,
    down_takes_everything_along,
    there_is_one_daemon_a_home,
}

/// What machines leave in a home while they run: sockets and folders of instances.
fn left_in_run(runtime: &Runtime) -> Vec<String> {
    let entries = fs::read_dir(runtime.home().join("data/run"));
    entries.map_or_else(
        |_| Vec::new(),
        |entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
    )
}

#[track_caller]
fn all_gone(pids: &[u32]) {
    eventually("no process is left over", BOOTS, || {
        pids.iter().all(|pid| !processes::runs(*pid)).then_some(())
    });
}

#[track_caller]
fn nothing_is_mounted(home: &Path) {
    assert_eq!(mounts_below(home.to_str().unwrap()), Vec::<String>::new());
}

fn a_killed_daemon_comes_back_with_everything_and_leaves_nothing_running(stage: &Stage) {
    let runtime = stage.own("");
    let app = App::web(&runtime, "survivor", &stage.web);
    let id = app.serve();
    app.shows("one");
    runtime.exec("survivor", "echo precious >/workspace/kept; sync; echo noted >/proc/1/fd/2 || true").ok();
    let lone = json!({"command": ["sh", "-c", "echo said before; sleep 100000"]});
    let lone = runtime.post("/v1/instances", &lone).expect(201).json()["id"].as_str().unwrap().to_owned();
    runtime.wait_for(&lone, "running");
    eventually("it spoke", BOOTS, || {
        runtime.run(&format!("logs {lone}")).stdout.contains("said before").then_some(())
    });
    runtime.run("secret set survivor KEY sk-kept").ok();
    let release = runtime.instance(&id)["release_id"].clone();
    let machines = processes::below(runtime.pid().unwrap());
    assert!(!machines.is_empty(), "guests run");

    runtime.kill();
    all_gone(&machines);
    assert_ne!(runtime.run("instance list").code, 0, "nobody answers");
    assert!(runtime.run("status").stdout.contains("not running"));
    runtime.up();

    for id in [&id, &lone] {
        let found = runtime.instance(id);
        assert_eq!(found["state"], "stopped", "{found}");
        assert!(found["error"].is_string(), "it says why: {found}");
    }
    assert_eq!(left_in_run(&runtime), Vec::<String>::new());
    nothing_is_mounted(&runtime.home());
    runtime.run("app info survivor").ok().says(release.as_str().unwrap());
    runtime.run("secret list survivor").ok().says("KEY");
    runtime.run(&format!("logs {lone}")).ok().says("said before");
    // And it works: a request boots it again, with its workspace.
    app.serve();
    app.shows("one");
    runtime.exec("survivor", "cat /workspace/kept; echo $KEY").ok().says("precious").says("sk-kept");
    drop(app);
}

fn a_daemon_killed_while_a_guest_boots_leaves_nothing(stage: &Stage) {
    let runtime = stage.own("");
    let app = App::web(&runtime, "early", &stage.web);
    let begun = runtime.post("/v1/apps/early/serve", &json!({})).expect(201).json();
    let id = begun["id"].as_str().unwrap();
    let daemon = runtime.pid().unwrap();
    let machines = eventually("its machine is there", BOOTS, || {
        Some(processes::below(daemon)).filter(|found| !found.is_empty())
    });
    runtime.kill();
    all_gone(&machines);
    runtime.up();
    assert_eq!(runtime.instance(id)["state"], "stopped");
    assert_eq!(left_in_run(&runtime), Vec::<String>::new());
    app.serve();
    app.shows("one");
    drop(app);
}

fn down_takes_everything_along(stage: &Stage) {
    let runtime = stage.own("");
    let body = json!({"command": HTTPD, "image": stage.web, "expose": [{"guest": 80}]});
    let id = runtime.post("/v1/instances", &body).expect(201).json()["id"].as_str().unwrap().to_owned();
    runtime.wait_for(&id, "running");
    let daemon = runtime.pid().unwrap();
    let mut all = processes::below(daemon);
    all.push(daemon);
    runtime.run("down").ok().says(&format!("aegisd stopping (pid {daemon})")).says("aegisd stopped");
    all_gone(&all);
    nothing_is_mounted(&runtime.home());
    assert!(!runtime.home().join("aegisd.sock").exists(), "its socket is gone");
    assert_eq!(left_in_run(&runtime), Vec::<String>::new());
    runtime.run("down").ok().says("not running");
    assert!(runtime.run("status").stdout.contains("not running"));
    runtime.up();
    assert_eq!(runtime.instance(&id)["state"], "stopped");
}

fn there_is_one_daemon_a_home(stage: &Stage) {
    let runtime = stage.own("");
    let pid = runtime.pid().unwrap();
    let aegisd = aegis_tests::binary().with_file_name("aegisd");
    let mut second = Command::new(&aegisd);
    second.env("AEGIS_HOME", runtime.home());
    let second = aegis_tests::Process::start(second).wait_within(BOOTS);
    assert_ne!(second.code, 0, "{second:#?}");
    assert!(second.stderr.contains(&pid.to_string()), "it names the first: {second:#?}");
    assert_eq!(runtime.pid(), Some(pid));
    let _ = runtime.status();
    // Killed, its PID file names a process of somebody else, and its socket is still there: neither is in the way.
    runtime.kill();
    fs::write(runtime.home().join("data/aegisd.pid"), std::process::id().to_string()).unwrap();
    assert!(runtime.home().join("aegisd.sock").exists());
    assert!(runtime.run("status").stdout.contains("not running"));
    runtime.run("down").ok().says("not running");
    runtime.up();
    let socket = fs::metadata(runtime.home().join("aegisd.sock")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&socket.permissions()) & 0o777, 0o600);
    let _ = runtime.ask(&Request::get("/v1/status")).expect(200);
}
