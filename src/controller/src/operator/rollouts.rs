//! Rollouts: where they are, and steering them.

use aegis_core::Revision;
use aegis_store::{Batch, CommitError};
use aegis_wire::{
    ApiError,
    operator::{RolloutAction, RolloutPhase, RolloutStatus},
};

use super::{Reply, auth::Caller, objects};
use crate::{
    failed, keyspace,
    nodes::{json, read},
    rollouts::{self, Place, Steering, rows},
    state::Controller,
};

/// Where a rollout is.
pub(super) fn get(controller: &Controller, caller: &Caller, name: String) -> Reply<RolloutStatus> {
    status(controller, &Place { tenant: caller.tenant.clone(), name })
}

/// One that doesn't exist looks like another tenant's.
fn status(controller: &Controller, place: &Place) -> Reply<RolloutStatus> {
    let status = rollouts::status(controller, place).map_err(failed)?;
    status.ok_or_else(|| objects::unknown(&place.object()))
}

/// Pauses, resumes or aborts. Said twice, nothing happens.
pub(super) async fn steer(
    controller: &Controller,
    caller: &Caller,
    name: String,
    action: RolloutAction,
) -> Reply<RolloutStatus> {
    let place = Place { tenant: caller.tenant.clone(), name };
    let store = &*controller.store;
    let key = keyspace::rollout_steering(&place.tenant, &place.name);
    loop {
        let status = status(controller, &place)?;
        let Some(declared) = rows::declared(store, &place).map_err(failed)? else {
            return Err(objects::unknown(&place.object()));
        };
        let entry = store.get(&key).map_err(failed)?;
        let base = entry.as_ref().map_or(Revision(0), |entry| entry.revision);
        let have: Steering = match &entry {
            Some(entry) => read(&key, &entry.value).map_err(failed)?,
            None => Steering::default(),
        };
        let is_aborted = have.aborted_by(status.generation).is_some();
        may(&place, &status, is_aborted, declared.spec.catch_up, action).inspect_err(|error| {
            let object = place.object().to_string();
            let (tenant, action) = (place.tenant.as_str(), format!("rollout.{action}"));
            controller.audit_refusal(controller.event(
                &caller.subject,
                tenant,
                &action,
                &object,
                &error.message,
            ));
        })?;
        let mut wish = have.clone();
        match action {
            RolloutAction::Pause if have.paused_by.is_none() => wish.paused_by = Some(caller.subject.clone()),
            RolloutAction::Resume => wish.paused_by = None,
            RolloutAction::Abort if !is_aborted => {
                wish.aborted = Some((status.generation, caller.subject.clone()));
            }
            RolloutAction::Pause | RolloutAction::Abort => {}
        }
        if wish == have {
            return Ok(status);
        }
        let mut batch = Batch { quiet: true, ..Batch::default() };
        batch.check(&key, base).put(&key, json(&wish));
        // It may have another spec by now, which nobody wanted to steer.
        let object = keyspace::object(&place.tenant, &place.object());
        batch.check(object, Revision(declared.revision));
        let (tenant, object) = (place.tenant.as_str(), place.object().to_string());
        let event = controller.event(&caller.subject, tenant, &format!("rollout.{action}"), &object, "");
        controller.audit(&mut batch, event);
        match controller.store.commit(batch).await {
            Ok(_) => {
                controller.rollouts.poke(&place);
                return self::status(controller, &place);
            }
            Err(CommitError::Stale { .. }) => {}
            Err(CommitError::Store(error)) => return Err(failed(error)),
        }
    }
}

/// What is over isn't steered any more; a rollout that catches up with hosts isn't quite over.
fn may(
    place: &Place,
    status: &RolloutStatus,
    is_aborted: bool,
    catches_up: bool,
    action: RolloutAction,
) -> Result<(), ApiError> {
    let is_over = match status.phase {
        RolloutPhase::Complete | RolloutPhase::Failed => !catches_up,
        phase => phase.is_over(),
    };
    let is_said = match action {
        RolloutAction::Abort => is_aborted,
        RolloutAction::Pause | RolloutAction::Resume => false,
    };
    if is_said || !(is_over || is_aborted) {
        return Ok(());
    }
    let phase = if is_aborted { RolloutPhase::Aborted } else { status.phase };
    let words = phase.as_str().replace('_', " ");
    Err(ApiError::conflict(format!("rollout '{}' is {words}, there is nothing to {action}", place.name))
        .hint("change its spec and apply it again, and it begins anew"))
}
