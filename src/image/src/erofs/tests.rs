//! Images, read back by our own reader, by the kernel's, and checked by erofs-utils.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    process::Command,
};

use proptest::prelude::*;

use crate::{
    Limits, ROOTFS_DISK_SIZE,
    layer::{
        Compression,
        tests::{Built, Found, Is, build_layers, read_back},
    },
    tar::writer::{Draft, Writer},
    tree::Xattrs,
};

fn build(layers: &[Writer]) -> Built {
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| layer.clone().finish()).collect();
    build_layers(&layers, &Limits::default(), Compression::Plain).unwrap()
}

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap() ^ seed).collect()
}

/// Everything whose length is near a bound of the format.
fn everything() -> Writer {
    let mut tar = Writer::default();
    for length in
        [0, 1, 31, 32, 4_000, 4_031, 4_032, 4_033, 4_064, 4_095, 4_096, 4_097, 8_128, 8_191, 8_192, 300_000]
    {
        tar = tar.file(format!("files/{length}"), bytes(length, 1));
    }
    for length in [1, 100, 4_000, 4_032, 4_033, 4_095] {
        tar = tar.symlink(format!("links/{length}"), "t".repeat(length));
    }
    for at in 0..3_000 {
        tar = tar.file(format!("many/{}-{at}", "n".repeat(at % 200)), "");
    }
    for length in 1..=255 {
        tar = tar.file(format!("names/{}", "x".repeat(length)), "");
    }
    // What sorts before the dot.
    for name in ["!", "+", "-", "...", "..a", "\u{fc}", "A", "~"] {
        tar = tar.file(format!("order/{name}"), name);
    }
    for length in [0, 1, 1_000, 3_900, 4_100, 60_000] {
        let draft = Draft::new(b'0', format!("xattrs/{length}")).xattr("user.long", bytes(length, 2));
        tar = tar.entry(draft.xattr("security.short", "s"), &bytes(5_000, 3));
    }
    let acl =
        b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x04\0\x04\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";
    tar = tar.entry(Draft::new(b'0', "xattrs/acl").xattr("system.posix_acl_access", acl), b"");
    tar = tar.entry(Draft::new(b'5', "xattrs/dir").xattr("user.d", "1").xattr("trusted.t", "2"), b"");
    tar = tar.entry(Draft::new(b'2', "xattrs/link").link("x").xattr("trusted.l", "3"), b"");
    tar = tar.entry(
        Draft::new(b'0', "odd").mode(0o7777).owner(65_535, 65_536).pax("mtime", "4294967296.999999999"),
        b"odd",
    );
    tar = tar.file("linked", "l");
    for at in 0..500 {
        tar = tar.hard_link(format!("hard/{at}"), "linked");
    }
    let deep: Vec<String> = (0..300).map(|_| "deep".to_owned()).collect();
    tar.file(format!("{}/file", deep.join("/")), "at the end")
}

/// What `std` sees below a directory: of a mount, what the kernel says.
fn seen(root: &Path) -> BTreeMap<String, Found> {
    fn visit(root: &Path, path: &Path, all: &mut BTreeMap<String, Found>) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let is = if metadata.is_dir() {
                visit(root, &path, all);
                Is::Directory
            } else if metadata.is_symlink() {
                Is::Symlink(fs::read_link(&path).unwrap().as_os_str().as_bytes().to_owned())
            } else {
                Is::File(fs::read(&path).unwrap())
            };
            let found = Found {
                mode: u16::try_from(metadata.mode() & 0o7777).unwrap(),
                owner: (metadata.uid(), metadata.gid()),
                time: (
                    u64::try_from(metadata.mtime()).unwrap(),
                    u32::try_from(metadata.mtime_nsec()).unwrap(),
                ),
                links: u32::try_from(metadata.nlink()).unwrap(),
                xattrs: xattrs(&path),
                is,
            };
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
            all.insert(String::from_utf8_lossy(name).into_owned(), found);
        }
    }
    let mut all = BTreeMap::new();
    visit(root, root, &mut all);
    all
}

fn xattrs(path: &Path) -> Xattrs {
    let mut names = vec![0; 65_536];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Err(rustix::io::Errno::NOTSUP) => 0,
        length => length.unwrap(),
    };
    let value = |name: &[u8]| {
        let mut value = vec![0; 65_536];
        let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
        value[..length].into()
    };
    names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| (name.into(), value(name)))
        .collect()
}

