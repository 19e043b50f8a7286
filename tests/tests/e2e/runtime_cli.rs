//! The commands for `aegisd`, as the reference has them: messages, columns, exit codes, and what goes over the socket.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use aegis_tests::{Process, Program, SOON, Terminal, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::runtime_fake::{Answer, Answers, Fake};

struct Machine {
    directory: TempDir,
    fake: Option<Fake>,
}

impl Machine {
    fn with(answers: Answers) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(&directory.path().join("home"), answers);
        Self { directory, fake: Some(fake) }
    }
    fn without_daemon() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), fake: None }
    }
    fn path(&self) -> &Path {
        self.directory.path()
    }
    fn program(&self) -> Program {
        Program::new(self.path())
    }
    fn run(&self, line: &str) -> aegis_tests::Output {
        self.program().run(line)
    }
    fn requests(&self) -> Vec<String> {
        self.fake.as_ref().unwrap().requests()
    }
    fn asked(&self, what: &str) {
        let requests = self.requests();
        assert!(requests.iter().any(|request| request == what), "{what} isn't in {requests:#?}");
    }
}

fn ok(body: &Value) -> Answer {
    Answer::Json(200, body.to_string())
}

fn done() -> Answer {
    Answer::Json(204, String::new())
}

fn log(stream: &str, line: &str) -> String {
    json!({"ts": "2026-01-01T00:00:00Z", "stream": stream, "source": "main", "line": line}).to_string()
}

fn end(code: i32) -> String {
    json!({"exit_code": code, "done": true}).to_string()
}

fn task(state: &str, code: Option<i32>) -> Value {
    json!({"id": "task-1", "state": state, "command": ["true"], "backend": "qemu", "exit_code": code,
           "created_at": "2026-01-01T00:00:00Z"})
}

fn instance(state: &str) -> Value {
    json!({
        "id": "inst-a1b2c3", "state": state, "app_id": "app-173f", "app": "myapp", "release_id": "rel-8a4b",
        "command": ["python", "-m", "http.server", "80"], "expose_ports": [80],
        "endpoints": [{"guest": 80, "address": "127.0.0.1:40001"}], "connections": 0, "backend": "qemu",
        "created_at": "2026-02-19T10:30:00Z", "last_active_at": "2026-02-19T10:35:00Z",
    })
}

fn app() -> Value {
    json!({"id": "app-173f", "name": "myapp", "image": "python:3.12-alpine", "serve": false,
           "command": ["python", "-m", "http.server", "80"], "expose": [{"guest": 80}],
           "created_at": "2026-02-19T10:30:00Z"})
}

fn release() -> Value {
    json!({"id": "rel-8a4b", "image_digest": "sha256:0", "label": "v1", "created_at": "2026-02-19T10:30:00Z"})
}

fn status() -> Value {
    json!({
        "backend": "qemu", "accelerator": "tcg", "backends": [], "kits": 2, "instances": 0, "version": "0.1.0",
        "pid": 48201, "router": "http://127.0.0.1:8099",
        "capabilities": {"pause_resume": true, "memory_snapshots": true, "boot_from_disk_layers": true, "is_vm": true},
    })
}

fn task_answers(records: Vec<Option<String>>, state: &str, code: Option<i32>) -> Answers {
    BTreeMap::from([
        ("POST /v1/tasks", Answer::Json(201, task("QUEUED", None).to_string())),
        ("GET /v1/tasks/task-1/logs", Answer::Records(records)),
        ("GET /v1/tasks/task-1", ok(&task(state, code))),
        ("DELETE /v1/tasks/task-1", done()),
    ])
}

#[test]
fn without_a_daemon_every_command_says_how_to_start_one() {
    let machine = Machine::without_daemon();
    for line in [
        "run -- true",
        "run --expose 80 -- true",
        "exec myapp -- true",
        "logs myapp",
        "app list",
        "app info myapp",
        "app create --name a --image b -- true",
        "instance list",
        "task ls",
        "image ls",
        "kit list",
        "secret set myapp KEY hunter2",
        "secret list-workspace",
    ] {
        machine
            .run(line)
            .exit(1)
            .says("error: aegisd isn't running")
            .says("hint: `aegis up`")
            .says_not("hunter2");
    }
    let status = machine.run("status").exit(1);
    assert_eq!(status.stdout, "aegisd: not running\n");
    assert_eq!(machine.run("status -o json").exit(1).json(), json!({"running": false}));
    let down = machine.run("down").ok();
    assert_eq!(down.stdout, "aegisd is not running\n");
    let doctor = machine.run("doctor").ok();
    assert!(doctor.stdout.starts_with("Aegis Doctor\n============\n\nGo:       "), "{doctor:#?}");
    doctor.says("\naegisd:   not running\n  fix: aegis up\n");
}

