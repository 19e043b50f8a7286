//! What layers do to each other, and hostile ones.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::AtomicBool,
};

use proptest::prelude::*;

use super::*;
use crate::{
    Digest, ImageError, Limits, Violation,
    build::{LayerSource, build},
    erofs::{Image, InodeKind},
    tar::writer::{Draft, Writer},
    tree::Xattrs,
};

/// Something in an image that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub mode: u16,
    pub owner: (u32, u32),
    pub time: (u64, u32),
    pub links: u32,
    pub xattrs: Xattrs,
    pub is: Is,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Is {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
}

/// All of an image, by path.
pub fn read_back(image: &Path) -> BTreeMap<String, Found> {
    let image = Image::open(File::open(image).unwrap()).unwrap();
    let mut all = BTreeMap::new();
    image
        .walk(|path, inode| {
            let mut content = Vec::new();
            if inode.kind != InodeKind::Directory {
                image.content(inode, |_, piece| {
                    content.extend_from_slice(piece);
                    Ok(())
                })?;
            }
            let is = match inode.kind {
                InodeKind::Directory => Is::Directory,
                InodeKind::File => Is::File(content),
                InodeKind::Symlink => Is::Symlink(content),
            };
            let attributes = &inode.attributes;
            let found = Found {
                mode: attributes.mode,
                owner: (attributes.uid, attributes.gid),
                time: (attributes.mtime, attributes.nanoseconds),
                links: inode.links,
                xattrs: attributes.xattrs.as_deref().cloned().unwrap_or_default(),
                is,
            };
            all.insert(String::from_utf8_lossy(path).into_owned(), found);
            Ok(())
        })
        .unwrap();
    all
}

pub fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::Plain => bytes.to_owned(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => {
            ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
        }
    }
}

/// The root file system of these layers, in a directory of its own.
pub fn build_layers(
    layers: &[Vec<u8>],
    limits: &Limits,
    compression: Compression,
) -> Result<Built, ImageError> {
    let directory = tempfile::tempdir().unwrap();
    let sources: Vec<LayerSource> = layers
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            let path = directory.path().join(format!("layer-{index}"));
            let blob = compress(layer, compression);
            std::fs::write(&path, &blob).unwrap();
            LayerSource {
                digest: Digest::of(&blob),
                path,
                size: blob.len() as u64,
                compression,
                stream_digest: Digest::of(layer),
            }
        })
        .collect();
    let path = directory.path().join("rootfs.erofs");
    let open = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let tails = tempfile::tempfile().unwrap();
    build(&Digest::of(b"manifest"), &sources, limits, (open, &path, tails), &AtomicBool::new(false))?;
    Ok(Built { _directory: directory, path })
}

/// An image, removed when it is dropped.
pub struct Built {
    _directory: tempfile::TempDir,
    pub path: std::path::PathBuf,
}

fn merged(layers: &[Writer]) -> BTreeMap<String, Found> {
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| layer.clone().finish()).collect();
    let built = build_layers(&layers, &Limits::default(), Compression::Plain).unwrap();
    read_back(&built.path)
}

/// The paths apart from those that every image has.
fn names(all: &BTreeMap<String, Found>) -> Vec<&str> {
    const ADDED: [&str; 11] = [
        "proc",
        "sys",
        "dev",
        "tmp",
        "run",
        "var",
        "workspace",
        "etc",
        "etc/resolv.conf",
        "etc/hosts",
        "etc/hostname",
    ];
    all.keys().map(String::as_str).filter(|name| !ADDED.contains(name)).collect()
}

fn refused(layers: &[Writer], limits: &Limits) -> Violation {
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| layer.clone().finish()).collect();
    match build_layers(&layers, limits, Compression::Gzip).map(|_| ()) {
        Err(ImageError::Refused(violation)) => *violation,
        other => panic!("{other:?}"),
    }
}

fn tar() -> Writer {
    Writer::default()
}

