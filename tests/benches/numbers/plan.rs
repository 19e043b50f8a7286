//! The plan of ten thousand objects that a controller holds, unchanged, and again with one document changed.

use std::{fs, path::Path, time::Instant};

use tokio::process::Command;

use crate::{
    child,
    controller::Controller,
    fleet, machine,
    machine::median,
    nodes,
    report::{Report, Row},
};

/// Runs of each.
const ROUNDS: usize = 7;
/// Exit codes of `aegis diff --exit-code`.
const SAME: i32 = 0;
const DIFFERENT: i32 = 10;

struct Bench<'a> {
    folder: &'a Path,
    manifest: &'a Path,
}

impl Bench<'_> {
    /// A command on the manifest, with the plan cache in `home`.
    fn aegis(&self, verb: &str, home: &str, more: &[&str]) -> Command {
        let mut command = child::command(&child::aegis(), &self.folder.join(home));
        command.env("AEGIS_CONTEXT", self.folder.join("controller/admin-context.yaml"));
        command.args([verb, "--owner", "bench", "-f"]).arg(self.manifest).args(more);
        command
    }

    fn diff(&self, home: &str) -> Command {
        self.aegis("diff", home, &["--exit-code"])
    }

    /// How long a diff takes that must end with `code`, in milliseconds.
    async fn time(&self, home: &str, code: i32) -> f64 {
        let taken = child::time(self.diff(home)).await;
        assert_eq!(taken.status.code(), Some(code), "the diff's exit code");
        taken.wall.as_secs_f64() * 1e3
    }
}

fn bare(text: &str, objects: usize) -> f64 {
    let start = Instant::now();
    let parsed = fleet::bare_parse(text);
    let taken = start.elapsed().as_secs_f64() * 1e3;
    assert_eq!(parsed.len(), objects);
    taken
}

/// Another's copy of a plan cache, so that each round begins with the same.
fn copy_cache(from: &Path, to: &Path) {
    let (from, to) = (from.join("cache/plan"), to.join("cache/plan"));
    fs::create_dir_all(&to).unwrap();
    for file in fs::read_dir(&from).expect("a diff leaves a plan cache").flatten() {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

pub async fn run(report: &mut Report) {
    let objects = usize::try_from(machine::setting("AEGIS_BENCH_OBJECTS", 10_000)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let controller = Controller::start(folder).await;
    nodes::enroll(&controller, fleet::hosts(objects)).await;
    let manifest = folder.join("fleet.yaml");
    let text = fleet::manifest(objects, None);
    fs::write(&manifest, &text).unwrap();
    println!("manifest: {objects} documents, {:.2} MB", text.len() as f64 / 1e6);
    let bench = Bench { folder, manifest: &manifest };
    let start = Instant::now();
    child::output(bench.aegis("apply", "home-of-apply", &["--yes", "--output", "json"])).await;
    println!("applied in {:.1} s", start.elapsed().as_secs_f64());

    let (mut parse, mut cold, mut warm, mut same) = (vec![], vec![], vec![], vec![]);
    let (mut cold_peak, mut warm_peak) = (vec![], vec![]);
    let mut quiet = true;
    for round in 0..ROUNDS {
        let (cold_home, warm_home) = (format!("cold-{round}"), format!("warm-{round}"));
        quiet &= machine::quiet().await;
        parse.push(bare(&text, objects));
        cold.push(bench.time(&cold_home, SAME).await);
        same.push(bench.time(&cold_home, SAME).await);
        copy_cache(&folder.join(&cold_home), &folder.join(&warm_home));
        fs::write(&manifest, fleet::manifest(objects, Some(round * objects / ROUNDS))).unwrap();
        warm.push(bench.time(&warm_home, DIFFERENT).await);
        if round < 3 {
            copy_cache(&folder.join(&cold_home), &folder.join(&warm_home));
            warm_peak.push(child::peak_memory(bench.diff(&warm_home)).await as f64 / 1e6);
            fs::write(&manifest, &text).unwrap();
            cold_peak.push(child::peak_memory(bench.diff(&format!("peak-{round}"))).await as f64 / 1e6);
        }
        fs::write(&manifest, &text).unwrap();
    }
    controller.stop().await;

    let parse = median(parse);
    let what = |what: &str| format!("plan of {objects} objects, {what}");
    let row = |what: String, value: f64| Row::new("plan", what, value, "ms").beside("bare YAML parse", parse);
    report.add(row(what("unchanged, no cache"), median(cold)).at_most_times(3.0));
    report.add(Row::new("plan", "its peak memory", median(cold_peak), "MB").at_most(150.0));
    report.add(row(what("one changed, cache warm"), median(warm)).at_most_times(0.3));
    report.add(Row::new("plan", "its peak memory", median(warm_peak), "MB"));
    report.add(row(what("unchanged, cache warm"), median(same)));
    if !quiet {
        report.remark("The machine was not quiet while plans were measured; only the ratios count.");
    }
}
