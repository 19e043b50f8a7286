//! Whether a tool changes anything: what decides the failure policy of a run where the caller doesn't.

use aegis_core::{fleet::OnError, words};
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

impl ToolClass {
    /// What a failure does to the rest of a run where the caller doesn't say so (1-product.md, decision 4).
    pub const fn on_error(self) -> OnError {
        match self {
            Self::ReadOnly => OnError::Continue,
            Self::StateMutating => OnError::FailFast,
        }
    }
}

words!(
    ToolClass,
    "tool class; write read-only or state-mutating",
    ReadOnly = "read-only",
    StateMutating = "state-mutating",
);

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
