//! What this host offers: its toolbox, and beside it the tool that concerns the daemon itself, `edge.keys.rotate`.

use std::{sync::Arc, time::Duration};

use aegis_core::fleet::TargetOutcome;
use aegis_kinds::{
    policy::Grant,
    tool::{self, arguments::KeysRotate, check_arguments},
};
use bytes::Bytes;
use futures::FutureExt;
use serde::Deserialize;
use tokio::time::Instant;

use super::offer::{Offer, Ready, Reins, Started};
use crate::{
    capabilities::Host,
    clock::Clock,
    config::EdgeConfig,
    enroll::DialerFor,
    rotate::{KEEP_OLD, RotateDeps, RotateError, Rotated, rotate},
    state::StateDir,
    tools::{Call, Output, Refused, Sink, Tail, ToolResult, Toolbox},
};

/// The tool that gives the daemon a new key.
const ROTATE: &str = "edge.keys.rotate";

/// The toolbox and the key.
pub(super) struct HostOffer {
    toolbox: Toolbox,
    key: OwnKey,
}

/// What a rotation takes.
#[derive(Clone)]
pub(super) struct OwnKey {
    pub state: StateDir,
    pub config: EdgeConfig,
    pub host: Host,
    pub clock: Arc<dyn Clock>,
    pub dialer: Arc<DialerFor>,
}

impl HostOffer {
    pub fn new(key: OwnKey) -> Self {
        Self { toolbox: Toolbox::new(&key.config, &key.host, &key.state), key }
    }
}

impl Offer for HostOffer {
    fn prepare(&self, call: Call, grants: &[Grant]) -> Result<Box<dyn Ready>, Refused> {
        if call.tool != ROTATE {
            let prepared = self.toolbox.prepare(call, grants)?;
            return Ok(Box::new(prepared));
        }
        let refuse = |message| Refused { rule: "arguments", message };
        let parameters = tool::find(ROTATE).map(tool::Builtin::parameters).unwrap_or_default();
        check_arguments(&parameters, &call.arguments).map_err(|error| refuse(error.message))?;
        let arguments =
            KeysRotate::deserialize(&call.arguments).map_err(|error| refuse(error.to_string()))?;
        let keep_old = arguments.keep_old.map_or(KEEP_OLD, |time| time.0);
        Ok(Box::new(Rotation { key: self.key.clone(), keep_old, window: call.window }))
    }

    fn reload(&mut self, config: &EdgeConfig, host: &Host, state: &StateDir) {
        self.toolbox = self.toolbox.reloaded(config, host, state);
        (self.key.config, self.key.host) = (config.clone(), host.clone());
    }
}

/// A rotation that may begin.
struct Rotation {
    key: OwnKey,
    keep_old: Duration,
    window: u32,
}

/// A rotation isn't ended in the middle, and prints a line: there is nothing to be told to it.
struct LeftAlone;

impl Reins for LeftAlone {
    fn cancel(&self) {}
    fn credit(&self, _: u32) {}
}

impl Ready for Rotation {
    fn start(self: Box<Self>, time: Duration, sink: Sink) -> Started {
        let began = Instant::now();
        let Self { key, keep_old, window } = *self;
        // A task of its own: it goes on to its end whatever becomes of the stream and of the command's time.
        let rotation = tokio::spawn(async move {
            let OwnKey { state, config, host, clock, dialer } = key;
            let deps = RotateDeps { clock: &*clock, dialer: &*dialer, host: &host, passed: &|_| {} };
            rotate(deps, &state, &config, keep_old).await
        });
        let end = async move {
            let mut result = match tokio::time::timeout(time, rotation).await {
                Ok(Ok(rotated)) => told(rotated),
                Ok(Err(error)) => failed(format!("the daemon failed while it rotated: {error}; see its log")),
                Err(_) => ToolResult {
                    outcome: TargetOutcome::TimedOut,
                    ..failed("the rotation goes on; 'aegis edge status' on the host shows its key".to_owned())
                },
            };
            let line = Bytes::copy_from_slice(&result.stdout.bytes);
            if !line.is_empty() && line.len() <= usize::try_from(window).unwrap_or(usize::MAX) {
                // Nobody listens when it fails; the result has the line, too.
                let _ = sink.send(Output { stderr: false, data: line }).await;
            }
            result.duration = began.elapsed();
            result
        };
        Started { reins: Box::new(LeftAlone), end: end.boxed() }
    }
}

