//! Disk, clock, and who may speak with the daemon.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::Finding;
use crate::local::{Daemon, size, time};

/// Below this a pull of a usual image may fill the disk.
const LITTLE: u64 = 2 << 30;
/// No clock that is right is before this: 2026-01-01.
const EARLIEST: i64 = 1_767_225_600_000;

/// The findings.
pub fn all(daemon: &Daemon, now_ms: i64) -> Vec<Finding> {
    let mut found = vec![disk(daemon.home()), clock(now_ms)];
    found.push(mode("home", daemon.home(), 0o700));
    found.push(mode("socket", &daemon.socket(), 0o600));
    found
}

/// What is free where the daemon's files are, or will be.
fn disk(home: &Path) -> Finding {
    let there: Option<PathBuf> = home.ancestors().find(|path| path.exists()).map(Path::to_path_buf);
    let Some(there) = there else { return Finding::bad("disk", "no directory to look at", None) };
    match rustix::fs::statvfs(&there) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let detail = format!("{} free at {}", size(free), there.display());
            if free < LITTLE {
                Finding::bad("disk", detail, Some("aegis image prune".to_owned()))
            } else {
                Finding::good("disk", detail)
            }
        }
        Err(error) => Finding::bad("disk", format!("{}: {}", there.display(), io::Error::from(error)), None),
    }
}

/// A clock that is far off makes every registry's certificate invalid.
fn clock(now_ms: i64) -> Finding {
    let shown = Timestamp::from_millisecond(now_ms).map_or_else(|_| "no time".to_owned(), time);
    if now_ms < EARLIEST {
        let detail = format!("{shown} can't be right; registries' certificates will seem invalid");
        return Finding::bad("clock", detail, Some("sudo timedatectl set-ntp true".to_owned()));
    }
    Finding::good("clock", shown)
}

/// What `wanted` doesn't have must not be there.
fn mode(name: &'static str, path: &Path, wanted: u32) -> Finding {
    let place = path.display();
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::good(name, format!("{place} isn't there; aegisd makes it"));
        }
        Err(error) => return Finding::bad(name, format!("{place}: {error}"), None),
    };
    let mode = found.mode() & 0o7777;
    let detail = format!("{place} has mode {mode:04o}");
    if found.uid() != rustix::process::geteuid().as_raw() {
        let detail = format!("{detail} and belongs to user {}", found.uid());
        return Finding::bad(name, detail, Some(format!("sudo chown -R \"$USER\" {place}")));
    }
    if mode & !wanted == 0 {
        Finding::good(name, detail)
    } else {
        Finding::bad(
            name,
            format!("{detail}: others may reach it"),
            Some(format!("chmod {wanted:o} {place}")),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_clock_before_its_time_is_named() {
        assert!(!clock(0).ok && clock(EARLIEST).ok);
    }

    #[test]
    fn a_home_that_others_may_enter_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let with = |mode| {
            std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            super::mode("home", directory.path(), 0o700)
        };
        assert!(with(0o700).ok);
        let open = with(0o755);
        assert!(!open.ok && open.fix.unwrap().starts_with("chmod 700 "));
        let nowhere = super::mode("socket", &directory.path().join("x"), 0o600);
        assert!(nowhere.ok && nowhere.detail.contains("isn't there"));
    }

    #[test]
    fn the_disk_is_that_of_the_files_to_come() {
        let directory = tempfile::tempdir().unwrap();
        let found = disk(&directory.path().join("not/yet"));
        assert!(found.detail.contains(" free at "), "{found:?}");
    }
}
