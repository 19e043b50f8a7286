//! PID 1 of a guest.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
