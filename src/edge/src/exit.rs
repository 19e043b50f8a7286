//! One mapping from what a call to the controller failed with to the code that the process ends with.

use aegis_core::ExitCode;
use aegis_wire::Code;

/// The exit code for a failed call.
pub const fn of_api(code: Code) -> ExitCode {
    match code {
        Code::Unauthenticated | Code::PermissionDenied | Code::UntrustedServer => ExitCode::Unauthorized,
        Code::NotFound => ExitCode::Unavailable,
        Code::Invalid => ExitCode::Invalid,
        Code::Unavailable | Code::Conflict | Code::Exhausted | Code::Internal => ExitCode::Generic,
    }
}
