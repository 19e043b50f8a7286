//! What a VM boots: a `vmlinux` and an initramfs, made of the guest assets and kept by their content.
//!
//! The assets are a directory with `aegis-harness` and `kernel/`: a Debian kernel package unpacked, or a `vmlinux` with
//! everything built in. The initramfs has the harness as `/init` and the modules that the kernel lacks in the order in
//! which they can be inserted; [`cpio::token`] makes the piece that is put behind it at each boot.

mod compression;
pub mod cpio;
mod elf;
mod modules;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Why there is nothing to boot.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file isn't there or can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The assets have no kernel or no harness.
    #[error("{} has no {missing}", assets.display())]
    Missing {
        /// Where the assets are.
        assets: PathBuf,
        /// What isn't there.
        missing: &'static str,
    },
    /// A file isn't what it should be.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl KernelError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    fn unusable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unusable { path: path.to_owned(), reason: reason.into() }
    }
}

/// How a kernel finds its virtio devices on the machine without PCI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// By ACPI tables: what distributions' kernels know.
    Acpi,
    /// By its command line (`CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES`): quicker, as no tables are read.
    CommandLine,
}

/// Something to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestKernel {
    /// An ELF kernel with a PVH entry.
    pub vmlinux: PathBuf,
    /// Harness and modules, without a token.
    pub initramfs: PathBuf,
    /// Names both by their content.
    pub digest: String,
    /// How it finds its devices.
    pub discovery: Discovery,
}

/// Makes sure that `cache` has what the assets boot, and nothing older.
pub fn prepare(assets: &Path, cache: &Path) -> Result<GuestKernel, KernelError> {
    let source = Source::find(assets)?;
    let harness_path = assets.join("aegis-harness");
    if !harness_path.exists() {
        return Err(KernelError::Missing { assets: assets.to_owned(), missing: "aegis-harness" });
    }
    fs::create_dir_all(cache).map_err(KernelError::io(cache))?;
    let image = read(&source.kernel)?;
    let kernel_digest = digest(&image);
    let vmlinux = cache.join(format!("vmlinux-{kernel_digest}"));
    if !vmlinux.exists() {
        let kernel =
            compression::vmlinux(&image).map_err(|reason| KernelError::unusable(&source.kernel, reason))?;
        if !elf::has_pvh_entry(&kernel) {
            return Err(KernelError::unusable(&source.kernel, "it has no PVH entry (CONFIG_PVH)"));
        }
        publish(&vmlinux, &kernel)?;
    }
    let modules = source.modules.as_deref().map_or(Ok(Vec::new()), modules::needed)?;
    let initramfs_content = initramfs(&read(&harness_path)?, &modules);
    let initramfs_digest = digest(&initramfs_content);
    let initramfs = cache.join(format!("initramfs-{initramfs_digest}"));
    if !initramfs.exists() {
        publish(&initramfs, &initramfs_content)?;
    }
    forget_others(cache, &[&vmlinux, &initramfs]);
    Ok(GuestKernel {
        vmlinux,
        initramfs,
        digest: format!("{kernel_digest}-{initramfs_digest}"),
        discovery: source.discovery,
    })
}

/// How the assets' kernel finds its devices. None: there is no kernel.
pub fn discovery(assets: &Path) -> Option<Discovery> {
    Source::find(assets).ok().map(|source| source.discovery)
}

/// A file that passes for a kernel.
#[cfg(test)]
pub(crate) fn tests_kernel() -> Vec<u8> {
    elf::tests::kernel_with_pvh()
}

/// Where the kernel is in the assets.
#[derive(Debug)]
struct Source {
    kernel: PathBuf,
    modules: Option<PathBuf>,
    discovery: Discovery,
}

