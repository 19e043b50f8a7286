//! The API as its clients see it, on guests that are none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aegis_wire::runtime::{
    CreateApp, CreateInstance, CreateTask, Exec, ExecInput, Expose, Instance, InstanceState, LogQuery,
    Publish, PutSecret, Record, Records, Rollback, RunOptions, Serve, TaskState, UpdateApp,
};

use crate::testing::{TestDaemon, until};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn task(command: &str) -> CreateTask {
    CreateTask { command: words(command), image: None, options: RunOptions::default(), timeout_ms: None }
}

fn server(command: &str) -> CreateInstance {
    let expose = vec![Expose { guest: 80, host: None }];
    CreateInstance { command: words(command), image: None, expose, options: RunOptions::default() }
}

fn exec(command: &str) -> Exec {
    Exec { command: words(command), env: std::collections::BTreeMap::new(), terminal: None }
}

/// All of a stream: the text of its lines, and how it ended.
async fn all(mut records: Records) -> (String, Option<(i32, Option<String>)>) {
    let (mut text, mut end) = (Vec::new(), None);
    while let Some(record) = records.next().await {
        match record.unwrap() {
            Record::Log(log) => text.extend(log.bytes()),
            Record::Done { exit_code, error, .. } => end = Some((exit_code, error)),
            Record::Header { .. } => {}
        }
    }
    (String::from_utf8(text).unwrap(), end)
}

async fn run(daemon: &TestDaemon, task: CreateTask) -> (String, i32) {
    let created = daemon.client.create_task(&task).await.unwrap();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let (text, end) = all(daemon.client.task_logs(&created.id, query).await.unwrap()).await;
    (text, end.unwrap().0)
}

