//! Programs, libraries and devices.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use super::{
    Finding,
    install::{self, Packages, find},
};

/// Where libkrun may be: the paths of the reference, and where the linker looks.
const LIBKRUN: [&str; 9] = [
    "/opt/homebrew/lib/libkrun.dylib",
    "/usr/local/lib/libkrun.dylib",
    "/usr/lib/libkrun.so",
    "/usr/lib/libkrun.so.1",
    "/usr/lib64/libkrun.so.1",
    "/usr/local/lib/libkrun.so.1",
    "/usr/local/lib64/libkrun.so.1",
    "/usr/lib/x86_64-linux-gnu/libkrun.so.1",
    "/usr/lib/aarch64-linux-gnu/libkrun.so.1",
];

/// Go, krunvm, libkrun, e2fsprogs: the lines of the reference.
pub fn of_the_reference(packages: &Packages) -> Vec<Finding> {
    let go = match find("go") {
        Some(_) => Finding::good("Go", "installed"),
        None => Finding::bad(
            "Go",
            "not installed (optional, not used by Aegis)",
            Some(packages.command(&install::GO, "https://go.dev/dl")),
        ),
    };
    let krunvm = match find("krunvm") {
        Some(_) => Finding::good("krunvm", "found (optional, not used by Aegis)"),
        None => Finding::bad(
            "krunvm",
            "not found (optional, not used by Aegis)",
            Some(packages.command(&install::KRUNVM, "https://github.com/containers/krunvm")),
        ),
    };
    vec![go, krunvm, libkrun(packages), e2fsprogs(packages)]
}

fn libkrun(packages: &Packages) -> Finding {
    match LIBKRUN.iter().find(|path| Path::new(path).exists()) {
        Some(path) => Finding::good("libkrun", format!("found at {path}")),
        None => Finding::bad(
            "libkrun",
            "not found (optional, qemu does without)",
            Some(packages.command(&install::LIBKRUN, "https://github.com/containers/libkrun")),
        ),
    }
}

fn e2fsprogs(packages: &Packages) -> Finding {
    match find("mkfs.ext4") {
        Some(_) => Finding::good("e2fsprogs", "found"),
        None => Finding::bad(
            "e2fsprogs",
            "not found (mkfs.ext4 makes workspaces)",
            Some(packages.command(&install::E2FSPROGS, "https://github.com/tytso/e2fsprogs")),
        ),
    }
}

/// Whether /dev/kvm opens, and why not. Whether it is quick enough is measured by the daemon.
pub fn kvm() -> Finding {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => Finding::good("KVM", "/dev/kvm opens; aegisd measures whether it is quick enough"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::bad(
            "KVM",
            "/dev/kvm may not be opened by this user",
            Some("sudo usermod -aG kvm \"$USER\" and log in again".to_owned()),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            match kvm_module(&cpu) {
                Some(module) => Finding::bad(
                    "KVM",
                    "there is no /dev/kvm, though the CPU has what it needs",
                    Some(format!("sudo modprobe {module}")),
                ),
                None => Finding::bad(
                    "KVM",
                    "there is no /dev/kvm: the CPU has no virtualisation, or it is switched off in the firmware or by the host of this VM; qemu emulates instead, several times slower",
                    None,
                ),
            }
        }
        Err(error) => Finding::bad("KVM", format!("/dev/kvm: {error}"), None),
    }
}

/// The module for the CPU of /proc/cpuinfo, if it can virtualise.
fn kvm_module(cpu: &str) -> Option<&'static str> {
    let mut flags = cpu.lines().find(|line| line.starts_with("flags"))?.split_whitespace();
    flags.find_map(|flag| match flag {
        "svm" => Some("kvm_amd"),
        "vmx" => Some("kvm_intel"),
        _ => None,
    })
}

/// QEMU for this architecture.
pub fn qemu(packages: &Packages) -> Finding {
    let program = format!("qemu-system-{}", std::env::consts::ARCH);
    match find(&program) {
        Some(path) => Finding::good("QEMU", format!("found at {}", path.display())),
        None => Finding::bad(
            "QEMU",
            format!("{program} not found"),
            Some(packages.command(&install::QEMU, "https://gitlab.com/qemu-project/qemu")),
        ),
    }
}

/// What the backend namespaces needs: that users may make them.
pub fn user_namespaces() -> Finding {
    const NAME: &str = "user namespaces";
    let number = |path: &str| std::fs::read_to_string(PathBuf::from(path)).ok()?.trim().parse::<u64>().ok();
    let root = rustix::process::geteuid().is_root();
    if number("/proc/sys/user/max_user_namespaces") == Some(0) {
        let fix = "sudo sysctl -w user.max_user_namespaces=15000";
        return Finding::bad(NAME, "switched off", Some(fix.to_owned()));
    }
    if !root && number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        let fix = "sudo sysctl -w kernel.unprivileged_userns_clone=1";
        return Finding::bad(NAME, "only for root", Some(fix.to_owned()));
    }
    if !root && number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        let fix = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
        return Finding::bad(NAME, "held back by AppArmor", Some(fix.to_owned()));
    }
    if !Path::new("/proc/self/ns/user").exists() {
        return Finding::bad(NAME, "this kernel has none", None);
    }
    Finding::good(NAME, "allowed")
}

/// What others need for images.
pub fn registry() -> Finding {
    Finding::good("registry tools", "none needed: aegisd pulls images itself, without skopeo or docker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_that_of_the_cpu() {
        assert_eq!(kvm_module("processor: 0\nflags\t\t: fpu svm sse\n"), Some("kvm_amd"));
        assert_eq!(kvm_module("flags : fpu vmx\n"), Some("kvm_intel"));
        assert_eq!(kvm_module("flags : fpu hypervisor\n"), None);
        assert_eq!(kvm_module(""), None);
    }

    #[test]
    fn the_lines_of_the_reference_are_there_in_its_order() {
        let names: Vec<&str> = of_the_reference(&Packages::here()).iter().map(|found| found.name).collect();
        assert_eq!(names, ["Go", "krunvm", "libkrun", "e2fsprogs"]);
        // Whatever this machine has, what is missing has a way out.
        for found in of_the_reference(&Packages::here()) {
            assert!(found.ok || found.fix.is_some(), "{found:?}");
        }
    }
}