impl Source {
    fn find(assets: &Path) -> Result<Self, KernelError> {
        let root = assets.join("kernel");
        let whole = root.join("vmlinux");
        if whole.exists() {
            return Ok(Self { kernel: whole, modules: None, discovery: Discovery::CommandLine });
        }
        let boot = root.join("boot");
        let kernel = newest(&boot, "vmlinuz-")
            .ok_or_else(|| KernelError::Missing { assets: assets.to_owned(), missing: "kernel" })?;
        let release = kernel.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let release = release.trim_start_matches("vmlinuz-");
        let config = fs::read_to_string(boot.join(format!("config-{release}"))).unwrap_or_default();
        let by_command_line = config.lines().any(|line| line == "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y");
        let modules = ["lib/modules", "usr/lib/modules"].map(|at| root.join(at).join(release)).into_iter();
        Ok(Self {
            modules: modules.into_iter().find(|path| path.exists()),
            discovery: if by_command_line { Discovery::CommandLine } else { Discovery::Acpi },
            kernel,
        })
    }
}

/// The file with the greatest name of those that begin so.
fn newest(directory: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let begins = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
    };
    entries.map(|entry| entry.path()).filter(begins).max()
}

fn initramfs(harness: &[u8], modules: &[modules::Module]) -> Vec<u8> {
    let mut archive = cpio::Archive::default();
    // The kernel opens it before the harness runs, for what PID 1 says before it has a channel.
    archive.directory("dev");
    archive.character_device("dev/console", 0o600, 5, 1);
    archive.file("init", 0o755, harness);
    archive.directory("modules");
    for (number, module) in modules.iter().enumerate() {
        archive.file(&format!("modules/{number:02}-{}.ko", module.name), 0o644, &module.content);
    }
    archive.finish()
}

/// A digest short enough for a file's name.
fn digest(content: &[u8]) -> String {
    blake3::hash(content).to_hex()[..32].to_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, KernelError> {
    fs::read(path).map_err(KernelError::io(path))
}

/// Writes a file that is there whole or not at all.
fn publish(path: &Path, content: &[u8]) -> Result<(), KernelError> {
    let half = path.with_extension(format!("{}.half", std::process::id()));
    fs::write(&half, content).map_err(KernelError::io(&half))?;
    // QEMU runs as nobody, and opens it by the file that it inherits.
    fs::set_permissions(&half, fs::Permissions::from_mode(0o644)).map_err(KernelError::io(&half))?;
    fs::rename(&half, path).map_err(KernelError::io(path))
}

/// Removes kernels of earlier assets. Machines that run have read theirs.
fn forget_others(cache: &Path, kept: &[&Path]) {
    for entry in fs::read_dir(cache).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if !kept.contains(&path.as_path()) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn assets_without_parts_are_told_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let (assets, cache) = (directory.path().join("guest"), directory.path().join("cache"));
        let missing = |result: Result<GuestKernel, KernelError>| result.unwrap_err().to_string();
        assert!(missing(prepare(&assets, &cache)).ends_with("guest has no kernel"));
        fs::create_dir_all(assets.join("kernel")).unwrap();
        fs::write(assets.join("kernel/vmlinux"), b"no kernel").unwrap();
        assert!(missing(prepare(&assets, &cache)).ends_with("guest has no aegis-harness"));
        fs::write(assets.join("aegis-harness"), b"harness").unwrap();
        assert!(missing(prepare(&assets, &cache)).contains("kernel/vmlinux: it is no Linux kernel"));
    }

    #[test]
    fn a_kernel_is_made_once_and_what_is_older_goes() {
        let directory = tempfile::tempdir().unwrap();
        let (assets, cache) = (directory.path().join("guest"), directory.path().join("cache"));
        fs::create_dir_all(assets.join("kernel")).unwrap();
        fs::write(assets.join("kernel/vmlinux"), elf::tests::kernel_with_pvh()).unwrap();
        fs::write(assets.join("aegis-harness"), b"one").unwrap();
        let first = prepare(&assets, &cache).unwrap();
        assert_eq!(first.discovery, Discovery::CommandLine);
        assert_eq!(prepare(&assets, &cache).unwrap(), first);
        fs::write(assets.join("aegis-harness"), b"two").unwrap();
        let second = prepare(&assets, &cache).unwrap();
        assert_eq!(second.vmlinux, first.vmlinux);
        assert_ne!(second.digest, first.digest);
        assert!(second.initramfs.exists() && !first.initramfs.exists());
    }
}
