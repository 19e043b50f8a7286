//! Where Aegis keeps a user's files.

use std::path::PathBuf;

use crate::{environment, failure::Failure};

/// `$AEGIS_HOME`, else `~/.aegis`.
pub fn home() -> Result<PathBuf, Failure> {
    if let Some(home) = environment::get(&environment::HOME) {
        return Ok(home.into());
    }
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .map(|home| home.join(".aegis"))
        .ok_or_else(|| Failure::invalid("there is no home directory").hint("set AEGIS_HOME to a directory"))
}

/// The edge daemon's config: `--config`, else `$AEGIS_CONFIG`, else `~/.aegis/edge/aegis-config.yaml`.
pub fn edge_config(flag: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match flag.or_else(|| environment::get(&environment::CONFIG).map(Into::into)) {
        Some(path) => Ok(path),
        None => Ok(home()?.join("edge").join("aegis-config.yaml")),
    }
}
