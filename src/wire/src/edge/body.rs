//! Events and commands as the bytes in an envelope.

use bytes::Bytes;
use prost::Message;

use super::{Capabilities, Command, Event};
use crate::{
    envelope::{Body, Malformed},
    proto::{self, command_body, event_body},
};

impl From<Capabilities> for proto::Capabilities {
    fn from(have: Capabilities) -> Self {
        let Capabilities { hostname, os, arch, local_tools, labels, version } = have;
        Self { hostname, os, arch, local_tools, labels, version }
    }
}

impl From<proto::Capabilities> for Capabilities {
    fn from(have: proto::Capabilities) -> Self {
        let proto::Capabilities { hostname, os, arch, local_tools, labels, version } = have;
        Self { hostname, os, arch, local_tools, labels, version }
    }
}

impl Body for Event {
    fn kind(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Heartbeat { .. } => "heartbeat",
            Self::CapabilityUpdate(_) => "capability_update",
            Self::Ack { .. } => "ack",
            Self::TokenRequest => "token_request",
        }
    }

    fn encode(&self) -> Bytes {
        let event = match self.clone() {
            Self::Hello { node_token, capabilities } => {
                event_body::Event::Hello(proto::Hello { node_token, capabilities: Some(capabilities.into()) })
            }
            Self::Heartbeat { draining, in_flight } => {
                event_body::Event::Heartbeat(proto::Heartbeat { draining, in_flight })
            }
            Self::CapabilityUpdate(capabilities) => {
                event_body::Event::CapabilityUpdate(proto::CapabilityUpdate {
                    capabilities: Some(capabilities.into()),
                })
            }
            Self::Ack { sequence } => event_body::Event::Ack(proto::Ack { sequence }),
            Self::TokenRequest => event_body::Event::TokenRequest(proto::TokenRequest {}),
        };
        proto::EventBody { event: Some(event) }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let body = proto::EventBody::decode(bytes).map_err(|error| Malformed(error.to_string()))?;
        Ok(match body.event.ok_or_else(|| Malformed("an event of an unknown kind".to_owned()))? {
            event_body::Event::Hello(hello) => Self::Hello {
                node_token: hello.node_token,
                capabilities: hello.capabilities.unwrap_or_default().into(),
            },
            event_body::Event::Heartbeat(beat) => {
                Self::Heartbeat { draining: beat.draining, in_flight: beat.in_flight }
            }
            event_body::Event::CapabilityUpdate(update) => {
                Self::CapabilityUpdate(update.capabilities.unwrap_or_default().into())
            }
            event_body::Event::Ack(ack) => Self::Ack { sequence: ack.sequence },
            event_body::Event::TokenRequest(proto::TokenRequest {}) => Self::TokenRequest,
        })
    }
}

impl Body for Command {
    fn kind(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::Drain { .. } => "drain",
            Self::Shutdown { .. } => "shutdown",
            Self::NodeToken { .. } => "node_token",
            Self::HeartbeatAck => "heartbeat_ack",
        }
    }

    fn encode(&self) -> Bytes {
        let command = match self.clone() {
            Self::Welcome { name, tags, drain } => {
                command_body::Command::Welcome(proto::Welcome { name, tags, drain })
            }
            Self::Drain { enabled } => command_body::Command::Drain(proto::Drain { enabled }),
            Self::Shutdown { reason } => command_body::Command::Shutdown(proto::Shutdown { reason }),
            Self::NodeToken { token } => command_body::Command::NodeToken(proto::NodeToken { token }),
            Self::HeartbeatAck => command_body::Command::HeartbeatAck(proto::HeartbeatAck {}),
        };
        proto::CommandBody { command: Some(command) }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let body = proto::CommandBody::decode(bytes).map_err(|error| Malformed(error.to_string()))?;
        Ok(match body.command.ok_or_else(|| Malformed("a command of an unknown kind".to_owned()))? {
            command_body::Command::Welcome(welcome) => {
                Self::Welcome { name: welcome.name, tags: welcome.tags, drain: welcome.drain }
            }
            command_body::Command::Drain(drain) => Self::Drain { enabled: drain.enabled },
            command_body::Command::Shutdown(shutdown) => Self::Shutdown { reason: shutdown.reason },
            command_body::Command::NodeToken(token) => Self::NodeToken { token: token.token },
            command_body::Command::HeartbeatAck(proto::HeartbeatAck {}) => Self::HeartbeatAck,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn capabilities() -> Capabilities {
        Capabilities {
            hostname: "web-1".into(),
            os: "linux".into(),
            arch: "x86_64".into(),
            local_tools: vec!["docker".into(), "git".into()],
            labels: [("region".to_owned(), "eu".to_owned())].into(),
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn every_event_is_read_back() {
        for event in [
            Event::Hello { node_token: "t".into(), capabilities: capabilities() },
            Event::Heartbeat { draining: true, in_flight: 3 },
            Event::CapabilityUpdate(capabilities()),
            Event::Ack { sequence: 7 },
            Event::TokenRequest,
        ] {
            assert_eq!(Event::decode(event.encode()).unwrap(), event);
        }
    }

    #[test]
    fn every_command_is_read_back() {
        for command in [
            Command::Welcome { name: "web-1".into(), tags: vec!["prod".into()], drain: true },
            Command::Drain { enabled: false },
            Command::Shutdown { reason: "bye".into() },
            Command::NodeToken { token: "t".into() },
            Command::HeartbeatAck,
        ] {
            assert_eq!(Command::decode(command.encode()).unwrap(), command);
        }
    }

    #[test]
    fn an_empty_or_unknown_body_is_malformed() {
        assert!(Event::decode(Bytes::new()).is_err());
        assert!(Command::decode(Bytes::from_static(&[0x12, 0x00])).is_err());
    }
}
