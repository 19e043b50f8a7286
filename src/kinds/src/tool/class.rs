//! Whether a tool changes anything: what decides the failure policy of a run where the caller doesn't.

use std::{fmt, str::FromStr};

use aegis_core::fleet::OnError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a tool changes anything on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ToolClass {
    /// It only looks.
    ReadOnly,
    /// It may change something.
    StateMutating,
}

/// The text is no class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no tool class; write read-only or state-mutating")]
pub struct UnknownClass(String);

impl ToolClass {
    /// The word, as shown and as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::StateMutating => "state-mutating",
        }
    }
    /// What a failure does to the rest of a run where the caller doesn't say so (1-product.md, decision 4).
    pub const fn on_error(self) -> OnError {
        match self {
            Self::ReadOnly => OnError::Continue,
            Self::StateMutating => OnError::FailFast,
        }
    }
}

impl fmt::Display for ToolClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ToolClass {
    type Err = UnknownClass;
    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        [Self::ReadOnly, Self::StateMutating]
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_reads_and_prints_and_decides_what_a_failure_does() {
        for (class, policy) in
            [(ToolClass::ReadOnly, OnError::Continue), (ToolClass::StateMutating, OnError::FailFast)]
        {
            assert_eq!(class.to_string().parse(), Ok(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert_eq!(class.on_error(), policy);
        }
        assert!("readonly".parse::<ToolClass>().is_err());
    }
}
