//! The backends of this machine, and which is used when nobody says otherwise.

use std::{fmt, sync::Arc};

use aegis_backend::Backend;
use aegis_wire::runtime::{BackendStatus, Capabilities, RuntimeError};

/// All of them.
pub struct Backends {
    /// Those that work, the one to be used first.
    usable: Vec<Arc<dyn Backend>>,
    statuses: Vec<BackendStatus>,
    accelerator: Option<String>,
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.statuses).finish()
    }
}

impl Backends {
    /// What works, in the order of preference, and what is to be said of each.
    pub fn new(
        usable: Vec<Arc<dyn Backend>>,
        statuses: Vec<BackendStatus>,
        accelerator: Option<String>,
    ) -> Self {
        Self { usable, statuses, accelerator }
    }

    /// The one with this name, or the one that is used when nobody says otherwise.
    pub fn find(&self, name: Option<&str>) -> Result<Arc<dyn Backend>, RuntimeError> {
        let found = match name {
            None => self.usable.first(),
            Some(name) => self.usable.iter().find(|backend| backend.name() == name),
        };
        if let Some(backend) = found {
            return Ok(backend.clone());
        }
        let status = self.statuses.iter().find(|status| name.is_none_or(|name| status.name == name));
        Err(match (name, status) {
            (Some(name), None) => RuntimeError::invalid(format!("there is no backend '{name}'"))
                .hint("use qemu, libkrun or namespaces"),
            (_, Some(status)) => {
                let error = RuntimeError::new(
                    422,
                    "backend_unusable",
                    format!("the backend {} can't run here: {}", status.name, status.reason),
                );
                error.hint(status.hint.clone().unwrap_or_else(|| "`aegis doctor` says what works".to_owned()))
            }
            (None, None) => RuntimeError::internal("no backend can run here").hint("run `aegis doctor`"),
        })
    }

    /// Its name; `none` where none works.
    pub fn default_name(&self) -> &'static str {
        self.usable.first().map_or("none", |backend| backend.name())
    }

    /// What it can do.
    pub fn capabilities(&self) -> Capabilities {
        self.usable.first().map(|backend| capabilities(&**backend)).unwrap_or_default()
    }

    /// Every one, usable or not.
    pub fn statuses(&self) -> &[BackendStatus] {
        &self.statuses
    }

    /// How the default one runs.
    pub fn accelerator(&self) -> Option<&str> {
        self.accelerator.as_deref()
    }
}

fn capabilities(backend: &dyn Backend) -> Capabilities {
    let can = backend.capabilities();
    Capabilities {
        pause_resume: can.pause_resume,
        memory_snapshots: can.memory_snapshots,
        boot_from_disk_layers: can.boot_from_disk_layers,
        is_vm: can.is_vm,
    }
}
