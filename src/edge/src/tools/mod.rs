//! What a host can be asked to do: which tools it offers, whether a call may be begun, and the call itself.
//!
//! [`Toolbox::prepare`] checks arguments by the tool's schema and then commands, paths and domains by what is granted;
//! [`Prepared::start`] begins it; [`Running::result`] is its end. Nothing here knows of the stream.

mod call;
mod facts;
mod files;
mod output;
mod own;
mod process;
mod programs;
mod rate;
mod running;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use aegis_core::nearest::nearest;
use aegis_kinds::{
    policy::Grant,
    tool::{self, DAEMON_FAMILY, SHELL, ToolDescriptor, check_arguments, family},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

pub use call::{Call, Prepared, Refused};
pub use output::{CHUNK, Output, Sink, TAIL, Tail};
pub(crate) use process::check_variables;
pub use running::{Handle, Running, ToolResult};

use crate::{
    capabilities::{Host, capabilities},
    config::EdgeConfig,
    state::StateDir,
};
use call::Work;
use files::Shield;
use own::Own;
use process::Environment;
use rate::Buckets;

/// What a host offers: the built-in tools, as far as its local tools reach, and its owner's.
#[derive(Debug)]
pub struct Toolbox {
    local_tools: BTreeSet<String>,
    own: BTreeMap<String, Own>,
    environment: Environment,
    shield: Shield,
    buckets: Arc<Mutex<Buckets>>,
}

impl Toolbox {
    /// What this host offers by its config.
    pub fn new(config: &EdgeConfig, host: &Host, state: &StateDir) -> Self {
        let own = config.tools.iter().filter_map(|tool| {
            // The config was checked when it was read.
            let (descriptor, argv) = tool.checked().ok()?;
            Some((tool.name.clone(), Own { descriptor, argv, env: tool.env.clone() }))
        });
        Self {
            local_tools: capabilities(config, host).local_tools.into_iter().collect(),
            own: own.collect(),
            environment: Environment::of_this_user(),
            shield: Shield::new(state),
            buckets: Arc::default(),
        }
    }

    /// By another config. How often tools were called lately is remembered.
    #[must_use]
    pub fn reloaded(&self, config: &EdgeConfig, host: &Host, state: &StateDir) -> Self {
        Self { buckets: Arc::clone(&self.buckets), ..Self::new(config, host, state) }
    }

    /// What is known of a tool, whether this host offers it or not.
    pub fn descriptor(&self, tool: &str) -> Option<ToolDescriptor> {
        match self.own.get(tool) {
            Some(own) => Some(own.descriptor.clone()),
            None => tool::find(tool).map(tool::Builtin::descriptor),
        }
    }

    /// Why this host doesn't offer a tool; none: it does.
    pub fn unavailable(&self, tool: &str) -> Option<String> {
        if self.own.contains_key(tool) {
            return None;
        }
        let Some(builtin) = tool::find(tool) else {
            let known = tool::BUILTINS.iter().map(|tool| tool.name);
            let known = known.chain(self.own.keys().map(String::as_str));
            let way_out = nearest(tool, known).map_or_else(
                || "see 'aegis edge tools ls --node NODE'".to_owned(),
                |near| format!("did you mean '{near}'?"),
            );
            return Some(format!("this host knows no tool '{tool}'; {way_out}"));
        };
        let there =
            builtin.needs.is_empty() || builtin.needs.iter().any(|need| self.local_tools.contains(*need));
        (!there).then(|| {
            format!(
                "this host offers no {tool}: it needs {}; install it, or add it to localTools in the host's config",
                builtin.needs.join(" or ")
            )
        })
    }

    /// Checks a call: that the tool is there, its arguments by its schema, then commands, paths and domains by the
    /// grants, of which one must allow all of it, and last how often. A call that is refused counts for no rate.
    #[expect(clippy::needless_pass_by_value, reason = "a call is prepared once")]
    pub fn prepare(&self, call: Call, grants: &[Grant]) -> Result<Prepared, Refused> {
        if let Some(message) = self.unavailable(&call.tool) {
            return Err(Refused::new("tool", message));
        }
        if family(&call.tool) == DAEMON_FAMILY {
            let message = format!("{} is the daemon's own matter, and no call of a tool", call.tool);
            return Err(Refused::new("tool", message));
        }
        // The schemas of built-in tools are compiled once.
        let checked = if let Some(builtin) = tool::find(&call.tool) {
            builtin.check(&call.arguments)
        } else {
            let parameters = self.descriptor(&call.tool).map(|tool| tool.parameters).unwrap_or_default();
            check_arguments(&parameters, &call.arguments)
        };
        checked.map_err(|error| Refused::new("arguments", error.message))?;
        let mut refused = None;
        for grant in grants {
            let tried = self.work(&call, grant).and_then(|work| {
                let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
                let taken = buckets.take(&grant.rates, Instant::now());
                taken.map_err(|rate| {
                    let message =
                        format!("{} is called more often than {rate}; wait, or raise the rate", call.tool);
                    Refused::new("rate", message)
                })?;
                Ok(work)
            });
            match tried {
                Ok(work) => {
                    return Ok(Prepared {
                        work,
                        shield: self.shield.clone(),
                        deadline: call.deadline,
                        window: call.window,
                        max_output: grant.max_output,
                    });
                }
                // The first grant's reason, unless a later one would have allowed it, only not so soon.
                Err(error) if refused.is_none() || error.rule == "rate" => refused = Some(error),
                Err(_) => {}
            }
        }
        Err(refused.unwrap_or_else(|| {
            Refused::new("tool", format!("nothing grants {}; grant it in the security context", call.tool))
        }))
    }

    fn work(&self, call: &Call, grant: &Grant) -> Result<Work, Refused> {
        if let Some(own) = self.own.get(&call.tool) {
            return own.launch(call, grant, &self.environment).map(program);
        }
        let shell = self.local_tools.contains(SHELL);
        match family(&call.tool) {
            "fs" => files::job(call, grant).map(Work::Job),
            "host" => Ok(Work::Job(Box::new(facts::facts))),
            "service" => {
                let other = self.local_tools.contains("service");
                let systemd = self.local_tools.contains("systemctl") && (!other || runs_systemd());
                programs::service(call, &self.environment, systemd).map(program)
            }
            "docker" => programs::docker(call, &self.environment).map(program),
            "kubectl" => programs::kubectl(call, &self.environment).map(program),
            _ => programs::run(call, grant, &self.environment, shell).map(program),
        }
    }
}

/// Whether systemd manages this host: systemctl may be installed where it doesn't, as in a container.
fn runs_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn program(launch: call::Launch) -> Work {
    Work::Program(Box::new(launch))
}

/// The arguments as the tool's type. The schema, which comes from the same type, has let them through.
fn arguments<T: DeserializeOwned>(arguments: &Value) -> Result<T, Refused> {
    T::deserialize(arguments).map_err(|error| Refused::new("arguments", error.to_string()))
}

/// A path that the grant covers.
fn place(grant: &Grant, tool: &str, path: &str) -> Result<files::Place, Refused> {
    files::Place::of(grant, path).ok_or_else(|| {
        let granted = match grant.roots.as_slice() {
            [] => "no path is".to_owned(),
            roots => format!("{} {}", roots.join(", "), if roots.len() == 1 { "is" } else { "are" }),
        };
        let why = if path.split('/').any(|part| part == "..") { " with '..'" } else { "" };
        Refused::new(
            "path",
            format!(
                "'{path}'{why} isn't granted to {tool}, {granted}; name a path beneath that, or grant it"
            ),
        )
    })
}