fn told(rotated: Result<Rotated, RotateError>) -> ToolResult {
    match rotated {
        Ok(rotated) => {
            let line = format!("{} → {}\n", rotated.old_fingerprint, rotated.new_fingerprint);
            ToolResult {
                outcome: TargetOutcome::Ok,
                stdout: Tail { total: line.len() as u64, bytes: line.into_bytes() },
                // It has no keys but texts, so it always has a JSON form.
                data: serde_json::to_value(rotated).ok(),
                ..failed(String::new())
            }
        }
        Err(error) => {
            let way_out = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            failed(format!("{error}{way_out}"))
        }
    }
}

fn failed(error: String) -> ToolResult {
    ToolResult {
        outcome: TargetOutcome::Error,
        exit_code: None,
        error,
        stdout: Tail::default(),
        stderr: Tail::default(),
        data: None,
        duration: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use aegis_core::fleet::{CommandId, RunId};
    use aegis_kinds::policy::{default_context, grants};
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::*;
    use crate::{clock::SystemClock, state::write_atomic};

    fn offer(dir: &std::path::Path) -> HostOffer {
        HostOffer::new(OwnKey {
            state: StateDir::of_config(dir.join("aegis-config.yaml")),
            config: EdgeConfig::default(),
            host: Host { hostname: "h".into(), os: "linux", arch: "x86_64", path: vec![] },
            clock: Arc::new(SystemClock),
            dialer: Arc::new(|_| Ok(Arc::new(aegis_wire::dial::TcpDialer))),
        })
    }

    fn call(tool: &str, arguments: Value) -> Call {
        let id = CommandId::of(&RunId::at(1, [0; 4]), 0);
        Call { id, tool: tool.into(), arguments, deadline: Duration::from_secs(5), window: 100 }
    }

    #[test]
    fn the_key_is_rotated_only_with_arguments_that_fit() {
        let dir = tempfile::tempdir().unwrap();
        let offer = offer(dir.path());
        let granted = grants(ROTATE, "default", &default_context(), None, None).unwrap();
        for wrong in [json!({"keep": "1h"}), json!({"keep_old": 5}), json!({"keep_old": "soon"}), json!([])] {
            let refused = offer.prepare(call(ROTATE, wrong.clone()), &granted).err().unwrap();
            assert_eq!(refused.rule, "arguments", "{wrong}");
        }
        for right in [json!({}), json!({"keep_old": "0s"}), json!({"keep_old": "24h"})] {
            assert!(offer.prepare(call(ROTATE, right), &granted).is_ok());
        }
    }

    #[test]
    fn everything_else_is_the_toolboxes() {
        let dir = tempfile::tempdir().unwrap();
        let granted = grants("host.facts", "default", &default_context(), None, None).unwrap();
        assert!(offer(dir.path()).prepare(call("host.facts", json!({})), &granted).is_ok());
        let unknown = offer(dir.path()).prepare(call("host.fact", json!({})), &granted).err().unwrap();
        assert_eq!(unknown.rule, "tool");
    }

    #[tokio::test]
    async fn a_call_of_the_toolbox_runs_to_its_end_within_the_time_that_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let granted = grants("host.facts", "default", &default_context(), None, None).unwrap();
        for (left, outcome) in [(5, TargetOutcome::Ok), (0, TargetOutcome::TimedOut)] {
            let (sink, _outputs) = mpsc::channel(16);
            let ready = offer(dir.path()).prepare(call("host.facts", json!({})), &granted).ok().unwrap();
            let result = ready.start(Duration::from_secs(left), sink).end.await;
            assert_eq!((result.outcome, result.data.is_some()), (outcome, left > 0), "{}", result.error);
        }
    }

    #[tokio::test]
    async fn a_rotation_that_fails_says_why_and_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let offer = offer(dir.path());
        // Not enrolled: there is no key.
        write_atomic(offer.key.state.config(), 0o644, b"").unwrap();
        let granted = grants(ROTATE, "default", &default_context(), None, None).unwrap();
        let (sink, _outputs) = mpsc::channel(1);
        let ready = offer.prepare(call(ROTATE, json!({})), &granted).ok().unwrap();
        let result = ready.start(Duration::from_secs(5), sink).end.await;
        assert_eq!(result.outcome, TargetOutcome::Error);
        assert!(
            result.error.contains("isn't enrolled") && result.error.contains("edge enroll"),
            "{}",
            result.error
        );
    }
}
