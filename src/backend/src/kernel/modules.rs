//! Which modules a guest needs, and the order in which they can be inserted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{KernelError, compression, elf};

/// What a guest can't do without: its disks, its control channel, its file systems, its network.
const NEEDED: &[&str] = &["virtio_mmio", "virtio_console", "virtio_blk", "erofs", "overlay", "ext4", "tun"];
/// Taken when it is there: the checksum that erofs and ext4 ask the kernel's crypto for by name, not by symbol.
const WELCOME: &[&str] = &["crc32c_generic"];

/// A module to insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

/// What is needed of a `lib/modules/RELEASE` directory, each after what it depends on.
pub(super) fn needed(directory: &Path) -> Result<Vec<Module>, KernelError> {
    let built_in = fs::read_to_string(directory.join("modules.builtin")).unwrap_or_default();
    let mut choice = Choice {
        directory,
        built_in: built_in.lines().filter_map(|line| name_of(Path::new(line))).collect(),
        files: files(directory),
        seen: BTreeSet::new(),
        chosen: Vec::new(),
    };
    for name in WELCOME {
        if choice.files.contains_key(*name) {
            choice.take(name)?;
        }
    }
    for name in NEEDED {
        choice.take(name)?;
    }
    Ok(choice.chosen)
}

struct Choice<'a> {
    directory: &'a Path,
    built_in: BTreeSet<String>,
    files: BTreeMap<String, PathBuf>,
    seen: BTreeSet<String>,
    chosen: Vec<Module>,
}

impl Choice<'_> {
    fn take(&mut self, name: &str) -> Result<(), KernelError> {
        // Marked before its dependencies, so that a circle ends.
        if self.built_in.contains(name) || !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let path = self.files.get(name).cloned().ok_or_else(|| {
            KernelError::unusable(self.directory, format!("the kernel has no module {name}"))
        })?;
        let packed = fs::read(&path).map_err(KernelError::io(&path))?;
        let content = compression::unpack(&packed).map_err(|reason| KernelError::unusable(&path, reason))?;
        for dependency in depends(&content) {
            self.take(&dependency)?;
        }
        self.chosen.push(Module { name: name.to_owned(), content });
        Ok(())
    }
}

/// What a module says that it depends on.
fn depends(module: &[u8]) -> Vec<String> {
    let info = elf::section(module, ".modinfo").unwrap_or_default();
    let line = info.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(b"depends="));
    let line = String::from_utf8_lossy(line.unwrap_or_default()).replace('-', "_");
    line.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// All modules below a directory by name. Files of one directory in the order of their names, without end through links.
fn files(directory: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(path);
            } else if let Some(name) = name_of(&path) {
                found.insert(name, path);
            }
        }
    }
    found
}

/// `virtio_rng` for `…/virtio-rng.ko.xz`: files and symbols write the same name in two ways.
fn name_of(path: &Path) -> Option<String> {
    let (name, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn tree(modules: &[(&str, &str)], built_in: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("kernel/drivers")).unwrap();
        for (name, info) in modules {
            let path = directory.path().join("kernel/drivers").join(name);
            fs::write(path, elf::tests::module(info)).unwrap();
        }
        fs::write(directory.path().join("modules.builtin"), built_in).unwrap();
        directory
    }

    #[test]
    fn each_comes_after_what_it_depends_on() {
        let directory = tree(
            &[
                ("virtio-mmio.ko", "license=GPL\0depends=virtio,virtio_ring\0"),
                ("virtio_console.ko", "depends=virtio_ring\0"),
                ("virtio_blk.ko", "depends=virtio-ring,virtio\0"),
                ("virtio_ring.ko", "depends=\0"),
                ("virtio.ko", "depends=virtio_ring\0"),
                ("erofs.ko", "depends=libcrc32c\0"),
                ("libcrc32c.ko", ""),
                ("overlay.ko", ""),
                ("other.ko", ""),
            ],
            "kernel/drivers/net/tun.ko\nkernel/fs/ext4/ext4.ko\n",
        );
        let names: Vec<String> = needed(directory.path()).unwrap().into_iter().map(|m| m.name).collect();
        assert_eq!(
            names.join(" "),
            "virtio_ring virtio virtio_mmio virtio_console virtio_blk libcrc32c erofs overlay"
        );
    }

    #[test]
    fn a_kernel_without_what_is_needed_is_refused_and_circles_end() {
        let directory = tree(
            &[("virtio_mmio.ko", "depends=virtio_mmio,virtio\0"), ("virtio.ko", "depends=virtio_mmio\0")],
            "",
        );
        let error = needed(directory.path()).unwrap_err().to_string();
        assert!(error.ends_with("the kernel has no module virtio_console"), "{error}");
    }
}
