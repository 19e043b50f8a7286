//! An idle daemon: the real one, enrolled and connected, with nothing to do.

use std::time::Duration;

use aegis_wire::operator::ListNodes;
use tokio::time::Instant;

use crate::{
    child::{self, Server},
    controller::Controller,
    machine,
    report::{Report, Row},
};

pub async fn run(report: &mut Report) {
    let watched = Duration::from_secs(machine::setting("AEGIS_BENCH_IDLE_SECONDS", 60));
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let controller = Controller::start(folder).await;
    let aegis = |arguments: &[&str]| {
        let mut command = child::command(&child::aegis(), folder);
        command.env("AEGIS_CONTEXT", folder.join("controller/admin-context.yaml")).args(arguments);
        command
    };
    let config = folder.join("edge/aegis-config.yaml");
    let config = config.to_str().expect("a temporary folder in UTF-8");
    let token = ["controller", "enrollment-token", "create", "--label", "idle", "--output", "json"];
    let token: serde_json::Value = serde_json::from_str(&child::output(aegis(&token)).await).unwrap();
    let token = token["token"].as_str().expect("a token");
    child::output(aegis(&["edge", "enroll", token, "--config", config, "--force", "--no-service"])).await;

    let daemon = Server::spawn(aegis(&["edge", "run", "--config", config]), &folder.join("edge.log"));
    let operator = controller.operator().await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let connected = ListNodes { connected: true, ..ListNodes::default() };
    while operator.list_nodes(connected.clone()).await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the daemon connects");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let process = daemon.process();
    tokio::time::sleep(Duration::from_secs(20).min(watched)).await;
    let resident = process.resident() as f64 / 1e6;
    let (before, start) = (process.cpu(), Instant::now());
    tokio::time::sleep(watched).await;
    let share = process.cpu().saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    assert_eq!(operator.list_nodes(connected).await.unwrap().len(), 1, "it is still connected");
    daemon.stop().await;
    controller.stop().await;
    report.add(Row::new("idle", "idle daemon, resident", resident, "MB").at_most(12.0));
    report.add(Row::new("idle", "idle daemon, of a core", share, "%").at_most(0.1));
}
