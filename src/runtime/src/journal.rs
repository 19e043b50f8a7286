//! The log of a task or an instance, for whoever writes into it: opened when the first record comes.

use std::sync::{Arc, OnceLock};

use aegis_wire::runtime::{LogRecord, RuntimeError};

use crate::{
    logs::{Log, Logs, Query, Reader},
    output::Sink,
};

/// One log.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    logs: Arc<Logs>,
    id: Arc<str>,
    log: Arc<OnceLock<Arc<Log>>>,
}

impl Journal {
    /// The log of the task or instance with this id.
    pub fn new(logs: &Arc<Logs>, id: &str) -> Self {
        Self { logs: logs.clone(), id: id.into(), log: Arc::default() }
    }

    fn log(&self) -> std::io::Result<Arc<Log>> {
        if let Some(log) = self.log.get() {
            return Ok(log.clone());
        }
        let log = self.logs.log(&self.id)?;
        Ok(self.log.get_or_init(|| log).clone())
    }

    /// Reads it.
    pub fn read(&self, query: Query) -> Result<Reader, RuntimeError> {
        let failed = |error| RuntimeError::internal(format!("the log of {} can't be read: {error}", self.id));
        Ok(self.log().map_err(failed)?.read(query))
    }

    /// Writes a record now.
    pub fn write(&self, record: LogRecord) {
        self.write_all(&[record]);
    }

    fn write_all(&self, records: &[LogRecord]) {
        if let Err(error) = self.log().and_then(|log| log.append_all(records)) {
            // The disk may be full. What runs goes on; who reads the log misses these lines, and the daemon's own says so.
            tracing::warn!(id = &*self.id, %error, "lines of a log are lost");
        }
    }
}

impl Sink for Journal {
    async fn take(&mut self, records: Vec<LogRecord>) -> bool {
        self.write_all(&records);
        true
    }
}
