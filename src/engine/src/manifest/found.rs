//! What was found to be wrong: the first ones whole, the rest counted.

use aegis_core::diagnostic::Diagnostic;

use super::{limits::SHOWN, render::render};

/// Diagnostics in the order of the input; after the first [`SHOWN`] they are only counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    shown: Vec<Diagnostic>,
    more: usize,
}

impl Diagnostics {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }
    /// How many there are, those that aren't kept included.
    pub fn count(&self) -> usize {
        self.shown.len() + self.more
    }
    /// Whether one of the kept ones stops the command.
    pub fn has_errors(&self) -> bool {
        self.shown.iter().any(Diagnostic::is_error)
    }
    /// Those that are kept.
    pub fn shown(&self) -> &[Diagnostic] {
        &self.shown
    }
    /// How many there are beyond [`Diagnostics::shown`].
    pub fn more(&self) -> usize {
        self.more
    }
    /// Adds one; `diagnostic` is only called when it is kept, since finding a place costs time.
    pub fn add(&mut self, diagnostic: impl FnOnce() -> Diagnostic) {
        if self.shown.len() < SHOWN {
            self.shown.push(diagnostic());
        } else {
            self.more += 1;
        }
    }
    /// Adds all of `others` behind.
    pub fn append(&mut self, others: Self) {
        for diagnostic in others.shown {
            self.add(|| diagnostic);
        }
        self.more += others.more;
    }
    /// All of it as a compiler would print it, with a last line for those that aren't kept; no line break at the end.
    pub fn render(&self, color: bool) -> String {
        let mut parts: Vec<String> = self.shown.iter().map(|diagnostic| render(diagnostic, color)).collect();
        if self.more > 0 {
            parts.push(format!("and {} more", self.more));
        }
        parts.join("\n\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { shown: vec![diagnostic], more: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fifty_are_kept_in_order_and_the_rest_is_counted() {
        let mut left = Diagnostics::default();
        let mut right = Diagnostics::default();
        for n in 0..40 {
            left.add(|| Diagnostic::error(format!("left {n}")));
            right.add(|| Diagnostic::error(format!("right {n}")));
        }
        left.append(right);
        assert_eq!((left.shown().len(), left.more(), left.count()), (50, 30, 80));
        assert_eq!(left.shown()[40].message, "right 0");
        assert!(left.render(false).ends_with("error: right 9\n\nand 30 more"), "{}", left.render(false));
    }
}
