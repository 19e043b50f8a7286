//! Where the guest's parts are, and which backends work with them on this machine.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use aegis_backend::select;
use aegis_wire::runtime::BackendStatus;

use crate::{
    backends::Backends,
    config::Config,
    home::{Home, private_directory},
};

/// What makes disks and what takes them agree on their size.
const _: () = assert!(aegis_image::ROOTFS_DISK_SIZE == aegis_backend::machine::ROOTFS_DISK_SIZE);

/// The directory with harness, kernel and base image: the one that was given, one beside the program, or where packages
/// put it.
pub fn guest_directory(given: Option<PathBuf>) -> Option<PathBuf> {
    if given.is_some() {
        return given;
    }
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("guest")));
    let installed = ["/usr/local/lib/aegis/guest", "/usr/lib/aegis/guest"].map(PathBuf::from);
    beside.into_iter().chain(installed).find(|place| place.join("aegis-harness").exists())
}

/// The backends of this machine: those that work in the order in which they are tried, and all with the reason.
pub fn backends(assets: Option<&Path>, home: &Home, config: &Config) -> Backends {
    let with_kernel = config.kernel.as_deref().zip(assets).map(|(kernel, assets)| {
        let place = home.data().join("guest");
        with_kernel(assets, kernel, &place).map(|()| place)
    });
    let assets = match &with_kernel {
        None => assets,
        Some(Ok(place)) => Some(place.as_path()),
        Some(Err(error)) => {
            tracing::error!(%error, "the configured kernel can't be used");
            None
        }
    };
    let mut found = select::find(&select::Options {
        assets: assets.map(Path::to_owned),
        data: home.data(),
        program: "/proc/self/exe".into(),
    });
    let statuses = found.iter().map(|found| BackendStatus {
        name: found.name.to_owned(),
        usable: found.backend.is_some(),
        reason: found.reason.clone(),
        hint: found.hint.clone(),
    });
    let statuses = statuses.collect();
    found.retain(|found| found.backend.is_some());
    if let Some(first) = &config.backend {
        // What was configured is used or nothing is: another backend may be a weaker wall.
        found.sort_by_key(|found| found.name != first);
        if found.first().is_some_and(|found| found.name != first) {
            tracing::error!(backend = first, "the configured backend can't run here");
            found.clear();
        }
    }
    let accelerator = found.first().and_then(|found| found.accelerator).map(str::to_owned);
    Backends::new(found.into_iter().filter_map(|found| found.backend).collect(), statuses, accelerator)
}

/// Makes `place` the assets with another kernel: a directory as packages have it, or a vmlinux.
fn with_kernel(assets: &Path, kernel: &Path, place: &Path) -> io::Result<()> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // What isn't there is said here, and not by the first boot.
    let kernel = fs::canonicalize(kernel)?;
    private_directory(place)?;
    symlink(fs::canonicalize(assets.join("aegis-harness"))?, place.join("aegis-harness"))?;
    if kernel.is_dir() {
        return symlink(kernel, place.join("kernel"));
    }
    private_directory(&place.join("kernel"))?;
    symlink(kernel, place.join("kernel/vmlinux"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn another_kernel_takes_the_place_of_the_one_that_came_along() {
        let home = tempfile::tempdir().unwrap();
        let (assets, place) = (home.path().join("guest"), home.path().join("made"));
        fs::create_dir_all(assets.join("kernel")).unwrap();
        fs::write(assets.join("aegis-harness"), "harness").unwrap();
        let (vmlinux, package) = (home.path().join("vmlinux"), home.path().join("package"));
        fs::write(&vmlinux, "kernel").unwrap();
        fs::create_dir_all(package.join("boot")).unwrap();
        for _ in 0..2 {
            with_kernel(&assets, &vmlinux, &place).unwrap();
            assert_eq!(fs::read_to_string(place.join("kernel/vmlinux")).unwrap(), "kernel");
            assert_eq!(fs::read_to_string(place.join("aegis-harness")).unwrap(), "harness");
        }
        with_kernel(&assets, &package, &place).unwrap();
        assert!(place.join("kernel/boot").is_dir());
        assert!(with_kernel(&assets, &home.path().join("none"), &place).is_err());
    }
}
