//! `aegis`: see the library for what it does.

fn main() -> std::process::ExitCode {
    aegis_cli::main()
}