/// Mounted as long as it lives.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// None where this process may not mount: the test then has nothing to say.
    fn new(image: &Path) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let mount =
            Command::new("mount").args(["-t", "erofs", "-o", "loop,ro"]).arg(image).arg(at.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(at)),
            Ok(output) => {
                let kernel_has_it = fs::read_to_string("/proc/filesystems").unwrap().contains("erofs");
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let may_not = said.contains("permission") || said.contains("loop");
                assert!(!kernel_has_it || may_not, "the kernel refuses the image: {said}");
                None
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::NotFound);
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Needs root, loop devices and a kernel with EROFS; says so where they are missing.
#[test]
fn the_kernel_sees_what_was_written() {
    let built = build(&[everything()]);
    let ours = read_back(&built.path);
    assert!(ours.len() > 4_000);
    let Some(mounted) = Mounted::new(&built.path) else {
        println!("not checked: mounting an EROFS image needs root, a loop device and a kernel with EROFS");
        return;
    };
    let kernels = seen(mounted.0.path());
    assert_eq!(ours.keys().collect::<BTreeSet<_>>(), kernels.keys().collect::<BTreeSet<_>>());
    for (path, found) in &kernels {
        assert!(ours[path] == *found, "{path}: {found:?}");
    }
}

#[test]
fn erofs_utils_find_nothing_wrong() {
    let built = build(&[everything()]);
    // A file as long as the disk makes it read 16 GiB of nothing.
    let used = fs::File::options().write(true).open(&built.path).unwrap();
    used.set_len(64 << 20).unwrap();
    match Command::new("fsck.erofs").arg(&built.path).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("not checked: erofs-utils isn't installed");
        }
        output => {
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn the_same_layers_make_the_same_image_as_long_as_its_disk() {
    let digest = |built: &Built| {
        let file = fs::File::open(&built.path).unwrap();
        assert_eq!(file.metadata().unwrap().len(), ROOTFS_DISK_SIZE);
        let mut start = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, 16 << 20), &mut start).unwrap();
        crate::Digest::of(&start)
    };
    assert_eq!(digest(&build(&[everything()])), digest(&build(&[everything()])));
}

#[derive(Debug, Clone)]
enum Step {
    File { path: String, length: usize, seed: u8, mode: u32, uid: u64, time: u64, xattr: usize },
    Directory { path: String, mode: u32 },
    Symlink { path: String, length: usize },
    HardLink { path: String, to: usize },
    Whiteout { path: String },
    Opaque { path: String },
}

fn paths() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just("a"), Just("b"), Just("c-long-name-of-a-thing"), Just("d.e")],
        1..4,
    )
    .prop_map(|names| names.join("/"))
}

fn steps() -> impl Strategy<Value = Step> {
    let lengths = prop_oneof![0..50_usize, 4_000..4_200_usize, 0..20_000_usize];
    prop_oneof![
        4 => (paths(), lengths, any::<u8>(), 0..0o10000_u32, prop_oneof![0..10_u64, 60_000..70_000_u64], 0..3_u64, 0..3_000_usize)
            .prop_map(|(path, length, seed, mode, uid, time, xattr)| {
                Step::File { path, length, seed, mode, uid, time, xattr: if xattr < 2_000 { 0 } else { xattr } }
            }),
        2 => (paths(), 0..0o10000_u32).prop_map(|(path, mode)| Step::Directory { path, mode }),
        1 => (paths(), 1..4_095_usize).prop_map(|(path, length)| Step::Symlink { path, length }),
        1 => (paths(), any::<usize>()).prop_map(|(path, to)| Step::HardLink { path, to }),
        1 => paths().prop_map(|path| Step::Whiteout { path }),
        1 => paths().prop_map(|path| Step::Opaque { path }),
    ]
}

/// What the layers should come to, by paths alone: another way to say what the tree does.
#[derive(Default)]
struct Model {
    all: BTreeMap<String, (usize, u64, Found)>,
    next: u64,
}

impl Model {
    fn put(&mut self, layer: usize, path: &str, inode: Option<u64>, found: Found) {
        let mut parent = String::new();
        let names: Vec<&str> = path.split('/').collect();
        for name in &names[..names.len() - 1] {
            parent = if parent.is_empty() { (*name).to_owned() } else { format!("{parent}/{name}") };
            if !self.all.contains_key(&parent) {
                self.next += 1;
                self.all.insert(parent.clone(), (layer, self.next, directory(0o755, 0)));
            }
        }
        if found.is != Is::Directory {
            self.all.retain(|known, _| !known.starts_with(&format!("{path}/")));
        }
        self.next += 1;
        self.all.insert(path.to_owned(), (layer, inode.unwrap_or(self.next), found));
    }

    /// Whether a path leads through something that is no directory.
    fn is_blocked(&self, path: &str) -> bool {
        path.match_indices('/')
            .any(|(at, _)| self.all.get(&path[..at]).is_some_and(|(_, _, found)| found.is != Is::Directory))
    }

    fn remove(&mut self, layer: usize, matches: impl Fn(&str) -> bool) {
        let newer: Vec<String> =
            self.all.iter().filter(|(_, known)| known.0 == layer).map(|(path, _)| path.clone()).collect();
        let is_kept =
            |path: &str| newer.iter().any(|newer| newer == path || newer.starts_with(&format!("{path}/")));
        self.all.retain(|path, _| !matches(path) || is_kept(path));
    }

