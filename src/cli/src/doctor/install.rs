//! How programs are installed on this system.

use std::path::Path;

/// The package managers whose commands are known, by the program that shows that one is there.
const MANAGERS: [(&str, &str); 6] = [
    ("apt-get", "sudo apt-get install -y"),
    ("dnf", "sudo dnf install -y"),
    ("apk", "sudo apk add"),
    ("pacman", "sudo pacman -S --noconfirm"),
    ("zypper", "sudo zypper install -y"),
    ("brew", "brew install"),
];

/// What a package is called by each of [`MANAGERS`]; none where it isn't packaged.
type Names = [Option<&'static str>; 6];

/// Go.
pub const GO: Names = [Some("golang-go"), Some("golang"), Some("go"), Some("go"), Some("go"), Some("go")];
/// krunvm.
pub const KRUNVM: Names = [None, Some("krunvm"), None, Some("krunvm"), None, Some("slp/krun/krunvm")];
/// libkrun.
pub const LIBKRUN: Names =
    [None, Some("libkrun"), None, Some("libkrun"), Some("libkrun1"), Some("slp/krun/libkrun")];
/// mkfs.ext4.
pub const E2FSPROGS: Names = [Some("e2fsprogs"); 6];
/// QEMU for this machine's architecture.
pub const QEMU: Names = if cfg!(target_arch = "aarch64") {
    [
        Some("qemu-system-arm"),
        Some("qemu-system-aarch64-core"),
        Some("qemu-system-aarch64"),
        Some("qemu-system-aarch64"),
        Some("qemu-arm"),
        Some("qemu"),
    ]
} else {
    [
        Some("qemu-system-x86"),
        Some("qemu-system-x86-core"),
        Some("qemu-system-x86_64"),
        Some("qemu-system-x86"),
        Some("qemu-x86"),
        Some("qemu"),
    ]
};

/// This system's package manager.
#[derive(Debug, Clone, Copy)]
pub struct Packages(Option<usize>);

impl Packages {
    /// The first that is there.
    pub fn here() -> Self {
        Self(MANAGERS.iter().position(|(program, _)| find(program).is_some()))
    }
    /// The command that installs it, or where its sources are.
    pub fn command(self, names: &Names, sources: &str) -> String {
        let packaged = self.0.and_then(|at| Some((MANAGERS.get(at)?.1, (*names.get(at)?)?)));
        match packaged {
            Some((command, name)) => format!("{command} {name}"),
            None => format!("git clone {sources} && see its README"),
        }
    }
}

/// A program, by the PATH and where administrators' programs are.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more =
        ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/local/go/bin", "/opt/homebrew/bin"];
    let directories = std::env::split_paths(&path).chain(more.map(|more| Path::new(more).to_owned()));
    directories.map(|directory| directory.join(program)).find(|path| {
        std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_command() {
        let debian = Packages(Some(0));
        assert_eq!(debian.command(&E2FSPROGS, "x"), "sudo apt-get install -y e2fsprogs");
        assert!(debian.command(&LIBKRUN, "https://x/libkrun").starts_with("git clone https://x/libkrun"));
        assert_eq!(Packages(Some(1)).command(&LIBKRUN, "x"), "sudo dnf install -y libkrun");
        assert!(Packages(None).command(&QEMU, "https://x").contains("https://x"));
    }

    #[test]
    fn programs_are_found() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
