//! Limits on what a jail uses: control groups of version 2 where they have the controller, else of version 1.

mod hierarchy;

use std::{
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use self::hierarchy::{Hierarchies, Place};

/// What is limited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) memory_mib: u32,
    pub(crate) cpus: u32,
    pub(crate) pids_max: Option<u32>,
}

/// Of which a CPU's share is counted, in microseconds.
const PERIOD: u64 = 100_000;
/// How long a group may take to freeze, or to lose its last process.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(2);
/// All groups of jails begin so; [`crate::cleanup`] looks for them.
const PREFIX: &str = "aegis-";

/// The groups of one jail, one a hierarchy. Dropping it kills what is left in them and removes them.
#[derive(Debug)]
pub(crate) struct Group {
    directories: Vec<PathBuf>,
    memory: Option<Place>,
    freezer: Option<Place>,
    missing: Vec<&'static str>,
}

impl Group {
    /// Makes the groups and sets the limits; what can't be limited is in [`Self::missing`].
    pub(crate) fn create(id: &str, limits: Limits) -> Self {
        let hierarchies = Hierarchies::find();
        let mut group = Self { directories: Vec::new(), memory: None, freezer: None, missing: Vec::new() };
        let bytes = u64::from(limits.memory_mib) << 20;
        group.memory = group.limited("memory", &hierarchies, id, |place| match place {
            Place::Two(directory) => {
                write(directory, "memory.max", bytes)?;
                // Without swap accounting there is no such file, and no swap to limit.
                let _ = write(directory, "memory.swap.max", 0_u64);
                Ok(())
            }
            Place::One(directory) => {
                write(directory, "memory.limit_in_bytes", bytes)?;
                let _ = write(directory, "memory.memsw.limit_in_bytes", bytes);
                Ok(())
            }
        });
        let quota = u64::from(limits.cpus.max(1)) * PERIOD;
        group.limited("cpu", &hierarchies, id, |place| match place {
            Place::Two(directory) => write(directory, "cpu.max", format!("{quota} {PERIOD}")),
            Place::One(directory) => {
                write(directory, "cpu.cfs_period_us", PERIOD)?;
                write(directory, "cpu.cfs_quota_us", quota)
            }
        });
        if let Some(most) = limits.pids_max {
            // The harness is two processes: the one outside and the guest's first.
            let most = u64::from(most) + 2;
            group.limited("pids", &hierarchies, id, |place| write(place.directory(), "pids.max", most));
        }
        group.freezer = hierarchies.freezer().and_then(|parent| group.place(&parent, id).ok());
        group
    }

    /// What isn't limited here, for the user.
    pub(crate) fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    fn limited(
        &mut self,
        controller: &'static str,
        hierarchies: &Hierarchies,
        id: &str,
        set: impl FnOnce(&Place) -> io::Result<()>,
    ) -> Option<Place> {
        let made = hierarchies.of(controller).ok_or(io::ErrorKind::NotFound.into());
        let made =
            made.and_then(|parent| self.place(&parent, id)).and_then(|place| set(&place).map(|()| place));
        if let Err(error) = &made {
            tracing::debug!(%error, controller, "a limit can't be enforced");
            self.missing.push(controller);
        }
        made.ok()
    }

