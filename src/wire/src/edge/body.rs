//! Events and commands as the bytes in an envelope.

use std::{collections::BTreeMap, time::Duration};

use aegis_core::fleet::CommandId;
use aegis_kinds::{SecurityContextSpec, tool::ToolDescriptor};
use bytes::Bytes;
use prost::Message;

use super::{Capabilities, Command, Event, OUTPUT_CHUNK, SignedOrder, assign::reports_from_proto};
use crate::{
    envelope::{Body, Malformed},
    proto::{self, command_body, event_body},
};

impl From<Capabilities> for proto::Capabilities {
    fn from(have: Capabilities) -> Self {
        let Capabilities { hostname, os, arch, local_tools, labels, version, tools } = have;
        let tools = tools.into_iter().map(descriptor_to_proto).collect();
        Self { hostname, os, arch, local_tools, labels, version, tools }
    }
}

impl TryFrom<proto::Capabilities> for Capabilities {
    type Error = Malformed;
    fn try_from(have: proto::Capabilities) -> Result<Self, Malformed> {
        let proto::Capabilities { hostname, os, arch, local_tools, labels, version, tools } = have;
        let tools = tools.into_iter().map(descriptor_from_proto).collect::<Result<_, _>>()?;
        Ok(Self { hostname, os, arch, local_tools, labels, version, tools })
    }
}

fn descriptor_to_proto(tool: ToolDescriptor) -> proto::ToolDescriptor {
    proto::ToolDescriptor {
        name: tool.name,
        summary: tool.summary,
        class: tool.class.to_string(),
        fleet_capable: tool.fleet_capable,
        timeout_ms: tool.timeout.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        parameters: tool.parameters.to_string().into(),
    }
}

fn descriptor_from_proto(tool: proto::ToolDescriptor) -> Result<ToolDescriptor, Malformed> {
    let wrong = |error: &dyn std::fmt::Display| Malformed(format!("the tool '{}': {error}", tool.name));
    Ok(ToolDescriptor {
        class: tool.class.parse().map_err(|error| wrong(&error))?,
        parameters: serde_json::from_slice(&tool.parameters).map_err(|error| wrong(&error))?,
        timeout: (tool.timeout_ms > 0).then(|| Duration::from_millis(tool.timeout_ms)),
        summary: tool.summary,
        fleet_capable: tool.fleet_capable,
        name: tool.name,
    })
}

fn contexts_from_proto(
    contexts: Vec<proto::SecurityContext>,
) -> Result<BTreeMap<String, SecurityContextSpec>, Malformed> {
    let context = |context: proto::SecurityContext| {
        let spec = serde_json::from_slice(&context.spec)
            .map_err(|error| Malformed(format!("the security context '{}': {error}", context.name)))?;
        Ok((context.name, spec))
    };
    contexts.into_iter().map(context).collect()
}

fn contexts_to_proto(contexts: BTreeMap<String, SecurityContextSpec>) -> Vec<proto::SecurityContext> {
    let context = |(name, spec): (String, SecurityContextSpec)| proto::SecurityContext {
        name,
        // Lists, texts and numbers always have a JSON form.
        spec: serde_json::to_vec(&spec).unwrap_or_default().into(),
    };
    contexts.into_iter().map(context).collect()
}

fn command_id(text: &str) -> Result<CommandId, Malformed> {
    text.parse().map_err(|error: aegis_core::id::InvalidName| Malformed(error.to_string()))
}