#[test]
fn a_task_gives_its_output_and_its_code() {
    for (state, code) in [("SUCCEEDED", 0), ("FAILED", 42), ("FAILED", 137)] {
        let partial = json!({"ts": "2026-01-01T00:00:00Z", "stream": "stdout", "source": "main", "line": "",
                             "base64": "/wA=", "partial": true});
        let records = vec![
            json!({"id": "task-1", "kind": "task"}).to_string(),
            json!({"ts": "2026-01-01T00:00:00Z", "stream": "stderr", "source": "system", "line": "booting"})
                .to_string(),
            log("stdout", "hello from aegis"),
            log("stderr", "to \u{1b}[31mstderr"),
            partial.to_string(),
            end(code),
        ];
        let records = records.into_iter().map(Some).collect();
        let machine = Machine::with(task_answers(records, state, Some(code)));
        let command = machine.program().env("HAVE", "it").command(
            "run --image alpine:3.21 --env A=1 --env HAVE --memory 512M --cpus 2 --secret TOKEN --workspace w --timeout 5m -- sh -c 'exit 1'",
        );
        // As bytes: the output needn't be text.
        let output = { command }.output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(output.stdout, b"hello from aegis\n\xff\0");
        assert_eq!(output.stderr, b"to \x1b[31mstderr\n");
        machine.asked(
            r#"POST /v1/tasks {"command":["sh","-c","exit 1"],"image":"alpine:3.21","options":{"env":{"A":"1","HAVE":"it"},"secrets":["TOKEN"],"workspace":"w","memory_mib":512,"cpus":2},"timeout_ms":300000}"#,
        );
        machine.asked("GET /v1/tasks/task-1/logs?follow=true");
    }
}

#[test]
fn what_cannot_be_run_says_why() {
    let ended = json!({"exit_code": -1, "done": true, "error": "there is no image nowhere:1"}).to_string();
    let machine = Machine::with(task_answers(vec![Some(ended)], "FAILED", None));
    machine.run("run --image nowhere:1 -- true").exit(1).says("error: there is no image nowhere:1");
    let machine = Machine::with(task_answers(vec![Some(end(143))], "TIMED_OUT", Some(143)));
    machine.run("run --timeout 1s -- sleep 9").exit(8).says("task-1 took longer than --timeout");
    // The daemon goes away.
    let machine = Machine::with(task_answers(vec![Some(log("stdout", "one"))], "RUNNING", None));
    machine.run("run -- true").exit(1).says("one").says("broke off");
}

#[test]
fn ctrl_c_cancels_a_task() {
    let records = vec![Some(log("stdout", "working")), None, Some(end(143))];
    let machine = Machine::with(task_answers(records, "CANCELLED", None));
    let process = machine.program().start("run -- sleep 600");
    eventually("it works", SOON, || process.stdout().contains("working").then_some(()));
    process.signal(Signal::INT);
    process.wait().exit(7).says("task-1 was cancelled");
    machine.asked("DELETE /v1/tasks/task-1");
    // What goes on is left by a second one.
    let mut answers = task_answers(vec![Some(log("stdout", "working")), None], "RUNNING", None);
    let refused = r#"{"error":{"code":"conflict","message":"no"}}"#;
    answers.insert("DELETE /v1/tasks/task-1", Answer::Json(409, refused.into()));
    let machine = Machine::with(answers);
    let process = machine.program().start("run -- sleep 600");
    eventually("it works", SOON, || process.stdout().contains("working").then_some(()));
    process.signal(Signal::INT);
    eventually("it is asked", SOON, || {
        machine.requests().iter().any(|r| r.starts_with("DELETE")).then_some(())
    });
    process.signal(Signal::INT);
    process.wait().exit(7);
}

