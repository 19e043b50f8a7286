//! Where the guest's parts are, and which backends work with them on this machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aegis_backend::{
    Backend,
    namespaces::{self, Namespaces},
    probe::{self, Kvm},
    qemu::{self, Accelerator, Qemu, Settings},
};
use aegis_wire::runtime::BackendStatus;

use crate::{backends::Backends, config::Config, home::Home};

/// Where libkrun is looked for, besides where the linker looks.
const LIBKRUN: [&str; 4] = [
    "/usr/local/lib/libkrun.so.1",
    "/usr/local/lib64/libkrun.so.1",
    "/usr/lib/libkrun.so",
    "/usr/lib64/libkrun.so.1",
];

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
    let kvm = probe::kvm(&home.data().join("kvm-probe"));
    let mut usable: Vec<Arc<dyn Backend>> = Vec::new();
    let accelerator = if kvm.is_usable() { Accelerator::Kvm } else { Accelerator::Tcg };
    let mut statuses = vec![libkrun(&kvm)];
    let (qemu, status) = qemu(assets, home, accelerator, &kvm);
    usable.extend(qemu.map(|qemu| Arc::new(qemu) as Arc<dyn Backend>));
    statuses.push(status);
    let (jail, status) = jail(assets);
    usable.extend(jail.map(|jail| Arc::new(jail) as Arc<dyn Backend>));
    statuses.push(status);
    if let Some(first) = &config.backend {
        // What was configured is used or nothing is: another backend may be a weaker wall.
        usable.sort_by_key(|backend| backend.name() != first);
        if usable.first().is_some_and(|backend| backend.name() != first) {
            tracing::error!(backend = first, "the configured backend can't run here");
            usable.clear();
        }
    }
    let is_qemu = usable.first().is_some_and(|backend| backend.name() == qemu::NAME);
    Backends::new(usable, statuses, is_qemu.then(|| accelerator.name().to_owned()))
}

fn libkrun(kvm: &Kvm) -> BackendStatus {
    let found = LIBKRUN.iter().find(|path| Path::new(path).exists());
    let (reason, hint) = match (found, kvm.is_usable()) {
        (None, _) => ("libkrun isn't installed".to_owned(), None),
        (Some(_), false) => (kvm.describe(), None),
        (Some(path), true) => (format!("{path} is there, and this build doesn't use it"), None),
    };
    BackendStatus { name: "libkrun".to_owned(), usable: false, reason, hint }
}

fn qemu(
    assets: Option<&Path>,
    home: &Home,
    accelerator: Accelerator,
    kvm: &Kvm,
) -> (Option<Qemu>, BackendStatus) {
    let status = |usable, reason: String, hint: Option<&str>| BackendStatus {
        name: qemu::NAME.to_owned(),
        usable,
        reason,
        hint: hint.map(str::to_owned),
    };
    let Some(program) = in_path("qemu-system-x86_64") else {
        return (
            None,
            status(false, "QEMU isn't installed".into(), Some("sudo apt-get install qemu-system-x86")),
        );
    };
    let Some(assets) = assets.filter(|assets| assets.join("kernel").exists()) else {
        return (None, status(false, "there is no guest kernel".into(), Some("make guest")));
    };
    let reason = match accelerator {
        Accelerator::Kvm => kvm.describe(),
        Accelerator::Tcg => format!("by emulation, ten times slower than with KVM; {}", kvm.describe()),
    };
    let hint = match kvm {
        Kvm::Unavailable { hint, .. } => hint.as_deref(),
        _ => None,
    };
    let settings = Settings { program, accelerator, assets: assets.to_owned(), data: home.data() };
    (Some(Qemu::new(settings)), status(true, reason, hint))
}

fn jail(assets: Option<&Path>) -> (Option<Namespaces>, BackendStatus) {
    let status = |usable, reason: &str, hint: Option<&str>| BackendStatus {
        name: namespaces::NAME.to_owned(),
        usable,
        reason: reason.to_owned(),
        hint: hint.map(str::to_owned),
    };
    let Some(harness) = assets.map(|assets| assets.join("aegis-harness")).filter(|harness| harness.exists())
    else {
        return (None, status(false, "there is no aegis-harness", Some("make guest")));
    };
    if !rustix::process::geteuid().is_root() && !users_may_make_namespaces() {
        let hint = Some("sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000");
        return (None, status(false, "this host lets users make no user namespaces", hint));
    }
    let missing = Namespaces::unenforced();
    let reason = if missing.is_empty() {
        "no VM: the host's kernel is the guest's".to_owned()
    } else {
        format!("no VM: the host's kernel is the guest's; not limited here: {}", missing.join(", "))
    };
    (Some(Namespaces::new(harness)), status(true, &reason, None))
}

fn users_may_make_namespaces() -> bool {
    let number =
        |path: &str| std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    // What isn't there isn't restricted.
    number("/proc/sys/user/max_user_namespaces").is_none_or(|most| most > 0)
        && number("/proc/sys/kernel/unprivileged_userns_clone").is_none_or(|may| may > 0)
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}
