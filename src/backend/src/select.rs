//! Which backends work on this host, why the others don't, and which goes first.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use crate::{
    kernel::{self, Discovery},
    libkrun::{self, Libkrun},
    machine::Backend,
    namespaces::{self, Namespaces},
    probe::{self, Kvm},
    qemu::{self, Accelerator, Qemu},
};

/// What the backends are made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// The guest assets, if there are any.
    pub assets: Option<PathBuf>,
    /// `$AEGIS_HOME/data`.
    pub data: PathBuf,
    /// The program that runs [`libkrun::child`] when its first argument is [`libkrun::CHILD`].
    pub program: PathBuf,
}

/// A backend, usable or not.
#[derive(Clone)]
pub struct Found {
    /// Its name.
    pub name: &'static str,
    /// The backend, if it works here.
    pub backend: Option<Arc<dyn Backend>>,
    /// How it works, or why it doesn't, in one line.
    pub reason: String,
    /// What would make it work, or work better: a command.
    pub hint: Option<String>,
    /// How it runs, where that matters.
    pub accelerator: Option<&'static str>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({}): {}",
            self.name,
            if self.backend.is_some() { "usable" } else { "unusable" },
            self.reason
        )
    }
}

impl Found {
    fn usable(backend: impl Backend + 'static, reason: String) -> Self {
        let name = backend.name();
        Self { name, backend: Some(Arc::new(backend)), reason, hint: None, accelerator: None }
    }

    fn unusable(name: &'static str, reason: impl Into<String>, hint: Option<&str>) -> Self {
        Self { name, backend: None, reason: reason.into(), hint: hint.map(str::to_owned), accelerator: None }
    }
}

/// All backends in the order of preference: the first that is usable is used when nobody names one. Blocks; the first time
/// after a boot of the host for as long as KVM's probe takes.
pub fn find(options: &Options) -> Vec<Found> {
    let Some(assets) = &options.assets else {
        let names = [libkrun::NAME, qemu::NAME, namespaces::NAME];
        return names
            .map(|name| Found::unusable(name, "the guest's parts aren't installed", Some("make guest")))
            .into();
    };
    // Where the daemon's directories aren't made yet, the answer isn't kept.
    let kvm = probe::kvm(&options.data.join("kvm-probe"));
    vec![find_libkrun(options, assets, &kvm), find_qemu(options, assets, &kvm), find_namespaces(assets)]
}

fn find_libkrun(options: &Options, assets: &Path, kvm: &Kvm) -> Found {
    let library = match libkrun::library() {
        Ok(library) => library,
        Err(reason) => return Found::unusable(libkrun::NAME, reason, Some(&install("libkrun"))),
    };
    if !kvm.is_usable() {
        let hint = if let Kvm::Unavailable { hint, .. } = kvm { hint.as_deref() } else { None };
        return Found::unusable(libkrun::NAME, kvm.describe(), hint);
    }
    if kernel::discovery(assets) != Some(Discovery::CommandLine) {
        let reason = "the guest's kernel finds no devices without ACPI, which libkrun doesn't have";
        return Found::unusable(libkrun::NAME, reason, Some("make kernel"));
    }
    let reason = format!("{} with {}", library.display(), kvm.describe());
    let settings = libkrun::Settings {
        library,
        program: options.program.clone(),
        assets: assets.to_owned(),
        data: options.data.clone(),
    };
    Found::usable(Libkrun::new(settings), reason)
}

