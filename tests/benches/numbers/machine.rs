//! What this machine is, and whether it is quiet. Others may compile on it, so a measurement waits for a quiet moment,
//! within bounds, and only ratios of one run count.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

/// The machine's kind: cores, model, memory.
pub fn kind() -> String {
    let first = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kib: u64 = first("/proc/meminfo", "MemTotal")
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    format!("{cores} cores of {}, {} GiB", first("/proc/cpuinfo", "model name"), kib.div_ceil(1 << 20))
}

/// Core seconds that were spent by all processes since the start of the machine.
fn busy() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|n| n.parse().ok())
        .collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (ticks.iter().sum::<u64>() - idle) as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Milliseconds that were spent on waiting for quiet, over the whole run.
static WAITED: AtomicU64 = AtomicU64::new(0);

/// Waits until all others together used less than an eighth of a core. False: they didn't within what is left of the
/// patience for the whole run.
pub async fn quiet() -> bool {
    const WINDOW: Duration = Duration::from_millis(400);
    let patience = Duration::from_secs(setting("AEGIS_BENCH_QUIET_SECONDS", 60));
    loop {
        let (before, start) = (busy(), Instant::now());
        tokio::time::sleep(WINDOW).await;
        if (busy() - before) / start.elapsed().as_secs_f64() < 0.125 {
            return true;
        }
        let window = u64::try_from(WINDOW.as_millis()).unwrap_or(0);
        if WAITED.fetch_add(window, Ordering::Relaxed) > u64::try_from(patience.as_millis()).unwrap_or(0) {
            return false;
        }
    }
}

/// Raises the limit of open files, for this process and those it starts, and gives what it is then.
pub fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The middle one of several measurements.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
