//! What stays, what goes, and that nothing gets out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
};

use crate::{
    Digest, ImageError, ImageStore, Limits, Problem, RegistryConfig,
    layer::tests::read_back,
    tar::writer::{Draft, Writer},
};

async fn open(at: &Path) -> ImageStore {
    ImageStore::open(at.join("images"), Limits::default(), RegistryConfig::default()).await.unwrap()
}

async fn import(store: &ImageStore, at: &Path, tar: Writer) -> Digest {
    let path = at.join("import.tar");
    fs::write(&path, tar.finish()).unwrap();
    store.base_image(&path).await.unwrap()
}

/// All files below a directory, with what is in them.
fn snapshot(at: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut ahead = vec![at.to_owned()];
    while let Some(path) = ahead.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            ahead.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        all.insert(format!("{} {:o}", path.display(), metadata.mode()), content);
    }
    all
}

#[tokio::test]
async fn a_hostile_image_writes_nothing_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let surroundings = directory.path().join("outside");
    fs::create_dir_all(surroundings.join("etc")).unwrap();
    fs::write(surroundings.join("etc/passwd"), "root").unwrap();
    fs::set_permissions(&surroundings, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let home = surroundings.join("home");
    fs::create_dir(&home).unwrap();
    let store = open(&home).await;
    let tar = Writer::default;
    let outside = surroundings.display().to_string();
    let up = "../".repeat(8);
    let hostile = [
        tar().file(format!("{up}{outside}/evil"), "x"),
        tar().symlink("out", format!("{up}{outside}")).file("out/evil", "x"),
        tar().hard_link("passwd", format!("{up}{outside}/etc/passwd")).file("passwd", "x"),
        tar().hard_link("passwd", format!("{outside}/etc/passwd")).file("passwd", "x"),
        tar().symlink("a", "..").symlink("b", "a/..").file("b/evil", "x"),
        tar().entry(Draft::new(b'3', "dev/null"), b""),
        tar().file("/.wh.etc", ""),
    ];
    // What is no attack where there is a root: all of it stays within.
    let harmless = tar()
        .symlink("abs", &outside)
        .file("abs/etc/passwd", "mine")
        .file(format!("{outside}/etc/shadow"), "x");

    let before = snapshot(&surroundings.join("etc"));
    let count = fs::read_dir(&surroundings).unwrap().count();
    for tar in hostile {
        let digest = import(&store, directory.path(), tar).await;
        for outcome in [store.rootfs_image(&digest).await, store.rootfs_directory(&digest).await] {
            assert_eq!(outcome.unwrap_err().problem(), Problem::Refused);
        }
        for name in ["rootfs", "trees", "tmp"] {
            assert_eq!(fs::read_dir(home.join("images").join(name)).unwrap().count(), 0, "{name}");
        }
    }
    let digest = import(&store, directory.path(), harmless).await;
    let tree = store.rootfs_directory(&digest).await.unwrap();
    let within = tree.join(outside.trim_start_matches('/'));
    assert_eq!(fs::read(within.join("etc/passwd")).unwrap(), b"mine");
    assert_eq!(snapshot(&surroundings.join("etc")), before);
    assert_eq!(fs::read_dir(&surroundings).unwrap().count(), count);
}

#[tokio::test]
async fn the_directory_is_what_the_image_says() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let tar = Writer::default()
        .entry(Draft::new(b'0', "bin/su").mode(0o4755).owner(0, 5).xattr("user.note", "x"), b"su")
        .hard_link("bin/sudo", "bin/su")
        .symlink("lib", "/usr/lib")
        .entry(Draft::new(b'5', "closed").mode(0o500), b"")
        .entry(Draft::new(b'0', "closed/secret").mode(0o000).owner(7, 8).pax("mtime", "5.25"), &[9; 10_000]);
    let digest = import(&store, directory.path(), tar).await;
    let tree = store.rootfs_directory(&digest).await.unwrap();
    assert_eq!(store.rootfs_directory(&digest).await.unwrap(), tree);
    let image = read_back(&store.rootfs_image(&digest).await.unwrap());
    for (path, found) in &image {
        let metadata = fs::symlink_metadata(tree.join(path)).unwrap();
        assert_eq!(metadata.is_dir(), found.is == crate::layer::tests::Is::Directory, "{path}");
        assert_eq!(metadata.mtime(), i64::try_from(found.time.0).unwrap(), "{path}");
        if rustix::process::geteuid().is_root() && !metadata.is_symlink() {
            assert_eq!(metadata.mode() & 0o7777, u32::from(found.mode), "{path}");
            assert_eq!((metadata.uid(), metadata.gid()), found.owner, "{path}");
        }
    }
    for private in ["images/trees", "images/tmp"] {
        let mode = fs::metadata(directory.path().join(private)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700, "others could run what is set-user-id");
    }
    assert_eq!(fs::read_link(tree.join("lib")).unwrap(), Path::new("/usr/lib"));
    let inode = |path: &str| fs::metadata(tree.join(path)).unwrap().ino();
    assert_eq!(inode("bin/su"), inode("bin/sudo"));
    assert_eq!(snapshot(&tree).len(), image.len() + 1);
    store.remove(&digest, &BTreeSet::new()).await.unwrap();
    assert!(!tree.exists());
}

