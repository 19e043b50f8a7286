//! Why a controller refused, for programs: what a daemon or an enrolment acts on, so that nothing reads the message.

use std::str::FromStr;

/// What a program may act on beyond the [`Code`](crate::Code). Only what somebody acts on has a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The node was revoked. It never comes back as it is.
    Revoked,
    /// The two clocks differ by too much. It passes when they are set right.
    ClockSkew,
    /// The token was good and has ended. A daemon attests anew.
    TokenEnded,
    /// The enrolment failed before its token was redeemed: the token can be used again.
    TokenUsable,
    /// The enrolment token was redeemed, now or before.
    TokenBurnt,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Revoked, Self::ClockSkew, Self::TokenEnded, Self::TokenUsable, Self::TokenBurnt];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::ClockSkew => "clock_skew",
            Self::TokenEnded => "token_ended",
            Self::TokenUsable => "token_usable",
            Self::TokenBurnt => "token_burnt",
        }
    }
}

/// The text is no reason of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no reason that this version knows")]
pub struct UnknownReason;

impl FromStr for Reason {
    type Err = UnknownReason;
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}
