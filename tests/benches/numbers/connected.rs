//! Ten thousand edges on one controller, next to as many streams on a bare tonic server.

use std::{path::Path, sync::Arc, time::Duration};

use aegis_wire::ApiError;
use tonic::Status;

use crate::{
    bare_tonic,
    child::{self, Process, Server},
    controller::Controller,
    crowd::Crowd,
    edge::{self, Target},
    machine,
    machine::median,
    nodes::{self, Node},
    report::{Report, Row},
};

/// Files that a process has open besides its connections.
const OTHER_FILES: u64 = 500;
/// Rounds of heartbeats that are measured.
const ROUNDS: usize = 5;

/// What a server takes for its clients.
struct Figures {
    joining: Duration,
    /// CPU of the server, per thousand clients that joined.
    joining_cpu_ms: f64,
    resident_kib: f64,
    anonymous_kib: f64,
    /// CPU of the server for a message and its answer, of each of ten thousand.
    rounds_cpu_s: f64,
}

impl Figures {
    async fn of(server: Process, size: usize, gathering: impl Future<Output = Crowd>) -> Self {
        let (resident, anonymous, cpu) = (server.resident(), server.anonymous(), server.cpu());
        let mut crowd = gathering.await;
        let joining_cpu = server.cpu().saturating_sub(cpu).as_secs_f64();
        // The first round is warm-up, and belongs to what a stream takes.
        crowd.round().await;
        let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / 1024.0 / size as f64;
        let resident_kib = each(server.settle().await, resident);
        let anonymous_kib = each(server.anonymous(), anonymous);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let cpu = server.cpu();
            crowd.round().await;
            rounds.push(server.cpu().saturating_sub(cpu).as_secs_f64() * 1e4 / size as f64);
        }
        let joining_cpu_ms = joining_cpu * 1e6 / size as f64;
        let (joining, rounds_cpu_s) = (crowd.joining, median(rounds));
        Self { joining, joining_cpu_ms, resident_kib, anonymous_kib, rounds_cpu_s }
    }
}

async fn bare(folder: &Path, size: usize) -> Figures {
    let ca = bare_tonic::certificates(folder);
    let mut command = child::command(&std::env::current_exe().unwrap(), folder);
    command.arg(bare_tonic::ROLE).args([folder.join("chain.pem"), folder.join("key.pem")]);
    let server = Server::start(command, bare_tonic::READY, &folder.join("bare.log")).await;
    let (address, tls) = (server.ready.clone(), bare_tonic::client_tls(&ca));
    let gathering =
        Crowd::gather::<_, _, Status>(size, |member| bare_tonic::live(member, address.clone(), tls.clone()));
    let figures = Figures::of(server.process(), size, gathering).await;
    server.stop().await;
    figures
}

async fn edges(folder: &Path, nodes: &[Arc<Node>]) -> Figures {
    // A fresh process: what enrolment took is no memory of connected edges.
    let controller = Controller::start(folder).await;
    let target = Arc::new(Target { endpoint: controller.endpoint(), pin: controller.pin() });
    let gathering = Crowd::gather::<_, _, ApiError>(nodes.len(), |member| {
        let node = Arc::clone(&nodes[member.index]);
        edge::live(member, node, Arc::clone(&target))
    });
    let figures = Figures::of(controller.process(), nodes.len(), gathering).await;
    controller.stop().await;
    figures
}

pub async fn run(report: &mut Report) {
    let wanted = machine::setting("AEGIS_BENCH_EDGES", 10_000);
    let allowed = machine::raise_file_limit().saturating_sub(OTHER_FILES);
    if allowed < wanted {
        report.remark(format!("Only {allowed} edges: the limit of open files allows no more."));
    }
    let size = usize::try_from(wanted.min(allowed)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let controller = Controller::start(folder.path()).await;
    let nodes = nodes::enroll(&controller, size).await;
    controller.stop().await;

    let mut quiet = machine::quiet().await;
    let peer = bare(folder.path(), size).await;
    quiet &= machine::quiet().await;
    let own = edges(folder.path(), &nodes).await;
    let row = |what: String, value: f64, unit, peer: f64| {
        Row::new("connected", what, value, unit).beside("bare tonic", peer)
    };
    let rate = |figures: &Figures| size as f64 / figures.joining.as_secs_f64();
    report.add(row(format!("{size} edges over TLS, connect rate"), rate(&own), "/s", rate(&peer)));
    report.add(row(
        "CPU of the controller for 1,000 connects".into(),
        own.joining_cpu_ms,
        "ms",
        peer.joining_cpu_ms,
    ));
    let memory = "resident memory of the controller, a connected edge";
    report.add(row(memory.into(), own.resident_kib, "KiB", peer.resident_kib).at_most(45.0));
    report.add(row("of it not of files".into(), own.anonymous_kib, "KiB", peer.anonymous_kib));
    report.add(row(
        "CPU of the controller for 10,000 heartbeats".into(),
        own.rounds_cpu_s,
        "s",
        peer.rounds_cpu_s,
    ));
    if !quiet {
        report.remark("The machine was not quiet while edges were connected; only the ratios count.");
    }
}
