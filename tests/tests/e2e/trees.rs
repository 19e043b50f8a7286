//! What a cancelled or late command began is gone from the process table, however it was begun.

use std::{fs, path::PathBuf};

use aegis_tests::{Daemon, Process, SOON, World, eventually, fleet::dispatched};
use rustix::process::{Pid, Signal, kill_process};

/// A shell with children: one in the background, one in a session of its own, one that ignores SIGTERM.
const SCRIPT: &str = "sleep 987654 & echo $! >a; setsid sleep 987655 & echo $! >b; \
    (trap \"\" TERM; while :; do sleep 0.2; done) & echo $! >c; echo $$ >d; wait";

/// A host on which the shell runs, and where its processes write their numbers.
struct Tree {
    marks: PathBuf,
    run: Option<Process>,
    _host: Daemon,
    world: World,
}

impl Tree {
    /// Starts it, and waits until it stands.
    #[track_caller]
    fn grow(flags: &str) -> (Self, Vec<u32>) {
        let world = World::new();
        let host = world.host("web-1");
        world.allow_everything();
        let marks = world.path().join("marks");
        fs::create_dir(&marks).unwrap();
        let command =
            format!("--target all --tool cmd.run --arg 'cmd=cd {}; {SCRIPT}' {flags}", marks.display());
        let run = world.start_fleet_run(&command);
        let tree = Self { marks, run: Some(run), _host: host, world };
        let pids = eventually("the tree stands", SOON, || tree.pids());
        assert!(pids.iter().all(|pid| lives(*pid)), "{pids:?}");
        (tree, pids)
    }

    /// The processes of the shell, once it has begun them all.
    fn pids(&self) -> Option<Vec<u32>> {
        let read = |name: &&str| fs::read_to_string(self.marks.join(name)).ok()?.trim().parse().ok();
        ["a", "b", "c", "d"].iter().map(read).collect()
    }
}

impl Drop for Tree {
    /// What a failed test would leave behind.
    fn drop(&mut self) {
        for pid in self.pids().into_iter().flatten().filter(|pid| lives(*pid)) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Whether such a process of a tree is there and isn't only waited for.
fn lives(pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let (Some((_, name)), Some((_, state))) = (text.split_once('('), text.rsplit_once(") ")) else {
        return false;
    };
    (name.starts_with("sh)") || name.starts_with("sleep)")) && !state.starts_with('Z')
}

#[track_caller]
fn all_end(pids: &[u32]) {
    eventually("the whole tree is gone", SOON, || (!pids.iter().any(|pid| lives(*pid))).then_some(()));
}

#[test]
fn a_cancel_ends_the_whole_tree() {
    let (mut tree, pids) = Tree::grow("");
    let run = tree.run.take().unwrap();
    assert_eq!(dispatched(&run.stdout()), 1);
    run.signal(Signal::INT);
    run.wait().exit(7);
    all_end(&pids);
}

#[test]
fn a_deadline_ends_the_whole_tree() {
    let (mut tree, pids) = Tree::grow("--deadline 2s");
    tree.run.take().unwrap().wait().exit(8);
    all_end(&pids);
}

#[test]
fn a_broken_stream_ends_the_whole_tree() {
    let (mut tree, pids) = Tree::grow("");
    tree.world.stop_controller();
    all_end(&pids);
}
