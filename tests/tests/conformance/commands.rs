//! The daemon's commands and `aegis run`, as the reference writes them.

use std::os::unix::process::ExitStatusExt;

use aegis_tests::{
    Process, eventually,
    runtime::{
        BOOTS,
        http::Request,
        image::{Image, Layer},
    },
};
use rustix::process::Signal;
use serde_json::json;

use crate::stage::{HTTPD, Stage};

crate::scenarios! {
    the_daemon_says_what_it_is,
    a_command_prints_and_its_exit_code_is_ours,
    output_survives_byte_for_byte_and_stderr_stays_apart,
    a_command_that_does_not_exist_says_so,
    run_expose_serves_until_it_is_interrupted,
    two_exposed_ports_lead_to_two_servers,
    a_task_is_cancelled_with_all_that_it_started,
    a_task_whose_time_is_up_ends,
    several_tasks_at_once_keep_their_output_apart,
    of_an_image_only_the_file_system_counts,
}

fn the_daemon_says_what_it_is(stage: &Stage) {
    let runtime = &stage.runtime;
    let pid = runtime.pid().expect("it runs").to_string();
    runtime.run("up").ok().says("running").says(&pid);
    runtime.run("status").ok().says("aegisd: running").says(&format!("backend: {}", stage.backend));
    let doctor = runtime.run("doctor");
    for line in
        ["Aegis Doctor", "aegisd:", "Backend:", "Pause/Resume:", "Memory Snapshots:", "Installed kits:"]
    {
        assert!(doctor.stdout.contains(line), "'{line}' isn't in {doctor:#?}");
    }
}

fn a_command_prints_and_its_exit_code_is_ours(stage: &Stage) {
    let runtime = &stage.runtime;
    let said = runtime.run("run -- echo 'hello from aegis'").ok();
    assert_eq!(said.stdout, "hello from aegis\n");
    for code in [1, 42, 137] {
        runtime.shell("", &format!("exit {code}")).exit(code);
    }
    runtime.shell("", "kill -TERM $$").exit(143);
    runtime.shell("", "kill -KILL $$").exit(137);
}

fn output_survives_byte_for_byte_and_stderr_stays_apart(stage: &Stage) {
    let line = "printf 'no newline'; printf 'problem\\n' >&2; printf '\\377\\000\\376' | od -An -tx1";
    let said = stage.runtime.shell("", line).ok();
    assert_eq!(said.stdout, "no newline ff 00 fe\n");
    assert!(said.stderr.lines().any(|line| line == "problem"), "{said:#?}");
    // Half a megabyte in one line, and every byte of it.
    let command = stage.runtime.command(&["run", "--", "sh", "-c", "head -c 524288 /dev/zero | tr '\\0' x"]);
    let said = Process::start(command).wait_within(BOOTS).ok();
    assert_eq!(said.stdout.len(), 524_288);
    assert!(said.stdout.bytes().all(|byte| byte == b'x'));
}

fn a_command_that_does_not_exist_says_so(stage: &Stage) {
    stage.runtime.run("run -- no-such-program").exit(127).says("no-such-program");
    stage.runtime.run("run -- /etc/passwd").exit(126).says("/etc/passwd");
    stage.runtime.run("run").exit(2);
}

/// The id in a line `Instance: inst-…`.
fn instance_of(process: &mut Process) -> String {
    eventually("it serves", BOOTS, || {
        let said = process.stdout();
        assert!(process.ended().is_none(), "it ended: {said}{}", process.stderr());
        let whole = said.contains("Press Ctrl+C to stop");
        let id = said.lines().find_map(|line| line.strip_prefix("Instance: "))?;
        whole.then(|| id.trim().to_owned())
    })
}

fn run_expose_serves_until_it_is_interrupted(stage: &Stage) {
    let runtime = &stage.runtime;
    let line = format!("run --expose 80 --image {} -- {}", stage.web, HTTPD.join(" "));
    let mut serving = runtime.begin(&line);
    let id = instance_of(&mut serving);
    assert!(
        serving.stdout().contains(&format!("Serving on http://{}", runtime.router())),
        "{}",
        serving.stdout()
    );
    let endpoint = runtime.instance(&id)["endpoints"][0]["address"].as_str().unwrap().to_owned();
    let page = Request::get("/").send(endpoint.parse().unwrap()).unwrap().expect(200);
    assert_eq!(page.text(), "one\n");
    serving.signal(Signal::INT);
    let status = eventually("it ends", BOOTS, || serving.ended());
    assert!(status.code() == Some(0) || status.code() == Some(130), "{status:?} {:?}", status.signal());
    // `DELETE` was sent: the record is gone, or is stopped.
    let answer = runtime.ask(&Request::get(&format!("/v1/instances/{id}")));
    assert!(answer.status == 404 || answer.json()["state"] == "stopped", "{}", answer.text());
}

