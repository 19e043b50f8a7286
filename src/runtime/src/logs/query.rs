//! Which records of a log are wanted.

use std::{collections::HashMap, io, sync::Arc};

use aegis_wire::runtime::{LogRecord, Source};
use jiff::Timestamp;

use super::reader::Place;

/// Which records are wanted, and whether those too that are still to come.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// None before this.
    pub since: Option<Timestamp>,
    /// Only so many lines at the end of what there is.
    pub tail: Option<usize>,
    /// Only of one source.
    pub source: Option<Source>,
    /// Whether to wait for more.
    pub follow: bool,
}

/// The records of whose lines could be mixed: each goes on in its own next record.
type Writer = (u8, u8, Option<String>);

impl Query {
    /// Whether a record is wanted, wherever it is.
    pub(super) fn wants(&self, record: &LogRecord) -> bool {
        self.since.is_none_or(|since| record.ts >= since)
            && self.source.is_none_or(|source| record.source == source)
    }

    /// Where to begin, so that the wanted number of lines follows: looked for from the newest segment backwards. `ends` are those
    /// of all segments when reading began.
    pub(super) fn start(&self, ends: &[Place]) -> io::Result<Option<Place>> {
        let first = ends.first().map(|end| Place::beginning(&end.segment));
        let Some(tail) = self.tail else { return Ok(first) };
        let mut missing = tail;
        for end in ends.iter().rev() {
            if missing == 0 {
                return Ok(Some(end.clone()));
            }
            let starts = self.line_starts(end)?;
            if starts.len() >= missing {
                let offset = starts[starts.len() - missing];
                return Ok(Some(Place { segment: Arc::clone(&end.segment), offset }));
            }
            missing -= starts.len();
        }
        Ok(first)
    }

    /// Where wanted lines begin in a segment, before its end. A line in pieces begins with its first one.
    fn line_starts(&self, end: &Place) -> io::Result<Vec<u64>> {
        let mut begun: HashMap<Writer, bool> = HashMap::new();
        let mut starts = Vec::new();
        let mut place = Place::beginning(&end.segment);
        while place.offset < end.offset {
            for (offset, record) in place.records(end.offset)? {
                let goes_on = begun.insert(
                    (record.source as u8, record.stream as u8, record.exec_id.clone()),
                    record.partial,
                );
                if self.wants(&record) && goes_on != Some(true) {
                    starts.push(offset);
                }
            }
        }
        Ok(starts)
    }
}
