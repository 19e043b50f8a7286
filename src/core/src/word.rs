//! Enums whose values are words, on the wire, in JSON and on the screen: one table for every direction.

/// The text is none of the words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no {what}")]
pub struct UnknownWord {
    given: String,
    what: &'static str,
}

impl UnknownWord {
    /// `given` is no `what`.
    pub fn new(given: &str, what: &'static str) -> Self {
        Self { given: given.to_owned(), what }
    }
}

/// Gives an enum without fields `ALL`, `as_str`, `Display` and `FromStr`, by the word of each value. What the enum
/// derives for JSON must say the same words.
#[macro_export]
macro_rules! words {
    ($type:ident, $what:literal, $($variant:ident = $word:literal),* $(,)?) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// The word in JSON and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl std::str::FromStr for $type {
            type Err = $crate::word::UnknownWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|word| word.as_str() == text);
                found.ok_or_else(|| $crate::word::UnknownWord::new(text, $what))
            }
        }
    };
}
