//! Where the guest's parts are, and which backends work with them on this machine.

use std::path::{Path, PathBuf};

use aegis_backend::select;
use aegis_wire::runtime::BackendStatus;

use crate::{backends::Backends, config::Config, home::Home};

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
