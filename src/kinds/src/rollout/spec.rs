//! What a rollout is declared to be.

use std::{borrow::Cow, time::Duration};

use aegis_core::{
    HumanDuration,
    fleet::{DEFAULT_DEADLINE, Mode, OnError, Strategy, WaveSize},
    selector::Target,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use crate::{
    policy::DEFAULT_CONTEXT,
    tool::{ToolClass, find},
};

/// A tool call that every host of a target gets once, and again whenever this changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// Which hosts: the expression of `--target`, such as `tags=prod os=linux` or `group:web`.
    #[schemars(with = "String")]
    pub target: Target,
    /// The tool that is called: a built-in one, or one that the hosts' owners declared.
    pub tool: String,
    /// The tool's arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// The security context that the calls run under. Without it: default.
    #[serde(default = "default_context", skip_serializing_if = "is_default_context")]
    pub security_context: String,
    /// In which order and how fast, and what a failure does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: RolloutStrategy,
    /// A call that must succeed on the hosts of a wave before the next wave begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<Box<HealthCheck>>,
    /// A call to the hosts that were reached, when the rollout fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Box<Rollback>>,
    /// Whether hosts that join the target later get the call, too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub catch_up: bool,
}

/// In which order hosts get the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RolloutMode {
    /// All at once.
    Parallel,
    /// One after the other.
    Sequential,
    /// In waves of `batch` hosts.
    #[default]
    Rolling,
}

impl RolloutMode {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Sequential => "sequential",
            Self::Rolling => "rolling",
        }
    }
}

/// In which order and how fast, and what a failure does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RolloutStrategy {
    /// parallel, sequential or rolling. Without it: rolling.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: RolloutMode,
    /// How many hosts a wave has: a number, or a share such as 25%. Only for rolling; without it: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// How many hosts work on it at once, at most.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// What a failed host does to those that haven't begun: fail-fast, continue or stop-after=N. Without it: continue
    /// for a tool that only looks, else fail-fast.
    #[schemars(with = "Option<String>", regex(pattern = "^(fail-fast|continue|stop-after=[1-9][0-9]*)$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// How many hosts must be connected, or nothing is begun.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_min: Option<u32>,
    /// How long each host may take. Without it: what the tool says, else 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
    /// How long to wait between two waves. Only for rolling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<HumanDuration>,
}

/// A call that must succeed on the hosts of a wave before the next wave begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// The tool that is called.
    pub tool: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// How long each host may take. Without it: what the tool says, else 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
}

/// A call to the hosts that were reached, when the rollout fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// The tool that is called.
    pub tool: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
}

fn default_context() -> String {
    DEFAULT_CONTEXT.to_owned()
}
fn is_default_context(name: &str) -> bool {
    name == DEFAULT_CONTEXT
}
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl RolloutSpec {
    /// A call of this tool to these hosts, with everything else as it is when nobody says otherwise.
    pub fn new(target: Target, tool: impl Into<String>) -> Self {
        Self {
            target,
            tool: tool.into(),
            args: Map::new(),
            security_context: default_context(),
            strategy: RolloutStrategy::default(),
            health_check: None,
            rollback: None,
            catch_up: false,
        }
    }

    /// How its run goes about the hosts, when its tool is of this class.
    pub fn strategy(&self, class: ToolClass) -> Strategy {
        let strategy = &self.strategy;
        Strategy {
            mode: match strategy.mode {
                RolloutMode::Parallel => Mode::Parallel,
                RolloutMode::Sequential => Mode::Sequential,
                RolloutMode::Rolling => Mode::Rolling(strategy.batch.unwrap_or_default().0),
            },
            max_concurrency: strategy.max_concurrency,
            on_error: strategy.on_error.unwrap_or(class.on_error()),
            deadline: deadline(strategy.deadline, &self.tool),
            pause: strategy.pause.unwrap_or_default().0,
            gated: self.health_check.is_some(),
        }
    }
}

impl HealthCheck {
    /// How long each host may take.
    pub fn deadline(&self) -> Duration {
        deadline(self.deadline, &self.tool)
    }
}

fn deadline(given: Option<HumanDuration>, tool: &str) -> Duration {
    let of_tool = || find(tool).and_then(|tool| tool.timeout);
    given.map(|given| given.0).or_else(of_tool).unwrap_or(DEFAULT_DEADLINE)
}

/// How many hosts a wave has: `5`, or `25%` of all targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch(pub WaveSize);

impl Default for Batch {
    fn default() -> Self {
        Self(WaveSize::Hosts(1))
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            WaveSize::Hosts(hosts) => serializer.serialize_u32(hosts),
            WaveSize::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
}

/// What a batch may be.
const BATCH: &str = "a number of hosts above 0, or a share from 1% to 100%";

impl Batch {
    /// Why `text` is no batch, and the way out; none: it is one, as far as a scalar's text says so.
    pub fn fault(text: &str) -> Option<(String, &'static str)> {
        let given = text.parse().map_or_else(|_| Given::Share(text.to_owned()), Given::Hosts);
        let message = format!("'spec.strategy.batch' must be {BATCH}");
        given
            .read()
            .is_none()
            .then_some((message, "leave it out for one host at a time, or write such as 2 or 25%"))
    }
}

/// What stands where a batch should.
enum Given {
    Hosts(i64),
    Share(String),
}

impl Given {
    fn read(self) -> Option<Batch> {
        let size = match self {
            Self::Hosts(hosts) => u32::try_from(hosts).ok().filter(|hosts| *hosts > 0).map(WaveSize::Hosts),
            Self::Share(share) => {
                let percent = share.strip_suffix('%').and_then(|percent| percent.parse::<u8>().ok());
                percent.filter(|percent| (1..=100).contains(percent)).map(WaveSize::Percent)
            }
        };
        size.map(Batch)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrShare;
        impl de::Visitor<'_> for NumberOrShare {
            type Value = Given;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(BATCH)
            }
            fn visit_u64<E: de::Error>(self, hosts: u64) -> Result<Given, E> {
                Ok(Given::Hosts(i64::try_from(hosts).unwrap_or(i64::MAX)))
            }
            fn visit_i64<E: de::Error>(self, hosts: i64) -> Result<Given, E> {
                Ok(Given::Hosts(hosts))
            }
            fn visit_str<E: de::Error>(self, share: &str) -> Result<Given, E> {
                Ok(Given::Share(share.to_owned()))
            }
        }
        // Refused out here, so that a decoder of manifests knows the place of the value.
        let given = deserializer.deserialize_any(NumberOrShare)?;
        given.read().ok_or_else(|| de::Error::custom(format_args!("a batch must be {BATCH}")))
    }
}

impl JsonSchema for Batch {
    fn schema_name() -> Cow<'static, str> {
        "Batch".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A number of hosts, or a share of them such as 25%.",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": u32::MAX },
                { "type": "string", "pattern": "^([1-9][0-9]?|100)%$" },
            ],
        })
    }
}
