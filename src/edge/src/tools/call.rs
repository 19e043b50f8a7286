//! One call of a tool: from what was asked to what may be started.

use std::{sync::Arc, time::Duration};

use aegis_core::fleet::{CommandId, LONGEST_DEADLINE};
use serde_json::Value;

use super::{
    files::{self, Job, Place, Shield},
    output::{Printer, Sink},
    process::{self, Directory, Program},
    running::{Begin, Ended, Running, Until},
};

/// What is asked of the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The command's id.
    pub id: CommandId,
    /// The tool's name.
    pub tool: String,
    /// Its arguments, as they came.
    pub arguments: Value,
    /// How long it may take from its start.
    pub deadline: Duration,
    /// Bytes of output that may be sent before the first credit.
    pub window: u32,
}

/// Why a call isn't begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Which check failed: `tool`, `arguments`, `path`, `command`, `domain` or `rate`.
    pub rule: &'static str,
    /// What is wrong, and the way out.
    pub message: String,
}

impl Refused {
    pub(super) fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self { rule, message: message.into() }
    }
}

/// A program with what is to be opened before it starts.
#[derive(Debug)]
pub(super) struct Launch {
    pub program: Program,
    /// Where it begins, if the call says so.
    pub directory: Option<Place>,
    /// Paths among its arguments: each must be beneath its root, whether it is there already or not.
    pub paths: Vec<Place>,
}

impl Launch {
    /// The program, where everything that it names is beneath what was granted. Blocks.
    fn ready(self, shield: &Shield) -> Result<Program, String> {
        for place in &self.paths {
            let (fd, stat) = match place.find() {
                Ok(found) => (found.fd, found.stat),
                // What the program is to make isn't there yet, but the directory is.
                Err(error) => match place.parent(None) {
                    Ok((directory, name)) if is_missing(&directory, name) => {
                        let stat = rustix::fs::fstat(&directory).map_err(|e| place.fault("look at", e))?;
                        shield.now().check_entry(&place.path, &directory, &stat, name)?;
                        (directory, stat)
                    }
                    _ => return Err(error),
                },
            };
            shield.now().check(&place.path, &fd, &stat)?;
        }
        let mut program = self.program;
        if let Some(place) = &self.directory {
            let found = place.find()?;
            let opened = found.list(place)?;
            shield.now().check(&place.path, &opened, &found.stat)?;
            program.directory = Directory::Open(opened);
        }
        Ok(program)
    }
}

fn is_missing(directory: &rustix::fd::OwnedFd, name: &str) -> bool {
    use rustix::fd::AsFd;
    matches!(files::look(directory.as_fd(), name), Ok(None))
}

/// What a call does.
pub(super) enum Work {
    /// Runs a program.
    Program(Box<Launch>),
    /// Works on files, or looks at the host.
    Job(Job),
}

/// A call that passed every check.
pub struct Prepared {
    pub(super) work: Work,
    pub(super) shield: Shield,
    pub(super) deadline: Duration,
    pub(super) window: u32,
    pub(super) max_output: Option<u64>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Prepared {
    /// With so much time instead of what the call asked for: it may have waited for its turn.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts it, on tokio's runtime. Its time runs from here.
    pub fn start(self, sink: Sink) -> Running {
        let Self { work, shield, deadline, window, max_output } = self;
        let begin = Begin { sink, window, deadline: deadline.min(LONGEST_DEADLINE), max_output };
        Running::begin(begin, move |until, printer| carry_out(work, shield, until, printer))
    }
}

async fn carry_out(work: Work, shield: Shield, mut until: Until, printer: Arc<Printer>) -> Ended {
    match work {
        Work::Job(job) => files::run(job, shield, &mut until, &printer).await,
        Work::Program(launch) => {
            let opening = tokio::task::spawn_blocking(move || launch.ready(&shield));
            let ready = tokio::select! {
                biased;
                how = until.over() => return Ended::stopped(how),
                ready = opening => ready,
            };
            match ready {
                Ok(Ok(program)) => process::run(program, &mut until, &printer).await,
                Ok(Err(error)) => Ended::failed(error),
                Err(_) => Ended::failed("the daemon failed to start it; see its log".to_owned()),
            }
        }
    }
}
