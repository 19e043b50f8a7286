//! Salt's `test.ping` on twenty minions of this machine, next to a tool that does nothing on twenty daemons: a real master,
//! real minions, a real controller, real daemons. Salt isn't installed for this: `AEGIS_BENCH_SALT` names a folder with a
//! virtual environment of it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use crate::{
    child::{self, Server},
    controller::Controller,
    fanout::run_on_all,
    machine::{self, median},
    output,
    report::{Report, Row},
};

/// How many minions and daemons.
const HOSTS: usize = 20;
/// Calls that are measured, after one that isn't.
const ROUNDS: usize = 5;
/// Minions need minutes to be accepted and connected.
const READY_WITHIN: Duration = Duration::from_mins(5);

/// Writes a master's or minion's config.
fn configure(folder: &Path, name: &str, text: &str) -> PathBuf {
    let etc = folder.join(name);
    fs::create_dir_all(&etc).unwrap();
    let file = if name == "master" { "master" } else { "minion" };
    let root = etc.join("root");
    fs::write(etc.join(file), format!("{text}root_dir: {}\nuser: root\nlog_level: error\n", root.display()))
        .unwrap();
    etc
}

/// A free port of loopback.
fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The median time of `salt '*' test.ping`, in milliseconds.
async fn ping(salt: &Path, folder: &Path) -> f64 {
    let program = |name: &str| Command::new(salt.join("peers/salt/bin").join(name));
    let (publish, answer) = (port(), port());
    let text = format!(
        "interface: 127.0.0.1\npublish_port: {publish}\nret_port: {answer}\nauto_accept: True\ntimeout: 60\n"
    );
    let master = configure(folder, "master", &text);
    let serve = |mut command: Command, etc: &Path, log: String| {
        command.arg("-c").arg(etc).kill_on_drop(true);
        Server::spawn(command, &folder.join(log))
    };
    let mut servers = vec![serve(program("salt-master"), &master, "master.log".into())];
    for index in 0..HOSTS {
        let text = format!(
            "id: m{index:02}\nmaster: 127.0.0.1\nmaster_port: {answer}\npublish_port: {publish}\n\
             mine_enabled: False\nenable_fqdns_grains: False\nschedule: {{}}\nacceptance_wait_time: 3\n"
        );
        let etc = configure(folder, &format!("minion-{index:02}"), &text);
        servers.push(serve(program("salt-minion"), &etc, format!("minion-{index:02}.log")));
    }
    let call = || async {
        let mut command = program("salt");
        command.arg("-c").arg(&master).args(["--out=json", "--static", "-t", "30", "*", "test.ping"]);
        let start = tokio::time::Instant::now();
        let output = timeout(Duration::from_mins(2), command.output()).await.expect("salt ends").unwrap();
        let took = start.elapsed();
        let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let there = answers.as_object().map_or(0, |all| all.values().filter(|v| **v == true).count());
        (took.as_secs_f64() * 1e3, there)
    };
    let all = async { while call().await.1 < HOSTS {} };
    timeout(READY_WITHIN, all).await.expect("all minions answer");
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        machine::quiet().await;
        let (took, there) = call().await;
        assert_eq!(there, HOSTS, "all minions answer");
        times.push(took);
    }
    for server in servers.into_iter().rev() {
        server.stop().await;
    }
    median(times)
}

/// The median time of the whole command on twenty real daemons, in milliseconds.
async fn own(folder: &Path) -> f64 {
    let controller = Controller::start(folder).await;
    let operator = controller.operator().await;
    let daemons = output::hosts(folder, &operator).await;
    run_on_all(&operator, "host.facts", "{}").await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        machine::quiet().await;
        let mut command = child::command(&child::aegis(), folder);
        command.env("AEGIS_CONTEXT", folder.join("controller/admin-context.yaml"));
        command.args(["edge", "fleet", "run", "--target", "all", "--tool", "host.facts"]);
        let taken = child::time(command).await;
        assert!(taken.status.success(), "all daemons answer");
        times.push(taken.wall.as_secs_f64() * 1e3);
    }
    for daemon in daemons {
        daemon.stop().await;
    }
    controller.stop().await;
    median(times)
}

pub async fn run(report: &mut Report) {
    let Some(salt) = std::env::var_os("AEGIS_BENCH_SALT") else {
        report.remark("Salt isn't here: name a folder with it in `AEGIS_BENCH_SALT` to run it as a peer.");
        return;
    };
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = own(here.path()).await;
    let peer = ping(Path::new(&salt), there.path()).await;
    let what = format!("a tool that does nothing on {HOSTS} hosts, the whole command");
    let row = Row::new("salt", what, own, "ms").beside("Salt's test.ping", peer);
    report.add(row.at_most_times(0.01));
}
