//! The log of a task or an instance.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aegis_wire::runtime::LogRecord;
use tokio::sync::watch;

use crate::{output::Sink, state::lock};

/// All logs.
#[derive(Debug, Default)]
pub(crate) struct Journals(Mutex<BTreeMap<String, Journal>>);

/// One log.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    records: Arc<Mutex<Vec<LogRecord>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Journals {
    pub fn of(&self, id: &str) -> Journal {
        let fresh = || Journal { records: Arc::default(), count: Arc::default() };
        lock(&self.0).entry(id.to_owned()).or_insert_with(fresh).clone()
    }
    pub fn remove(&self, id: &str) {
        lock(&self.0).remove(id);
    }
}

impl Sink for Journal {
    async fn take(&mut self, record: LogRecord) -> bool {
        let mut records = lock(&self.records);
        records.push(record);
        self.count.send_replace(records.len());
        true
    }
}
