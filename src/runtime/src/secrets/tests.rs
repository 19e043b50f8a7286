//! What is sealed stays so, and opens only where it belongs.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use aegis_store::{MemoryStore, Revision};

use super::*;

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::with_change_rows(100))
}

fn secrets(directory: &Path, store: &Arc<dyn Store>) -> Result<Secrets, SecretError> {
    Secrets::open(directory.join("master.key"), store.clone())
}

fn put(secrets: &Secrets, scope: Scope<'_>, name: &str, value: &str) {
    let mut batch = Batch::new();
    secrets.put(&mut batch, scope, name, value).unwrap();
    secrets.store.commit(batch).wait().unwrap();
}

fn value(secrets: &Secrets, scope: Scope<'_>, name: &str) -> Option<String> {
    secrets.values(scope).unwrap().get(name).map(|value| value.to_string())
}

#[test]
fn values_come_back_by_scope_and_stand_nowhere_in_clear() {
    let (directory, store) = (tempfile::tempdir().unwrap(), store());
    let secrets = secrets(directory.path(), &store).unwrap();
    put(&secrets, Scope::Workspace, "TOKEN", "hunter2-workspace");
    put(&secrets, Scope::App("app-1"), "TOKEN", "hunter2-app");
    assert_eq!(value(&secrets, Scope::Workspace, "TOKEN").unwrap(), "hunter2-workspace");
    assert_eq!(value(&secrets, Scope::App("app-1"), "TOKEN").unwrap(), "hunter2-app");
    assert_eq!(secrets.names(Scope::App("app-1")).unwrap(), ["TOKEN"]);
    for entry in store.list("").unwrap() {
        assert!(!entry.value.windows(7).any(|bytes| bytes == b"hunter2"), "{}", entry.key);
    }
    let mode = fs::metadata(directory.path().join("master.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn rows_that_were_swapped_are_refused() {
    let (directory, store) = (tempfile::tempdir().unwrap(), store());
    let kept = secrets(directory.path(), &store).unwrap();
    put(&kept, Scope::Workspace, "A", "for everybody");
    put(&kept, Scope::App("app-1"), "A", "for app 1");
    put(&kept, Scope::App("app-1"), "B", "for app 1, too");
    let row = |name: &str| store.get(name).unwrap().unwrap().value;
    for (from, to) in [
        ("run/sealed/app/app-1/A", "run/sealed/workspace/A"),
        ("run/sealed/app/app-1/A", "run/sealed/app/app-2/A"),
        ("run/sealed/app/app-1/A", "run/sealed/app/app-1/B"),
    ] {
        let before = store.get(to).unwrap();
        let mut batch = Batch::new();
        batch.put(to, row(from));
        store.commit(batch).wait().unwrap();
        let error = secrets(directory.path(), &store).unwrap_err();
        assert!(matches!(&error, SecretError::CannotOpen { row } if row == to), "{error}");
        let mut batch = Batch::new();
        match before {
            Some(entry) => batch.put(to, entry.value),
            None => batch.delete(to),
        };
        store.commit(batch).wait().unwrap();
    }
}

#[test]
fn a_lost_or_wrong_key_is_refused_and_nothing_is_overwritten() {
    let (directory, store) = (tempfile::tempdir().unwrap(), store());
    let path = directory.path().join("master.key");
    put(&secrets(directory.path(), &store).unwrap(), Scope::Workspace, "A", "1");
    let key = fs::read(&path).unwrap();

    fs::remove_file(&path).unwrap();
    assert!(matches!(secrets(directory.path(), &store), Err(SecretError::KeyLost { rows: 1, .. })));
    assert!(!path.exists(), "no new key is made");

    fs::write(&path, &key[..31]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(secrets(directory.path(), &store), Err(SecretError::KeyLength { length: 31, .. })));
    assert_eq!(fs::read(&path).unwrap().len(), 31);

    fs::write(&path, [7; 32]).unwrap();
    assert!(matches!(secrets(directory.path(), &store), Err(SecretError::CannotOpen { .. })));

    fs::write(&path, &key).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(secrets(directory.path(), &store), Err(SecretError::KeyMode { mode: 0o640, .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(value(&secrets(directory.path(), &store).unwrap(), Scope::Workspace, "A").unwrap(), "1");
}

#[test]
fn rotation_seals_everything_anew_and_ends_after_a_crash() {
    let (directory, store) = (tempfile::tempdir().unwrap(), store());
    let path = directory.path().join("master.key");
    let kept = secrets(directory.path(), &store).unwrap();
    put(&kept, Scope::Workspace, "A", "1");
    put(&kept, Scope::App("app-1"), "B", "2");
    let (old, rows) = (fs::read(&path).unwrap(), store.list("run/sealed/").unwrap());
    assert_eq!(kept.rotate().unwrap(), 3);
    assert_ne!(fs::read(&path).unwrap(), old);
    assert_eq!(value(&kept, Scope::App("app-1"), "B").unwrap(), "2");
    let new = fs::read(&path).unwrap();

    // Killed before the rows were written: both keys are there, the rows are the old ones.
    let restore = |key: &[u8], next: Option<&[u8]>, rows: &[aegis_store::Entry]| {
        crate::home::write_private(&path, key).unwrap();
        if let Some(next) = next {
            crate::home::write_private(&super::rotate::next_path(&path), next).unwrap();
        }
        let mut batch = Batch::new();
        for row in rows {
            batch.put(&row.key, row.value.clone());
        }
        store.commit(batch).wait().unwrap();
    };
    let resealed = store.list("run/sealed/").unwrap();
    restore(&old, Some(&new), &rows);
    let again = secrets(directory.path(), &store).unwrap();
    assert_eq!(value(&again, Scope::Workspace, "A").unwrap(), "1");
    assert_eq!(fs::read(&path).unwrap(), new);
    // Killed after the rows were written and before the new key had its name.
    restore(&old, Some(&new), &resealed);
    let again = secrets(directory.path(), &store).unwrap();
    assert_eq!(value(&again, Scope::Workspace, "A").unwrap(), "1");
    assert_eq!(fs::read(&path).unwrap(), new);
    assert!(!super::rotate::next_path(&path).exists());
}

#[test]
fn a_digest_tells_equal_values_and_outlives_the_key() {
    let (directory, store) = (tempfile::tempdir().unwrap(), store());
    let secrets = secrets(directory.path(), &store).unwrap();
    let digest = secrets.digest("A", "a").unwrap();
    assert_ne!(digest, secrets.digest("A", "b").unwrap());
    secrets.rotate().unwrap();
    assert_eq!(secrets.digest("A", "a").unwrap(), digest);
    assert!(store.revision() > Revision(0));
}

#[test]
fn names_and_values_fit_into_an_environment() {
    for wrong in ["", "1A", "A-B", "A.B", "A/B", "ä", &"A".repeat(129)] {
        assert!(check_name(wrong).is_err(), "{wrong}");
    }
    check_name("_A1").unwrap();
    assert!(check_value("a\0b").is_err());
    assert!(check_value(&"a".repeat(LONGEST_VALUE + 1)).is_err());
}
