//! What a program left behind.

use serde_json::Value;

/// A program's exit code and what it wrote.
#[derive(Debug, Clone)]
pub struct Output {
    /// What was run.
    pub command: String,
    /// Its exit code; 128 and the signal's number if it was killed.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

#[allow(clippy::return_self_not_must_use, reason = "a check that isn't followed by another is still a check")]
impl Output {
    /// It succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exit(0)
    }

    /// It ended with this code.
    #[track_caller]
    pub fn exit(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code of {self:#?}");
        self
    }

    /// It wrote this, to standard output or standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "'{text}' isn't in {self:#?}");
        self
    }

    /// It didn't write this anywhere.
    #[track_caller]
    pub fn says_not(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "'{text}' is in {self:#?}");
        self
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }

    /// Its standard output as a JSON array.
    #[track_caller]
    pub fn array(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(items) => items,
            other => panic!("{}: no array: {other}", self.command),
        }
    }
}

/// Whether this is a time as all of our output has it: RFC 3339, UTC, written with `Z`.
pub fn is_rfc3339_utc(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let shape = "0000-00-00T00:00:00".chars();
    let Some(rest) = text.strip_suffix('Z').filter(|rest| rest.len() >= 19 && rest.is_ascii()) else {
        return false;
    };
    let (seconds, fraction) = rest.split_at(19);
    let fits = |(have, want): (char, char)| if want == '0' { have.is_ascii_digit() } else { have == want };
    let fraction_fits = fraction.is_empty()
        || fraction
            .strip_prefix('.')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    seconds.chars().zip(shape).all(fits) && fraction_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_from_others() {
        for good in ["2026-11-20T12:00:00Z", "2026-11-20T12:00:00.25Z"] {
            assert!(is_rfc3339_utc(&good.into()), "{good}");
        }
        for bad in ["2026-11-20 12:00:00Z", "2026-11-20T12:00:00+01:00", "2026-11-20T12:00:00.Z", "now", "Z"]
        {
            assert!(!is_rfc3339_utc(&bad.into()), "{bad}");
        }
        assert!(!is_rfc3339_utc(&1.into()));
    }
}