fn two_exposed_ports_lead_to_two_servers(stage: &Stage) {
    let runtime = &stage.runtime;
    let both = "mkdir -p /tmp/a /tmp/b; echo first >/tmp/a/index.html; echo second >/tmp/b/index.html; \
                httpd -p 81 -h /tmp/b; exec httpd -f -p 80 -h /tmp/a";
    let mut serving =
        Process::start(runtime.command(&["run", "--expose", "80", "--expose", "81", "--", "sh", "-c", both]));
    let id = instance_of(&mut serving);
    let endpoints = runtime.instance(&id)["endpoints"].as_array().unwrap().clone();
    let pages: Vec<(u64, String)> = endpoints
        .iter()
        .map(|endpoint| {
            let address = endpoint["address"].as_str().unwrap().parse().unwrap();
            let page = eventually("the server answers", BOOTS, || Request::get("/").send(address).ok());
            (endpoint["guest"].as_u64().unwrap(), page.text())
        })
        .collect();
    assert_eq!(pages, [(80, "first\n".to_owned()), (81, "second\n".to_owned())]);
    serving.signal(Signal::INT);
    serving.wait();
}

fn a_task_is_cancelled_with_all_that_it_started(stage: &Stage) {
    let runtime = &stage.runtime;
    let body = json!({"command": ["sh", "-c", "sleep 1000 & echo begun; sleep 1000"]});
    let id = runtime.post("/v1/tasks", &body).expect(201).json()["id"].as_str().unwrap().to_owned();
    let logs = runtime.begin(&format!("logs {id} --follow"));
    let running = || (runtime.get(&format!("/v1/tasks/{id}"))["state"] == "RUNNING").then_some(());
    eventually("it runs", BOOTS, running);
    drop(logs);
    runtime.run("task ls").ok().says(&id).says("RUNNING");
    runtime.run(&format!("task cancel {id}")).ok();
    eventually("it is cancelled", BOOTS, || {
        (runtime.get(&format!("/v1/tasks/{id}"))["state"] == "CANCELLED").then_some(())
    });
    // Once more changes nothing, and one that never was is unknown.
    runtime.run(&format!("task cancel {id}"));
    assert_eq!(runtime.get(&format!("/v1/tasks/{id}"))["state"], "CANCELLED");
    assert_ne!(runtime.run("task cancel task-nobody").code, 0);
}

fn a_task_whose_time_is_up_ends(stage: &Stage) {
    let said = stage.runtime.run("run --timeout 1s -- sleep 1000");
    assert_eq!(said.code, 8, "{said:#?}");
    let tasks = stage.runtime.get("/v1/tasks");
    let tasks = tasks.as_array().or_else(|| tasks["tasks"].as_array()).unwrap();
    let ended = tasks.iter().find(|task| task["command"] == json!(["sleep", "1000"])).expect("the task");
    assert_eq!(ended["state"], "TIMED_OUT", "{ended}");
}

fn several_tasks_at_once_keep_their_output_apart(stage: &Stage) {
    let begun: Vec<(u32, Process)> = (0..4)
        .map(|number| {
            let line = format!("echo task {number}; exit {number}");
            (number, Process::start(stage.runtime.command(&["run", "--", "sh", "-c", &line])))
        })
        .collect();
    for (number, process) in begun {
        let said = process.wait_within(2 * BOOTS).exit(i32::try_from(number).unwrap());
        assert_eq!(said.stdout, format!("task {number}\n"));
    }
}

fn of_an_image_only_the_file_system_counts(stage: &Stage) {
    // What an image says about how it is run is ignored: only the file system counts.
    let mut image = Image::base().layer(&Layer::new().file("etc/mark", 0o644, "mine\n"));
    image.config = json!({
        "Entrypoint": ["/bin/false"], "Cmd": ["nothing"], "Env": ["FROM_IMAGE=yes"],
        "ExposedPorts": {"99/tcp": {}}, "Volumes": {"/data": {}}, "WorkingDir": "/etc", "User": "nobody",
    });
    let reference = stage.registry.push("test/config:1", &image);
    let line = "cat /etc/mark; echo \"[$FROM_IMAGE]\"; pwd; id -u";
    let said = stage.runtime.shell(&format!("--image {reference}"), line).ok();
    assert_eq!(said.stdout, "mine\n[]\n/workspace\n0\n");
}
