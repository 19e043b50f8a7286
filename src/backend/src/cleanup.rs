//! What a daemon that died left behind: processes, control groups, directories.

use std::{fs, io, path::Path};

use crate::{
    cgroup,
    process::{RECORD, Record},
};

/// What was found and ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Machines whose processes were still there.
    pub killed: Vec<String>,
    /// Directories that were removed, by their names: the ids of instances.
    pub removed: Vec<String>,
}

/// Ends machines of an earlier daemon and removes their directories below `run` (`$AEGIS_HOME/data/run`). Only for the
/// daemon that holds the lock, before it starts any machine. Blocks.
pub fn clean(run: &Path) -> io::Result<Cleaned> {
    let mut cleaned = Cleaned::default();
    let entries = match fs::read_dir(run) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(cleaned),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if Record::read(&path).is_some_and(|record| record.kill().unwrap_or(false)) {
            cleaned.killed.push(name.clone());
        }
        // Processes that left their parent are still in the group.
        cgroup::remove_left(std::slice::from_ref(&name));
        unmount_below(&path);
        fs::remove_dir_all(&path)?;
        cleaned.removed.push(name);
    }
    Ok(cleaned)
}

/// Removes the control groups that machines of these ids left, with what is in them. For a machine whose directory went
/// just before its daemon did; as [`clean`], before any machine is started. Blocks.
pub fn clean_groups(ids: &[String]) {
    cgroup::remove_left(ids);
}

/// Whether a directory is one of a machine that was started.
pub fn was_started(directory: &Path) -> bool {
    directory.join(RECORD).exists()
}

/// Unmounts what is mounted below a directory, so that removing it removes nothing elsewhere.
fn unmount_below(directory: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<&str> = places.filter(|place| Path::new(place).starts_with(directory)).collect();
    // The innermost first.
    below.sort_by_key(|place| std::cmp::Reverse(place.len()));
    for place in below {
        let _ = rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn orphans_are_killed_and_directories_removed() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(clean(&run.path().join("none")).unwrap(), Cleaned::default());
        let (dead, alive) = (run.path().join("inst-dead"), run.path().join("inst-alive"));
        fs::create_dir_all(dead.join("below")).unwrap();
        fs::create_dir(&alive).unwrap();
        let mut orphan = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        Record::of(orphan.id()).unwrap().write(&alive).unwrap();
        assert!(was_started(&alive) && !was_started(&dead));
        let mut cleaned = clean(run.path()).unwrap();
        cleaned.removed.sort();
        assert_eq!(cleaned.killed, ["inst-alive"]);
        assert_eq!(cleaned.removed, ["inst-alive", "inst-dead"]);
        assert!(!orphan.wait().unwrap().success());
        assert!(!dead.exists() && !alive.exists());
    }
}
