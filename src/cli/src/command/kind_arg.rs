//! `KIND`, `KIND/NAME`: how objects are named on a command line.

use aegis_core::nearest::nearest;
use aegis_kinds::{Info, KINDS, find};

use crate::failure::Failure;

/// The kind that `text` names.
pub fn kind(text: &str) -> Result<&'static Info, Failure> {
    find(text).ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|info| info.name).collect();
        Failure::invalid(format!("'{text}' is no kind; there are {}", names.join(", ")))
            .hint_if(nearest(text, names.iter().copied()).map(|near| format!("did you mean {near}?")))
    })
}

/// The object that `KIND/NAME` names.
pub fn object(text: &str) -> Result<(&'static Info, &str), Failure> {
    match text.split_once('/') {
        Some((of, name)) if !name.is_empty() => Ok((kind(of)?, name)),
        _ => {
            let kind = find(text).map_or("KIND", |info| info.name);
            let example = if kind == "KIND" { ", such as App/web" } else { "" };
            Err(Failure::invalid(format!("'{text}' names no object"))
                .hint(format!("write {kind}/NAME{example}; `aegis get {kind}` lists the names")))
        }
    }
}