impl Body for Event {
    fn kind(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::CommandResult(_) => "command_result",
            Self::CommandProgress { .. } => "command_progress",
            Self::Heartbeat { .. } => "heartbeat",
            Self::CapabilityUpdate(_) => "capability_update",
            Self::Ack { .. } => "ack",
            Self::TokenRequest => "token_request",
            Self::ReportResult { .. } => "report_result",
        }
    }

    fn encode(&self) -> Bytes {
        let event = match self.clone() {
            Self::Hello { node_token, capabilities } => {
                event_body::Event::Hello(proto::Hello { node_token, capabilities: Some(capabilities.into()) })
            }
            Self::CommandResult(result) => event_body::Event::CommandResult(result.into()),
            Self::CommandProgress { command, stderr, data } => {
                event_body::Event::CommandProgress(proto::CommandProgress {
                    command_id: command.into(),
                    stderr,
                    data,
                })
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
            Self::ReportResult { revision, objects } => {
                let objects = objects.into_iter().map(Into::into).collect();
                event_body::Event::ReportResult(proto::ReportResult { revision, objects })
            }
        };
        proto::EventBody { event: Some(event) }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let body = proto::EventBody::decode(bytes).map_err(|error| Malformed(error.to_string()))?;
        Ok(match body.event.ok_or_else(|| Malformed("an event of an unknown kind".to_owned()))? {
            event_body::Event::Hello(hello) => Self::Hello {
                node_token: hello.node_token,
                capabilities: hello.capabilities.unwrap_or_default().try_into()?,
            },
            event_body::Event::Heartbeat(beat) => {
                Self::Heartbeat { draining: beat.draining, in_flight: beat.in_flight }
            }
            event_body::Event::CapabilityUpdate(update) => {
                Self::CapabilityUpdate(update.capabilities.unwrap_or_default().try_into()?)
            }
            event_body::Event::CommandResult(result) => Self::CommandResult(result.try_into()?),
            event_body::Event::CommandProgress(progress) => {
                if progress.data.len() > OUTPUT_CHUNK {
                    return Err(Malformed("a piece of output has at most 32 KiB".to_owned()));
                }
                if progress.data.is_empty() {
                    return Err(Malformed("a piece of output has at least one byte".to_owned()));
                }
                Self::CommandProgress {
                    command: command_id(&progress.command_id)?,
                    stderr: progress.stderr,
                    // It may wait for long: it must not keep the whole frame in memory.
                    data: Bytes::copy_from_slice(&progress.data),
                }
            }
            event_body::Event::Ack(ack) => Self::Ack { sequence: ack.sequence },
            event_body::Event::TokenRequest(proto::TokenRequest {}) => Self::TokenRequest,
            event_body::Event::ReportResult(report) => {
                Self::ReportResult { revision: report.revision, objects: reports_from_proto(report.objects)? }
            }
        })
    }
}