    /// The group's directory below this one, made unless it is there.
    fn place(&mut self, parent: &Place, id: &str) -> io::Result<Place> {
        let directory = parent.directory().join(format!("{PREFIX}{id}"));
        if !self.directories.contains(&directory) {
            match fs::create_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.directories.push(directory.clone()),
            }
        }
        Ok(match parent {
            Place::One(_) => Place::One(directory),
            Place::Two(_) => Place::Two(directory),
        })
    }

    /// What a process writes itself into to join.
    pub(crate) fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |directory: &PathBuf| {
            Ok(File::options().write(true).open(directory.join("cgroup.procs"))?.into())
        };
        self.directories.iter().map(open).collect()
    }

    /// The file that counts what ran out of memory.
    pub(crate) fn out_of_memory_events(&self) -> Option<File> {
        let path = match self.memory.as_ref()? {
            Place::Two(directory) => directory.join("memory.events"),
            Place::One(directory) => directory.join("memory.oom_control"),
        };
        File::open(path).ok()
    }

    /// Stops or continues all processes. `false`: this host has nothing that can.
    pub(crate) async fn freeze(&self, is_frozen: bool) -> io::Result<bool> {
        let Some(place) = &self.freezer else { return Ok(false) };
        let (file, word, state, sign) = match (place, is_frozen) {
            (Place::Two(_), true) => ("cgroup.freeze", "1", "cgroup.events", "frozen 1"),
            (Place::Two(_), false) => ("cgroup.freeze", "0", "cgroup.events", "frozen 0"),
            (Place::One(_), true) => ("freezer.state", "FROZEN", "freezer.state", "FROZEN"),
            (Place::One(_), false) => ("freezer.state", "THAWED", "freezer.state", "THAWED"),
        };
        write(place.directory(), file, word)?;
        let state = place.directory().join(state);
        let frozen = async {
            while !fs::read_to_string(&state)?.lines().any(|line| line == sign) {
                tokio::time::sleep(STEP).await;
            }
            Ok(true)
        };
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "the processes did not stop in time"));
        tokio::time::timeout(PATIENCE, frozen).await.unwrap_or_else(|_| late())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut directories = std::mem::take(&mut self.directories);
        // Most are empty: they go now, whether or not this process lives on for long.
        directories.retain(|directory| fs::remove_dir(directory).is_err());
        if directories.is_empty() {
            return;
        }
        // Processes that were killed a moment ago are still in it, and a destructor can't wait.
        let removing = std::thread::Builder::new().name("cgroup".to_owned());
        let _ = removing.spawn(move || directories.iter().for_each(|directory| remove(directory)));
    }
}

/// Ends what is in a group and removes it.
fn remove(directory: &Path) {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let _ = fs::write(directory.join("cgroup.kill"), "1");
        // Frozen processes of version 1 die only when they are let go.
        let _ = fs::write(directory.join("freezer.state"), "THAWED");
        match fs::remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && std::time::Instant::now() < until => {
                kill_all(directory);
                std::thread::sleep(STEP);
            }
            _ => return,
        }
    }
}

/// Version 1 has no `cgroup.kill`.
fn kill_all(directory: &Path) {
    let ids = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in ids.lines().filter_map(|id| rustix::process::Pid::from_raw(id.parse().ok()?)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Removes the groups that an earlier daemon left. `ids`: the jails that it may have had.
pub(crate) fn remove_left(ids: &[String]) {
    let hierarchies = Hierarchies::find();
    for parent in hierarchies.all() {
        for id in ids {
            let directory = parent.directory().join(format!("{PREFIX}{id}"));
            if directory.exists() {
                remove(&directory);
            }
        }
    }
}

fn write(directory: &Path, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    // Opened without creating: a controller that isn't there has no such file.
    let mut file = File::options().write(true).open(directory.join(name))?;
    io::Write::write_all(&mut file, format!("{value}").as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn groups_limit_freeze_and_go() {
        let id = format!("test-{}", std::process::id());
        let group = Group::create(&id, Limits { memory_mib: 64, cpus: 1, pids_max: Some(10) });
        let directories = group.directories.clone();
        for directory in &directories {
            assert!(directory.join("cgroup.procs").exists());
        }
        if rustix::process::geteuid().is_root() {
            assert!(group.missing().is_empty(), "root can't limit {:?}", group.missing());
            assert!(group.out_of_memory_events().is_some());
        }
        if group.freeze(true).await.unwrap() {
            assert!(group.freeze(false).await.unwrap());
        }
        drop(group);
        let until = std::time::Instant::now() + PATIENCE;
        while directories.iter().any(|directory| directory.exists()) {
            assert!(std::time::Instant::now() < until, "the groups stay");
            tokio::time::sleep(STEP).await;
        }
    }
}
