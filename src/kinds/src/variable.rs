//! Names of environment variables in a guest.

use aegis_core::Refusal;

/// Whether a guest's process may have a variable of this name: a letter, then letters, digits and `_`, at most 128.
/// What begins with `AEGIS_` is the harness's own.
pub fn is_variable(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.len() <= 128
        && !name.starts_with("AEGIS_")
}

/// Refuses a name that is none, at `field`.
pub(crate) fn check(field: impl Into<String>, name: &str) -> Result<(), Refusal> {
    if is_variable(name) {
        return Ok(());
    }
    let refusal = Refusal::at(field, format!("'{name}' is no name of a variable"));
    Err(if name.starts_with("AEGIS_") {
        refusal.help("names that begin with AEGIS_ are kept for Aegis itself")
    } else {
        refusal.help("write letters, digits and '_', such as API_KEY, and begin with a letter")
    })
}
