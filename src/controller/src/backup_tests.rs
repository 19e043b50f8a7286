//! A backup brings a controller back as a whole; anything less is refused and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{os::unix::fs::PermissionsExt, sync::Arc};

use aegis_store::Batch;

use super::*;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// A data directory with a store and two more files, and a backup of it.
fn backed_up() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    private_directory(&data.join("keys")).unwrap();
    fs::write(data.join("keys/signing.key"), [7; 32]).unwrap();
    fs::write(data.join(context::FILE), "token: t").unwrap();
    let store = Arc::new(LmdbStore::open(&data.join("store")).unwrap());
    let mut batch = Batch::new();
    batch.put("a", "1");
    store.commit(batch).wait().unwrap();
    let mut content = Vec::new();
    write(&*store, &data, now()).unwrap().read_to_end(&mut content).unwrap();
    let path = directory.path().join("backup.tar");
    fs::write(&path, content).unwrap();
    assert_eq!(fs::read_dir(&data).unwrap().count(), 3, "nothing is left of the work");
    (directory, path)
}

#[test]
fn a_restored_controller_has_everything_with_private_modes() {
    let (directory, backup) = backed_up();
    let data = directory.path().join("new");
    restore(&backup, &data).unwrap();
    assert_eq!(fs::read(data.join("keys/signing.key")).unwrap(), [7; 32]);
    assert_eq!(fs::read(data.join(context::FILE)).unwrap(), b"token: t");
    for (path, mode) in [("", 0o700), ("keys", 0o700), ("keys/signing.key", 0o600), (context::FILE, 0o600)] {
        assert_eq!(data.join(path).metadata().unwrap().permissions().mode() & 0o777, mode, "{path}");
    }
    let store = LmdbStore::open(&data.join("store")).unwrap();
    assert_eq!(store.get("a").unwrap().unwrap().value, b"1");
    assert!(store.revision().0 > 1 << 32, "what was read from the lost controller is never current");
}

#[test]
fn a_restore_overwrites_nothing() {
    let (directory, backup) = backed_up();
    let error = restore(&backup, &directory.path().join("data")).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty(_)), "{error}");
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    restore(&backup, &empty).unwrap();
}

#[test]
fn a_backup_that_was_cut_off_anywhere_restores_nothing() {
    let (directory, backup) = backed_up();
    let whole = fs::read(&backup).unwrap();
    let data = directory.path().join("new");
    for length in (0..whole.len()).step_by(512).filter(|length| whole.len() - length > 1024) {
        fs::write(&backup, &whole[..length]).unwrap();
        assert!(restore(&backup, &data).is_err(), "{length} of {}", whole.len());
        assert!(!data.exists());
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn what_doesnt_belong_into_a_backup_is_not_unpacked() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["../evil", "/tmp/evil", "keys/../../evil", "keys/.hidden", "store/lock.mdb", "keys/a/b"] {
        let mut archive = tar::Builder::new(Vec::new());
        let head =
            serde_json::to_vec(&Head { format: 1, version: String::new(), created_at: now() }).unwrap();
        for (name, content) in [(HEAD, head.as_slice()), (name, b"x")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            // Written by hand: the library refuses to make such an archive.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, content).unwrap();
        }
        let path = directory.path().join("backup.tar");
        fs::write(&path, archive.into_inner().unwrap()).unwrap();
        let error = restore(&path, &directory.path().join("new")).unwrap_err();
        assert!(error.to_string().contains("doesn't belong"), "{name}: {error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn a_newer_backup_is_refused() {
    let head = serde_json::to_vec(&Head { format: 2, version: String::new(), created_at: now() }).unwrap();
    assert!(matches!(check_head(&mut head.as_slice()), Err(BackupError::Newer(2))));
}
