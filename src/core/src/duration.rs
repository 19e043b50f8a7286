//! Durations as people write them: `500ms`, `30s`, `1h30m`, `7d`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written with units. What is finer than a millisecond isn't written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct HumanDuration(pub Duration);

/// The units with their length in milliseconds, largest first: the order in which they are written.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// What a duration looks like, for error messages.
const FORM: &str = "write a number with a unit (ms, s, m, h, d), such as 500ms, 30s, 1h30m or 7d";

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// There is no text.
    #[error("a duration is missing; {FORM}")]
    Empty,
    /// It begins with a minus.
    #[error("'{0}' is negative; {FORM}")]
    Negative(String),
    /// A number stands without a unit.
    #[error("'{0}' has no unit; {FORM}")]
    NoUnit(String),
    /// The units don't go from large to small, each once.
    #[error("the units of '{0}' are out of order; write the largest first and each once, such as 1h30m")]
    Order(String),
    /// It is longer than [`HumanDuration::MAX`].
    #[error("'{0}' is too long; the limit is 36500d")]
    TooLong(String),
    /// Anything else.
    #[error("'{0}' is no duration; {FORM}")]
    Malformed(String),
}

impl HumanDuration {
    /// The longest that is accepted: 100 years of 365 days, which any clock can add to the present.
    pub const MAX: Self = Self(Duration::from_hours(24 * 36_500));

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for HumanDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        match text {
            "" => return Err(InvalidDuration::Empty),
            "0" => return Ok(Self::default()),
            _ if text.starts_with('-') => return Err(InvalidDuration::Negative(shown(text))),
            _ => {}
        }
        let (mut rest, mut total, mut units) = (text, 0_u64, UNITS.as_slice());
        while !rest.is_empty() {
            let (number, tail) = split_while(rest, |c| c.is_ascii_digit());
            let (unit, tail) = split_while(tail, |c| c.is_ascii_alphabetic());
            if number.is_empty() {
                return Err(InvalidDuration::Malformed(shown(text)));
            }
            if unit.is_empty() && tail.is_empty() {
                return Err(InvalidDuration::NoUnit(shown(text)));
            }
            let Some(at) = units.iter().position(|(name, _)| *name == unit) else {
                let known = UNITS.iter().any(|(name, _)| *name == unit);
                let wrong = if known { InvalidDuration::Order } else { InvalidDuration::Malformed };
                return Err(wrong(shown(text)));
            };
            total = number
                .parse::<u64>()
                .ok()
                .and_then(|n| n.checked_mul(units[at].1))
                .and_then(|ms| ms.checked_add(total))
                .ok_or_else(|| InvalidDuration::TooLong(shown(text)))?;
            units = &units[at + 1..];
            rest = tail;
        }
        let duration = Self(Duration::from_millis(total));
        if duration > Self::MAX { Err(InvalidDuration::TooLong(shown(text))) } else { Ok(duration) }
    }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// What was given, short enough and without control characters, to repeat it in a message.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// Canonical: the largest units first, each at most once, none that are zero: `1h30m`, `1d`, `0s`.
impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.pad("0s");
        }
        let mut parts = Vec::new();
        for (name, length) in UNITS {
            let count = rest / u128::from(length);
            if count > 0 {
                parts.push(format!("{count}{name}"));
            }
            rest %= u128::from(length);
        }
        f.pad(&parts.concat())
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration with units, the largest first: 500ms, 30s, 2m, 1h30m, 7d.",
            "minLength": 1,
            "pattern": "^(0|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
            "examples": ["30s", "1h30m"],
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_and_their_combinations() {
        for (text, millis, canonical) in [
            ("500ms", 500, "500ms"),
            ("30s", 30_000, "30s"),
            ("2m", 120_000, "2m"),
            ("24h", 86_400_000, "1d"),
            ("7d", 604_800_000, "7d"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            ("1d2h3m4s5ms", 93_784_005, "1d2h3m4s5ms"),
            ("1500ms", 1500, "1s500ms"),
            ("007s", 7000, "7s"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("36500d", 3_153_600_000_000, "36500d"),
        ] {
            let duration: HumanDuration = text.parse().unwrap();
            assert_eq!(duration.0, Duration::from_millis(millis), "{text}");
            assert_eq!(duration.to_string(), canonical);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        type Wrong = fn(String) -> InvalidDuration;
        for (text, wrong) in [
            ("-5s", InvalidDuration::Negative as Wrong),
            ("30", InvalidDuration::NoUnit),
            ("1h30", InvalidDuration::NoUnit),
            ("00", InvalidDuration::NoUnit),
            ("30m1h", InvalidDuration::Order),
            ("1s1s", InvalidDuration::Order),
            ("5ms1s", InvalidDuration::Order),
            ("36501d", InvalidDuration::TooLong),
            ("36500d1ms", InvalidDuration::TooLong),
            ("99999999999999999999s", InvalidDuration::TooLong),
            ("18446744073709551615d", InvalidDuration::TooLong),
            ("1.5h", InvalidDuration::Malformed),
            ("s", InvalidDuration::Malformed),
            (" 1s", InvalidDuration::Malformed),
            ("1 s", InvalidDuration::Malformed),
            ("1w", InvalidDuration::Malformed),
            ("1H", InvalidDuration::Malformed),
            ("+1s", InvalidDuration::Malformed),
            ("٣s", InvalidDuration::Malformed),
        ] {
            assert_eq!(text.parse::<HumanDuration>().unwrap_err(), wrong(text.to_owned()), "{text}");
        }
        assert_eq!("".parse::<HumanDuration>().unwrap_err(), InvalidDuration::Empty);
        let message = "5".parse::<HumanDuration>().unwrap_err().to_string();
        assert!(message.starts_with("'5' has no unit; write") && message.contains("1h30m"), "{message}");
    }

    #[test]
    fn serde_as_text() {
        let duration: HumanDuration = serde_json::from_str("\"90s\"").unwrap();
        assert_eq!(serde_json::to_string(&duration).unwrap(), "\"1m30s\"");
        let error = serde_json::from_str::<HumanDuration>("\"90\"").unwrap_err().to_string();
        assert!(error.contains("'90' has no unit"), "{error}");
        assert!(serde_json::from_str::<HumanDuration>("90").is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(millis in 0..=3_153_600_000_000_u64) {
            let duration = HumanDuration(Duration::from_millis(millis));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn any_text_gives_an_answer(text in "[-0-9a-zé ]{0,12}|[0-9]{1,20}(ms|s|m|h|d)") {
            if let Ok(duration) = text.parse::<HumanDuration>() {
                prop_assert!(duration <= HumanDuration::MAX);
            }
        }
    }
}
