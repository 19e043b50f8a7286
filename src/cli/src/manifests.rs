//! `-f` and `--owner`: which manifests, and in whose name.

use std::path::Path;

use aegis_core::Owner;
use aegis_engine::manifest::{Diagnostics, Input, ReadOptions, Sources};
use clap::Args;

use crate::failure::Failure;

/// Which manifests.
#[derive(Debug, Clone, Args)]
pub struct ManifestArgs {
    /// A manifest file, a directory of them, or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub filename: Vec<String>,
    /// Read the directories in a directory too
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

/// In whose name.
#[derive(Debug, Clone, Args)]
pub struct OwnerArgs {
    /// Who declares this [default: the name of the manifests' directory]
    ///
    /// Tags, pins and map entries are owned one by one, everything else as a whole field. Only its owner prunes an
    /// element, and taking over another owner's field is a conflict.
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Remove what this owner declared before and no longer declares
    #[arg(long)]
    pub prune: bool,
}

impl ManifestArgs {
    /// What `-f` names, as typed.
    pub fn inputs(&self) -> Vec<Input> {
        // Every text is an input.
        self.filename.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// Reads them. With `allow_empty` a directory may be without manifests.
    pub fn read(&self, allow_empty: bool) -> Result<Sources, Failure> {
        Ok(self.read_raw(allow_empty)?)
    }

    /// The same, with the faults as they are.
    pub fn read_raw(&self, allow_empty: bool) -> Result<Sources, Diagnostics> {
        let options = ReadOptions { recursive: self.recursive, allow_empty };
        Sources::read(&self.inputs(), &mut std::io::stdin().lock(), options)
    }

    /// The command line's part, for the history.
    pub fn source(&self, verb: &str) -> String {
        let names: Vec<String> = self.filename.iter().map(|name| format!("-f {name}")).collect();
        format!("{verb} {}", names.join(" "))
    }
}

impl OwnerArgs {
    /// The owner: as given, or the name of the one directory that the manifests are in.
    pub fn owner(&self, manifests: &ManifestArgs) -> Result<Owner, Failure> {
        let owner = match &self.owner {
            Some(name) => Owner::new(name.as_str()).map_err(|error| Failure::invalid(error.to_string()))?,
            None => default_owner(&manifests.inputs())?,
        };
        if owner.is_cli() {
            return Err(Failure::invalid("the owner 'cli' is for imperative commands")
                .hint("name another with --owner NAME"));
        }
        Ok(owner)
    }
}

fn default_owner(inputs: &[Input]) -> Result<Owner, Failure> {
    let mut names: Vec<String> = Vec::new();
    for input in inputs {
        let directory = match input {
            Input::Stdin => std::env::current_dir().map_err(|e| Failure::file(Path::new("."), &e))?,
            Input::Path(path) => {
                let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                if path.is_dir() { path } else { path.parent().map(Path::to_path_buf).unwrap_or_default() }
            }
        };
        let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let [name] = names.as_slice() else {
        return Err(Failure::invalid("the manifests are in directories of different names")
            .hint("say in whose name they are with --owner NAME"));
    };
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(allowed).take(63).collect();
    Owner::new(name).map_err(|_| {
        Failure::invalid("the manifests' directory has no name to take for the owner")
            .hint("name it with --owner NAME")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(paths: &[&Path], flag: Option<&str>) -> Result<String, Failure> {
        let manifests = ManifestArgs {
            filename: paths.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            recursive: false,
        };
        let args = OwnerArgs { owner: flag.map(str::to_owned), prune: false };
        args.owner(&manifests).map(|owner| owner.to_string())
    }

    #[test]
    fn the_owner_is_the_directory_unless_named() {
        let root = tempfile::tempdir().unwrap();
        let fleet = root.path().join("my fleet");
        let other = root.path().join("other");
        for directory in [&fleet, &other] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("a.yaml"), "").unwrap();
        }
        assert_eq!(owner(&[&fleet], None).unwrap(), "my-fleet");
        assert_eq!(owner(&[&fleet.join("a.yaml"), &fleet], None).unwrap(), "my-fleet");
        assert_eq!(owner(&[&fleet, &other], Some("team-a")).unwrap(), "team-a");
        assert!(owner(&[&fleet, &other], None).is_err());
        assert!(owner(&[&fleet], Some("cli")).is_err());
        assert!(owner(&[&fleet], Some("no spaces")).is_err());
    }
}
