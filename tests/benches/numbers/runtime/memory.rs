//! What an idle daemon and its guests weigh.

use std::{fs, time::Duration};

use aegis_tests::runtime::{Runtime, processes};
use serde_json::json;

use crate::report::{Report, Row};

/// Guests that are started after the first.
const MORE: usize = 9;

/// A line of a file of a process, in bytes.
fn of(pid: u32, file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

/// Proportional set size of everything that the daemon runs.
fn guests(runtime: &Runtime) -> f64 {
    let below = processes::below(runtime.pid().expect("a daemon"));
    below.into_iter().map(|pid| of(pid, "smaps_rollup", "Pss:")).sum()
}

pub async fn run(report: &mut Report) {
    let runtime = Runtime::start("backend: qemu\n");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = of(runtime.pid().expect("a daemon"), "status", "VmRSS:") / 1e6;
    report.add(Row::new("runtime", "idle aegisd, resident", idle, "MB").at_most(20.0));
    let start = |count: usize| {
        for _ in 0..count {
            let body = json!({"command": ["sleep", "100000"]});
            let made = runtime.post("/v1/instances", &body).expect(201).json();
            runtime.wait_for(made["id"].as_str().expect("an id"), "running");
        }
    };
    // The first start boots, and makes the template and the image's disk meanwhile; only what comes later is a clone.
    super::run_true(&runtime, &[]);
    tokio::time::sleep(Duration::from_secs(8)).await;
    start(1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let one = guests(&runtime);
    start(MORE);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let all = guests(&runtime);
    report.add(Row::new("runtime", "one clone of 256 MiB, proportional set size", one / 1e6, "MB"));
    #[allow(clippy::cast_precision_loss, reason = "it is nine")]
    let further = (all - one) / MORE as f64 / 1e6;
    report
        .add(Row::new("runtime", "each of nine further clones of its template", further, "MB").at_most(25.0));
}
