//! Which envelope may come next: nothing replayed, reordered, moved to another stream, or from another time.

use super::CLOCK_TOLERANCE_MS;

/// What an envelope's signature covers besides its kind and body. Read it only from a verified envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Who signed: a node's id, or the controller's.
    pub sender: &'a str,
    /// The stream that it belongs to.
    pub stream: &'a str,
    /// Its number in its direction, from 1.
    pub sequence: u64,
    /// The sender's wall clock, in milliseconds since 1970.
    pub time_ms: i64,
}

/// Which rule an envelope broke. After one, the stream ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Somebody else's envelope.
    #[error("the envelope is signed by '{0}', not by the stream's sender")]
    Sender(String),
    /// An envelope of another stream.
    #[error("the envelope belongs to another stream")]
    Stream,
    /// A replay, a gap, or another order.
    #[error("the envelope's sequence is {given}, expected {expected}")]
    Sequence {
        /// The number that had to come.
        expected: u64,
        /// The number that came.
        given: u64,
    },
    /// The clocks are too far apart, or the envelope was held back.
    #[error("the envelope's time is off by {off_ms} ms; compare the clocks of both hosts")]
    Time {
        /// How far off, in milliseconds.
        off_ms: u64,
    },
}

/// One direction of a stream, at its receiving end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    sender: String,
    stream: String,
    last: u64,
}

impl Inbound {
    /// Nothing has come yet; all must come from `sender` and belong to `stream`.
    pub fn new(sender: impl Into<String>, stream: impl Into<String>) -> Self {
        Self { sender: sender.into(), stream: stream.into(), last: 0 }
    }

    /// Accepts the next envelope at the wall clock time `now_ms` (milliseconds since 1970), or says which rule it
    /// breaks. What is rejected doesn't count.
    pub fn accept(&mut self, header: &Header<'_>, now_ms: i64) -> Result<(), Rejection> {
        if header.sender != self.sender {
            return Err(Rejection::Sender(header.sender.to_owned()));
        }
        if header.stream != self.stream {
            return Err(Rejection::Stream);
        }
        if self.last.checked_add(1) != Some(header.sequence) {
            return Err(Rejection::Sequence {
                expected: self.last.saturating_add(1),
                given: header.sequence,
            });
        }
        let off_ms = header.time_ms.abs_diff(now_ms);
        if off_ms > CLOCK_TOLERANCE_MS {
            return Err(Rejection::Time { off_ms });
        }
        self.last = header.sequence;
        Ok(())
    }

    /// Who sends on this stream.
    pub fn sender(&self) -> &str {
        &self.sender
    }
    /// The stream's id.
    pub fn stream(&self) -> &str {
        &self.stream
    }
}

/// One direction of a stream, at its sending end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbound {
    last: u64,
}

impl Outbound {
    /// The number of the next envelope: 1, 2, 3 …
    pub fn next_sequence(&mut self) -> u64 {
        // One a nanosecond would need 584 years to reach the end.
        self.last = self.last.saturating_add(1);
        self.last
    }

    /// The number of the last envelope; 0: there was none.
    pub fn last_sequence(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_800_000_000_000;

    fn header(sequence: u64) -> Header<'static> {
        Header { sender: "n-1", stream: "s-1", sequence, time_ms: NOW }
    }

    #[test]
    fn numbers_begin_with_one_and_rise_by_one() {
        let (mut inbound, mut outbound) = (Inbound::new("n-1", "s-1"), Outbound::default());
        for _ in 0..3 {
            assert_eq!(inbound.accept(&header(outbound.next_sequence()), NOW), Ok(()));
        }
        for given in [0, 1, 3, 5, u64::MAX] {
            assert_eq!(inbound.accept(&header(given), NOW), Err(Rejection::Sequence { expected: 4, given }));
        }
        assert_eq!(inbound.accept(&header(4), NOW), Ok(()));
    }

    #[test]
    fn another_sender_or_stream_is_refused() {
        let mut inbound = Inbound::new("n-1", "s-1");
        let moved = Header { stream: "s-2", ..header(1) };
        assert_eq!(inbound.accept(&moved, NOW), Err(Rejection::Stream));
        let foreign = Header { sender: "n-2", ..header(1) };
        assert_eq!(inbound.accept(&foreign, NOW), Err(Rejection::Sender("n-2".into())));
        assert_eq!((inbound.sender(), inbound.stream()), ("n-1", "s-1"));
    }

    #[test]
    fn thirty_seconds_off_is_the_limit_on_both_sides() {
        for off in [-30_000, 30_000] {
            assert_eq!(Inbound::new("n-1", "s-1").accept(&header(1), NOW + off), Ok(()));
        }
        for off in [-30_001, 30_001] {
            let mut inbound = Inbound::new("n-1", "s-1");
            assert_eq!(inbound.accept(&header(1), NOW + off), Err(Rejection::Time { off_ms: 30_001 }));
            assert_eq!(inbound.accept(&header(1), NOW), Ok(()), "a rejected one doesn't count");
        }
        let mut inbound = Inbound::new("n-1", "s-1");
        let extreme = Header { time_ms: i64::MIN, ..header(1) };
        assert_eq!(inbound.accept(&extreme, i64::MAX), Err(Rejection::Time { off_ms: u64::MAX }));
    }

    #[test]
    fn the_last_number_cannot_be_replayed() {
        let mut inbound = Inbound { last: u64::MAX - 1, ..Inbound::new("n-1", "s-1") };
        assert_eq!(inbound.accept(&header(u64::MAX), NOW), Ok(()));
        assert!(inbound.accept(&header(u64::MAX), NOW).is_err());
    }

    proptest! {
        #[test]
        fn whatever_arrives_each_number_is_accepted_once_and_in_order(given in prop::collection::vec(0_u64..6, 0..40)) {
            let mut inbound = Inbound::new("n-1", "s-1");
            let accepted: Vec<u64> = given.into_iter().filter(|s| inbound.accept(&header(*s), NOW).is_ok()).collect();
            prop_assert_eq!(&accepted, &(1..=accepted.len() as u64).collect::<Vec<_>>());
        }
    }
}
