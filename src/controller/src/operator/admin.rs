//! Tokens, tenants and the audit log: for admins, and across tenants only with the scope `controller`.

use std::{collections::VecDeque, sync::Arc};

use aegis_core::TenantId;
use aegis_store::{Batch, CommitError};
use aegis_wire::{
    ApiError,
    operator::{
        AuditCheck, AuditEvent, AuditOutcome, CreateEnrollmentToken, CreateUserToken, EnrollmentToken,
        ListAudit, Tenant, UserToken,
    },
};
use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;

use super::{Reply, auth::Caller};
use crate::{
    audit::{self, Event, Link, Outcome},
    clock::time,
    failed, keyspace,
    nodes::{self, read},
    state::{self, Controller},
};

/// The longest label or subject of a token, in bytes.
const MAX_NAME: usize = 128;
/// How many audit records are read at once.
const PAGE: usize = 500;

pub(super) async fn enrollment_token(
    controller: &Controller,
    caller: &Caller,
    wish: CreateEnrollmentToken,
) -> Reply<EnrollmentToken> {
    check_name("label", &wish.label)?;
    let tenant = controller.tenant_for(caller, wish.tenant.as_ref())?;
    let minted = controller.mint_enrollment_token(&tenant, &wish.label, wish.ttl_seconds.unwrap_or(0))?;
    let detail = format!("label {}, good until {}", wish.label, ends(minted.claims.exp));
    record(controller, caller, &tenant, "token.enrollment", &minted.claims.jti, &detail).await?;
    Ok(EnrollmentToken {
        command_hint: format!("aegis edge enroll {}", minted.token),
        token: minted.token,
        expires_at: ends(minted.claims.exp),
        controller_endpoint: minted.claims.cep,
        tenant,
    })
}

pub(super) async fn user_token(
    controller: &Controller,
    caller: &Caller,
    wish: CreateUserToken,
) -> Reply<UserToken> {
    let subject = wish.subject.unwrap_or_else(|| format!("{}-token", wish.role));
    check_name("subject", &subject)?;
    let tenant = controller.tenant_for(caller, wish.tenant.as_ref())?;
    // Never the scope `controller`: that one is only in the file of the first start.
    let minted =
        controller.mint_user_token(&tenant, &subject, wish.role, None, wish.ttl_seconds.unwrap_or(0))?;
    let detail = format!("subject {subject}, role {}, good until {}", wish.role, ends(minted.claims.exp));
    record(controller, caller, &tenant, "token.user", &minted.claims.jti, &detail).await?;
    Ok(UserToken {
        token: minted.token,
        expires_at: ends(minted.claims.exp),
        tenant,
        role: wish.role,
        subject,
    })
}

fn check_name(what: &str, text: &str) -> Reply<()> {
    if text.trim().is_empty() {
        return Err(ApiError::invalid(format!("the {what} is empty")).hint("say what it is for"));
    }
    if text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!(
            "the {what} is longer than {MAX_NAME} bytes or not plain text"
        )));
    }
    Ok(())
}

fn ends(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// A token is handed out only when the log says so. The log has its id, never the token.
async fn record(
    controller: &Controller,
    caller: &Caller,
    tenant: &TenantId,
    action: &str,
    object: &str,
    detail: &str,
) -> Reply<()> {
    let mut batch = Batch::new();
    controller.audit(&mut batch, controller.event(&caller.subject, tenant.as_str(), action, object, detail));
    match controller.store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(CommitError::Stale { key, .. }) => Err(failed(key)),
        Err(CommitError::Store(error)) => Err(failed(error)),
    }
}

pub(super) async fn create_tenant(
    controller: &Controller,
    caller: &Caller,
    tenant: TenantId,
) -> Reply<Tenant> {
    caller.need_controller_scope(controller, "creating a tenant")?;
    if !controller.create_tenant(&tenant, &caller.subject).await.map_err(failed)? {
        return Err(
            ApiError::conflict(format!("tenant '{tenant}' exists")).hint("aegis controller tenant ls")
        );
    }
    Ok(Tenant { created_at: time(controller.clock.now_ms()), tenant, nodes: 0 })
}

/// Every tenant for those with the scope `controller`, else the caller's own.
pub(super) fn tenants(controller: &Controller, caller: &Caller) -> Reply<Vec<Tenant>> {
    let mut tenants = Vec::new();
    for entry in controller.store.list(keyspace::TENANTS).map_err(failed)? {
        let tenant = TenantId::new(&entry.key[keyspace::TENANTS.len()..]).map_err(failed)?;
        if !caller.controller_scope && tenant != caller.tenant {
            continue;
        }
        let stored: state::Tenant = read(&entry.key, &entry.value).map_err(failed)?;
        let nodes = nodes::of_tenant(&*controller.store, &tenant).map_err(failed)?;
        let nodes = nodes.iter().filter(|node| !node.is_revoked()).count() as u64;
        tenants.push(Tenant { tenant, created_at: time(stored.created_at_ms), nodes });
    }
    Ok(tenants)
}

/// Everything for those with the scope `controller`, else what concerns the caller's tenant.
pub(super) fn audit(
    controller: Arc<Controller>,
    caller: &Caller,
    which: ListAudit,
) -> BoxStream<'static, Reply<AuditEvent>> {
    let tenant = (!caller.controller_scope).then(|| caller.tenant.to_string());
    let limit = which.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let state = (controller, which.after, VecDeque::new());
    let events = futures::stream::unfold(state, move |(controller, mut after, mut page)| {
        let tenant = tenant.clone();
        async move {
            loop {
                if let Some(event) = page.pop_front() {
                    return Some((event, (controller, after, page)));
                }
                let records = match controller.store.log(keyspace::AUDIT, after, PAGE) {
                    Ok(records) => records,
                    Err(error) => return Some((Err(failed(error)), (controller, u64::MAX, page))),
                };
                after = records.last()?.sequence;
                for record in records {
                    match serde_json::from_slice::<Link>(&record.value) {
                        Ok(link) if tenant.as_ref().is_none_or(|tenant| link.event.tenant == *tenant) => {
                            page.push_back(Ok(shown(link)));
                        }
                        Ok(_) => {}
                        Err(error) => {
                            page.push_back(Err(failed(format!("record {}: {error}", record.sequence))));
                        }
                    }
                }
            }
        }
    });
    events.take(limit).boxed()
}

fn shown(link: Link) -> AuditEvent {
    let Event { time_ms, subject, tenant, action, object, outcome, detail } = link.event;
    let outcome = match outcome {
        Outcome::Ok => AuditOutcome::Ok,
        Outcome::Refused => AuditOutcome::Refused,
        Outcome::Failed => AuditOutcome::Failed,
    };
    let time = Timestamp::from_millisecond(time_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    AuditEvent {
        sequence: link.sequence,
        time,
        subject,
        tenant,
        action,
        object,
        outcome,
        detail,
        hash: link.hash,
    }
}

pub(super) fn verify_audit(controller: &Controller, caller: &Caller) -> Reply<AuditCheck> {
    caller.need_controller_scope(controller, "verifying the audit log")?;
    let verified = audit::verify(&*controller.store).map_err(failed)?;
    Ok(AuditCheck {
        events: verified.events,
        intact: verified.broken_at.is_none(),
        broken_at: verified.broken_at,
        head: verified.head,
    })
}
