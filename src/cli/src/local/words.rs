//! Values as people read them.

use aegis_core::ExitCode;
use jiff::Timestamp;

use crate::fleet::visible;

/// A time to the second.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A number of bytes, with one digit after the point from a KiB on.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A program and its arguments as one would type them: quoted only where that is needed.
pub fn command_line(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./:=,@%+~".contains(c))
    };
    let quoted = words
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) });
    visible(&quoted.collect::<Vec<_>>().join(" ")).into_owned()
}

/// The exit code of a call that failed with this HTTP status.
pub const fn exit_of(status: u16) -> ExitCode {
    match status {
        400 | 413 | 422 => ExitCode::Invalid,
        401 | 403 => ExitCode::Unauthorized,
        404 => ExitCode::Unavailable,
        _ => ExitCode::Generic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_exact_enough() {
        for (bytes, shown) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(size(bytes), shown);
        }
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
        assert_eq!(time(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_command_line_can_be_typed_again() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(command_line(&words(&["python", "-m", "http.server", "80"])), "python -m http.server 80");
        assert_eq!(command_line(&words(&["sh", "-c", "echo it's", ""])), r"sh -c 'echo it'\''s' ''");
        assert_eq!(command_line(&words(&["\x1b[2J"])), "'^[[2J'");
    }
}