#[test]
fn serve_mode_shows_the_lines_of_the_reference_and_cleans_up() {
    let answers = |state: &str| {
        BTreeMap::from([
            ("POST /v1/instances", Answer::Json(201, instance("starting").to_string())),
            ("POST /v1/apps/myapp/serve", Answer::Json(201, instance("starting").to_string())),
            ("GET /v1/instances/inst-a1b2c3", ok(&instance(state))),
            ("DELETE /v1/instances/inst-a1b2c3", done()),
            ("GET /v1/status", ok(&status())),
        ])
    };
    for (line, name) in [("run --expose 80 -- python -m http.server 80", ""), ("app serve myapp", " myapp")] {
        let machine = Machine::with(answers("running"));
        let process = machine.program().start(line);
        let shown = format!(
            "Serving{name} on http://127.0.0.1:8099\nInstance: inst-a1b2c3\nPort 80: 127.0.0.1:40001\nPress Ctrl+C to stop\n"
        );
        eventually("it serves", SOON, || (process.stdout() == shown).then_some(()));
        process.signal(Signal::INT);
        process.wait().ok();
        machine.asked("DELETE /v1/instances/inst-a1b2c3");
    }
    let machine = Machine::with(answers("running"));
    machine.run("app serve myapp --detach").ok().says("Serving myapp on").says_not("Ctrl+C");
    assert!(!machine.requests().iter().any(|request| request.starts_with("DELETE")));

    let mut stopped = instance("stopped");
    stopped["exit_code"] = 3.into();
    stopped["error"] = "its process ended before it was ready".into();
    let mut early = answers("running");
    early.insert("GET /v1/instances/inst-a1b2c3", ok(&stopped));
    Machine::with(early.clone()).run("run --expose 80 -- false").exit(3).says("ended before it was ready");
    stopped.as_object_mut().unwrap().remove("exit_code");
    early.insert("GET /v1/instances/inst-a1b2c3", ok(&stopped));
    Machine::with(early).run("app serve myapp").exit(1).says("aegis logs inst-a1b2c3");
}

/// What is sent at the end of an input.
const EOF: &str = r#"{"eof":true}"#;

