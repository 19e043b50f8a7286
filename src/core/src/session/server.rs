//! One node's stream as the server sees it: awaiting Hello, live, ended.

use std::time::Duration;

use super::{HELLO_WITHIN, Rejection, SILENCE_LIMIT};

/// What happened to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamInput {
    /// A verified Hello came.
    Hello,
    /// Any other verified event came.
    Event,
    /// An envelope came that isn't acceptable.
    Rejected(Rejection),
    /// Time has passed.
    Tick,
    /// The other side is gone.
    Closed,
    /// Another verified stream of the same node took over.
    Replaced,
    /// The node was revoked.
    Revoked,
    /// The server itself stops.
    Stopping,
}

/// Why a stream ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// Hello didn't come in time.
    #[error("no Hello within {} s", HELLO_WITHIN.as_secs())]
    NoHello,
    /// Another event came before Hello.
    #[error("the first event wasn't Hello")]
    HelloNotFirst,
    /// Hello came twice.
    #[error("a second Hello on the same stream")]
    SecondHello,
    /// An envelope wasn't acceptable.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Nothing was heard for too long.
    #[error("nothing heard for {} s", SILENCE_LIMIT.as_secs())]
    Silent,
    /// The other side is gone.
    #[error("closed by the node")]
    Closed,
    /// Another stream of the same node took over.
    #[error("replaced by a newer stream of the same node")]
    Replaced,
    /// The node was revoked.
    #[error("the node was revoked")]
    Revoked,
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

/// Where a stream is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    /// Nothing verified has come; the node doesn't count as connected.
    AwaitingHello,
    /// The node is connected.
    Live,
    /// Over, for good. The first reason stays.
    Ended(EndReason),
}

/// One stream of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStream {
    state: StreamState,
    /// When it opened or, once live, when the last event came.
    since: Duration,
}

impl NodeStream {
    /// A stream was opened at `now`.
    pub fn new(now: Duration) -> Self {
        Self { state: StreamState::AwaitingHello, since: now }
    }

    /// Where it is in its life.
    pub fn state(&self) -> &StreamState {
        &self.state
    }

    /// When a [`StreamInput::Tick`] must come at the latest; none once it has ended.
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            StreamState::AwaitingHello => Some(self.since.saturating_add(HELLO_WITHIN)),
            StreamState::Live => Some(self.since.saturating_add(SILENCE_LIMIT)),
            StreamState::Ended(_) => None,
        }
    }

    /// Takes in what happened at `now` and says where the stream is then. An event that comes after the deadline
    /// comes too late, whether a tick was faster or not.
    pub fn on(&mut self, input: StreamInput, now: Duration) -> &StreamState {
        let late = self.deadline().is_some_and(|deadline| now >= deadline);
        let heard = matches!(input, StreamInput::Hello | StreamInput::Event | StreamInput::Tick);
        let next = match (&self.state, input) {
            (StreamState::AwaitingHello, _) if late && heard => StreamState::Ended(EndReason::NoHello),
            (StreamState::Live, _) if late && heard => StreamState::Ended(EndReason::Silent),
            (StreamState::Ended(_), _) | (_, StreamInput::Tick) => return &self.state,
            (_, StreamInput::Closed) => StreamState::Ended(EndReason::Closed),
            (_, StreamInput::Replaced) => StreamState::Ended(EndReason::Replaced),
            (_, StreamInput::Revoked) => StreamState::Ended(EndReason::Revoked),
            (_, StreamInput::Stopping) => StreamState::Ended(EndReason::Stopping),
            (_, StreamInput::Rejected(rejection)) => StreamState::Ended(EndReason::Rejected(rejection)),
            (StreamState::AwaitingHello, StreamInput::Event) => StreamState::Ended(EndReason::HelloNotFirst),
            (StreamState::Live, StreamInput::Hello) => StreamState::Ended(EndReason::SecondHello),
            (StreamState::AwaitingHello, StreamInput::Hello) | (StreamState::Live, StreamInput::Event) => {
                StreamState::Live
            }
        };
        self.state = next;
        self.since = now;
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn live() -> NodeStream {
        let mut stream = NodeStream::new(at(0));
        assert_eq!(stream.on(StreamInput::Hello, at(1)), &StreamState::Live);
        stream
    }

    #[test]
    fn hello_comes_first_once_and_in_time() {
        let ended = |reason| StreamState::Ended(reason);
        let mut stream = NodeStream::new(at(5));
        assert_eq!(stream.deadline(), Some(at(15)));
        assert_eq!(stream.on(StreamInput::Tick, at(14)), &StreamState::AwaitingHello);
        assert_eq!(stream.on(StreamInput::Tick, at(15)), &ended(EndReason::NoHello));
        assert_eq!(stream.deadline(), None);
        assert_eq!(NodeStream::new(at(0)).on(StreamInput::Hello, at(10)), &ended(EndReason::NoHello));
        assert_eq!(NodeStream::new(at(0)).on(StreamInput::Event, at(1)), &ended(EndReason::HelloNotFirst));
        assert_eq!(live().on(StreamInput::Hello, at(2)), &ended(EndReason::SecondHello));
    }

    #[test]
    fn silence_ends_it_after_ninety_seconds() {
        let mut stream = live();
        assert_eq!(stream.on(StreamInput::Event, at(90)), &StreamState::Live);
        assert_eq!(stream.deadline(), Some(at(180)));
        assert_eq!(stream.on(StreamInput::Event, at(180)), &StreamState::Ended(EndReason::Silent));
    }

    #[test]
    fn the_first_reason_stays() {
        let rejection = Rejection::Sequence { expected: 2, given: 1 };
        for (input, reason) in [
            (StreamInput::Closed, EndReason::Closed),
            (StreamInput::Replaced, EndReason::Replaced),
            (StreamInput::Revoked, EndReason::Revoked),
            (StreamInput::Stopping, EndReason::Stopping),
            (StreamInput::Rejected(rejection.clone()), EndReason::Rejected(rejection)),
        ] {
            let mut stream = live();
            assert_eq!(stream.on(input, at(2)), &StreamState::Ended(reason.clone()));
            assert_eq!(stream.on(StreamInput::Closed, at(3)), &StreamState::Ended(reason));
        }
    }

    proptest! {
        /// Ticking or not makes no difference to what an event finds.
        #[test]
        fn a_stream_lives_exactly_while_no_gap_reaches_the_limit(gaps in prop::collection::vec((0_u64..120, any::<bool>()), 0..12)) {
            let mut stream = live();
            let (mut now, mut alive) = (at(1), true);
            for (gap, tick) in gaps {
                now += at(gap);
                alive &= gap < 90;
                if tick {
                    stream.on(StreamInput::Tick, now);
                }
                prop_assert_eq!(stream.on(StreamInput::Event, now) == &StreamState::Live, alive);
            }
        }
    }
}