async fn in_state(daemon: &TestDaemon, id: &str, state: InstanceState) -> Instance {
    until(state.as_str(), || async { daemon.client.instance(id).await.unwrap().state == state }).await;
    daemon.client.instance(id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_gives_its_output_and_its_code() {
    let daemon = TestDaemon::start("").await;
    assert_eq!(run(&daemon, task("echo hello world")).await, ("hello world\n".to_owned(), 0));
    for code in [0, 1, 42, 137] {
        assert_eq!(run(&daemon, task(&format!("exit {code}"))).await.1, code);
    }
    assert_eq!(run(&daemon, task("missing")).await.1, 127);
    let (text, _) = run(&daemon, task("flood 10000")).await;
    assert_eq!(text.lines().count(), 10_000, "no record is dropped");
    assert_eq!(run(&daemon, task("crash")).await.1, -1);
    assert_eq!(run(&daemon, task("garbage")).await.1, -1, "a guest that breaks the protocol is ended");
    let states: Vec<TaskState> = daemon.client.tasks().await.unwrap().iter().map(|task| task.state).collect();
    assert_eq!(states.iter().filter(|state| **state == TaskState::Succeeded).count(), 3);
    until("all machines are gone", || async { daemon.world.machines.load(Ordering::SeqCst) == 0 }).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_cancelled_and_times_out() {
    let daemon = TestDaemon::start("").await;
    let running = daemon.client.create_task(&task("wait")).await.unwrap();
    until("it runs", || async { daemon.client.task(&running.id).await.unwrap().state == TaskState::Running })
        .await;
    daemon.client.cancel_task(&running.id).await.unwrap();
    assert_eq!(daemon.client.task(&running.id).await.unwrap().state, TaskState::Cancelled);
    let late = CreateTask { timeout_ms: Some(50), ..task("wait") };
    let (_, code) = run(&daemon, late).await;
    assert_eq!(code, 143, "it ended at SIGTERM");
    assert_eq!(daemon.client.tasks().await.unwrap()[0].state, TaskState::TimedOut);
    // Forgotten.
    daemon.client.cancel_task(&running.id).await.unwrap();
    assert_eq!(daemon.client.task(&running.id).await.unwrap_err().status, 404);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_wait_for_room_and_instances_are_refused() {
    let daemon = TestDaemon::start("limits: {guests: 1}").await;
    let first = daemon.client.create_task(&task("wait")).await.unwrap();
    until("it runs", || async { daemon.client.task(&first.id).await.unwrap().state == TaskState::Running })
        .await;
    let second = daemon.client.create_task(&task("exit 3")).await.unwrap();
    let error = daemon.client.create_instance(&server("serve")).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (409, "no_room"));
    assert_eq!(daemon.client.task(&second.id).await.unwrap().state, TaskState::Queued);
    daemon.client.cancel_task(&first.id).await.unwrap();
    until("the second ran", || async { daemon.client.task(&second.id).await.unwrap().exit_code == Some(3) })
        .await;
    assert_eq!(daemon.world.most.load(Ordering::SeqCst), 1);
    let much = RunOptions { memory_mib: Some(u32::MAX), ..RunOptions::default() };
    let error = daemon.client.create_task(&CreateTask { options: much, ..task("true") }).await.unwrap_err();
    assert_eq!(error.status, 422);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_runs_is_paused_wakes_and_ends_with_its_process() {
    let daemon = TestDaemon::start("idle: {pauseAfter: 300ms, stopAfter: 700ms}").await;
    let created = daemon.client.create_instance(&server("serve")).await.unwrap();
    assert_eq!(created.state, InstanceState::Starting);
    let id = created.id;
    in_state(&daemon, &id, InstanceState::Running).await;
    in_state(&daemon, &id, InstanceState::Paused).await;
    // A connection to its port wakes it, and what goes in comes back.
    let address = daemon.client.instance(&id).await.unwrap().endpoints[0].address.clone();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await.unwrap();
    let mut back = [0; 5];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut back).await.unwrap();
    assert_eq!(&back, b"hello");
    let used = daemon.client.instance(&id).await.unwrap();
    assert_eq!((used.state, used.connections), (InstanceState::Running, 1));
    drop(stream);
    let idle = in_state(&daemon, &id, InstanceState::Stopped).await;
    assert!(idle.wakes && idle.error.unwrap().contains("nobody used it"));
    // Stopped for want of requests: the next one boots it.
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"again").await.unwrap();
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut back).await.unwrap();
    assert_eq!(&back, b"again");
    assert_eq!(daemon.world.starts.load(Ordering::SeqCst), 2);
    daemon.client.delete_instance(&id).await.unwrap();
    assert_eq!(daemon.client.instance(&id).await.unwrap_err().status, 404);
    until("its machine is gone", || async { daemon.world.machines.load(Ordering::SeqCst) == 0 }).await;

    let ends = CreateInstance { expose: Vec::new(), ..server("sleep 200") };
    let id = daemon.client.create_instance(&ends).await.unwrap().id;
    in_state(&daemon, &id, InstanceState::Running).await;
    let ended = in_state(&daemon, &id, InstanceState::Stopped).await;
    assert_eq!((ended.exit_code, ended.wakes), (Some(0), false));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_in_the_guest_and_an_exec_keep_it_awake() {
    let daemon = TestDaemon::start("idle: {pauseAfter: 1500ms}").await;
    let id = daemon.client.create_instance(&server("serve")).await.unwrap().id;
    in_state(&daemon, &id, InstanceState::Running).await;
    let world = daemon.world.clone();
    let work = tokio::spawn(async move {
        loop {
            world.cpu_us.fetch_add(50_000, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let watched = |times: u32| {
        let daemon = &daemon;
        let id = &id;
        async move {
            for _ in 0..times {
                assert_eq!(daemon.client.instance(id).await.unwrap().state, InstanceState::Running);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    watched(130).await;
    work.abort();
    in_state(&daemon, &id, InstanceState::Paused).await;
    let (_sender, records) = daemon.client.exec(&id, &exec("sleep 2500")).await.unwrap();
    let ended = tokio::spawn(all(records));
    watched(90).await;
    assert_eq!(ended.await.unwrap().1.unwrap().0, 0);
    in_state(&daemon, &id, InstanceState::Paused).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exec_passes_its_code_and_input_and_ends_with_its_client() {
    let daemon = TestDaemon::start("").await;
    assert_eq!(daemon.client.exec("none", &exec("true")).await.unwrap_err().status, 404);
    *daemon.world.boot_time.lock().unwrap() = Duration::from_millis(300);
    let id = daemon.client.create_instance(&server("serve")).await.unwrap().id;
    let (_sender, records) = daemon.client.exec(&id, &exec("exit 42")).await.unwrap();
    assert_eq!(all(records).await.1.unwrap().0, 42, "it waits while the instance starts");
    let (sender, records) = daemon.client.exec(&id, &exec("cat")).await.unwrap();
    assert!(sender.stdin(b"piped\n").await);
    assert!(sender.send(&ExecInput::Eof(true)).await);
    assert_eq!(all(records).await, ("piped\n".to_owned(), Some((0, None))));
    let (_sender, records) = daemon.client.exec(&id, &exec("missing")).await.unwrap();
    assert_eq!(all(records).await.1.unwrap().0, 127);

    // Ten at once.
    let many = (0..10).map(|code| {
        let (client, id) = (daemon.client.clone(), id.clone());
        async move {
            let (_sender, records) = client.exec(&id, &exec(&format!("exit {code}"))).await.unwrap();
            (code, all(records).await.1.unwrap().0)
        }
    });
    for (wanted, code) in futures::future::join_all(many).await {
        assert_eq!(wanted, code);
    }

    // A client that leaves takes its command along, even one that heeds no SIGTERM: otherwise a pause is refused.
    let (sender, mut records) = daemon.client.exec(&id, &exec("stubborn")).await.unwrap();
    records.next().await.unwrap().unwrap();
    assert_eq!(daemon.client.pause_instance(&id).await.unwrap_err().status, 409);
    drop((sender, records));
    until("the command has ended", || async { daemon.client.pause_instance(&id).await.is_ok() }).await;

    // Paused, it is woken; stopped in flight, the code is -1; stopped, it is refused.
    let (_sender, records) = daemon.client.exec(&id, &exec("wait")).await.unwrap();
    let in_flight = tokio::spawn(all(records));
    until("it runs in the woken guest", || async {
        daemon.client.instance(&id).await.unwrap().state == InstanceState::Running
    })
    .await;
    daemon.client.stop_instance(&id).await.unwrap();
    assert_eq!(in_flight.await.unwrap().1.unwrap().0, -1);
    assert_eq!(daemon.client.exec(&id, &exec("true")).await.unwrap_err().status, 409);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_boot_and_a_killed_machine_say_why() {
    let daemon = TestDaemon::start("limits: {readySeconds: 1, bootSeconds: 1}").await;
    *daemon.world.fails.lock().unwrap() = Some("no kernel".to_owned());
    let id = daemon.client.create_instance(&server("serve")).await.unwrap().id;
    let failed = in_state(&daemon, &id, InstanceState::Stopped).await;
    assert!(failed.error.as_ref().unwrap().contains("no kernel"), "{failed:?}");
    *daemon.world.fails.lock().unwrap() = None;
    daemon.client.start_instance(&id).await.unwrap();
    daemon.world.kill_all();
    let killed = in_state(&daemon, &id, InstanceState::Stopped).await;
    assert!(killed.error.as_ref().unwrap().contains("killed by signal 9"), "{killed:?}");
    let deaf = daemon.client.create_instance(&server("wait")).await.unwrap().id;
    let failed = in_state(&daemon, &deaf, InstanceState::Stopped).await;
    assert!(failed.error.as_ref().unwrap().contains("port 80 accepted no connection"), "{failed:?}");
    let frozen = daemon.client.create_instance(&server("frozen")).await.unwrap().id;
    let failed = in_state(&daemon, &frozen, InstanceState::Stopped).await;
    assert!(failed.error.as_ref().unwrap().contains("wasn't ready after 1 s"), "{failed:?}");
    let early = daemon.client.create_instance(&server("exit 3")).await.unwrap().id;
    let failed = in_state(&daemon, &early, InstanceState::Stopped).await;
    assert_eq!(failed.exit_code, Some(3));
    daemon.stop().await;
}

fn web(name: &str, tar: &str) -> CreateApp {
    CreateApp {
        name: name.to_owned(),
        image: Some(tar.to_owned()),
        kit: None,
        command: words("serve"),
        expose: vec![Expose { guest: 80, host: None }],
        options: RunOptions::default(),
    }
}

async fn app(daemon: &TestDaemon, name: &str, tar: &str) {
    daemon.client.create_app(&web(name, tar)).await.unwrap();
}

/// A layout of an image with nothing in it.
fn layout(daemon: &TestDaemon) -> String {
    crate::testing::layout(&daemon.home.as_ref().unwrap().path().join("layout"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_leads_to_what_is_served() {
    let daemon = TestDaemon::start("").await;
    app(&daemon, "web", &layout(&daemon)).await;
    daemon.client.publish("web", &Publish::default()).await.unwrap();
    daemon.client.serve("web", &Serve::default()).await.unwrap();
    let address = daemon.router.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.unwrap();
    // The fake gives back what it was sent, which is no answer: but it was reached, while it booted.
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 502"), "{}", String::from_utf8_lossy(&answer));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_serves_at_once_make_one_instance() {
    let daemon = TestDaemon::start("").await;
    app(&daemon, "web", &layout(&daemon)).await;
    assert_eq!(
        daemon.client.serve("web", &Serve::default()).await.unwrap_err().status,
        409,
        "nothing is published"
    );
    let first = daemon.client.publish("web", &Publish { label: Some("v1".into()) }).await.unwrap();
    assert!(first.image_digest.starts_with("sha256:"));
    let serves = (0..20).map(|_| {
        let client = daemon.client.clone();
        async move { client.serve("web", &Serve { wait: true }).await.unwrap() }
    });
    let served = futures::future::join_all(serves).await;
    assert_eq!(served.iter().filter(|(_, is_new)| *is_new).count(), 1);
    assert!(served.iter().all(|(instance, _)| instance.id == served[0].0.id));
    assert_eq!(daemon.world.starts.load(Ordering::SeqCst), 1);

    // Serve, stop and delete in any order: one machine at most, and none in the end.
    let churn = (0..30).map(|turn| {
        let client = daemon.client.clone();
        async move {
            match turn % 3 {
                0 => drop(client.serve("web", &Serve::default()).await),
                1 => {
                    for instance in client.instances().await.unwrap() {
                        drop(client.stop_instance(&instance.id).await);
                    }
                }
                _ => {
                    for instance in client.instances().await.unwrap() {
                        drop(client.delete_instance(&instance.id).await);
                    }
                }
            }
        }
    });
    futures::future::join_all(churn).await;
    assert!(daemon.world.most.load(Ordering::SeqCst) <= 2, "one that ends and one that begins");
    daemon.client.delete_app("web").await.unwrap();
    assert_eq!(daemon.client.instances().await.unwrap(), []);
    until("no machine is left", || async { daemon.world.machines.load(Ordering::SeqCst) == 0 }).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_of_a_kit_that_is_not_there_is_not_made() {
    let daemon = TestDaemon::start("").await;
    let wish = CreateApp { kit: Some("nokit".to_owned()), ..web("web", "oci:/nowhere") };
    let error = daemon.client.create_app(&wish).await.unwrap_err();
    assert_eq!((error.status, error.message.as_str()), (422, "the kit nokit isn't installed"));
    assert!(daemon.client.apps().await.unwrap().is_empty());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn releases_keep_their_order_and_can_be_gone_back_to() {
    let daemon = TestDaemon::start("").await;
    app(&daemon, "web", &layout(&daemon)).await;
    let first = daemon.client.publish("web", &Publish::default()).await.unwrap();
    let second = daemon.client.publish("web", &Publish::default()).await.unwrap();
    let ids: Vec<String> =
        daemon.client.releases("web").await.unwrap().into_iter().map(|release| release.id).collect();
    assert_eq!(ids, [second.id.clone(), first.id.clone()]);
    let (before, _) = daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
    assert_eq!(before.release_id, Some(second.id));
    let back = daemon.client.rollback("web", &Rollback::default()).await.unwrap();
    assert_eq!(back.id, first.id);
    let (after, is_new) = daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
    assert_eq!((after.release_id, is_new), (Some(first.id), false));
    assert_ne!(after.id, before.id);
    daemon.client.delete_app("web").await.unwrap();
    assert_eq!(daemon.client.app("web").await.unwrap_err().status, 404);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_reach_the_process_by_precedence_and_are_never_told() {
    let daemon = TestDaemon::start("").await;
    app(&daemon, "web", &layout(&daemon)).await;
    let set = |app: Option<&'static str>, key: &'static str, value: &'static str| {
        let client = daemon.client.clone();
        async move { client.put_secret(app, key, &PutSecret { value: value.into() }).await.unwrap() }
    };
    set(None, "TOKEN", "of-workspace").await;
    set(None, "SHARED", "of-workspace").await;
    set(Some("web"), "TOKEN", "of-app").await;
    assert_eq!(daemon.client.secrets(Some("web")).await.unwrap().names, ["TOKEN"]);
    assert_eq!(daemon.client.secrets(None).await.unwrap().names, ["SHARED", "TOKEN"]);
    daemon.client.publish("web", &Publish::default()).await.unwrap();
    let (instance, _) = daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
    let environment = |at: usize| daemon.world.environments.lock().unwrap()[at].clone();
    assert_eq!(
        (environment(0)["TOKEN"].as_str(), environment(0)["SHARED"].as_str()),
        ("of-app", "of-workspace")
    );
    set(Some("web"), "TOKEN", "changed").await;
    let (_sender, records) = daemon.client.exec(&instance.id, &exec("true")).await.unwrap();
    drop(records);
    until("the exec was started", || async { daemon.world.environments.lock().unwrap().len() == 2 }).await;
    assert_eq!(environment(1)["TOKEN"], "changed", "also in exec, and read anew");
    assert!(!environment(1).keys().any(|name| name.starts_with("AEGIS_")));
    daemon.client.delete_secret(Some("web"), "TOKEN").await.unwrap();
    assert_eq!(daemon.client.delete_secret(Some("web"), "TOKEN").await.unwrap_err().status, 404);
    let missing = RunOptions { secrets: vec!["NONE".into()], ..RunOptions::default() };
    let error =
        daemon.client.create_task(&CreateTask { options: missing, ..task("true") }).await.unwrap_err();
    assert_eq!(error.code, "missing_secret");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_is_there_after_a_restart_and_a_request_wakes_it() {
    let daemon = TestDaemon::start("").await;
    app(&daemon, "web", &layout(&daemon)).await;
    daemon.client.publish("web", &Publish::default()).await.unwrap();
    let (instance, _) = daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
    let (text, _) = run(&daemon, task("echo kept")).await;
    let world = daemon.world.clone();
    let home = daemon.stop().await;
    assert_eq!(world.machines.load(Ordering::SeqCst), 0, "all are stopped");
    assert!(!home.path().join("aegisd.sock").exists() && !home.path().join("data/aegisd.pid").exists());

    let daemon = TestDaemon::start_in(home, Arc::default()).await;
    let back = daemon.client.instance(&instance.id).await.unwrap();
    assert_eq!((back.state, back.wakes), (InstanceState::Stopped, true));
    assert_eq!(back.endpoints, instance.endpoints, "its port is the same");
    let tasks = daemon.client.tasks().await.unwrap();
    let log = daemon.client.task_logs(&tasks[0].id, LogQuery::default()).await.unwrap();
    assert_eq!(all(log).await.0, text);
    let (again, is_new) = daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
    assert_eq!((again.id, is_new), (instance.id, false));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_touches_nothing() {
    let daemon = TestDaemon::start("").await;
    let home = daemon.home.as_ref().unwrap().path().to_owned();
    let options = crate::testing::options(&home, &Arc::default());
    let second = crate::run::run(options, |_| {}, std::future::pending()).await.unwrap_err();
    assert!(second.to_string().contains(&format!("pid {}", std::process::id())), "{second}");
    daemon.client.status().await.unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_machines_never_have_one_disk() {
    let daemon = TestDaemon::start("limits: {readySeconds: 1}").await;
    daemon.world.disks.store(true, Ordering::SeqCst);
    app(&daemon, "web", &layout(&daemon)).await;
    daemon.client.publish("web", &Publish::default()).await.unwrap();
    daemon.client.publish("web", &Publish::default()).await.unwrap();
    let (before, _) = daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
    daemon.client.rollback("web", &Rollback::default()).await.unwrap();
    let (after, _) = daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
    assert_ne!(after.id, before.id);
    let workspaces: Vec<String> = daemon
        .world
        .workspaces
        .lock()
        .unwrap()
        .iter()
        .map(|path| path.as_ref().unwrap().file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    // The first, the one that was tried on a copy, and the same on the disk itself.
    assert_eq!(workspaces, ["disk.ext4".to_owned(), format!("{}.copy", after.id), "disk.ext4".to_owned()]);
    let disks = daemon.home.as_ref().unwrap().path().join("data/workspaces/apps").join(after.app_id.unwrap());
    assert_eq!(std::fs::read_dir(&disks).unwrap().count(), 1, "the copy is gone");

    // One that isn't ready leaves everything as it was.
    let deaf = UpdateApp { command: Some(words("wait")), ..UpdateApp::default() };
    daemon.client.update_app("web", &deaf).await.unwrap();
    let third = daemon.client.publish("web", &Publish::default()).await.unwrap();
    let error = daemon.client.rollback("web", &Rollback { release: Some(third.id) }).await.unwrap_err();
    assert_eq!(error.code, "boot_failed");
    let (still, is_new) = daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
    assert_eq!((still.id, is_new), (after.id, false));
    daemon.client.delete_app("web").await.unwrap();
    assert!(!disks.exists(), "an app's workspace goes with it");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_created_again_while_it_goes_is_whole() {
    let daemon = TestDaemon::start("").await;
    let mut web = web("web", &layout(&daemon));
    daemon.client.create_app(&web).await.unwrap();
    for number in 0..20 {
        // Another one: the same could be created without an end of the first.
        web.options.env.insert("NUMBER".into(), number.to_string());
        daemon.client.publish("web", &Publish::default()).await.unwrap();
        daemon.client.serve("web", &Serve { wait: true }).await.unwrap();
        let again = until("it can be created", || async { daemon.client.create_app(&web).await.is_ok() });
        let (deleted, ()) = tokio::join!(daemon.client.delete_app("web"), again);
        deleted.unwrap();
        daemon.client.app("web").await.unwrap();
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_what_ran_is_stopped_and_what_was_half_made_is_gone() {
    use aegis_store::{Batch, LmdbStore, Store};

    use crate::record::{InstanceRow, TaskRow};

    let daemon = TestDaemon::start("").await;
    let id = daemon.client.create_instance(&server("serve")).await.unwrap().id;
    in_state(&daemon, &id, InstanceState::Running).await;
    run(&daemon, task("echo kept")).await;
    let home = daemon.stop().await;
    // What a kill leaves behind: rows of what ran, directories, files, a socket, a pid.
    {
        let store = LmdbStore::open(&home.path().join("data/store")).unwrap();
        let mut batch = Batch::new();
        for entry in store.list("run/instances/").unwrap() {
            let mut row: InstanceRow = serde_json::from_slice(&entry.value).unwrap();
            row.is_live = true;
            batch.put(entry.key, serde_json::to_vec(&row).unwrap());
        }
        for entry in store.list("run/tasks/").unwrap() {
            let mut row: TaskRow = serde_json::from_slice(&entry.value).unwrap();
            row.task.state = TaskState::Running;
            batch.put(entry.key, serde_json::to_vec(&row).unwrap());
        }
        store.commit(batch).await.unwrap();
    }
    let data = home.path().join("data");
    std::fs::create_dir_all(data.join("run/inst-dead/below")).unwrap();
    std::fs::create_dir_all(data.join("workspaces/named/x")).unwrap();
    std::fs::write(data.join("workspaces/named/x/disk.half"), "half").unwrap();
    std::fs::create_dir_all(data.join("logs/inst-gone")).unwrap();
    std::fs::write(data.join("aegisd.pid"), "1\n").unwrap();
    drop(std::os::unix::net::UnixListener::bind(home.path().join("aegisd.sock")).unwrap());

    let daemon = TestDaemon::start_in(home, Arc::default()).await;
    let instance = daemon.client.instance(&id).await.unwrap();
    assert_eq!(instance.state, InstanceState::Stopped);
    assert!(instance.error.unwrap().contains("aegisd ended"));
    let tasks = daemon.client.tasks().await.unwrap();
    assert_eq!(tasks[0].state, TaskState::Failed);
    assert!(tasks[0].error.as_ref().unwrap().contains("aegisd ended"));
    let data = daemon.home.as_ref().unwrap().path().join("data");
    for gone in ["run/inst-dead", "workspaces/named/x/disk.half", "logs/inst-gone"] {
        assert!(!data.join(gone).exists(), "{gone}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_or_is_too_large_is_refused() {
    let daemon = TestDaemon::start("").await;
    let socket = daemon.home.as_ref().unwrap().path().join("aegisd.sock");
    let ask = |request: Vec<u8>| {
        let socket = socket.clone();
        async move {
            let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
            // A refusal may come before all of it was taken.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &request).await;
            let mut answer = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        }
    };
    let post = |path: &str, body: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        (head + body).into_bytes()
    };
    let secret = ask(post("/v1/tasks", r#"{"command": "hunter2"}"#)).await;
    assert!(secret.starts_with("HTTP/1.1 400") && !secret.contains("hunter2"), "{secret}");
    for (path, body, wanted) in [
        ("/v1/tasks", "{", "400"),
        ("/v1/tasks", r#"{"command": ["a"], "imag": "x"}"#, "400"),
        ("/v1/tasks", r#"{"command": []}"#, "422"),
        ("/v1/none", "{}", "404"),
        ("/v1/status", "{}", "404"),
    ] {
        let answer = ask(post(path, body)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {wanted}")), "{path} {body}: {answer}");
        assert!(answer.contains(r#""error""#), "{answer}");
    }
    let large = format!(r#"{{"command": ["{}"]}}"#, "a".repeat(5 * 1024 * 1024));
    let answer = ask(post("/v1/tasks", &large)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{}", &answer[..answer.len().min(200)]);
    daemon.stop().await;
}
