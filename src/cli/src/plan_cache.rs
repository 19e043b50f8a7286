//! Where plan caches are kept: `$AEGIS_HOME/cache/plan/`, one a controller, tenant and owner.

use std::path::PathBuf;

use aegis_core::Owner;
use aegis_engine::cache::Cache;

use crate::{context::Connection, paths};

/// The cache of one owner at one controller.
#[derive(Debug)]
pub struct PlanCache(Option<PathBuf>);

impl PlanCache {
    /// The cache for `owner` over this connection. Without a home there is none, which only costs time.
    pub fn of(connection: &Connection, owner: &Owner) -> Self {
        let identity =
            format!("{}\n{}\n{}\n{owner}", connection.endpoint, connection.pin, connection.tenant_key());
        let name = &blake3::hash(identity.as_bytes()).to_hex()[..32];
        Self(paths::home().ok().map(|home| home.join("cache").join("plan").join(name)))
    }

    /// What was remembered.
    pub fn load(&self) -> Option<Cache> {
        Cache::from_bytes(&std::fs::read(self.0.as_ref()?).ok()?)
    }

    /// Remembers. A failure only costs time later, so it isn't reported.
    pub fn save(&self, cache: &Cache) {
        let Some(path) = &self.0 else { return };
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(path.parent().unwrap_or(path))?;
            let temporary = path.with_extension(std::process::id().to_string());
            std::fs::write(&temporary, cache.to_bytes())?;
            std::fs::rename(&temporary, path)
        };
        drop(write());
    }
}
