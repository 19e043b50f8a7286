//! Fleets and what runs on them.

use std::{path::PathBuf, thread};

use serde_json::Value;

use crate::{daemon::Daemon, output::Output, process::Process, world::World};

/// A context in which any program may be run, and files beneath the world's directory be touched.
pub fn open_context(world: &World) -> String {
    format!(
        "apiVersion: aegis.dev/v1\nkind: SecurityContext\nmetadata: {{name: default}}\nspec:\n  capabilities:\n    \
         - tools: ['*']\n      commands: ['*']\n      paths: ['{}']\n",
        world.path().display()
    )
}

impl World {
    /// Declares security contexts.
    #[track_caller]
    pub fn allow(&self, manifest: &str) {
        let path = self.write("contexts/contexts.yaml", manifest);
        self.run(&format!("apply --yes -f {}", path.display())).ok();
    }

    /// Declares that anything may be done.
    #[track_caller]
    pub fn allow_everything(&self) {
        self.allow(&open_context(self));
    }

    /// Enrols and connects hosts of these names, several at once.
    #[track_caller]
    pub fn hosts<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<Daemon> {
        let names: Vec<&str> = names.into_iter().collect();
        let share = names.len().div_ceil(4).max(1);
        thread::scope(|scope| {
            let groups: Vec<_> = names
                .chunks(share)
                .map(|names| scope.spawn(|| names.iter().map(|name| self.host(name)).collect::<Vec<_>>()))
                .collect();
            groups.into_iter().flat_map(|group| group.join().expect("all connect")).collect()
        })
    }

    /// Runs `edge fleet run` with these flags to its end.
    #[track_caller]
    pub fn fleet_run(&self, flags: &str) -> Output {
        self.run(&format!("edge fleet run {flags}"))
    }

    /// Starts `edge fleet run` with these flags and JSON output.
    pub fn start_fleet_run(&self, flags: &str) -> Process {
        self.admin().start(&format!("edge fleet run {flags} -o json"))
    }

    /// A file that a command of the test can be made to wait for: see [`World::wait_for_gate`].
    pub fn gate(&self) -> PathBuf {
        self.path().join("gate")
    }

    /// Flags that make a shell write its host's process id, and wait until the gate is opened.
    pub fn wait_for_gate(&self) -> String {
        let gate = self.gate();
        format!("--tool cmd.run --arg 'cmd=while [ ! -e {} ]; do sleep 0.05; done'", gate.display())
    }

    /// Lets what waits for the gate go on.
    #[track_caller]
    pub fn open_gate(&self) {
        self.write("gate", "");
    }
}

/// The events of a run: a JSON object a line. A line that isn't whole yet is left out.
#[track_caller]
pub fn events(stdout: &str) -> Vec<Value> {
    let whole = stdout.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The results among the events of a run: host and outcome, by host.
#[track_caller]
pub fn results(stdout: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut results: Vec<_> = events(stdout)
        .iter()
        .filter(|event| event["event"] == "result")
        .map(|event| (text(&event["name"]), text(&event["outcome"])))
        .collect();
    results.sort();
    results
}

/// How many hosts of a run ended in this way.
#[track_caller]
pub fn count(stdout: &str, outcome: &str) -> usize {
    results(stdout).iter().filter(|(_, ended)| ended == outcome).count()
}

/// How many hosts have been sent the command.
#[track_caller]
pub fn dispatched(stdout: &str) -> usize {
    let events = events(stdout);
    let sent = events.iter().filter(|event| event["event"] == "dispatched");
    sent.filter_map(|event| event["targets"].as_array()).map(Vec::len).sum()
}
