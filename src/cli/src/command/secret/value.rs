//! A secret's value as it is given: an argument, or standard input.

use std::io::Read;

use aegis_wire::runtime::PutSecret;
use clap::Args;

use crate::{failure::Failure, terminal::Stream};

/// The longest value that is read: the daemon takes less.
const LONGEST: u64 = 1 << 20;

/// Where the value is.
#[derive(Args)]
pub struct ValueArgs {
    // All that follows is taken, so that a value of several words isn't shown by an error about the second.
    /// The value; other users of this machine see it while the command runs, so rather use --stdin
    #[arg(value_name = "VALUE", num_args = 0.., allow_hyphen_values = true, conflicts_with = "stdin")]
    value: Vec<String>,
    /// Read the value from standard input; a newline at its end isn't part of it
    #[arg(long)]
    stdin: bool,
}

impl std::fmt::Debug for ValueArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValueArgs([redacted])")
    }
}

impl ValueArgs {
    /// The value. No error has a part of it.
    pub fn read(self) -> Result<PutSecret, Failure> {
        let from_stdin = || {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes);
            read.map_err(|error| Failure::generic(format!("standard input: {error}")))?;
            of_stdin(bytes)
        };
        let value = if self.stdin { from_stdin()? } else { of_arguments(self.value)? };
        if !self.stdin {
            warn();
        }
        Ok(PutSecret { value })
    }
}

fn of_stdin(bytes: Vec<u8>) -> Result<String, Failure> {
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::invalid("the value is longer than 1 MiB"));
    }
    let mut value = String::from_utf8(bytes).map_err(|_| {
        Failure::invalid("the value isn't UTF-8, as variables are").hint("encode it, such as with base64")
    })?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    checked(value)
}

fn of_arguments(mut words: Vec<String>) -> Result<String, Failure> {
    match words.len() {
        0 => Err(Failure::invalid("there is no value").hint("give it on standard input, with --stdin")),
        1 => checked(words.remove(0)),
        _ => Err(Failure::invalid("the value has several words").hint("quote it, or use --stdin")),
    }
}

fn checked(value: String) -> Result<String, Failure> {
    if value.contains('\0') {
        return Err(Failure::invalid("the value has a zero byte, which no variable can have"));
    }
    Ok(value)
}

#[allow(clippy::print_stderr, reason = "messages go to stderr")]
fn warn() {
    if Stream::Stderr.is_terminal() {
        eprintln!("hint: a value on the command line is seen by others and kept by the shell; --stdin isn't");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_was_given() {
        for (given, value) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("", "")] {
            assert_eq!(of_stdin(given.into()).unwrap(), value);
        }
        assert_eq!(of_arguments(vec!["a b".into()]).unwrap(), "a b");
    }

    #[test]
    fn no_error_has_a_part_of_the_value() {
        let word = || "hunter2".to_owned();
        let failures = [
            of_arguments(vec![word(), word()]).unwrap_err(),
            of_arguments(vec!["hunter2\0".into()]).unwrap_err(),
            of_stdin(b"hunter2\xff".to_vec()).unwrap_err(),
            of_stdin(b"hunter2".repeat(1 << 20)).unwrap_err(),
            of_arguments(Vec::new()).unwrap_err(),
        ];
        for failure in failures {
            assert!(!format!("{failure:?}").contains("hunter"), "{failure:?}");
            assert_eq!(failure.exit.code(), 2);
        }
        let args = ValueArgs { value: vec![word()], stdin: false };
        assert!(!format!("{args:?}").contains("hunter"));
    }
}