#[tokio::test]
async fn what_is_in_use_stays_and_shared_layers_stay_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let first = import(&store, directory.path(), Writer::default().file("a", vec![1; 100_000])).await;
    let second = import(&store, directory.path(), Writer::default().file("b", vec![2; 100_000])).await;
    let image = store.rootfs_image(&first).await.unwrap();
    let hold = store.hold(&first);
    let none = BTreeSet::new();
    for in_use in [none.clone(), BTreeSet::from([first])] {
        assert!(matches!(store.remove(&first, &in_use).await, Err(ImageError::InUse(_))));
    }
    let freed = store.prune(&none).await.unwrap();
    assert_eq!(freed.count, 1);
    assert!(freed.bytes >= 100_000);
    assert!(store.get(&second).await.is_err());
    assert!(image.exists());
    drop(hold);
    assert_eq!(store.prune(&BTreeSet::from([first])).await.unwrap().count, 0);
    let freed = store.remove(&first, &none).await.unwrap();
    assert_eq!(freed.count, 1);
    assert!(freed.bytes >= 200_000, "blob and image");
    assert!(!image.exists());
    assert!(matches!(store.remove(&first, &none).await, Err(ImageError::Unknown(_))));
    assert!(matches!(store.rootfs_image(&first).await, Err(ImageError::Unknown(_))));
    let blobs = directory.path().join("images/blobs/sha256");
    assert_eq!(fs::read_dir(blobs).unwrap().count(), 0);
}

#[tokio::test]
async fn a_store_is_found_again_and_what_was_half_made_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let digest = import(&store, directory.path(), Writer::default().file("a", "a")).await;
    let path = store.rootfs_image(&digest).await.unwrap();
    drop(store);
    let images = directory.path().join("images");
    fs::create_dir_all(images.join("tmp/half/tree")).unwrap();
    fs::write(images.join("tmp/half-made"), "x").unwrap();
    // An image of an older writer, and a blob of a pull that never ended.
    let old = images.join("rootfs").join(format!("{}.v0.erofs", Digest::of(b"old").hex()));
    fs::write(&old, "x").unwrap();
    let orphan = images.join("blobs/sha256").join(Digest::of(b"orphan").hex());
    fs::write(&orphan, "orphan").unwrap();

    let store = open(directory.path()).await;
    assert_eq!(fs::read_dir(images.join("tmp")).unwrap().count(), 0);
    assert_eq!(store.rootfs_image(&digest).await.unwrap(), path);
    store.prune(&BTreeSet::from([digest])).await.unwrap();
    assert!(!old.exists() && !orphan.exists() && path.exists());
}

#[tokio::test]
async fn a_layer_that_the_disk_damaged_is_brought_anew() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let tar = Writer::default().file("a", vec![1; 10_000]);
    let digest = import(&store, directory.path(), tar.clone()).await;
    let layer = store.get(&digest).await.unwrap().layers[0].digest;
    let blob = directory.path().join("images/blobs/sha256").join(layer.hex());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let error = store.rootfs_image(&digest).await.unwrap_err().to_string();
    assert!(error.contains("is damaged on this disk; pull the image again"), "{error}");
    assert_eq!(import(&store, directory.path(), tar).await, digest);
    store.rootfs_image(&digest).await.unwrap();
}

/// A file system of two megabytes, gone when it is dropped; none where this process may not mount.
struct Small(tempfile::TempDir);

impl Small {
    fn new() -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(at.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Needs root for a file system that is full soon; says so without.
#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing_half_made() {
    let Some(small) = Small::new() else {
        println!("not checked: mounting a small file system needs root");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let store = open(small.0.path()).await;
    let noise = |size: u32| -> Vec<u8> {
        (0..size).flat_map(|at| (at.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
    };
    let path = directory.path().join("large.tar");
    fs::write(&path, Writer::default().file("large", noise(1 << 20)).finish()).unwrap();
    let error = store.base_image(&path).await.unwrap_err();
    assert_eq!(
        (error.problem(), error.hint().as_deref()),
        (Problem::Full, Some("aegis image prune")),
        "{error}"
    );
    // A layer that fits, whose image doesn't any more.
    let digest = import(&store, directory.path(), Writer::default().file("half", noise(300 << 10))).await;
    assert_eq!(store.rootfs_image(&digest).await.unwrap_err().problem(), Problem::Full);
    for name in ["tmp", "rootfs"] {
        assert_eq!(fs::read_dir(small.0.path().join("images").join(name)).unwrap().count(), 0, "{name}");
    }
    assert_eq!(store.prune(&BTreeSet::new()).await.unwrap().count, 1);
}
