//! `aegisd`: see the library for what it does.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
