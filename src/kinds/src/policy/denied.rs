//! Why nothing is granted.

use std::fmt;

/// Who refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// The context of this name, as the controller pushed it.
    Context(String),
    /// The host's own `localPolicy`.
    LocalPolicy,
    /// The host's own `mountPoints`.
    MountPoints,
    /// Each grants something, but nothing in common.
    Together(String),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(name) => write!(f, "the security context '{name}'"),
            Self::LocalPolicy => f.write_str("the host's localPolicy"),
            Self::MountPoints => f.write_str("the host's mountPoints"),
            Self::Together(name) => {
                write!(f, "the security context '{name}' together with the host's own config")
            }
        }
    }
}

impl Side {
    fn way_out(&self, what: &str) -> String {
        match self {
            Self::Context(name) => format!("grant {what} in SecurityContext/{name}, or take another context"),
            Self::LocalPolicy => format!("ask the host's owner to grant {what} in localPolicy"),
            Self::MountPoints => format!("ask the host's owner to add {what} to mountPoints"),
            Self::Together(name) => {
                format!("grant {what} in SecurityContext/{name} that the host's owner grants as well")
            }
        }
    }
}

/// Why a tool may not be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No capability names the tool.
    #[error("{side} doesn't grant {tool}; {}", side.way_out("it"))]
    Tool {
        /// The tool.
        tool: String,
        /// Who doesn't grant it.
        side: Side,
    },
    /// The tool is on the list of what is refused, whatever is granted.
    #[error("{side} denies {tool}; {}", match side {
        Side::Context(name) => format!("take it off `deny` in SecurityContext/{name}, or take another context"),
        _ => "ask the host's owner to take it off `deny`".to_owned(),
    })]
    Refused {
        /// The tool.
        tool: String,
        /// Who refuses it.
        side: Side,
    },
    /// The tool works on paths, and none is granted.
    #[error("{side} grants {tool} no path; {}", side.way_out("a path"))]
    NoPaths {
        /// The tool.
        tool: String,
        /// Who grants no path.
        side: Side,
    },
    /// The tool runs programs, and none that it could run is granted.
    #[error("{side} grants {tool} no command that it could run; {}", side.way_out(needed))]
    NoCommands {
        /// The tool.
        tool: String,
        /// Who grants no command.
        side: Side,
        /// What would have to be granted.
        needed: &'static str,
    },
}

impl Denied {
    /// Who refuses.
    pub const fn side(&self) -> &Side {
        match self {
            Self::Tool { side, .. }
            | Self::Refused { side, .. }
            | Self::NoPaths { side, .. }
            | Self::NoCommands { side, .. } => side,
        }
    }
}
