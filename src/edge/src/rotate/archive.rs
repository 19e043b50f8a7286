//! Keys that were replaced, kept for a while: `archive/TIME.key`, and in `archive/TIME.until` when it may go. A key
//! without an end is an enrolment's that was replaced by force; it stays until somebody removes it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use aegis_wire::SigningKey;
use jiff::Timestamp;

use crate::state::{StateDir, StateError, make_private_dir, remove_if_there, write_atomic};

/// Keeps `key` for so long from now on, and gives where. Not at all when that is no time. Said again it changes only for
/// how long.
pub(super) fn keep(
    state: &StateDir,
    key: &SigningKey,
    keep_old: Duration,
    now_ms: i64,
) -> Result<Option<PathBuf>, StateError> {
    let have = kept(state, key)?;
    if keep_old.is_zero() {
        if let Some(path) = have {
            remove(&path)?;
        }
        return Ok(None);
    }
    make_private_dir(&state.archive())?;
    let path = have.unwrap_or_else(|| free_name(&state.archive(), now_ms));
    let until = now_ms.saturating_add(i64::try_from(keep_old.as_millis()).unwrap_or(i64::MAX));
    // The end first: a key without one would stay for ever.
    write_atomic(&path.with_extension("until"), 0o600, format!("{}\n", time(until)).as_bytes())?;
    write_atomic(&path, 0o600, &key.seed()[..])?;
    Ok(Some(path))
}

/// Removes the keys whose time is over, and gives which they were. What can't be read as a time never ends.
pub fn prune(state: &StateDir, now_ms: i64) -> Result<Vec<PathBuf>, StateError> {
    let mut gone = Vec::new();
    for end in entries(&state.archive(), "until")? {
        let Ok(text) = fs::read_to_string(&end) else { continue };
        if text.trim().parse::<Timestamp>().is_ok_and(|until| until.as_millisecond() <= now_ms) {
            let path = end.with_extension("key");
            remove(&path)?;
            gone.push(path);
        }
    }
    Ok(gone)
}

/// The key, then its end: what is left by a crash in between goes the next time.
fn remove(path: &Path) -> Result<(), StateError> {
    remove_if_there(path)?;
    remove_if_there(&path.with_extension("until"))?;
    Ok(())
}

/// Where this very key is kept already.
fn kept(state: &StateDir, key: &SigningKey) -> Result<Option<PathBuf>, StateError> {
    let is_it = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == key.seed()[..]);
    Ok(entries(&state.archive(), "key")?.into_iter().find(is_it))
}

/// The time, to the second; more exact when a key was archived in that second already.
fn free_name(archive: &Path, now_ms: i64) -> PathBuf {
    let second = now_ms.div_euclid(1000) * 1000;
    let times = std::iter::once(second).chain(now_ms..);
    let mut names = times.map(|ms| archive.join(format!("{}.key", time(ms))));
    names.find(|path| !path.exists()).unwrap_or_else(|| archive.join("old.key"))
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

fn entries(archive: &Path, extension: &str) -> Result<Vec<PathBuf>, StateError> {
    let fail = |error| StateError::new("read", archive, error);
    let entries = match fs::read_dir(archive) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry.map_err(fail)?.path())).collect::<Result<_, StateError>>()?;
    paths.retain(|path| path.extension().is_some_and(|have| have == extension));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::fake_controller::NOW;

    const HOUR: Duration = Duration::from_hours(1);

    fn lab() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(dir.path().join("aegis-config.yaml"));
        (dir, state)
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn names(state: &StateDir) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(state.archive())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_key_is_kept_under_its_time_and_private() {
        let (_dir, state) = lab();
        let path = keep(&state, &key(1), HOUR, NOW * 1000 + 7).unwrap().unwrap();
        assert_eq!(path, state.archive().join("2027-01-15T08:00:00Z.key"));
        assert_eq!(fs::read(&path).unwrap(), [1; 32]);
        assert_eq!(fs::read_to_string(path.with_extension("until")).unwrap(), "2027-01-15T09:00:00.007Z\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&state.archive()), mode(&path)), (0o700, 0o600));
    }

    #[test]
    fn two_keys_of_one_second_are_both_kept_and_one_key_once() {
        let (_dir, state) = lab();
        let first = keep(&state, &key(1), HOUR, NOW * 1000 + 7).unwrap();
        keep(&state, &key(2), HOUR, NOW * 1000 + 7).unwrap();
        keep(&state, &key(3), HOUR, NOW * 1000 + 7).unwrap();
        assert_eq!(keep(&state, &key(1), HOUR, NOW * 1000 + 5000).unwrap(), first);
        let keys: Vec<_> = names(&state).into_iter().filter(|name| name.contains(".key")).collect();
        assert_eq!(
            keys,
            ["2027-01-15T08:00:00.007Z.key", "2027-01-15T08:00:00.008Z.key", "2027-01-15T08:00:00Z.key"]
        );
    }

    #[test]
    fn a_key_goes_when_its_time_is_over_and_not_before() {
        let (_dir, state) = lab();
        let path = keep(&state, &key(1), HOUR, NOW * 1000).unwrap().unwrap();
        assert!(prune(&state, NOW * 1000 + 3_599_999).unwrap().is_empty());
        assert_eq!(prune(&state, NOW * 1000 + 3_600_000).unwrap(), [path]);
        assert_eq!(names(&state), Vec::<String>::new());
    }

    #[test]
    fn an_end_that_lost_its_key_goes_too_and_a_key_without_an_end_stays() {
        let (_dir, state) = lab();
        make_private_dir(&state.archive()).unwrap();
        fs::write(state.archive().join("a.until"), "2020-01-01T00:00:00Z").unwrap();
        fs::write(state.archive().join("b.until"), "some day").unwrap();
        fs::write(state.archive().join("c.key"), [9; 32]).unwrap();
        prune(&state, NOW * 1000).unwrap();
        assert_eq!(names(&state), ["b.until", "c.key"]);
        assert!(prune(&lab().1, NOW * 1000).unwrap().is_empty());
    }

    #[test]
    fn to_keep_for_no_time_is_to_keep_nothing() {
        let (_dir, state) = lab();
        assert_eq!(keep(&state, &key(1), Duration::ZERO, NOW * 1000).unwrap(), None);
        assert!(!state.archive().exists());
        keep(&state, &key(1), HOUR, NOW * 1000).unwrap();
        keep(&state, &key(1), Duration::ZERO, NOW * 1000).unwrap();
        assert_eq!(names(&state), Vec::<String>::new());
    }
}
