//! What a manifest says of an app.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use aegis_core::{HumanDuration, selector::Target};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ExposedPort;
use crate::{ByteSize, UniqueSet};

/// A workload of an OCI image that runs in a guest of its own: here, or on every host of `target`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppSpec {
    /// The image whose file system the guest gets, such as `python:3.12-alpine`. It may come from the kit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A kit that it takes image, command, ports, variables, limits and required secrets from, as far as the app doesn't
    /// say them itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kit: Option<String>,
    /// The program and its arguments. `ENTRYPOINT` and `CMD` of the image are ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The guest's ports that can be reached. Requests to the app's name go to the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<ExposedPort>,
    /// Publish a release whenever image, command or ports change; `serve` does so too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Keep an instance of the latest release running. A new one replaces it once it is ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub serve: bool,
    /// How much of the machine the guest may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// When a guest that nobody uses is paused and stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// When a new instance counts as ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// Secrets of the workspace that it can't do without. An app gets all of the workspace's and its own, as variables; one
    /// that is named here must be there before it boots.
    #[serde(default, skip_serializing_if = "UniqueSet::is_empty")]
    pub secrets: UniqueSet<String>,
    /// Variables of its environment. They win over secrets of the same name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The name of the workspace that is `/workspace` in the guest [default: one of the app's own].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// What runs the guest: `qemu`, `libkrun` or `namespaces` [default: what works on the machine].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The hosts whose daemons run it, such as `tags=edge`; without it, this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub target: Option<Target>,
}

/// How a release is published.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// A name for people, such as `v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Limits of a guest. What isn't said is as the daemon's config says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Memory, such as `256MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Virtual CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// The size of a new workspace, such as `1GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<ByteSize>,
    /// How many processes there may be at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

/// When a guest that nobody uses is put aside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Idle {
    /// After how long it is paused [default: 60s].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_after: Option<HumanDuration>,
    /// How long after that it is stopped [default: 20m].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<HumanDuration>,
}

/// When a new instance counts as ready.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Readiness {
    /// The guest's port that must accept connections, or `none`: a process that runs is ready [default: the first
    /// exposed port].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<ReadinessPort>,
    /// How long it may take [default: 60s].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
}

/// What is asked to find out whether an instance is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadinessPort {
    /// Nothing: a process that runs is ready.
    None,
    /// This port of the guest accepts connections.
    Port(u16),
}

impl Serialize for ReadinessPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Port(port) => serializer.serialize_u16(*port),
        }
    }
}

impl<'de> Deserialize<'de> for ReadinessPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Port;
        impl de::Visitor<'_> for Port {
            type Value = ReadinessPort;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port from 1 to 65535, or none")
            }
            fn visit_u64<E: de::Error>(self, port: u64) -> Result<ReadinessPort, E> {
                let port = u16::try_from(port).ok().filter(|port| *port > 0);
                port.map(ReadinessPort::Port)
                    .ok_or_else(|| E::custom("a port is 1 to 65535; `none` asks no port"))
            }
            fn visit_i64<E: de::Error>(self, port: i64) -> Result<ReadinessPort, E> {
                self.visit_u64(u64::try_from(port).unwrap_or(0))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ReadinessPort, E> {
                match text {
                    "none" => Ok(ReadinessPort::None),
                    other => self.visit_u64(other.parse().unwrap_or(0)),
                }
            }
        }
        deserializer.deserialize_any(Port)
    }
}

impl JsonSchema for ReadinessPort {
    fn schema_name() -> Cow<'static, str> {
        "ReadinessPort".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "oneOf": [
                { "type": "integer", "minimum": 1, "maximum": 65535 },
                { "type": "string", "const": "none" }
            ]
        })
    }
}
