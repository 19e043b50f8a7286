//! Ten megabytes of output from each of twenty real daemons at once: how fast it reaches the operator, and what the
//! controller holds of it meanwhile. The same with a tenth of it: memory must not grow with the output.

use std::{path::Path, time::Duration};

use aegis_core::fleet::RunState;
use aegis_wire::operator::{ListNodes, OperatorClient, RunChange, StartRun};
use futures::StreamExt;
use tokio::time::Instant;

use crate::{
    child::{self, Server},
    controller::Controller,
    machine,
    report::{Report, Row},
};

/// How many hosts.
const HOSTS: usize = 20;
/// How much each prints, in MB.
const MEGABYTES: usize = 10;
/// What the hosts may do.
const CONTEXT: &str = "apiVersion: aegis.dev/v1
kind: SecurityContext
metadata: {name: default}
spec:
  capabilities:
    - tools: [host.facts, cmd.run]
      commands: [head]
";

/// Enrols and starts the daemons, and waits until they are connected.
pub async fn hosts(folder: &Path, operator: &OperatorClient) -> Vec<Server> {
    let aegis = |arguments: &[&str]| {
        let mut command = child::command(&child::aegis(), folder);
        command.env("AEGIS_CONTEXT", folder.join("controller/admin-context.yaml")).args(arguments);
        command
    };
    let context = folder.join("context.yaml");
    std::fs::write(&context, CONTEXT).unwrap();
    child::output(aegis(&["apply", "--yes", "-f", context.to_str().unwrap()])).await;
    let mut daemons = Vec::new();
    for index in 0..HOSTS {
        let label = format!("out-{index:02}");
        let config = folder.join(&label).join("aegis-config.yaml");
        let config = config.to_str().expect("a temporary folder in UTF-8");
        let token = ["controller", "enrollment-token", "create", "--label", &label, "--output", "json"];
        let token: serde_json::Value = serde_json::from_str(&child::output(aegis(&token)).await).unwrap();
        let token = token["token"].as_str().expect("a token");
        child::output(aegis(&["edge", "enroll", token, "--config", config, "--force", "--no-service"])).await;
        let log = folder.join(&label).join("log");
        daemons.push(Server::spawn(aegis(&["edge", "run", "--config", config]), &log));
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let connected = ListNodes { connected: true, ..ListNodes::default() };
    while operator.list_nodes(connected.clone()).await.unwrap().len() < HOSTS {
        assert!(Instant::now() < deadline, "the daemons connect");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    daemons
}

/// Lets each host print so many bytes. Gives how long it took until all had arrived here.
async fn print(operator: &OperatorClient, bytes: usize) -> Duration {
    let arguments = format!(r#"{{"command":"head","args":["-c","{bytes}","/dev/zero"]}}"#);
    let start = StartRun {
        target: Some("all".into()),
        tool: "cmd.run".into(),
        arguments: arguments.into(),
        ..StartRun::default()
    };
    let began = Instant::now();
    let mut events = operator.start_run(start).await.unwrap();
    let mut arrived = 0;
    while let Some(piece) = events.next().await {
        for event in piece.unwrap() {
            match event.what {
                RunChange::Output { data, .. } => arrived += data.len(),
                RunChange::Finished { run } => {
                    assert_eq!(run.state, RunState::Ok);
                    assert_eq!(arrived, HOSTS * bytes, "every byte arrives");
                    return began.elapsed();
                }
                _ => {}
            }
        }
    }
    panic!("the run's events end with its end");
}

pub async fn run(report: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let controller = Controller::start(folder.path()).await;
    let operator = controller.operator().await;
    let daemons = hosts(folder.path(), &operator).await;
    let quiet = machine::quiet().await;
    let megabyte = 1_000_000;
    print(&operator, MEGABYTES * megabyte / 10).await;
    let little = controller.process().peak() as f64 / 1e6;
    let took = print(&operator, MEGABYTES * megabyte).await;
    let much = controller.process().peak() as f64 / 1e6;
    for daemon in daemons {
        daemon.stop().await;
    }
    controller.stop().await;
    let rate = (HOSTS * MEGABYTES) as f64 / took.as_secs_f64();
    let what = format!("{MEGABYTES} MB of output from each of {HOSTS} hosts, to the operator");
    report.add(Row::new("output", what, rate, "MB/s"));
    let row = Row::new("output", "peak memory of the controller meanwhile", much, "MB");
    report.add(row.beside("a tenth of the output", little).at_most_times(1.5));
    if !quiet {
        report.remark("The machine was not quiet while hosts printed.");
    }
}
