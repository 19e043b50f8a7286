//! What a guest may take, and what becomes of one that takes more.

use aegis_tests::{
    eventually,
    runtime::{BOOTS, processes},
};
use rustix::process::Signal;
use serde_json::json;

use crate::stage::{Guest, Stage, skip};

crate::scenarios! {
    memory_is_limited,
    processes_are_limited,
    a_workspace_has_its_size,
    processors_are_as_many_as_were_asked_for,
    more_than_the_daemon_allows_is_refused,
    a_machine_that_is_killed_from_outside_is_told,
}

fn memory_is_limited(stage: &Stage) {
    // What the guest takes: 256 MiB in one process, in a guest that has 128.
    let hog = "head -c 268435456 /dev/zero | tail -c 268435456 | wc -c";
    let said = stage.runtime.shell("--memory 128M", &format!("set -o pipefail; {hog}"));
    assert_ne!(said.code, 0, "{said:#?}");
    assert!(!said.stdout.contains("268435456"), "{said:#?}");
    stage.runtime.shell("--memory 512M", &format!("set -o pipefail; {hog}")).ok().says("268435456");
}

fn processes_are_limited(stage: &Stage) {
    let line = "for i in $(seq 64); do sleep 30 & done; wait";
    let body = json!({"command": ["sh", "-c", line], "options": {"pids": 24}});
    let made = stage.runtime.post("/v1/tasks", &body).expect(201).json();
    let id = made["id"].as_str().unwrap().to_owned();
    let ended = eventually("a fork fails", BOOTS, || {
        let task = stage.runtime.get(&format!("/v1/tasks/{id}"));
        ["FAILED", "SUCCEEDED"].contains(&task["state"].as_str()?).then_some(task)
    });
    assert_eq!(ended["state"], "FAILED", "{ended}");
}

fn a_workspace_has_its_size(stage: &Stage) {
    if !stage.is_vm() {
        skip("the workspace of a namespace is a folder of the host's file system, which has no quota");
    }
    let body = json!({
        "command": ["sh", "-c", "dd if=/dev/zero of=/workspace/fill bs=1M count=200 2>&1; df -m /workspace | tail -n 1"],
        "options": {"workspace": "small", "disk_mib": 64},
    });
    let made = stage.runtime.post("/v1/tasks", &body).expect(201).json();
    let said = stage.runtime.run(&format!("logs {} --follow", made["id"].as_str().unwrap()));
    assert!(said.stdout.contains("No space left"), "{said:#?}");
    // Nor does it write behind the file system, whatever it thinks of the disk's size.
    let behind = "dd if=/dev/zero of=/dev/vdb bs=1M seek=2000 count=1";
    let said = stage.runtime.shell("--workspace small", behind);
    assert_ne!(said.code, 0, "{said:#?}");
}

fn processors_are_as_many_as_were_asked_for(stage: &Stage) {
    if !stage.is_vm() {
        skip("a namespace sees the host's processors; its share of their time is limited");
    }
    assert_eq!(stage.runtime.shell("--cpus 2", "nproc").ok().stdout, "2\n");
    assert_eq!(stage.runtime.shell("--cpus 1", "nproc").ok().stdout, "1\n");
}

fn more_than_the_daemon_allows_is_refused(stage: &Stage) {
    let said = stage.runtime.run("run --memory 4000G -- true");
    assert_ne!(said.code, 0, "{said:#?}");
    assert!(said.stderr.contains("memory"), "{said:#?}");
    assert_ne!(stage.runtime.run("run --cpus 4096 -- true").code, 0);
    assert_ne!(stage.runtime.run("run --memory 1M -- true").code, 0);
}

fn a_machine_that_is_killed_from_outside_is_told(stage: &Stage) {
    let runtime = &stage.runtime;
    let mark = format!("98{}", std::process::id());
    let guest = Guest::start(runtime, &["sleep", &mark], json!({}));
    let daemon = runtime.pid().expect("a daemon");
    let below = processes::below(daemon);
    let command = |pid: u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ")
    };
    // A VM shows whose it is; without one, the parent of the command that is seen here is the guest's first process.
    let machine = below.iter().copied().find(|pid| command(*pid).contains(&guest.id)).or_else(|| {
        let visible = below.iter().copied().find(|pid| command(*pid).trim() == format!("sleep {mark}"))?;
        below.iter().copied().find(|pid| processes::below(*pid).first() == Some(&visible))
    });
    processes::signal(machine.expect("its machine"), Signal::KILL);
    let stopped = runtime.wait_for(&guest.id, "stopped");
    assert!(stopped["error"].is_string(), "{stopped}");
    assert_eq!(runtime.pid(), Some(daemon), "the daemon lives");
}
