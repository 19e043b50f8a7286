//! The exit codes of every command: one table, a contract (edge CLI reference; 1-product.md, "Exit codes").

/// How a command ended, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything that was asked for was done.
    Success = 0,
    /// Network, server or internal error.
    Generic = 1,
    /// An argument, a flag, a selector or a manifest is invalid.
    Invalid = 2,
    /// Token expired, role missing, daemon or server not who it should be.
    Unauthorized = 3,
    /// A choice is needed and nobody can be asked.
    BootstrapConflict = 4,
    /// The target is offline or not found.
    Unavailable = 5,
    /// A fleet run was halted by its failure policy.
    FleetHalted = 6,
    /// Cancelled by the user.
    Cancelled = 7,
    /// A deadline passed.
    DeadlineExceeded = 8,
    /// Fewer targets than `--require-min`.
    RequireMin = 9,
    /// `diff --exit-code` found differences.
    Differences = 10,
    /// Somebody else owns what would be changed.
    OwnershipConflict = 11,
}

impl ExitCode {
    /// Every code with its meaning, for help texts and the reference.
    pub const TABLE: &'static [(ExitCode, &'static str)] = &[
        (ExitCode::Success, "success"),
        (ExitCode::Generic, "network, server or internal error"),
        (ExitCode::Invalid, "invalid argument, flag, selector or manifest"),
        (ExitCode::Unauthorized, "authentication or authorization error"),
        (ExitCode::BootstrapConflict, "bootstrap conflict, and nobody to ask"),
        (ExitCode::Unavailable, "target offline or not found"),
        (ExitCode::FleetHalted, "fleet run halted by its failure policy"),
        (ExitCode::Cancelled, "cancelled by the user"),
        (ExitCode::DeadlineExceeded, "deadline exceeded"),
        (ExitCode::RequireMin, "fewer targets than --require-min"),
        (ExitCode::Differences, "diff --exit-code found differences"),
        (ExitCode::OwnershipConflict, "ownership conflict"),
    ];

    /// The number a shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_in_order() {
        let codes: Vec<u8> = ExitCode::TABLE.iter().map(|(code, _)| code.code()).collect();
        assert_eq!(codes, (0..=11).collect::<Vec<u8>>());
    }
}