    fn finish(self) -> BTreeMap<String, Found> {
        let mut names: BTreeMap<u64, u32> = BTreeMap::new();
        for (_, inode, _) in self.all.values() {
            *names.entry(*inode).or_default() += 1;
        }
        let is_child = |parent: &str, path: &str| {
            path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/') && !rest[1..].contains('/'))
        };
        let links = |path: &str, inode: u64, found: &Found| match found.is {
            Is::Directory => {
                let within = self
                    .all
                    .iter()
                    .filter(|(child, known)| known.2.is == Is::Directory && is_child(path, child));
                2 + u32::try_from(within.count()).unwrap()
            }
            _ => names[&inode],
        };
        let all = self.all.iter();
        all.map(|(path, (_, inode, found))| {
            (path.clone(), Found { links: links(path, *inode, found), ..found.clone() })
        })
        .collect()
    }
}

fn directory(mode: u16, time: u64) -> Found {
    Found { mode, owner: (0, 0), time: (time, 0), links: 0, xattrs: Xattrs::new(), is: Is::Directory }
}

fn apply(model: &mut Model, tar: Writer, layer: usize, step: Step) -> Writer {
    match step {
        Step::File { path, .. }
        | Step::Directory { path, .. }
        | Step::Symlink { path, .. }
        | Step::HardLink { path, .. }
        | Step::Whiteout { path }
        | Step::Opaque { path }
            if model.is_blocked(&path) =>
        {
            tar
        }
        Step::File { path, length, seed, mode, uid, time, xattr } => {
            let mut draft = Draft::new(b'0', &path).mode(mode).owner(uid, uid + 1);
            draft.mtime = time;
            let mut xattrs = Xattrs::new();
            if xattr > 0 {
                draft = draft.xattr("user.x", bytes(xattr, seed));
                xattrs.insert(b"user.x"[..].into(), bytes(xattr, seed).into());
            }
            let uid = u32::try_from(uid).unwrap();
            let content = bytes(length, seed);
            let is = Is::File(content.clone());
            let mode = u16::try_from(mode).unwrap();
            model.put(
                layer,
                &path,
                None,
                Found { mode, owner: (uid, uid + 1), time: (time, 0), links: 0, xattrs, is },
            );
            tar.entry(draft, &content)
        }
        Step::Directory { path, mode } => {
            model.put(layer, &path, None, directory(u16::try_from(mode).unwrap(), 1_700_000_000));
            tar.entry(Draft::new(b'5', path).mode(mode), b"")
        }
        Step::Symlink { path, length } => {
            let target = "t".repeat(length);
            let is = Is::Symlink(target.clone().into_bytes());
            model.put(layer, &path, None, Found { is, mode: 0o777, ..directory(0, 1_700_000_000) });
            tar.symlink(path, target)
        }
        Step::HardLink { path, to } => {
            let targets: Vec<&String> = model
                .all
                .iter()
                .filter(|(_, known)| matches!(known.2.is, Is::File(_)))
                .map(|(path, _)| path)
                .collect();
            if targets.is_empty() {
                return tar;
            }
            let target = targets[to % targets.len()].clone();
            // A link in place of a directory that holds its target.
            if target.starts_with(&format!("{path}/")) {
                return tar;
            }
            let (_, inode, found) = model.all[&target].clone();
            model.put(layer, &path, Some(inode), found);
            tar.hard_link(path, target)
        }
        Step::Whiteout { path } => {
            model.remove(layer, |known| known == path || known.starts_with(&format!("{path}/")));
            let (parent, name) = path.rsplit_once('/').unwrap_or((".", &path));
            tar.file(format!("{parent}/.wh.{name}"), "")
        }
        Step::Opaque { path } => {
            if model.all.get(&path).is_some_and(|(_, _, found)| found.is != Is::Directory) {
                return tar;
            }
            model.remove(layer, |known| known.starts_with(&format!("{path}/")));
            tar.file(format!("{path}/.wh..wh..opq"), "")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 2_000 }))]

    /// Random trees become layers, are merged, written and read back.
    #[test]
    fn what_is_read_back_is_what_the_layers_say(layers in proptest::collection::vec(proptest::collection::vec(steps(), 0..25), 1..4)) {
        let mut model = Model::default();
        let mut streams = Vec::new();
        for (layer, steps) in layers.into_iter().enumerate() {
            let tar = steps.into_iter().fold(Writer::default(), |tar, step| apply(&mut model, tar, layer, step));
            streams.push(tar);
        }
        let built = build(&streams);
        let mut found = read_back(&built.path);
        found.retain(|path, _| ["a", "b", "c", "d.e"].iter().any(|name| path.starts_with(name)));
        let wanted = model.finish();
        prop_assert_eq!(wanted.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
        for (path, wanted) in &wanted {
            prop_assert!(found[path] == *wanted, "{}: {:?} instead of {:?}", path, found[path].links, wanted.links);
        }
    }
}