fn find_qemu(options: &Options, assets: &Path, kvm: &Kvm) -> Found {
    let name = format!("qemu-system-{}", env::consts::ARCH);
    let Some(program) = in_path(&name) else {
        return Found::unusable(qemu::NAME, format!("{name} isn't installed"), Some(&install("qemu")));
    };
    if kernel::discovery(assets).is_none() {
        return Found::unusable(qemu::NAME, "there is no kernel for guests", Some("make guest"));
    }
    let version = match version(&program) {
        Ok(version) => version,
        Err(reason) => return Found::unusable(qemu::NAME, reason, Some(&install("qemu"))),
    };
    let (accelerator, how) = if kvm.is_usable() {
        (Accelerator::Kvm, kvm.describe())
    } else {
        (
            Accelerator::Tcg,
            format!("by emulation (TCG), 6 to 18 times slower than the CPU: {}", kvm.describe()),
        )
    };
    let backend = Qemu::new(qemu::Settings {
        program,
        accelerator,
        assets: assets.to_owned(),
        data: options.data.clone(),
    });
    let hint = if let Kvm::Unavailable { hint, .. } = kvm { hint.clone() } else { None };
    let reason = format!("QEMU {version}, {how}");
    Found { accelerator: Some(accelerator.name()), hint, ..Found::usable(backend, reason) }
}

fn find_namespaces(assets: &Path) -> Found {
    if let Some((reason, hint)) = namespaces_refused() {
        return Found::unusable(namespaces::NAME, reason, Some(&hint));
    }
    let unenforced = Namespaces::unenforced().join(", ");
    let reason = format!("no VM: guests share this host's kernel; no limit holds for {unenforced}");
    Found::usable(Namespaces::new(assets.join("aegis-harness")), reason)
}

/// Why this host gives a user no namespaces, and the command that changes it. Root always gets them.
fn namespaces_refused() -> Option<(String, String)> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let refuses = |name: &str, value: &str| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
    };
    [
        ("user.max_user_namespaces", "0", "15000"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ]
    .into_iter()
    .find(|(name, value, _)| refuses(name, value))
    .map(|(name, value, better)| {
        (
            format!("users get no namespaces here: {name} is {value}"),
            format!("sudo sysctl -w {name}={better}"),
        )
    })
}

fn version(program: &Path) -> Result<String, String> {
    let output = Command::new(program).arg("--version").output().map_err(|error| format!("qemu: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().skip_while(|word| *word != "version").nth(1);
    version.map(str::to_owned).ok_or_else(|| "qemu doesn't say its version".to_owned())
}

/// A program where a shell would find it, or where daemons with a bare environment should look.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The command that installs something, by the package manager that is there.
fn install(what: &str) -> String {
    let is_qemu = what == "qemu";
    for (manager, command, package) in [
        ("apt-get", "sudo apt-get install -y --no-install-recommends", is_qemu.then_some("qemu-system-x86")),
        ("dnf", "sudo dnf install -y", Some(if is_qemu { "qemu-system-x86-core" } else { "libkrun" })),
        ("pacman", "sudo pacman -S --noconfirm", Some(if is_qemu { "qemu-system-x86" } else { "libkrun" })),
        ("zypper", "sudo zypper install -y", Some(if is_qemu { "qemu-x86" } else { "libkrun1" })),
        ("apk", "sudo apk add", is_qemu.then_some("qemu-system-x86_64")),
    ] {
        if let Some(package) = package.filter(|_| in_path(manager).is_some()) {
            return format!("{command} {package}");
        }
    }
    if is_qemu {
        "install qemu-system-x86_64".to_owned()
    } else {
        "cargo install cargo-c && cargo cinstall libkrun".to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn without_assets_nothing_works_and_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let options =
            Options { assets: None, data: directory.path().to_owned(), program: "/proc/self/exe".into() };
        let found = find(&options);
        assert_eq!(
            found.iter().map(|found| found.name).collect::<Vec<_>>(),
            ["libkrun", "qemu", "namespaces"]
        );
        assert!(
            found.iter().all(|found| found.backend.is_none() && found.hint.as_deref() == Some("make guest"))
        );
    }

    #[test]
    fn every_backend_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let assets = directory.path().join("guest");
        std::fs::create_dir_all(assets.join("kernel")).unwrap();
        let options = Options {
            assets: Some(assets),
            data: directory.path().to_owned(),
            program: "/proc/self/exe".into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        for found in find(&options) {
            assert!(!found.reason.is_empty(), "{found:?}");
            // Without a kernel there is no VM.
            assert!(found.name == "namespaces" || found.backend.is_none(), "{found:?}");
        }
    }
}