impl Body for Command {
    fn order_digest(&self) -> Option<[u8; 32]> {
        match self {
            Self::InvokeTool { order, .. } => Some(order.digest()),
            _ => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::Drain { .. } => "drain",
            Self::Shutdown { .. } => "shutdown",
            Self::NodeToken { .. } => "node_token",
            Self::HeartbeatAck => "heartbeat_ack",
            Self::InvokeTool { .. } => "invoke_tool",
            Self::Cancel { .. } => "cancel",
            Self::PushConfig { .. } => "push_config",
            Self::OutputCredit { .. } => "output_credit",
            Self::Assign { .. } => "assign",
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
            Self::InvokeTool { order, arguments, window } => {
                let order = order.into_bytes();
                command_body::Command::InvokeTool(proto::InvokeTool { order, arguments, window })
            }
            Self::Cancel { command } => {
                command_body::Command::Cancel(proto::Cancel { command_id: command.into() })
            }
            Self::PushConfig { revision, contexts } => {
                let contexts = contexts_to_proto(contexts);
                command_body::Command::PushConfig(proto::PushConfig { revision, contexts })
            }
            Self::OutputCredit { command, bytes } => {
                let command_id = command.into();
                command_body::Command::OutputCredit(proto::OutputCredit { command_id, bytes })
            }
            Self::Assign { revision, objects } => {
                let objects = objects.into_iter().map(Into::into).collect();
                command_body::Command::Assign(proto::Assign { revision, objects })
            }
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
            command_body::Command::InvokeTool(invoke) => Self::InvokeTool {
                order: SignedOrder::from_bytes(invoke.order),
                arguments: invoke.arguments,
                window: invoke.window,
            },
            command_body::Command::Cancel(cancel) => {
                Self::Cancel { command: command_id(&cancel.command_id)? }
            }
            command_body::Command::PushConfig(push) => {
                Self::PushConfig { revision: push.revision, contexts: contexts_from_proto(push.contexts)? }
            }
            command_body::Command::OutputCredit(credit) => {
                Self::OutputCredit { command: command_id(&credit.command_id)?, bytes: credit.bytes }
            }
            command_body::Command::Assign(assign) => {
                let objects = assign.objects.into_iter().map(Into::into).collect();
                Self::Assign { revision: assign.revision, objects }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use aegis_core::{
        ObjectKey, Secret,
        fleet::{RunId, TargetOutcome},
    };

    use super::super::{Assigned, CommandResult, ObjectReport, Refusal, ReportPhase};

    fn capabilities() -> Capabilities {
        let tool = ToolDescriptor {
            name: "app.reload".into(),
            summary: "reload the app".into(),
            class: "state-mutating".parse().unwrap(),
            fleet_capable: true,
            timeout: Some(Duration::from_secs(5)),
            parameters: serde_json::json!({ "type": "object" }),
        };
        Capabilities {
            hostname: "web-1".into(),
            os: "linux".into(),
            arch: "x86_64".into(),
            local_tools: vec!["docker".into(), "git".into()],
            labels: [("region".to_owned(), "eu".to_owned())].into(),
            version: "0.1.0".into(),
            tools: vec![tool],
        }
    }

    fn command() -> CommandId {
        CommandId::of(&RunId::at(1, [2; 4]), 3)
    }

    fn report() -> ObjectReport {
        let key = ObjectKey::new("App", "web");
        ObjectReport { key, phase: ReportPhase::Failed, message: "no such image".into() }
    }

    fn assigned() -> Assigned {
        let value = Some(Secret::new(b"hunter2".to_vec()));
        Assigned { key: ObjectKey::new("Secret", "token"), spec: Bytes::from_static(b"{}"), value }
    }

    fn result() -> CommandResult {
        CommandResult {
            command: command(),
            outcome: TargetOutcome::Error,
            exit_code: Some(-7),
            error: "no".into(),
            refusal: Some(Refusal::Rate),
            stdout: Bytes::from_static(b"a\0"),
            stderr: Bytes::from_static(b"\xff"),
            stdout_bytes: 2,
            stderr_bytes: 1 << 40,
            data: Bytes::from_static(b"{}"),
            duration: Duration::from_millis(7),
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
            Event::CommandResult(result()),
            Event::CommandProgress { command: command(), stderr: true, data: Bytes::from_static(b"\xff\0") },
            Event::ReportResult { revision: 9, objects: vec![report()] },
        ] {
            assert_eq!(Event::decode(event.encode()).unwrap(), event);
        }
    }

    #[test]
    fn every_command_is_read_back() {
        let spec: SecurityContextSpec =
            serde_json::from_str(r#"{"capabilities":[{"tools":["fs.*"]}]}"#).unwrap();
        for command in [
            Command::Welcome { name: "web-1".into(), tags: vec!["prod".into()], drain: true },
            Command::Drain { enabled: false },
            Command::Shutdown { reason: "bye".into() },
            Command::NodeToken { token: "t".into() },
            Command::HeartbeatAck,
            Command::InvokeTool {
                order: SignedOrder::from_bytes(Bytes::from_static(b"order")),
                arguments: Bytes::from_static(b"{}"),
                window: 9,
            },
            Command::Cancel { command: command() },
            Command::PushConfig { revision: 4, contexts: [("ops".to_owned(), spec)].into() },
            Command::OutputCredit { command: command(), bytes: 5 },
            Command::Assign { revision: 9, objects: vec![assigned()] },
        ] {
            assert_eq!(Command::decode(command.encode()).unwrap(), command);
        }
    }

    #[test]
    fn a_host_says_nothing_that_only_the_controller_can_know() {
        for outcome in [TargetOutcome::NotStarted, TargetOutcome::Disconnected] {
            let event = Event::CommandResult(CommandResult { outcome, ..result() });
            assert!(Event::decode(event.encode()).is_err(), "{outcome}");
        }
    }

    #[test]
    fn output_and_results_have_bounds() {
        let long = Bytes::from(vec![b'x'; OUTPUT_CHUNK + 1]);
        let chunk = Event::CommandProgress { command: command(), stderr: false, data: long };
        assert!(Event::decode(chunk.encode()).is_err());
        let long = Bytes::from(vec![b'x'; super::super::OUTPUT_TAIL + 1]);
        for result in [
            CommandResult { stdout: long.clone(), ..result() },
            CommandResult { stderr: long.clone(), ..result() },
            CommandResult { data: long.clone(), ..result() },
        ] {
            assert!(Event::decode(Event::CommandResult(result).encode()).is_err());
        }
    }

    #[test]
    fn a_report_has_bounds_and_no_control_characters() {
        let many = vec![report(); super::super::assign::MAX_ASSIGNED + 1];
        let long = ObjectReport { message: "x".repeat(5000), ..report() };
        let steers = ObjectReport { message: "\x1b[2J".into(), ..report() };
        for objects in [many, vec![long], vec![steers]] {
            let event = Event::ReportResult { revision: 1, objects };
            assert!(Event::decode(event.encode()).is_err());
        }
    }

    #[test]
    fn a_piece_of_output_is_never_empty() {
        let empty = Event::CommandProgress { command: command(), stderr: false, data: Bytes::new() };
        assert!(Event::decode(empty.encode()).is_err());
    }

    #[test]
    fn what_is_read_keeps_no_frame_in_memory() {
        let piece =
            Event::CommandProgress { command: command(), stderr: false, data: Bytes::from_static(b"x") };
        for event in [piece, Event::CommandResult(result())] {
            let frame = event.encode();
            let within = frame.as_ptr_range();
            let kept = match Event::decode(frame.clone()).unwrap() {
                Event::CommandProgress { data, .. } => vec![data],
                Event::CommandResult(result) => vec![result.stdout, result.stderr, result.data],
                _ => vec![],
            };
            assert!(!kept.is_empty() && kept.iter().all(|bytes| !within.contains(&bytes.as_ptr())));
        }
    }

    #[test]
    fn an_empty_or_unknown_body_is_malformed() {
        assert!(Event::decode(Bytes::new()).is_err());
        assert!(Command::decode(Bytes::from_static(&[0x7a, 0x00])).is_err());
    }
}
