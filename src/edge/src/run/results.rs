//! How a command ended, as the controller is told.

use std::time::Duration;

use aegis_core::fleet::{CommandId, TargetOutcome};
use aegis_wire::edge::{CommandResult, OUTPUT_CHUNK, OUTPUT_TAIL, Refusal};
use bytes::Bytes;

use crate::tools::{CHUNK, TAIL, ToolResult};

/// A message for people is shorter than this; what is longer is cut, or the whole might not fit an envelope.
const LONGEST_ERROR: usize = 16 * 1024;

/// What a tool keeps and sends fits what the wire takes.
const _: () = assert!(TAIL <= OUTPUT_TAIL && CHUNK <= OUTPUT_CHUNK);

/// A command that never began, by this rule.
pub(super) fn refused(command: CommandId, refusal: Refusal, message: String) -> CommandResult {
    CommandResult { error: cut(message), refusal: Some(refusal), ..empty(command, TargetOutcome::Error) }
}

/// A command that ended before it began, without anybody's fault.
pub(super) fn stopped(
    command: CommandId,
    outcome: TargetOutcome,
    waited: Duration,
    message: String,
) -> CommandResult {
    CommandResult { error: cut(message), duration: waited, ..empty(command, outcome) }
}

/// A command whose tool has ended.
pub(super) fn ended(command: CommandId, result: ToolResult) -> CommandResult {
    let mut error = result.error;
    let data = result.data.map(|data| Bytes::from(data.to_string())).unwrap_or_default();
    let fits = data.len() <= OUTPUT_TAIL;
    if !fits {
        let said = format!("the data of {} bytes is left out: it may have 1 MiB; ask for less", data.len());
        error = if error.is_empty() { said } else { format!("{error}; {said}") };
    }
    CommandResult {
        command,
        outcome: result.outcome,
        exit_code: result.exit_code,
        error: cut(error),
        refusal: None,
        stdout: result.stdout.bytes.into(),
        stderr: result.stderr.bytes.into(),
        stdout_bytes: result.stdout.total,
        stderr_bytes: result.stderr.total,
        data: if fits { data } else { Bytes::new() },
        duration: result.duration,
    }
}

fn empty(command: CommandId, outcome: TargetOutcome) -> CommandResult {
    CommandResult {
        command,
        outcome,
        exit_code: None,
        error: String::new(),
        refusal: None,
        stdout: Bytes::new(),
        stderr: Bytes::new(),
        stdout_bytes: 0,
        stderr_bytes: 0,
        data: Bytes::new(),
        duration: Duration::ZERO,
    }
}

fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(LONGEST_ERROR));
    message
}

#[cfg(test)]
mod tests {
    use aegis_core::fleet::RunId;
    use aegis_wire::{
        edge::Event,
        envelope::{Body, MAX_BODY},
    };

    use super::*;
    use crate::tools::Tail;

    fn result(data: usize, error: usize) -> CommandResult {
        let tail = || Tail { bytes: vec![0xff; TAIL], total: 1 << 40 };
        let result = ToolResult {
            outcome: TargetOutcome::Ok,
            exit_code: Some(0),
            error: "ä".repeat(error),
            stdout: tail(),
            stderr: tail(),
            data: Some("x".repeat(data).into()),
            duration: Duration::from_secs(1),
        };
        ended(CommandId::of(&RunId::at(1, [0; 4]), 0), result)
    }

    #[test]
    fn the_largest_result_fits_an_envelope() {
        let largest = result(OUTPUT_TAIL - 2, 1 << 20);
        assert_eq!((largest.data.len(), largest.error.len()), (OUTPUT_TAIL, LONGEST_ERROR));
        assert!(Event::CommandResult(largest).encode().len() <= MAX_BODY);
    }

    #[test]
    fn data_that_is_too_large_is_left_out_and_that_is_said() {
        let large = result(OUTPUT_TAIL, 0);
        assert!(large.data.is_empty());
        assert!(large.error.contains("1048578 bytes is left out"), "{}", large.error);
        assert_eq!(large.outcome, TargetOutcome::Ok);
    }
}
