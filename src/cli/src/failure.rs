//! What went wrong, for people: the one mapping of errors to a message, a hint and an exit code.

use std::fmt::Write;

use aegis_core::ExitCode;
use aegis_engine::{declare::DeclareError, manifest::Diagnostics, rollback::RollbackError};
use aegis_wire::{ApiError, runtime::RuntimeError};

use crate::{
    fleet::visible,
    local,
    terminal::{Paint, Stream},
};

/// Why a command ended without doing what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: ExitCode,
    /// What happened, to which object; empty when it has been shown already.
    message: String,
    /// What to do next.
    hint: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(exit: ExitCode, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }
    /// Bad arguments or manifests.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Invalid, message)
    }
    /// Anything without a code of its own.
    pub fn generic(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Generic, message)
    }
    /// What was looked for isn't there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Unavailable, message)
    }
    /// The file at `path` couldn't be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::generic(format!("{}: {error}", path.display()))
    }
    /// The way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The way out, where there is one.
    #[must_use]
    pub fn hint_if(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }

    /// What happened.
    #[cfg(test)]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Shows it on stderr.
    #[allow(clippy::print_stderr, reason = "messages go to stderr")]
    pub fn print(&self) {
        eprint!("{}", self.shown(Paint::of(Stream::Stderr)));
    }

    /// As it is shown: what servers and hosts say in it steers no terminal.
    fn shown(&self, paint: Paint) -> String {
        let mut shown = String::new();
        if !self.message.is_empty() {
            let _ = writeln!(shown, "{} {}", paint.red("error:"), visible(&self.message));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(shown, " {} {}", paint.cyan("hint:"), visible(hint));
        }
        shown
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { exit: error.code.exit_code(), message: error.message, hint: error.hint }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self { exit: local::exit_of(error.status), message: error.message, hint: error.hint }
    }
}

impl From<Diagnostics> for Failure {
    /// Shows them, as they have a form of their own.
    #[allow(clippy::print_stderr, reason = "messages go to stderr")]
    fn from(found: Diagnostics) -> Self {
        eprintln!("{}\n", found.render(Paint::of(Stream::Stderr).is_on()));
        let count = found.count();
        let what = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
        Self::invalid(format!("{what} in the manifests; nothing was changed"))
    }
}

impl From<DeclareError> for Failure {
    fn from(error: DeclareError) -> Self {
        match error {
            DeclareError::Invalid(found) => found.into(),
            DeclareError::Api(error) => error.into(),
        }
    }
}

impl From<RollbackError> for Failure {
    fn from(error: RollbackError) -> Self {
        match error {
            RollbackError::Api(error) => error.into(),
            RollbackError::Unknown(_) => {
                Self::not_found(error.to_string()).hint("`aegis history` lists the revisions")
            }
            RollbackError::Unreadable(..) => Self::generic(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use aegis_wire::Code;

    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_a_message_says() {
        let failure = Failure::generic("web-1: \x1b[2Jgone\r").hint("ask \u{202e}them\nor us");
        assert_eq!(failure.shown(Paint::OFF), "error: web-1: ^[[2Jgone^M\n hint: ask \\u{202e}them\nor us\n");
    }

    #[test]
    fn every_status_of_aegisd_has_its_exit_code() {
        for (status, exit) in [
            (400, ExitCode::Invalid),
            (403, ExitCode::Unauthorized),
            (404, ExitCode::Unavailable),
            (409, ExitCode::Generic),
            (413, ExitCode::Invalid),
            (422, ExitCode::Invalid),
            (500, ExitCode::Generic),
        ] {
            assert_eq!(Failure::from(RuntimeError::new(status, "x", "x")).exit, exit, "{status}");
        }
        let failure = Failure::from(RuntimeError::not_running());
        assert_eq!(failure.exit, ExitCode::Generic);
        assert_eq!(failure.shown(Paint::OFF), "error: aegisd isn't running\n hint: `aegis up` starts it\n");
    }

    #[test]
    fn every_api_code_has_its_exit_code() {
        let table = [
            (Code::Unauthenticated, ExitCode::Unauthorized),
            (Code::PermissionDenied, ExitCode::Unauthorized),
            (Code::UntrustedServer, ExitCode::Unauthorized),
            (Code::NotFound, ExitCode::Unavailable),
            (Code::Invalid, ExitCode::Invalid),
            (Code::Unavailable, ExitCode::Generic),
            (Code::Conflict, ExitCode::Generic),
            (Code::Exhausted, ExitCode::Generic),
            (Code::Internal, ExitCode::Generic),
        ];
        for (code, exit) in table {
            assert_eq!(Failure::from(ApiError::new(code, "x")).exit, exit, "{code:?}");
        }
    }
}
