//! A toolbox and calls for tests.

use std::time::Duration;

use aegis_core::fleet::{CommandId, RunId};
use aegis_kinds::{
    SecurityContextSpec,
    policy::{self, Grant},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use aegis_edge::{
    capabilities::Host,
    config::{EdgeConfig, parse},
    state::StateDir,
    tools::{Call, Output, Prepared, Refused, Running, ToolResult, Toolbox},
};

/// A host with a state directory of its own.
pub struct Fixture {
    pub toolbox: Toolbox,
    config: EdgeConfig,
    pub context: SecurityContextSpec,
    /// Where tools may work.
    pub work: tempfile::TempDir,
    pub state: tempfile::TempDir,
}

/// Enough for all that a test prints.
pub const WINDOW: u32 = 1 << 30;

impl Fixture {
    /// `config` is the inside of `edge:`; `capability` is what is granted besides all tools, with `WORK` for the
    /// directory.
    pub fn new(config: &str, capability: &str) -> Self {
        let (work, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = capability.replace("WORK", work.path().to_str().unwrap());
        let context = format!("{{\"capabilities\": [{{\"tools\": [\"*\"], {text}}}]}}");
        let config = config.replace("WORK", work.path().to_str().unwrap());
        let config = if config.is_empty() {
            EdgeConfig::default()
        } else {
            parse(&format!("cluster: {{edge: {{{config}}}}}"), "x").unwrap()
        };
        let state_dir = StateDir::of_config(state.path().join("aegis-config.yaml"));
        let host = Host::this(Some(std::ffi::OsStr::new("/usr/bin:/bin")));
        Self {
            toolbox: Toolbox::new(&config, &host, &state_dir),
            config,
            context: serde_json::from_str(&context).unwrap(),
            work,
            state,
        }
    }

    /// Every command, and the work directory.
    pub fn open() -> Self {
        Self::new("", r#""commands": ["*"], "paths": ["WORK"]"#)
    }

    pub fn path(&self, name: &str) -> String {
        self.work.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn call(tool: &str, arguments: Value) -> Call {
        Call {
            id: CommandId::of(&RunId::at(1, [0; 4]), 1),
            tool: tool.to_owned(),
            arguments,
            deadline: Duration::from_mins(1),
            window: WINDOW,
        }
    }

    pub fn prepare(&self, call: Call) -> Result<Prepared, Refused> {
        let grants = self.grants(&call.tool)?;
        self.toolbox.prepare(call, &grants)
    }

    /// As the daemon asks for them before it prepares a call.
    pub fn grants(&self, tool: &str) -> Result<Vec<Grant>, Refused> {
        let (local, mounts) = (self.config.local_policy.as_ref(), self.config.mount_points.as_deref());
        let granted = policy::grants(tool, "default", &self.context, local, mounts);
        granted.map_err(|denied| Refused { rule: "tool", message: denied.to_string() })
    }

    pub fn start(&self, call: Call) -> (Running, mpsc::Receiver<Output>) {
        let (sink, outputs) = mpsc::channel(1 << 16);
        (self.prepare(call).unwrap().start(sink), outputs)
    }

    pub async fn run(&self, tool: &str, arguments: Value) -> ToolResult {
        let (mut running, _outputs) = self.start(Self::call(tool, arguments));
        running.result().await
    }

    pub async fn shell(&self, script: &str) -> ToolResult {
        self.run("shell", json!({ "script": script })).await
    }
}

/// Standard output as text.
pub fn text(result: &ToolResult) -> String {
    String::from_utf8_lossy(&result.stdout.bytes).into_owned()
}

/// Waits until something is so, at most ten seconds.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(10), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is there and hasn't ended.
pub fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
