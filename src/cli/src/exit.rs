//! How a command ends: by a code of the table, or by that of a process in a guest, passed through as it is.

use aegis_core::ExitCode;

/// The number that the shell sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// What a shell sees of a program whose reader went away: 128 and the number of SIGPIPE.
    pub const READER_GONE: Self = Self(141);

    /// The code of a process in a guest. −1, an instance that was stopped under it, is 255 in a shell.
    pub const fn of_process(code: i32) -> Self {
        // A code is a byte wherever it comes from: the lowest of four.
        Self(code.to_le_bytes()[0])
    }
    /// The number.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl From<ExitCode> for Exit {
    fn from(code: ExitCode) -> Self {
        Self(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_processes_are_passed_through() {
        for (code, shell) in [(0, 0), (1, 1), (42, 42), (137, 137), (255, 255), (-1, 255)] {
            assert_eq!(Exit::of_process(code).code(), shell);
        }
        assert_eq!(Exit::from(ExitCode::Cancelled).code(), 7);
    }
}
