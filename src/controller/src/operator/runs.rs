//! Runs: begun, cancelled, listed, followed.

use std::{sync::Arc, time::Duration};

use aegis_kinds::policy::DEFAULT_CONTEXT;
use aegis_wire::{
    ApiError, Code,
    operator::{GetRun, ListRuns, Run, RunEvent, StartRun},
};
use futures::{StreamExt, stream::BoxStream};
use serde_json::{Map, Value};

use super::{
    Reply,
    auth::Caller,
    target::{self, Meant},
};
use crate::{
    runs::{Begun, Found, Key, Place, RunSpec, Runs, Watcher, rows},
    state::Controller,
};

/// How many runs are listed where nobody says how many.
const LISTED: usize = 100;

type Events = BoxStream<'static, Reply<Vec<RunEvent>>>;

/// Begins a run and follows it. What is refused is refused before anything is sent, and the audit log has it.
pub(super) async fn start(controller: &Arc<Controller>, caller: &Caller, wish: StartRun) -> Reply<Events> {
    let tool = wish.tool.clone();
    match begin(controller, caller, wish).await {
        Ok(watcher) => Ok(watcher.into_stream().boxed()),
        Err(error) => {
            if !matches!(error.code, Code::Internal | Code::Unavailable) {
                let (tenant, why) = (caller.tenant.as_str(), &error.message);
                controller.audit_refusal(controller.event(&caller.subject, tenant, "run", &tool, why));
            }
            Err(error)
        }
    }
}

async fn begin(controller: &Arc<Controller>, caller: &Caller, wish: StartRun) -> Reply<Watcher> {
    let arguments = arguments(&wish)?;
    loop {
        let key = match &wish.idempotency_key {
            Some(key) => {
                let now_ms = controller.clock.now_ms();
                let request = (&wish, &arguments);
                match Key::find(&*controller.store, &caller.tenant, key, request, now_ms)? {
                    Found::Run(place) => return Ok(Runs::watch(controller, &place, true)),
                    Found::Free(key) => Some(key),
                }
            }
            None => None,
        };
        let spec = spec(controller, caller, &wish, arguments.clone())?;
        match Runs::begin(controller, spec, key).await? {
            Begun::New(run) => return Ok(run.watch()),
            Begun::KeyTaken => {}
        }
    }
}

/// The arguments of a request: an object, and nothing else.
fn arguments(wish: &StartRun) -> Reply<Value> {
    if wish.arguments.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_slice(&wish.arguments) {
        Ok(arguments @ Value::Object(_)) => Ok(arguments),
        Ok(_) => Err(ApiError::invalid("the arguments are no object").hint("give each as --arg NAME=VALUE")),
        Err(error) => Err(ApiError::invalid(format!("the arguments are no JSON: {error}"))
            .hint("give each as --arg NAME=VALUE")),
    }
}

fn spec(controller: &Controller, caller: &Caller, wish: &StartRun, arguments: Value) -> Reply<RunSpec> {
    let (target, meant) = match &wish.target {
        Some(target) => (target.clone(), target::meant(controller, caller, target)?),
        None => route(target::meant(controller, caller, "all")?)?,
    };
    Ok(RunSpec {
        id: None,
        tenant: caller.tenant.clone(),
        subject: caller.subject.clone(),
        role: caller.role,
        target,
        targets: meant.targets,
        skipped: meant.skipped,
        tool: wish.tool.clone(),
        arguments,
        context: wish.security_context.clone().unwrap_or_else(|| DEFAULT_CONTEXT.to_owned()),
        mode: wish.mode,
        max_concurrency: wish.max_concurrency,
        on_error: wish.on_error,
        require_min: wish.require_min,
        deadline: wish.deadline_ms.map(Duration::from_millis),
        pause: Duration::ZERO,
        gated: false,
        rollout: None,
    })
}

/// Without a target, the one connected host is meant; with none or several nobody is (docs/adr/0017-routing.md).
fn route(meant: Meant) -> Reply<(String, Meant)> {
    match meant.targets.as_slice() {
        [host] => Ok((format!("@{}", host.node_id), Meant { skipped: Vec::new(), ..meant })),
        [] => Err(ApiError::not_found("EdgeUnavailable: no host is connected").hint("aegis edge ls")),
        several => {
            let message =
                format!("EdgeUnavailable: {} hosts are connected, and none is named", several.len());
            Err(ApiError::not_found(message)
                .hint("give one with --target; aegis edge ls --connected lists them"))
        }
    }
}

pub(super) fn list(controller: &Controller, caller: &Caller, which: ListRuns) -> Reply<Vec<Run>> {
    let limit = which.limit.map_or(LISTED, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Runs::list(controller, &caller.tenant, limit)
}

pub(super) fn get(controller: &Controller, caller: &Caller, which: &GetRun) -> Reply<Events> {
    let place = find(controller, caller, &which.run)?;
    Ok(Runs::watch(controller, &place, which.follow).into_stream().boxed())
}

pub(super) async fn cancel(controller: &Arc<Controller>, caller: &Caller, run: &str) -> Reply<Run> {
    let place = find(controller, caller, run)?;
    Runs::cancel(controller, &place, &caller.subject).await
}

fn find(controller: &Controller, caller: &Caller, reference: &str) -> Reply<Place> {
    rows::find(&*controller.store, &caller.tenant, reference)
}
