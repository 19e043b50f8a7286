//! The numbers that the product promises, measured with the real programs on this machine, each next to its peer of
//! the same run: `make bench`, or `cargo bench -p aegis-tests -- fanout output` for some of them.
//!
//! | variable | what it does |
//! |---|---|
//! | `AEGIS_BENCH_WRITE=1` | writes the table into `docs/specification.md` |
//! | `AEGIS_BENCH_OBJECTS`, `AEGIS_BENCH_EDGES` | fewer than ten thousand |
//! | `AEGIS_BENCH_IDLE_SECONDS` | how long an idle daemon is watched, instead of 60 s |
//! | `AEGIS_BENCH_SALT` | a folder with Salt in `peers/salt` (a virtual environment), to run it as a peer |
//! | `AEGIS_BENCH_QUIET_SECONDS` | how long to wait for a quiet machine at most, instead of 60 s |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark: a failed step ends it, it prints numbers, and it measures real time"
)]

mod bare_tonic;
mod child;
mod connected;
mod controller;
mod crowd;
mod edge;
mod fanout;
mod fleet;
mod idle;
mod machine;
mod nodes;
mod output;
mod plan;
mod report;
mod runtime;
mod salt;
mod start;

use report::Report;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let [role, chain, key] = arguments.as_slice()
        && role == bare_tonic::ROLE
    {
        return runtime.block_on(bare_tonic::serve(chain.as_ref(), key.as_ref()));
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    let mut report = Report::new();
    runtime.block_on(async {
        if wanted("start") {
            start::run(&mut report).await;
        }
        if wanted("plan") {
            plan::run(&mut report).await;
        }
        if wanted("connected") {
            connected::run(&mut report).await;
        }
        if wanted("fanout") {
            fanout::run(&mut report).await;
        }
        if wanted("salt") {
            salt::run(&mut report).await;
        }
        if wanted("output") {
            output::run(&mut report).await;
        }
        if wanted("runtime") {
            runtime::run(&mut report).await;
        }
        if wanted("idle") {
            idle::run(&mut report).await;
        }
    });
    report.finish();
}
