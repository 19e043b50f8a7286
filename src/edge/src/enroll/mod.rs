//! `aegis edge enroll`: from a token to a host with an identity.
//!
//! The order is what makes it safe to cut off anywhere. Key, config and token stay as they are until the controller has
//! answered once (it is there, and it is the right one). Then the key is on disk before the token is redeemed, so that a host whose token
//! was burnt by a crash can attest anew with the same key. `node.token` comes last: while it isn't there, the host
//! isn't enrolled.

mod error;
mod files;
mod handshake;

use std::sync::Arc;

use aegis_core::{NodeId, TenantId};
use aegis_wire::{
    Endpoint, SigningKey,
    dial::Dialer,
    token::{EnrollmentClaims, NodeClaims},
};
use serde::Serialize;

use crate::{
    bootstrap::{self, Artifact, Choice, ConfigState, Observed, Plan, Policy, Prompter},
    capabilities::{Host, capabilities},
    clock::Clock,
    config::{self, EdgeConfig},
    proxy::ProxyError,
    state::{
        Fix, RotateLock, StateDir, enforce_modes, make_private_dir, remove_if_there, running_pid,
        write_atomic,
    },
};

pub use error::{EnrollError, TokenFate};

/// What was asked for.
#[derive(Debug, Clone)]
pub struct EnrollRequest {
    /// The enrolment token.
    pub token: String,
    /// Where the daemon's files are.
    pub state: StateDir,
    /// How questions are answered.
    pub policy: Policy,
    /// Only the plan; neither disk nor network is touched.
    pub dry_run: bool,
    /// The short config template instead of the annotated one.
    pub minimal: bool,
}

/// Finds the way to an endpoint.
pub type DialerFor = dyn Fn(&Endpoint) -> Result<Arc<dyn Dialer>, ProxyError> + Send + Sync;

/// What an enrolment needs from outside.
pub struct EnrollDeps<'a> {
    /// The wall clock.
    pub clock: &'a dyn Clock,
    /// The way to an endpoint, through a proxy where the environment says so: see [`crate::proxy::dialer_for`].
    pub dialer: &'a DialerFor,
    /// Who answers questions.
    pub prompter: &'a mut dyn Prompter,
    /// This machine.
    pub host: &'a Host,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was done: a dry run.
    Planned,
    /// The host has a new node token.
    Enrolled,
    /// Key and token were there and belong to this controller; it wasn't contacted.
    Reused,
}

/// What an enrolment did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnrollReport {
    /// How it ended.
    pub outcome: Outcome,
    /// What was decided.
    pub plan: Plan,
    /// The node's id; unknown in a dry run that would make a new key.
    pub node_id: Option<NodeId>,
    /// Whose the host is.
    pub tenant: TenantId,
    /// The host's name in listings, when the controller told it.
    pub name: Option<String>,
    /// Until when the node token is good; the daemon renews it before.
    pub token_expires: Option<jiff::Timestamp>,
    /// A daemon that runs here and knows nothing of the new identity: it must be restarted.
    pub restart_pid: Option<u32>,
    /// Modes that were too permissive and are repaired.
    #[serde(serialize_with = "fixes_as_text")]
    pub repaired: Vec<Fix>,
}

fn fixes_as_text<S: serde::Serializer>(fixes: &[Fix], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(fixes.iter().map(ToString::to_string))
}

/// Enrols this host.
pub async fn enroll(request: &EnrollRequest, deps: EnrollDeps<'_>) -> Result<EnrollReport, EnrollError> {
    let token = request.token.trim();
    let offer = EnrollmentClaims::peek(token)?;
    let now = deps.clock.now_seconds();
    let observed = bootstrap::observe(&request.state, token, &offer, now)?;
    let plan = bootstrap::plan(&observed, &offer, request.policy, request.dry_run, deps.prompter)?;
    let mut report = EnrollReport {
        outcome: Outcome::Planned,
        node_id: None,
        tenant: offer.tenant.clone(),
        name: None,
        token_expires: None,
        restart_pid: None,
        repaired: Vec::new(),
        plan,
    };
    if request.dry_run {
        return Ok(report);
    }
    let files = files::Files { state: &request.state, plan: &report.plan };
    if !report.plan.contacts_controller {
        let node_token = files.read_node_token()?;
        report.repaired = files.prepare()?;
        files.write_config(&observed, request.minimal)?;
        files.write_server_key(&report.plan.server_key)?;
        files.write_public_key(&files.read_key()?)?;
        let claims = NodeClaims::peek(&node_token)?;
        report.node_id = Some(claims.node_id);
        report.token_expires = Some(claims.expires_at);
        report.outcome = Outcome::Reused;
        return Ok(report);
    }
    if offer.expires_at.as_second() <= now {
        return Err(EnrollError::Expired(offer.expires_at));
    }
    // Read and render everything that may fail before anything is redeemed.
    let config_text = files.config_text(&observed, request.minimal)?;
    let settings = config::parse(&config_text, &request.state.config().display().to_string())?;
    let key = match report.plan.chosen(Artifact::NodeKey) {
        Some(Choice::Reuse) => files.read_key()?,
        _ => SigningKey::generate()?,
    };
    report.repaired = files.prepare()?;
    let _lock = RotateLock::take(&request.state)?;
    write_atomic(&request.state.enrollment(), 0o644, token.as_bytes())?;

    let capabilities = capabilities(&settings, deps.host);
    let dialer = (deps.dialer)(&offer.endpoint)?;
    let mut handshake = handshake::Handshake::connect(&offer, settings.plaintext, dialer).await?;
    let nonce = handshake.attest(&key, &capabilities).await?;
    let swap = files.install_key(&key, deps.clock.now_ms())?;
    let enrolled = match handshake.challenge(&key, token, nonce, capabilities).await {
        Ok(enrolled) => enrolled,
        Err(error) => {
            match error.token_fate() {
                // The controller may know the key by now; with it the host can attest again.
                Some(TokenFate::Unknown) | None => {}
                Some(TokenFate::Usable) => files.take_back(&swap)?,
                Some(TokenFate::Burnt) => {
                    files.take_back(&swap)?;
                    remove_if_there(&request.state.enrollment())?;
                }
            }
            return Err(error);
        }
    };
    let claims = handshake::check(&enrolled, &key, &offer, deps.clock.now_seconds())?;
    write_atomic(request.state.config(), 0o644, config_text.as_bytes())?;
    files.write_server_key(&enrolled.server_key)?;
    // What a rotation was going to make of the key before is no key of the node that is enrolled now.
    remove_if_there(&request.state.node_key_next())?;
    write_atomic(&request.state.node_token(), 0o600, enrolled.node_token.as_bytes())?;
    remove_if_there(&request.state.enrollment())?;

    report.outcome = Outcome::Enrolled;
    // Only a hint: that it can't be told whether a daemon runs is no failure of the enrolment.
    report.restart_pid = running_pid(&request.state).ok().flatten();
    report.node_id = Some(enrolled.node_id);
    report.tenant = enrolled.tenant;
    report.name = Some(enrolled.name);
    report.token_expires = jiff::Timestamp::from_second(claims.exp).ok();
    Ok(report)
}

#[cfg(test)]
#[path = "enroll_tests.rs"]
mod tests;
