//! Runs the scenarios: a stage a backend, a few scenarios at once, and a summary that hides nothing.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Mutex,
    thread,
    time::Instant,
};

use aegis_tests::runtime::{Runtime, registry::Registry};

use crate::stage::{Skipped, Stage};

/// What every backend must do.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(&Stage),
}

/// How a scenario ended.
#[derive(Debug, PartialEq)]
enum Outcome {
    Passed,
    Failed,
    Skipped(String),
}

/// All backends, in the order of their wins.
const BACKENDS: [&str; 3] = ["qemu", "namespaces", "libkrun"];

pub fn main(groups: &[&[Scenario]]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let scenarios: Vec<Scenario> = groups.iter().flat_map(|group| group.iter().copied()).collect();
    if arguments.iter().any(|word| word == "--list") {
        for scenario in &scenarios {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut summary = Vec::new();
    let registry = Registry::start();
    let (usable, not_run) = backends();
    let names = usable.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let filtered = |backend: &str| {
        scenarios.iter().copied().filter(|s| wanted(&format!("{backend}::{}", s.name))).collect::<Vec<_>>()
    };
    println!("\nrunning {} tests", names.iter().map(|name| filtered(name).len()).sum::<usize>());
    for (backend, how) in usable {
        let chosen = filtered(backend);
        if chosen.is_empty() {
            continue;
        }
        let begun = Instant::now();
        let outcomes = run(backend, &registry, chosen);
        let count = |wanted: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|(_, o)| wanted(o)).count();
        let now_passed = count(&|outcome| *outcome == Outcome::Passed);
        let now_failed = count(&|outcome| *outcome == Outcome::Failed);
        let seconds = begun.elapsed().as_secs();
        summary.push(format!("{backend} ({how}): {now_passed} passed, {now_failed} failed in {seconds} s"));
        for (name, outcome) in &outcomes {
            match outcome {
                Outcome::Skipped(why) => summary.push(format!("{backend}::{name}: not run: {why}")),
                Outcome::Failed => summary.push(format!("{backend}::{name}: FAILED")),
                Outcome::Passed => {}
            }
        }
        passed += now_passed;
        failed += now_failed;
        skipped += outcomes.len() - now_passed - now_failed;
    }
    summary.extend(not_run);
    println!();
    for line in summary {
        println!("conformance: {line}");
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
        start.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Which backends work on this machine and how, and lines about those that don't: as `aegisd` says.
fn backends() -> (Vec<(&'static str, String)>, Vec<String>) {
    let status = Runtime::start("").status();
    let (mut usable, mut not_run) = (Vec::new(), Vec::new());
    for name in BACKENDS {
        let rows = status["backends"].as_array().expect("backends");
        let Some(row) = rows.iter().find(|row| row["name"] == name) else {
            not_run.push(format!("{name}: not run: aegisd doesn't know it"));
            continue;
        };
        let reason = row["reason"].as_str().unwrap_or_default().to_owned();
        if name == "qemu" && status["accelerator"] != "kvm" {
            not_run.push(format!("qemu with KVM: not run: {reason}"));
        }
        if row["usable"] == true {
            usable.push((name, reason));
        } else {
            not_run.push(format!("{name}: not run: {reason}"));
        }
    }
    (usable, not_run)
}

fn run(backend: &str, registry: &Registry, scenarios: Vec<Scenario>) -> Vec<(&'static str, Outcome)> {
    let stage = Stage::new(backend, registry);
    let queue: Mutex<VecDeque<Scenario>> = Mutex::new(scenarios.into());
    let outcomes = Mutex::new(Vec::new());
    // Mostly they wait for a guest; more at once would only make each slower.
    let workers = std::env::var("RUST_TEST_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    thread::scope(|scope| {
        for worker in 0..workers {
            let (stage, queue, outcomes) = (&stage, &queue, &outcomes);
            let work = move || {
                loop {
                    let Some(scenario) = queue.lock().unwrap().pop_front() else { return };
                    let outcome = play(stage, scenario);
                    outcomes.lock().unwrap().push((scenario.name, outcome));
                }
            };
            thread::Builder::new().name(format!("{backend}-{worker}")).spawn_scoped(scope, work).unwrap();
        }
    });
    outcomes.into_inner().unwrap()
}

fn play(stage: &Stage, scenario: Scenario) -> Outcome {
    let begun = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (scenario.run)(stage)));
    let outcome = match result {
        Ok(()) => Outcome::Passed,
        Err(thrown) => skipped(&*thrown).map_or(Outcome::Failed, Outcome::Skipped),
    };
    let word = match &outcome {
        Outcome::Passed => "ok".to_owned(),
        Outcome::Failed => "FAILED".to_owned(),
        Outcome::Skipped(why) => format!("ignored, {why}"),
    };
    let seconds = begun.elapsed().as_secs_f64();
    println!("test {}::{} ... {word} ({seconds:.1} s)", stage.backend, scenario.name);
    outcome
}

fn skipped(thrown: &(dyn Any + Send)) -> Option<String> {
    thrown.downcast_ref::<Skipped>().map(|skipped| skipped.0.clone())
}