#[test]
fn every_image_has_places_to_mount_on() {
    let all = merged(&[tar()]);
    assert_eq!(names(&all), [""; 0]);
    assert_eq!(all["tmp"].mode, 0o1777);
    assert_eq!(all["etc/hosts"].is, Is::File(Vec::new()));

    let odd = tar()
        .symlink("run", "/somewhere")
        .file("workspace", "a file")
        .directory("etc")
        .symlink("etc/resolv.conf", "../run/resolv.conf")
        .file("etc/hosts", "mine")
        .entry(Draft::new(b'5', "tmp").mode(0o700), b"");
    let all = merged(&[odd]);
    assert_eq!(all["run"].is, Is::Directory);
    assert_eq!(all["workspace"].is, Is::Directory);
    assert_eq!(all["etc/resolv.conf"].is, Is::File(Vec::new()));
    assert_eq!(all["etc/hosts"].is, Is::File(b"mine".to_vec()));
    assert_eq!(all["tmp"].mode, 0o700, "what is right stays as it is");
}

#[test]
fn owners_modes_attributes_and_times_are_kept() {
    let draft = Draft::new(b'0', "su")
        .mode(0o6755)
        .owner(70_000, 80_000)
        .xattr("security.capability", b"\x01\0\0\x02")
        .xattr("user.note", b"x")
        .xattr("trusted.overlay.opaque", b"y")
        .xattr("odd.space", b"z")
        .pax("mtime", "1600000000.123456789");
    let all = merged(&[tar()
        .entry(draft, b"content")
        .hard_link("sudo", "su")
        .entry(Draft::new(b'5', "sticky").mode(0o1777).xattr("user.d", b"1"), b"")]);
    let su = &all["su"];
    assert_eq!((su.mode, su.owner, su.links), (0o6755, (70_000, 80_000), 2));
    assert_eq!(su.time, (1_600_000_000, 123_456_789));
    let kept: Vec<&[u8]> = su.xattrs.keys().map(|name| &**name).collect();
    assert_eq!(kept, [&b"security.capability"[..], b"user.note"]);
    assert_eq!(&all["sudo"], su);
    assert_eq!(all["sticky"].mode, 0o1777);
    assert_eq!(all["sticky"].xattrs.len(), 1);
}

#[test]
fn upper_layers_replace_remove_and_hide() {
    let lower =
        tar().file("a/one", "1").file("a/two", "2").file("b/deep/three", "3").file("c", "c").file("d/x", "x");
    let upper = tar()
        .file("a/.wh.one", "")
        .file("b/.wh..wh..opq", "")
        .file("b/new", "n")
        .file("c/inside", "a directory now")
        .file(".wh.d", "")
        .file("d/y", "y")
        .file(".wh.missing", "")
        .file("missing/.wh.missing", "")
        .file(".wh..wh.plnk/1.2", "")
        .file(".wh..wh.aufs", "");
    // `c` is a file below: an entry can't lead through it until it is a directory.
    let through = refused(&[lower.clone(), upper.clone()], &Limits::default());
    assert_eq!((through.layer, through.entry.as_deref()), (2, Some("c/inside")));
    assert_eq!(through.rule, "its path leads through a file");

    let upper = tar().directory("c").join(upper);
    let all = merged(&[lower, upper]);
    assert_eq!(names(&all), ["a", "a/two", "b", "b/new", "c", "c/inside", "d", "d/y"]);
}

#[test]
fn a_whiteout_spares_its_own_layer() {
    let all = merged(&[
        tar().file("d/old", "o").file("f", "1"),
        tar().file("d/new", "n").file(".wh.d", "").file("f", "2").file(".wh.f", ""),
    ]);
    assert_eq!(names(&all), ["d", "d/new", "f"]);
    let all = merged(&[tar().file("d/old", "o"), tar().file("d/new", "n").file("d/.wh..wh..opq", "")]);
    assert_eq!(names(&all), ["d", "d/new"]);
}

#[test]
fn a_file_takes_a_directorys_place_and_a_directory_keeps_its_content() {
    let all = merged(&[
        tar().file("d/x", "x").file("e/y", "y").symlink("bin", "usr/bin").file("usr/bin/sh", "sh"),
        tar().file("d", "file").entry(Draft::new(b'5', "e/").mode(0o700), b"").file("bin/ls", "ls"),
    ]);
    assert_eq!(all["d"].is, Is::File(b"file".to_vec()));
    assert_eq!((all["e"].mode, &all["e/y"].is), (0o700, &Is::File(b"y".to_vec())));
    // Through the link, within the root.
    assert_eq!(all["usr/bin/ls"].is, Is::File(b"ls".to_vec()));
}

