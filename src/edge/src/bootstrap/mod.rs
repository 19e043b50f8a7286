//! What `aegis edge enroll` is going to do with the files of this host: decided as a whole, shown, then done.
//!
//! [`observe`] looks, [`plan`] decides without touching anything (2-protocol.md, "Enrolment": the bootstrap matrix).

mod matrix;
mod observe;
mod prompt;
mod render;

use serde::{Serialize, Serializer};

pub use matrix::plan;
pub use observe::{
    ConfigState, DirState, EnrollmentState, KeyState, NodeTokenState, Observed, SecretsState, observe,
};
pub use prompt::{Prompter, Refusal, StreamPrompter, Unattended};
pub use render::table;

use aegis_core::{ExitCode, TenantId};
use aegis_wire::{CaFingerprint, Endpoint, ServerKey, token::UnverifiedEnrollment};

/// What the enrolment token offers: where to, whom to trust, which tenant.
pub type Offer = UnverifiedEnrollment;

/// How questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// By a person.
    #[default]
    Ask,
    /// Not at all: a question is a conflict (`--non-interactive`).
    NonInteractive,
    /// Overwrite (`--force`).
    Force,
    /// Reuse; what can't be reused safely is a conflict (`--keep-existing`).
    KeepExisting,
}

/// A row of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Artifact {
    /// The state directory.
    ConfigDir,
    /// The config file.
    Config,
    /// The node's private key.
    NodeKey,
    /// The node security token.
    NodeToken,
    /// The enrolment token while an enrolment runs.
    EnrollmentJwt,
    /// What starts the daemon.
    ServiceUnit,
    /// The local key-value store.
    Secrets,
}

impl Artifact {
    /// Its name in plans and questions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigDir => "config dir",
            Self::Config => "aegis-config.yaml",
            Self::NodeKey => "node.key",
            Self::NodeToken => "node.token",
            Self::EnrollmentJwt => "enrollment.jwt",
            Self::ServiceUnit => "service unit",
            Self::Secrets => "secrets/",
        }
    }
}

impl Serialize for Artifact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What can be done with an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Make it.
    Create,
    /// It is as it should be.
    Keep,
    /// Take away what its mode allows too much.
    FixMode,
    /// Keep the config; the tenant, and what is missing, is filled in.
    UseExisting,
    /// Keep the config, with the endpoint, CA and tenant of the enrolment token.
    Merge,
    /// A new file from the template.
    Overwrite,
    /// Keep the key or the token.
    Reuse,
    /// A new key.
    Generate,
    /// The new one instead of the one that is there.
    Replace,
    /// Comes with the controller's answer.
    Obtain,
    /// Written now, removed after success.
    Write,
    /// Not touched.
    Leave,
    /// A person will be asked.
    Ask,
    /// Stop; nothing is changed.
    Abort,
}

impl Choice {
    /// The words for it in plans and questions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Keep => "keep",
            Self::FixMode => "fix the mode",
            Self::UseExisting => "use existing",
            Self::Merge => "merge",
            Self::Overwrite => "overwrite",
            Self::Reuse => "reuse",
            Self::Generate => "generate",
            Self::Replace => "replace",
            Self::Obtain => "obtain",
            Self::Write => "write",
            Self::Leave => "leave",
            Self::Ask => "ask",
            Self::Abort => "abort",
        }
    }

    /// The letter that picks it.
    pub const fn letter(self) -> char {
        match self {
            Self::UseExisting => 'u',
            Self::Merge => 'm',
            Self::Overwrite => 'o',
            Self::Reuse => 'r',
            Self::Generate => 'g',
            Self::Replace => 'p',
            Self::Abort => 'a',
            // Never offered in a question.
            Self::Create
            | Self::Keep
            | Self::FixMode
            | Self::Obtain
            | Self::Write
            | Self::Leave
            | Self::Ask => '-',
        }
    }
}

/// What happens with one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Which.
    pub artifact: Artifact,
    /// Where it is.
    pub path: String,
    /// How it was found, in a few words.
    pub state: String,
    /// What could be chosen; empty when there was nothing to choose.
    pub choices: Vec<Choice>,
    /// What was chosen.
    pub chosen: Choice,
    /// What that means, when it doesn't go without saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Everything that an enrolment is going to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Where the host enrols.
    pub endpoint: Endpoint,
    /// The CA that the controller must have.
    pub ca_fingerprint: CaFingerprint,
    /// The tenant that the host will belong to.
    pub tenant: TenantId,
    /// The controller's signing key that will be pinned.
    #[serde(skip)]
    pub server_key: ServerKey,
    /// Whether the controller is contacted. It isn't when key and token are reused.
    pub contacts_controller: bool,
    /// One for each artifact.
    pub decisions: Vec<Decision>,
}

impl Plan {
    /// What was chosen for `artifact`.
    pub fn chosen(&self, artifact: Artifact) -> Option<Choice> {
        self.decisions.iter().find(|decision| decision.artifact == artifact).map(|decision| decision.chosen)
    }

    /// The warnings, each with what it is about.
    pub fn warnings(&self) -> impl Iterator<Item = (Artifact, &str)> {
        self.decisions.iter().filter_map(|decision| Some((decision.artifact, decision.warning.as_deref()?)))
    }
}

/// A question that nobody answers, or an answer that would be unsafe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// What it is about.
    pub artifact: Artifact,
    /// How it was found.
    pub state: String,
    /// Why it can't be decided.
    pub reason: String,
    /// What could have been chosen.
    pub choices: Vec<Choice>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// Exit 4. All conflicts at once, so that one run shows what there is to decide.
    #[error("{}", conflict_text(.0))]
    Conflicts(Vec<Conflict>),
    /// A person chose to stop.
    #[error("stopped at {}; nothing was changed", .0.as_str())]
    Aborted(Artifact),
}

impl BootstrapError {
    /// The code that the process ends with.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Conflicts(_) => ExitCode::BootstrapConflict,
            Self::Aborted(_) => ExitCode::Cancelled,
        }
    }
    /// The way out.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Conflicts(_) => Some(
                "'--dry-run' shows the plan; '--keep-existing' reuses what is there, '--force' overwrites it, a \
                 terminal lets you choose",
            ),
            Self::Aborted(_) => None,
        }
    }
}

fn conflict_text(conflicts: &[Conflict]) -> String {
    let one = |conflict: &Conflict| {
        let (artifact, reason) = (conflict.artifact.as_str(), &conflict.reason);
        let choices: Vec<_> = conflict.choices.iter().map(|choice| choice.as_str()).collect();
        if choices.is_empty() {
            format!("{artifact}: {reason}")
        } else {
            format!("{artifact}: {reason} ({})", choices.join(", "))
        }
    };
    conflicts.iter().map(one).collect::<Vec<_>>().join("; ")
}
