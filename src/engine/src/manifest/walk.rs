//! The manifests of a directory.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::limits::FILES;

/// The `*.yaml` and `*.yml` files of `directory` in the order of their paths; with `recursive`, those of its
/// directories too. Hidden ones are left out. Links are followed, but no directory is read twice.
///
/// What can't be read comes as an error with its path, in its place.
pub(super) fn manifests(directory: &Path, recursive: bool) -> Vec<Result<PathBuf, (PathBuf, io::Error)>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    // What is to be looked at next is last.
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        if found.len() >= FILES {
            found.push(Err((directory.to_owned(), io::Error::other(format!("more than {FILES} files")))));
            break;
        }
        let outermost = seen.is_empty();
        match fs::metadata(&path) {
            Err(error) if is_manifest(&path) || outermost => found.push(Err((path, error))),
            Ok(metadata) if metadata.is_dir() => {
                if (outermost || recursive) && seen.insert((metadata.dev(), metadata.ino())) {
                    match entries(&path) {
                        Ok(entries) => waiting.extend(entries.into_iter().rev()),
                        Err(error) => found.push(Err((path, error))),
                    }
                }
            }
            Ok(metadata) if metadata.is_file() && is_manifest(&path) => found.push(Ok(path)),
            // A link that leads nowhere is of no interest either, unless it says that it is a manifest.
            Err(_) | Ok(_) => {}
        }
    }
    found
}

/// What is in a directory, sorted, without the hidden.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn sorted_without_hidden_and_loops_end() {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        fs::create_dir_all(at("b/c")).unwrap();
        fs::create_dir_all(at(".git")).unwrap();
        for file in [
            "z.yaml",
            "a.yml",
            "b/m.yaml",
            "b/c/n.yaml",
            "notes.txt",
            ".hidden.yaml",
            ".git/x.yaml",
            "b.yaml",
        ] {
            fs::write(at(file), "").unwrap();
        }
        symlink(home.path(), at("b/loop")).unwrap();
        symlink(at("b/m.yaml"), at("link.yaml")).unwrap();
        let names = |recursive| -> Vec<String> {
            let found = manifests(home.path(), recursive).into_iter().map(Result::unwrap);
            found.map(|path| path.strip_prefix(home.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(names(false), ["a.yml", "b.yaml", "link.yaml", "z.yaml"]);
        assert_eq!(names(true), ["a.yml", "b/c/n.yaml", "b/m.yaml", "b.yaml", "link.yaml", "z.yaml"]);
    }

    #[test]
    fn a_dangling_manifest_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        symlink("nowhere", home.path().join("a.yaml")).unwrap();
        symlink("nowhere", home.path().join("b")).unwrap();
        let found = manifests(home.path(), true);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].as_ref().unwrap_err().0, home.path().join("a.yaml"));
    }
}