#[test]
fn hard_links_share_one_inode_until_a_name_is_replaced() {
    let all = merged(&[
        tar().file("a", "shared").hard_link("b", "/a").hard_link("d/c", "./a").hard_link("a", "a"),
        tar().file("a", "new"),
    ]);
    assert_eq!((all["a"].links, all["b"].links, all["d/c"].links), (1, 2, 2));
    assert_eq!(all["b"].is, Is::File(b"shared".to_vec()));
}

#[test]
fn names_are_relative_to_the_root_however_they_are_written() {
    let all = merged(&[tar()
        .entry(Draft::new(b'5', "./").mode(0o700).owner(5, 6), b"")
        .file("/abs/file", "1")
        .file("./dot//file", "2")
        .symlink("abs/up", "../dot")
        .symlink("root", "/")
        .file("abs/up/more", "3")
        .file("root/root/top", "4")]);
    assert_eq!(names(&all), ["abs", "abs/file", "abs/up", "dot", "dot/file", "dot/more", "root", "top"]);
}

#[test]
fn hostile_layers_are_refused_by_layer_entry_and_rule() {
    let limits = Limits { total_bytes: 1 << 40, ..Limits::default() };
    let sparse =
        |size: &str| Draft::new(b'0', "bomb").pax("GNU.sparse.size", size).pax("GNU.sparse.map", "0,1");
    let cases: Vec<(Writer, &str, &str)> = vec![
        (tar().file("../evil", "x"), "../evil", "its name has .. in it"),
        (tar().file("a/../../evil", "x"), "a/../../evil", "its name has .. in it"),
        (tar().file("/../evil", "x"), "/../evil", "its name has .. in it"),
        (
            tar().hard_link("h", "../../etc/passwd"),
            "h",
            "its hard link's target is refused: its name has .. in it",
        ),
        (tar().hard_link("h", "/etc/passwd"), "h", "its hard link leads to nothing in the image"),
        (tar().directory("d").hard_link("h", "d"), "h", "its hard link leads to a directory"),
        (tar().directory("d").hard_link("h", "."), "h", "its hard link leads to nothing in the image"),
        (
            tar().symlink("s", "../../etc").file("s/cron.d", "x"),
            "s/cron.d",
            "a symbolic link on the way leads above the root",
        ),
        (
            tar().symlink("s", "/../etc").hard_link("h", "s/passwd"),
            "h",
            "its hard link's target is refused: a symbolic link on the way leads above the root",
        ),
        (
            tar().symlink("s", "s").file("s/x", "x"),
            "s/x",
            "its path leads through more than 40 symbolic links",
        ),
        (
            tar().symlink("s", "../..").file("s/.wh.x", ""),
            "s/.wh.x",
            "a symbolic link on the way leads above the root",
        ),
        (tar().file("/.wh.etc", ""), "/.wh.etc", "a whiteout has an absolute name"),
        (tar().file("/etc/.wh.passwd", ""), "/etc/.wh.passwd", "a whiteout has an absolute name"),
        (tar().file("a/.wh...", ""), "a/.wh...", "a whiteout names nothing that can be removed"),
        (tar().file(".wh.", ""), ".wh.", "a whiteout names nothing that can be removed"),
        (tar().file(".wh.a/b", ""), ".wh.a/b", "a whiteout is no directory"),
        (tar().entry(Draft::new(b'3', "dev/mem"), b""), "dev/mem", "it is a device"),
        (tar().entry(Draft::new(b'4', "dev/sda"), b""), "dev/sda", "it is a device"),
        (tar().entry(Draft::new(b'6', "pipe"), b""), "pipe", "it is a named pipe"),
        (tar().entry(Draft::new(b'V', "label"), b""), "label", "it is of the unknown type V"),
        (tar().symlink("s", ""), "s", "a symbolic link leads nowhere"),
        (tar().symlink("./", "/x"), "./", "the root can only be a directory"),
        (tar().file("x".repeat(256), ""), "", "a part of its name is longer than 255 bytes"),
        (tar().entry(sparse("1099511627776"), b"x"), "bomb", "it is larger than 8589934592 bytes"),
        (
            tar().entry(sparse("8589934592"), b"x").entry(sparse("8589934592"), b"x"),
            "bomb",
            "the image is larger than its disk",
        ),
    ];
    for (writer, entry, rule) in cases {
        let good = tar().file("ok", "fine");
        let violation = refused(&[good, writer], &limits);
        assert_eq!(violation.rule, rule, "{entry}");
        assert_eq!(violation.layer, 2);
        let named = violation.entry.unwrap();
        assert!(entry.is_empty() || named == entry, "{named} instead of {entry}");
    }
}

