//! What operators, pipelines and the CLI ask of a controller: the messages, the client, and the server's trait.

mod adapter;
mod audit;
mod bearer;
mod client;
mod convert;
mod data;
mod delivery;
mod history;
mod node;
mod object;
mod plan;
mod rollout;
mod run;
mod run_event;
mod service;
mod tokens;
mod tool;

pub(crate) use adapter::OperatorAdapter;
pub use audit::{AuditCheck, AuditEvent, AuditOutcome, ListAudit};
pub use bearer::Bearer;
pub use client::{OperatorClient, RunEvents};
pub use delivery::{Delivery, ListDeliveries};
pub use history::{History, HistoryChange, HistoryEntry, ListHistory};
pub use node::{ListNodes, Node, NodeStatus, Resolution, ShutdownNode, SkipReason, Skipped};
pub use object::{Changes, ListObjects, Object};
pub use plan::{
    BeginPlan, FinishPlan, ObjectWrite, PlanNumber, Write, WriteError, WriteRefusal, WriteResult,
};
pub use rollout::{RolloutAction, RolloutHost, RolloutPhase, RolloutStatus};
pub use run::{GetRun, ListRuns, Run, StartRun};
pub use run_event::{RunChange, RunEvent, RunTarget, TargetResult};
pub use service::OperatorService;
pub use tokens::{CreateEnrollmentToken, CreateUserToken, EnrollmentToken, Tenant, UserToken, WhoAmI};
pub use tool::{ListTools, Tool};

use crate::token::Role;

/// The largest message of an operator's call, in bytes.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Every method of the service with the least role that may call it, in the order of the proto file.
pub const METHODS: &[(&str, Role)] = &[
    ("WhoAmI", Role::Viewer),
    ("ListNodes", Role::Viewer),
    ("ResolveTarget", Role::Viewer),
    ("ListObjects", Role::Viewer),
    ("GetObject", Role::Viewer),
    ("ListChanges", Role::Viewer),
    ("ListInventory", Role::Viewer),
    ("ListHistory", Role::Viewer),
    ("GetHistory", Role::Viewer),
    ("ListTools", Role::Viewer),
    ("ListRuns", Role::Viewer),
    ("GetRun", Role::Viewer),
    ("GetRollout", Role::Viewer),
    ("ListDeliveries", Role::Viewer),
    ("BeginPlan", Role::Operator),
    ("WriteObjects", Role::Operator),
    ("FinishPlan", Role::Operator),
    ("RevokeNode", Role::Operator),
    ("ShutdownNode", Role::Operator),
    ("StartRun", Role::Operator),
    ("CancelRun", Role::Operator),
    ("SteerRollout", Role::Operator),
    ("GetDigestKey", Role::Operator),
    ("CreateEnrollmentToken", Role::Admin),
    ("CreateUserToken", Role::Admin),
    ("CreateTenant", Role::Admin),
    ("ListTenants", Role::Admin),
    ("ListAudit", Role::Admin),
    ("VerifyAudit", Role::Admin),
    ("Backup", Role::Admin),
];
