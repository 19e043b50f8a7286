//! The modes of the state directory: who may read what (installation reference, "Permission expectations").

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{StateDir, StateError};

/// A path whose mode lets others do more than it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// The file or directory.
    pub path: PathBuf,
    /// The mode it has.
    pub had: u32,
    /// The mode it should have.
    pub want: u32,
}

impl std::fmt::Display for Fix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} was {:04o}, should be {:04o}", self.path.display(), self.had, self.want)
    }
}

/// Everything in the state directory whose mode is too permissive. Nothing is changed.
pub fn check_modes(state: &StateDir) -> Result<Vec<Fix>, StateError> {
    let mut fixes = Vec::new();
    for (path, want) in expected(state)? {
        match fs::metadata(&path) {
            Ok(metadata) => {
                let had = metadata.permissions().mode() & 0o7777;
                if had & !want != 0 {
                    fixes.push(Fix { path, had, want });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StateError::new("read", path, error)),
        }
    }
    Ok(fixes)
}

/// As [`check_modes`], and sets each to what it should be. What is returned was repaired.
pub fn enforce_modes(state: &StateDir) -> Result<Vec<Fix>, StateError> {
    let fixes = check_modes(state)?;
    for fix in &fixes {
        fs::set_permissions(&fix.path, fs::Permissions::from_mode(fix.want))
            .map_err(|error| StateError::new("change the mode of", &fix.path, error))?;
    }
    Ok(fixes)
}

/// Makes a directory of mode 0700, and those above it that are missing. One that is there keeps its mode
/// until [`enforce_modes`].
pub fn make_private_dir(path: &Path) -> Result<(), StateError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StateError::new("create", path, error))
}

/// Whether a directory is everybody's: its mode must not be touched, and a daemon's state doesn't belong into it.
pub fn is_shared(dir: &Path, metadata: &fs::Metadata) -> bool {
    const SYSTEM: [&str; 10] =
        ["/", "/etc", "/usr", "/usr/local", "/var", "/var/lib", "/home", "/opt", "/srv", "/usr/local/etc"];
    let sticky = metadata.permissions().mode() & 0o1000 != 0;
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    sticky || SYSTEM.iter().any(|system| real == Path::new(system))
}

/// Every path with the widest mode that it may have. Files under `secrets/` and `archive/` are private as well.
fn expected(state: &StateDir) -> Result<Vec<(PathBuf, u32)>, StateError> {
    let mut expected = vec![
        (state.secrets(), 0o700),
        (state.archive(), 0o700),
        (state.node_key(), 0o600),
        (state.node_key_next(), 0o600),
        (state.node_token(), 0o600),
        (state.config().to_path_buf(), 0o644),
        (state.node_key_pub(), 0o644),
        (state.server_key(), 0o644),
        (state.enrollment(), 0o644),
        (state.status(), 0o644),
        (state.lock(), 0o644),
        (state.logs(), 0o755),
    ];
    if fs::metadata(state.dir()).is_ok_and(|metadata| !is_shared(state.dir(), &metadata)) {
        expected.push((state.dir().to_path_buf(), 0o700));
    }
    for dir in [state.secrets(), state.archive()] {
        match fs::read_dir(&dir) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(|error| StateError::new("read", &dir, error))?;
                    let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                    if is_file {
                        expected.push((entry.path(), 0o600));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StateError::new("read", dir, error)),
        }
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widen(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn too_permissive_modes_are_found_and_repaired() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(base.path().join("edge/aegis-config.yaml"));
        make_private_dir(&state.secrets()).unwrap();
        assert_eq!(check_modes(&state).unwrap(), []);
        for (path, mode) in [
            (state.node_key(), 0o640),
            (state.node_token(), 0o644),
            (state.config().to_path_buf(), 0o666),
            (state.secrets().join("db"), 0o644),
        ] {
            fs::write(&path, "x").unwrap();
            widen(&path, mode);
        }
        widen(state.dir(), 0o755);
        widen(&state.secrets(), 0o750);

        let fixed = enforce_modes(&state).unwrap();
        assert_eq!(fixed.len(), 6, "{fixed:?}");
        assert!(fixed.iter().any(|fix| fix.to_string().ends_with("node.key was 0640, should be 0600")));
        assert_eq!(check_modes(&state).unwrap(), []);
    }

    #[test]
    fn a_stricter_mode_is_left_alone() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(base.path().join("aegis-config.yaml"));
        widen(base.path(), 0o500);
        fs::write(state.config(), "").ok();
        assert_eq!(enforce_modes(&state).unwrap(), []);
        widen(base.path(), 0o700);
    }
}