#[test]
fn bounds_hold_over_all_layers_together() {
    let small = Limits { entries: 3, total_bytes: 10, file_bytes: 6, path_bytes: 20, ..Limits::default() };
    let rule = |layers: &[Writer]| refused(layers, &small).rule;
    let one = tar().file("a", "12345");
    assert_eq!(rule(&[one.clone(), one.clone(), one.clone()]), "the image's files are larger than 10 bytes");
    assert_eq!(rule(&[tar().file("a", "1234567")]), "it is larger than 6 bytes");
    let many = tar().file("a", "").file("b", "");
    assert_eq!(rule(&[many.clone(), many]), "the image has more than 3 entries");
    assert_eq!(rule(&[tar().file("a/".repeat(11), "")]), "a name is longer than 20 bytes");
    let long =
        tar().directory("aaaaaaaa/bbbbbbbb").symlink("s", "aaaaaaaa/bbbbbbbb").file("s/cccccc/dd/e", "");
    assert_eq!(rule(&[long]), "its path is longer than 20 bytes once links are followed");
}

#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    let limits = Limits { ratio: 10, ratio_free_bytes: 1 << 20, ..Limits::default() };
    let layer = tar().file("zeros", vec![0; 4 << 20]).finish();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let error = build_layers(std::slice::from_ref(&layer), &limits, compression).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("layer 1 ("), "{error}");
        assert!(
            error.to_string().ends_with("it grows beyond 1048576 bytes when it is decompressed"),
            "{error}"
        );
    }
    assert!(build_layers(&[layer], &limits, Compression::Plain).is_ok());
}

#[test]
fn each_compression_is_read_and_others_than_promised_are_refused() {
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let layer = tar().file("numbers", &content).finish();
    for compression in [Compression::Plain, Compression::Gzip, Compression::Zstd] {
        let built = build_layers(std::slice::from_ref(&layer), &Limits::default(), compression).unwrap();
        assert!(read_back(&built.path)["numbers"].is == Is::File(content.clone()), "{compression:?}");
    }
}

#[test]
fn all_frames_of_zstd_are_read() {
    let bytes = tar().file("a", "1").finish();
    let (first, second) = bytes.split_at(700);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let parts =
        [skipped.clone(), compress(first, Compression::Zstd), skipped, compress(second, Compression::Zstd)];
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&parts.concat(), 0).unwrap();
    let (mut stream, compression) = open(file, 1 << 20).unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).unwrap();
    assert_eq!(compression, Compression::Zstd);
    assert!(read == bytes);
}

#[test]
fn content_that_a_later_layer_removes_takes_no_space() {
    use std::os::unix::fs::MetadataExt;
    let big = vec![7; 8 << 20];
    let layers = [tar().file("big", &big).finish(), tar().file(".wh.big", "").file("small", "s").finish()];
    let built = build_layers(&layers, &Limits::default(), Compression::Plain).unwrap();
    let metadata = std::fs::metadata(&built.path).unwrap();
    assert_eq!(metadata.len(), crate::ROOTFS_DISK_SIZE);
    assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks", metadata.blocks());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Bytes change anywhere, and the check sums of headers are made right again: what comes of it is read or refused.
    #[test]
    fn damaged_layers_are_read_or_refused(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let sparse = Draft::new(b'0', "sparse").pax("GNU.sparse.size", "9").pax("GNU.sparse.map", "0,2,5,3");
        let layer = tar()
            .directory("a")
            .entry(Draft::new(b'0', "a/b").xattr("user.x", "y").owner(1 << 30, 5), &[5; 700])
            .entry(sparse, b"12345")
            .symlink("l".repeat(120), "a")
            .hard_link("h", "a/b")
            .file("a/.wh.c", "");
        let mut bytes = layer.finish();
        let headers: Vec<usize> = (0..bytes.len() / 512).map(|block| block * 512).filter(|at| &bytes[at + 257..at + 262] == b"ustar").collect();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        for at in headers {
            let mut block: [u8; 512] = bytes[at..at + 512].try_into().unwrap();
            crate::tar::writer::sign(&mut block);
            bytes[at..at + 512].copy_from_slice(&block);
        }
        if let Ok(entries) = crate::merge_and_read(&[&bytes], &Limits::default()) {
            prop_assert!(entries >= 11);
        }
    }
}
