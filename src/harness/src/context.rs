//! Errors here are lines for a person: what was tried, and what the kernel said.

use std::fmt::Display;

/// What failed, in one line.
pub type Outcome<T> = Result<T, String>;

/// Says what was tried when something failed.
pub trait Context<T> {
    /// `what: the error`.
    fn context(self, what: impl Display) -> Outcome<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Outcome<T> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}
