//! One tool on all of ten thousand connected edges: every signature made and verified, every result on the disk; next to
//! one message and one answer on as many streams of a bare tonic server.

use std::{path::Path, sync::Arc, time::Duration};

use aegis_core::fleet::{RunState, TargetOutcome};
use aegis_wire::{
    ApiError,
    operator::{OperatorClient, Run, RunChange, StartRun},
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::Instant;
use tonic::Status;

use crate::{
    bare_tonic,
    child::{self, Server},
    controller::Controller,
    crowd::Crowd,
    edge::{self, Target},
    machine::{self, median},
    nodes::{self, Node},
    report::{Report, Row},
};

/// Files that a process has open besides its connections.
const OTHER_FILES: u64 = 500;
/// Runs that are measured, after one that isn't.
const ROUNDS: usize = 5;

async fn bare(folder: &Path, size: usize) -> f64 {
    let ca = bare_tonic::certificates(folder);
    let mut command = child::command(&std::env::current_exe().unwrap(), folder);
    command.arg(bare_tonic::ROLE).args([folder.join("chain.pem"), folder.join("key.pem")]);
    let server = Server::start(command, bare_tonic::READY, &folder.join("bare.log")).await;
    let (address, tls) = (server.ready.clone(), bare_tonic::client_tls(&ca));
    let crowd =
        Crowd::gather::<_, _, Status>(size, |member| bare_tonic::live(member, address.clone(), tls.clone()));
    let crowd = crowd.await;
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let took = bare_tonic::fan_out(address.clone(), tls.clone()).await.unwrap();
        if round > 0 {
            times.push(took.as_secs_f64() * 1e3);
        }
    }
    drop(crowd);
    server.stop().await;
    median(times)
}

/// What a run takes.
pub struct Taken {
    /// From the call to its end, as the operator sees it, in milliseconds.
    pub wall_ms: f64,
    /// CPU of the controller a target, in microseconds.
    pub cpu_us: f64,
}

/// Runs a tool on all hosts and waits for the end.
pub async fn run_on_all(operator: &OperatorClient, tool: &str, arguments: &str) -> (Run, Duration) {
    let start = StartRun {
        target: Some("all".into()),
        tool: tool.into(),
        arguments: Bytes::copy_from_slice(arguments.as_bytes()),
        ..StartRun::default()
    };
    let began = Instant::now();
    let mut events = operator.start_run(start).await.unwrap();
    while let Some(piece) = events.next().await {
        for event in piece.unwrap() {
            if let RunChange::Finished { run } = event.what {
                return (run, began.elapsed());
            }
        }
    }
    panic!("the run's events end with its end");
}

async fn edges(folder: &Path, nodes: &[Arc<Node>]) -> Taken {
    let controller = Controller::start(folder).await;
    let target = Arc::new(Target { endpoint: controller.endpoint(), pin: controller.pin() });
    let crowd = Crowd::gather::<_, _, ApiError>(nodes.len(), |member| {
        let node = Arc::clone(&nodes[member.index]);
        edge::live(member, node, Arc::clone(&target))
    });
    let crowd = crowd.await;
    let operator = controller.operator().await;
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let cpu = controller.process().cpu();
        let (run, took) = run_on_all(&operator, "host.facts", "{}").await;
        let cpu = controller.process().cpu().saturating_sub(cpu);
        assert_eq!(run.state, RunState::Ok);
        assert_eq!(run.outcomes.of(TargetOutcome::Ok), nodes.len() as u64);
        if round > 0 {
            walls.push(took.as_secs_f64() * 1e3);
            cpus.push(cpu.as_secs_f64() * 1e6 / nodes.len() as f64);
        }
    }
    drop(crowd);
    controller.stop().await;
    Taken { wall_ms: median(walls), cpu_us: median(cpus) }
}

/// How many edges the limit of open files allows, of those that are wished for.
fn size(report: &mut Report) -> usize {
    let wanted = machine::setting("AEGIS_BENCH_EDGES", 10_000);
    let allowed = machine::raise_file_limit().saturating_sub(OTHER_FILES);
    if allowed < wanted {
        report.remark(format!("Only {allowed} edges: the limit of open files allows no more."));
    }
    usize::try_from(wanted.min(allowed)).unwrap()
}

pub async fn run(report: &mut Report) {
    let most = size(report);
    for size in [most / 10, most] {
        let folder = tempfile::tempdir().unwrap();
        let controller = Controller::start(folder.path()).await;
        let nodes = nodes::enroll(&controller, size).await;
        controller.stop().await;
        let mut quiet = machine::quiet().await;
        let peer = bare(folder.path(), size).await;
        quiet &= machine::quiet().await;
        let own = edges(folder.path(), &nodes).await;
        let what = format!("one tool on {size} edges over TLS, to the last result");
        let row =
            Row::new("fanout", what, own.wall_ms, "ms").beside("bare tonic, a message and an answer", peer);
        report.add(if size == most { row.at_most_times(2.5) } else { row });
        let what = format!("CPU of the controller a target, of {size}");
        report.add(Row::new("fanout", what, own.cpu_us, "µs"));
        if !quiet {
            report.remark("The machine was not quiet during the fan-out; only the ratios count.");
        }
    }
}
