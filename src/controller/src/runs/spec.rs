//! What is wanted of a run, checked as a whole before anything of it begins.

use std::{sync::Arc, time::Duration};

use aegis_core::{
    HumanDuration, TenantId,
    fleet::{Counts, LONGEST_DEADLINE, Mode, OnError, RunId, RunState, Strategy},
};
use aegis_kinds::tool::{DAEMON_FAMILY, ToolClass, family};
use aegis_wire::{
    ApiError, Code,
    edge::Order,
    keys::random,
    operator::{Run, RunTarget, Skipped},
    token::Role,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    live::Wanted,
    tooling::{self, Unfit},
};
use crate::{failed, state::Controller};

/// The most bytes of arguments: an order must fit an envelope.
const LARGEST_ARGUMENTS: usize = 1024 * 1024;

/// A run that somebody, or a rollout, wants.
#[derive(Debug, Clone)]
pub(crate) struct RunSpec {
    /// Its id, where somebody has written it down before the run begins; none: a new one.
    pub id: Option<RunId>,
    pub tenant: TenantId,
    pub subject: String,
    pub role: Role,
    /// What the targets were resolved from, for listings.
    pub target: String,
    /// In the order of dispatch.
    pub targets: Vec<RunTarget>,
    /// Hosts that are meant and can't be dispatched to.
    pub skipped: Vec<Skipped>,
    pub tool: String,
    pub arguments: Value,
    /// The security context's name.
    pub context: String,
    pub mode: Mode,
    pub max_concurrency: Option<u32>,
    /// None: by the tool's class.
    pub on_error: Option<OnError>,
    pub require_min: Option<u32>,
    /// None: the tool's own.
    pub deadline: Option<Duration>,
    /// Between two waves.
    pub pause: Duration,
    /// Whether each wave but the first waits for `Input::Proceed`.
    pub gated: bool,
    /// The rollout that wants it.
    pub rollout: Option<String>,
}

/// A run that may begin.
pub(super) struct Planned {
    pub header: Run,
    pub wanted: Wanted,
    pub targets: Arc<[RunTarget]>,
    pub skipped: Vec<Skipped>,
    pub strategy: Strategy,
    pub unfit: Vec<Unfit>,
}

/// A new id.
pub(crate) fn new_id(controller: &Controller) -> Result<RunId, ApiError> {
    Ok(RunId::at(controller.clock.now_ms(), random::<4>().map_err(failed)?))
}

/// Why nobody is left: `: web-1 is draining, web-2 is disconnected and 3 more`.
fn why(skipped: &[Skipped]) -> String {
    const NAMED: usize = 3;
    let named: Vec<_> =
        skipped.iter().take(NAMED).map(|host| format!("{} is {}", host.name, host.reason)).collect();
    match skipped.len() {
        0 => String::new(),
        count if count > NAMED => format!(": {} and {} more", named.join(", "), count - NAMED),
        _ => format!(": {}", named.join(", ")),
    }
}

impl RunSpec {
    pub(super) fn plan(self, controller: &Controller) -> Result<Planned, ApiError> {
        // Tools of the daemon itself are nothing that a context grants.
        if family(&self.tool) != DAEMON_FAMILY {
            controller.need_context(&self.tenant, &self.context)?;
        }
        self.check_bounds()?;
        let targets: Arc<[RunTarget]> = self.targets.into();
        if targets.is_empty() {
            let message =
                format!("EdgeUnavailable: no host of '{}' can be sent to{}", self.target, why(&self.skipped));
            return Err(ApiError::not_found(message).hint("aegis edge ls"));
        }
        let tooling = tooling::check(&*controller.store, &self.tool, &self.arguments, &targets)?;
        if let Some(least) = self.require_min.filter(|least| targets.len() < *least as usize) {
            let (there, skipped) = (targets.len(), self.skipped.len());
            let message = format!(
                "'{}' has {there} of the {least} hosts that --require-min asks for ({skipped} skipped); nothing was sent",
                self.target
            );
            return Err(
                ApiError::new(Code::TooFew, message).hint("aegis edge fleet preview shows who is skipped")
            );
        }
        let default_policy = match tooling.class {
            ToolClass::ReadOnly => OnError::Continue,
            ToolClass::StateMutating => OnError::FailFast,
        };
        let deadline = self.deadline.unwrap_or(tooling.timeout);
        let on_error = self.on_error.unwrap_or(default_policy);
        let arguments = Bytes::from(self.arguments.to_string());
        let now_ms = controller.clock.now_ms();
        let strategy = Strategy {
            mode: self.mode,
            max_concurrency: self.max_concurrency,
            on_error,
            deadline,
            pause: self.pause,
            gated: self.gated,
        };
        let id = match self.id {
            Some(id) => id,
            None => new_id(controller)?,
        };
        let header = Run {
            run_id: id,
            tenant: self.tenant.to_string(),
            subject: self.subject.clone(),
            target: self.target,
            tool: self.tool.clone(),
            arguments: arguments.clone(),
            mode: self.mode,
            max_concurrency: self.max_concurrency,
            on_error,
            require_min: self.require_min,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            security_context: self.context.clone(),
            state: RunState::Running,
            reason: String::new(),
            started_at: Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH),
            finished_at: None,
            targets: targets.len() as u64,
            outcomes: Counts::default(),
            rollout: self.rollout,
        };
        let wanted = Wanted {
            tenant: self.tenant,
            subject: self.subject,
            role: self.role,
            context: self.context,
            tool: self.tool,
            arguments_sha256: Order::digest_of(&arguments),
            arguments,
            deadline,
        };
        Ok(Planned { header, wanted, targets, skipped: self.skipped, strategy, unfit: tooling.unfit })
    }

    fn check_bounds(&self) -> Result<(), ApiError> {
        if let Some(deadline) = self.deadline
            && (deadline.is_zero() || deadline > LONGEST_DEADLINE)
        {
            let longest = HumanDuration(LONGEST_DEADLINE);
            return Err(ApiError::invalid(format!(
                "the deadline {} is out of bounds",
                HumanDuration(deadline)
            ))
            .hint(format!("give more than 0s and at most {longest}")));
        }
        if self.max_concurrency == Some(0) {
            return Err(ApiError::invalid("a run with the concurrency 0 would never begin")
                .hint("give --max-concurrency 1 or more"));
        }
        let size = self.arguments.to_string().len();
        if size > LARGEST_ARGUMENTS {
            return Err(ApiError::invalid(format!("the arguments have {size} bytes")).hint(format!(
                "at most {LARGEST_ARGUMENTS} can be sent; put large content where hosts can fetch it"
            )));
        }
        Ok(())
    }
}