#[test]
fn exec_passes_input_output_and_code_through() {
    let exec = |line: &str| json!({"ts": "2026-01-01T00:00:00Z", "stream": "stdout", "source": "exec", "line": line});
    let answers = |code, text| {
        BTreeMap::from([
            ("GET /v1/apps/myapp", ok(&app())),
            ("GET /v1/instances", ok(&json!([instance("running")]))),
            ("GET /v1/instances/inst-a1b2c3", ok(&instance("running"))),
            (
                "POST /v1/instances/inst-a1b2c3/exec",
                Answer::After(text, vec![exec("hello").to_string(), end(code)]),
            ),
        ])
    };
    for (target, code, shell) in
        [("myapp", 0, 0), ("inst-a1b2c3", 42, 42), ("myapp", 137, 137), ("myapp", -1, 255)]
    {
        let machine = Machine::with(answers(code, EOF));
        let output = machine.run(&format!("exec {target} --env A=b -- echo hello")).exit(shell);
        assert_eq!(output.stdout, "hello\n");
        machine.asked(r#"{"command":["echo","hello"],"env":{"A":"b"}}"#);
    }
    let machine = Machine::with(answers(0, EOF));
    machine.program().run_with("exec -i myapp -- cat", "typed").ok();
    machine.asked(r#"{"stdin":"dHlwZWQ="}"#);
    let machine = Machine::with(answers(0, r#"{"stdin":"#));
    let mut terminal = Terminal::start(machine.program().command("exec -t myapp -- sh"));
    eventually("it asks", SOON, || machine.requests().iter().any(|r| r.contains("/exec")).then_some(()));
    // Ctrl-C of a raw terminal is a byte like others.
    terminal.type_line("\u{3}");
    terminal.wait().ok().says("hello");
    machine.asked(r#"{"command":["sh"],"terminal":[24,80]}"#);
    machine.asked(r#"{"stdin":"Awo="}"#);
    machine.run("exec nobody -- true").exit(5).says("there is no app or instance nobody");
    machine.run("exec myapp true").exit(2);
}

#[test]
fn logs_are_byte_for_byte_and_harmless_on_a_terminal() {
    let answers = BTreeMap::from([
        ("GET /v1/apps/myapp", ok(&app())),
        ("GET /v1/instances", ok(&json!([instance("stopped")]))),
        (
            "GET /v1/instances/inst-a1b2c3/logs",
            Answer::Records(vec![
                Some(json!({"id": "inst-a1b2c3", "kind": "instance"}).to_string()),
                Some(log("stdout", "one")),
                Some(log("stderr", "\u{1b}[2Jtwo \u{1b}[31mred")),
            ]),
        ),
    ]);
    let machine = Machine::with(answers);
    for verb in ["logs", "app logs"] {
        let output = machine
            .run(&format!("{verb} myapp --follow --tail 5 --since 1970-01-01T00:00:00Z --source main"));
        assert_eq!(output.ok().stdout, "one\n\u{1b}[2Jtwo \u{1b}[31mred\n");
    }
    machine.asked(
        "GET /v1/instances/inst-a1b2c3/logs?follow=true&since=1970-01-01T00%3A00%3A00Z&tail=5&source=main",
    );
    Terminal::start(machine.program().command("logs myapp"))
        .wait()
        .ok()
        .says("^[[2Jtwo \u{1b}[31mred")
        .says_not("\u{1b}[2J");
    let json = machine.run("logs myapp -o json").ok();
    let lines: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), lines[0]["line"].as_str()), (2, Some("one")));
    machine.run("logs myapp --since yesterday").exit(2).says("--since");
}

#[test]
fn messages_are_those_of_the_reference() {
    let kit = json!({"name": "famiglia", "version": "1.0.0", "image": "ghcr.io/aegis/famiglia:1.0.0",
                     "description": "Famiglia agent kit", "installed_at": "2026-02-18T10:30:00Z"});
    let machine = Machine::with(BTreeMap::from([
        ("GET /v1/status", ok(&status())),
        ("POST /v1/apps", Answer::Json(201, app().to_string())),
        ("GET /v1/apps", ok(&json!([app()]))),
        ("GET /v1/apps/myapp", ok(&app())),
        ("GET /v1/apps/app-173f/releases", ok(&json!([release()]))),
        ("DELETE /v1/apps/app-173f", done()),
        ("POST /v1/apps/myapp/publish", Answer::Json(201, release().to_string())),
        ("POST /v1/apps/myapp/rollback", ok(&release())),
        ("PUT /v1/apps/myapp/secrets/API_KEY", done()),
        ("GET /v1/apps/myapp/secrets", ok(&json!({"names": ["API_KEY", "DB_PASSWORD"]}))),
        ("DELETE /v1/apps/myapp/secrets/API_KEY", done()),
        ("PUT /v1/secrets/GLOBAL_TOKEN", done()),
        ("GET /v1/secrets", ok(&json!({"names": ["GLOBAL_TOKEN"]}))),
        ("DELETE /v1/secrets/GLOBAL_TOKEN", done()),
        ("POST /v1/kits", Answer::Json(201, kit.to_string())),
        ("GET /v1/kits", ok(&json!([kit]))),
        ("GET /v1/kits/famiglia", ok(&kit)),
        ("DELETE /v1/kits/famiglia", done()),
        ("GET /v1/instances", ok(&json!([instance("running")]))),
        ("GET /v1/instances/inst-a1b2c3", ok(&instance("running"))),
        ("POST /v1/instances/inst-a1b2c3/pause", ok(&instance("paused"))),
        ("GET /v1/tasks/task-1", ok(&task("RUNNING", None))),
        ("DELETE /v1/tasks/task-1", done()),
        ("POST /v1/secrets/rotate", ok(&json!({"sealed": 3}))),
    ]));
    fs::write(
        machine.path().join("famiglia.yaml"),
        "name: famiglia\nversion: \"1.0.0\"\ndescription: Famiglia agent kit\nimage: ghcr.io/aegis/famiglia:1.0.0\n",
    )
    .unwrap();
    for (line, shown) in [
        (
            "app create --name myapp --image python:3.12-alpine --expose 80 -- python -m http.server 80",
            "App created: myapp (id=app-173f)\n",
        ),
        ("app publish myapp --label v1", "Published release rel-8a4b (label=v1)\n"),
        ("app list", "NAME   IMAGE               ID\nmyapp  python:3.12-alpine  app-173f\n"),
        (
            "app info myapp",
            "Name:    myapp\nID:      app-173f\nImage:   python:3.12-alpine\nCommand: python -m http.server 80\nPorts:   80\n\nReleases (1):\n  rel-8a4b (v1)\n",
        ),
        ("app rollback myapp rel-8a4b", "App myapp is back at release rel-8a4b (label=v1)\n"),
        ("app delete myapp", "App \"myapp\" deleted\n"),
        ("secret set myapp API_KEY sk-test123", "Secret API_KEY set for myapp\n"),
        ("secret list myapp", "Secrets for myapp:\n  API_KEY\n  DB_PASSWORD\n"),
        ("secret delete myapp API_KEY", "Secret API_KEY deleted from myapp\n"),
        ("secret set-workspace GLOBAL_TOKEN abc123", "Workspace secret GLOBAL_TOKEN set\n"),
        ("secret list-workspace", "Workspace secrets:\n  GLOBAL_TOKEN\n"),
        ("secret delete-workspace GLOBAL_TOKEN", "Workspace secret GLOBAL_TOKEN deleted\n"),
        ("secret rotate", "3 secrets sealed with a new key\n"),
        ("kit install famiglia.yaml", "Kit famiglia v1.0.0 installed\n"),
        ("kit list", "NAME      VERSION  IMAGE\nfamiglia  1.0.0    ghcr.io/aegis/famiglia:1.0.0\n"),
        (
            "kit info famiglia",
            "Name:        famiglia\nVersion:     1.0.0\nDescription: Famiglia agent kit\nImage:       ghcr.io/aegis/famiglia:1.0.0\nInstalled:   2026-02-18T10:30:00Z\n",
        ),
        ("kit uninstall famiglia", "Kit \"famiglia\" uninstalled\n"),
        ("instance list", "ID           STATE    APP       CONNS\ninst-a1b2c3  running  app-173f  0\n"),
        ("instance pause myapp", "Instance inst-a1b2c3 paused\n"),
        ("task cancel task-1", "Task task-1 cancelled\n"),
    ] {
        let output = machine.run(line).ok();
        assert_eq!(output.stdout, shown, "{line}");
        // Hints are for people at a terminal.
        assert_eq!(output.stderr, "", "{line}");
    }
    machine.run("status").ok().says("aegisd: running\nbackend: qemu\n");
    machine
        .run("doctor")
        .ok()
        .says("\naegisd:   running\n\nBackend:     qemu\nCapabilities:\n  Pause/Resume:          yes\n");
    machine.asked(r#"POST /v1/apps {"name":"myapp","image":"python:3.12-alpine","command":["python","-m","http.server","80"],"expose":[{"guest":80}],"options":{}}"#);
    machine.asked(r#"POST /v1/kits {"name":"famiglia","version":"1.0.0","image":"ghcr.io/aegis/famiglia:1.0.0","description":"Famiglia agent kit"}"#);
    machine
        .run("app info nobody")
        .exit(5)
        .says("error: there is no GET /v1/apps/nobody")
        .says("hint: ask for less");
    for help in ["help", "app help", "secret help", "kit help", "instance help"] {
        machine.run(help).ok().says("Usage: aegis");
    }
    for line in [
        "app list",
        "app info myapp",
        "kit list",
        "instance info inst-a1b2c3",
        "secret list myapp",
        "status",
        "doctor",
    ] {
        crate::shapes::check(line, "", &machine.run(&format!("{line} -o json")).ok().json());
        machine.run(&format!("{line} -o yaml")).ok();
    }
}

#[test]
fn a_secret_is_never_shown() {
    let machine = Machine::with(BTreeMap::from([("PUT /v1/secrets/KEY", done())]));
    machine.program().run_with("secret set-workspace KEY --stdin", "-----hunter2\n").ok().says_not("hunter2");
    machine.asked(r#"PUT /v1/secrets/KEY {"value":"-----hunter2"}"#);
    machine.run("secret set-workspace KEY -----hunter2 ").ok().says_not("hunter2");
    for line in [
        "secret set-workspace KEY hunter2 hunter2",
        "secret set-workspace KEY hunter2 --stdin",
        "secret set-workspace KEY hunter2 --hunter2",
    ] {
        machine.run(line).exit(2).says_not("hunter2");
    }
    machine.run("secret set-workspace KEY").exit(2).says("--stdin");
    machine.run("secret set nobody KEY hunter2").exit(5).says_not("hunter2");
    Terminal::start(machine.program().command("secret set-workspace KEY hunter2"))
        .wait()
        .ok()
        .says("--stdin")
        .says_not("hunter2");
}

/// A directory with `aegis` and an `aegisd` that is this script.
fn beside(machine: &Machine, script: &str) -> std::path::PathBuf {
    let own = aegis_tests::binary();
    let directory = machine.path().join("bin");
    fs::create_dir(&directory).unwrap();
    let program = directory.join("aegis");
    // A link costs nothing; across file systems there is none.
    fs::hard_link(&own, &program).or_else(|_| fs::copy(&own, &program).map(drop)).unwrap();
    let daemon = directory.join("aegisd");
    fs::write(&daemon, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&daemon, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn start(machine: &Machine, program: &Path, word: &str) -> aegis_tests::Output {
    let mut command = std::process::Command::new(program);
    command.arg(word).env("AEGIS_HOME", machine.path().join("home"));
    Process::start(command).wait()
}

#[test]
fn a_daemon_that_dies_at_its_start_is_quoted() {
    let machine = Machine::without_daemon();
    let program =
        beside(&machine, "echo 'old news' >&2; echo 'aegisd.yaml: no field named ruoter' >&2; exit 1");
    let output = start(&machine, &program, "up").exit(1);
    output.says("error: aegisd ended at its start:").says("no field named ruoter").says("aegisd.log");
    let log = fs::read_to_string(machine.path().join("home/data/aegisd.log")).unwrap();
    assert!(log.contains("ruoter"), "{log}");
    fs::remove_file(machine.path().join("bin/aegisd")).unwrap();
    start(&machine, &program, "up").exit(1).says("there is no aegisd beside aegis");
}

#[test]
fn a_foreign_process_is_never_told_to_stop() {
    let machine = Machine::without_daemon();
    let mut sleeper = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let data = machine.path().join("home/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("aegisd.pid"), format!("{}\n", sleeper.id())).unwrap();
    machine.run("down").ok().says("aegisd is not running");
    assert!(sleeper.try_wait().unwrap().is_none(), "it was killed");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn one_that_runs_is_left_as_it_is() {
    let machine = Machine::without_daemon();
    let data = machine.path().join("home/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("aegisd.pid"), "48201\n").unwrap();
    let held = fs::File::open(data.join("aegisd.pid")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let program = beside(&machine, "exit 1");
    assert_eq!(start(&machine, &program, "up").ok().stdout, "aegisd is already running (pid 48201)\n");
}

/// A machine with the real daemon beside `aegis`, stopped when it is let go.
struct Real(Machine);

impl Real {
    fn new() -> Self {
        let machine = Machine::without_daemon();
        let home = machine.path().join("home");
        fs::create_dir_all(&home).unwrap();
        // A port that nobody else has: tests run beside each other.
        fs::write(home.join("aegisd.yaml"), "router: {listen: '127.0.0.1:0'}\n").unwrap();
        Self(machine)
    }
    fn pid(&self) -> u32 {
        let text = fs::read_to_string(self.0.path().join("home/data/aegisd.pid")).unwrap();
        text.trim().parse().unwrap()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.0.run("down");
    }
}

#[test]
fn a_daemon_is_started_once_and_stopped() {
    let real = Real::new();
    let machine = &real.0;
    let starts: Vec<Process> = (0..4).map(|_| machine.program().start("up")).collect();
    let said: Vec<String> = starts.into_iter().map(|start| start.wait().ok().stdout).collect();
    let pid = real.pid();
    let started = format!("aegisd started (pid {pid})\n");
    let running = format!("aegisd is already running (pid {pid})\n");
    assert_eq!(said.iter().filter(|line| **line == started).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|line| **line == running).count(), 3, "{said:?}");
    // It has a session of its own: closing this terminal ends nothing.
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = status.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, pid.to_string());
    let status = machine.run("status").ok();
    assert!(status.stdout.starts_with("aegisd: running\nbackend: "), "{status:#?}");
    machine.run("doctor").ok().says("\naegisd:   running\n\nBackend:     ").says("\nInstalled kits: 0\n");
    machine.run("app list").ok().says("NAME  IMAGE  ID");
    machine.run("app info nobody").exit(5).says("error: ");
    let down = machine.run("down").ok();
    assert_eq!(down.stdout, format!("aegisd stopping (pid {pid})\naegisd stopped\n"));
    assert_eq!(machine.run("down").ok().stdout, "aegisd is not running\n");
    machine.run("status").exit(1);
}

#[test]
fn a_daemon_that_was_killed_is_started_again() {
    let real = Real::new();
    let machine = &real.0;
    machine.run("up").ok();
    machine.run("secret set-workspace KEY hunter2").ok();
    let first = real.pid();
    let process = rustix::process::Pid::from_raw(first.try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, Signal::KILL).unwrap();
    eventually("it is gone", SOON, || (machine.run("status").code == 1).then_some(()));
    assert_eq!(machine.run("down").ok().stdout, "aegisd is not running\n");
    machine.run("up").ok().says("aegisd started");
    machine.run("secret list-workspace").ok().says("  KEY\n");
}

#[test]
fn a_wrong_config_is_quoted() {
    let real = Real::new();
    fs::write(real.0.path().join("home/aegisd.yaml"), "ruoter: {}\n").unwrap();
    real.0.run("up").exit(1).says("error: aegisd ended at its start:").says("ruoter");
}
