//! Where the guest's parts are, and which backends work with them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aegis_backend::{
    Backend,
    qemu::{Accelerator, Qemu, Settings},
};
use aegis_wire::runtime::BackendStatus;

use crate::{backends::Backends, config::Config, home::Home};

/// The directory with harness, kernel and base image: `$AEGIS_GUEST_DIR`, beside the program, or where packages put it.
pub fn guest_directory(given: Option<PathBuf>) -> Option<PathBuf> {
    if given.is_some() {
        return given;
    }
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("guest")));
    let places =
        beside.into_iter().chain(["/usr/local/lib/aegis/guest", "/usr/lib/aegis/guest"].map(PathBuf::from));
    places.into_iter().find(|place| place.join("aegis-harness").exists())
}

/// The backends of this machine.
pub fn backends(assets: Option<&Path>, home: &Home, config: &Config) -> Backends {
    let mut usable: Vec<Arc<dyn Backend>> = Vec::new();
    let mut statuses = Vec::new();
    let program = Path::new("/usr/bin/qemu-system-x86_64");
    if let Some(assets) = assets
        && program.exists()
    {
        let settings = Settings {
            program: program.to_owned(),
            accelerator: Accelerator::Tcg,
            assets: assets.to_owned(),
            data: home.data(),
        };
        usable.push(Arc::new(Qemu::new(settings)));
        statuses.push(BackendStatus {
            name: "qemu".into(),
            usable: true,
            reason: "by emulation (TCG)".into(),
            hint: None,
        });
    }
    if let Some(first) = &config.backend {
        usable.sort_by_key(|backend| backend.name() != first);
    }
    Backends::new(usable, statuses, Some("tcg".into()))
}
