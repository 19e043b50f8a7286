//! Sizes and rates as people write them: `512KiB`, `1MiB`, `10/s`, `600/h`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// The text is no such quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no {what}: write {rule}")]
pub struct InvalidQuantity {
    given: String,
    what: &'static str,
    rule: &'static str,
}

/// A number of bytes: `512`, `64KiB`, `1MiB`, `2GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for ByteSize {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
            .unwrap_or((text, 1));
        let size = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|n| *n > 0);
        size.map(Self).ok_or_else(|| InvalidQuantity {
            given: text.into(),
            what: "size",
            rule: "a number above 0 of bytes, or with KiB, MiB or GiB",
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, unit)| self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

/// At most so many in a span of time: `10/s`, `100/m`, `600/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time: a second, a minute or an hour.
    pub per: Duration,
}

const SPANS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

impl FromStr for Rate {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let parse = || {
            let (count, span) = text.split_once('/')?;
            let (_, seconds) = SPANS.iter().find(|(name, _)| *name == span)?;
            let count = count.parse().ok().filter(|n| *n > 0)?;
            Some(Self { count, per: Duration::from_secs(*seconds) })
        };
        parse().ok_or_else(|| InvalidQuantity {
            given: text.into(),
            what: "rate",
            rule: "a number above 0 and /s, /m or /h, such as 10/s",
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = SPANS.iter().find(|(_, s)| *s == self.per.as_secs()).map_or("s", |(name, _)| name);
        write!(f, "{}/{span}", self.count)
    }
}

macro_rules! as_text {
    ($type:ident, $pattern:literal) => {
        impl TryFrom<String> for $type {
            type Error = InvalidQuantity;
            fn try_from(text: String) -> Result<Self, InvalidQuantity> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(quantity: $type) -> String {
                quantity.to_string()
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
as_text!(ByteSize, "^[1-9][0-9]*(KiB|MiB|GiB)?$");
as_text!(Rate, "^[1-9][0-9]*/[smh]$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in
            [("1", 1), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648), ("1025", 1025)]
        {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, text));
        }
        for text in ["", "0", "-1", "1MB", "1.5MiB", "99999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn rates_read_and_print() {
        for text in ["10/s", "100/m", "600/h"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["", "10", "0/s", "10/d", "-1/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
