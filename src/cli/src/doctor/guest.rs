//! What guests are made of: harness, kernel, base image.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::environment;

/// What makes them.
const FIX: &str = "make guest";

/// The directory that aegisd takes: the same order as there.
fn directory() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("guest"));
    let named = environment::get(&environment::GUEST_DIR).map(PathBuf::from);
    let installed = ["/usr/local/lib/aegis/guest", "/usr/lib/aegis/guest"].map(PathBuf::from);
    named.into_iter().chain(beside).chain(installed).find(|path| path.is_dir())
}

/// The findings.
pub fn assets() -> Vec<Finding> {
    let Some(directory) = directory() else {
        let detail = "no directory guest beside aegisd, in /usr/local/lib/aegis or in /usr/lib/aegis";
        return vec![Finding::bad("guest", detail, Some(FIX.to_owned()))];
    };
    of(&directory)
}

fn of(directory: &Path) -> Vec<Finding> {
    let one = |name, there: bool, what: &str| {
        let place = directory.display();
        if there {
            Finding::good(name, format!("{what} in {place}"))
        } else {
            Finding::bad(name, format!("there is no {what} in {place}"), Some(FIX.to_owned()))
        }
    };
    vec![
        one("harness", directory.join("aegis-harness").is_file(), "aegis-harness"),
        one("kernel", has_kernel(&directory.join("kernel")), "kernel"),
        one("base image", directory.join("base.tar").is_file(), "base.tar"),
    ]
}

/// A kernel of its own, or Debian's as it is unpacked.
fn has_kernel(directory: &Path) -> bool {
    let is_kernel = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("vmlinuz-");
    directory.join("vmlinux").is_file()
        || std::fs::read_dir(directory.join("boot"))
            .is_ok_and(|entries| entries.flatten().any(|entry| is_kernel(&entry.file_name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_asset_is_looked_for() {
        let directory = tempfile::tempdir().unwrap();
        let found = || of(directory.path()).into_iter().map(|found| found.ok).collect::<Vec<_>>();
        assert_eq!(found(), [false, false, false]);
        std::fs::write(directory.path().join("aegis-harness"), "").unwrap();
        std::fs::create_dir_all(directory.path().join("kernel/boot")).unwrap();
        std::fs::write(directory.path().join("kernel/boot/vmlinuz-6.1"), "").unwrap();
        assert_eq!(found(), [true, true, false]);
        assert!(of(directory.path()).iter().all(|found| found.ok || found.fix.is_some()));
    }
}
