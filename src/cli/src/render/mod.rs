//! Plans and their outcomes, as text and as markdown.

mod markdown;
mod plan;

pub use markdown::markdown;
pub use plan::{Shown, object, plan_text, planned, summary, verb, warnings};
