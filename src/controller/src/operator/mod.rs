//! What operators, pipelines and the CLI ask of the controller. Each call is authorized in one place, [`auth`], and then
//! handed to the file that knows about its matter.

mod admin;
mod auth;
mod backup;
mod deliveries;
mod history;
mod nodes;
mod objects;
mod plans;
mod rollouts;
mod runs;
mod target;
#[cfg(test)]
mod tests;
mod tools;
mod writes;

pub(crate) use target::{all_meant, is_meant, members};

use std::sync::Arc;

use aegis_core::{ObjectKey, Owner, Revision, Secret, TenantId};
use aegis_wire::{
    ApiError,
    operator::{
        AuditCheck, AuditEvent, Bearer, BeginPlan, Changes, CreateEnrollmentToken, CreateUserToken, Delivery,
        EnrollmentToken, FinishPlan, GetRun, History, HistoryEntry, ListAudit, ListDeliveries, ListHistory,
        ListNodes, ListObjects, ListRuns, ListTools, Node, Object, ObjectWrite, OperatorService, PlanNumber,
        Resolution, RolloutAction, RolloutStatus, Run, RunEvent, ShutdownNode, StartRun, Tenant, Tool,
        UserToken, WhoAmI, WriteResult,
    },
};
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::state::Controller;

type Reply<T> = Result<T, ApiError>;

/// Answers operators.
#[derive(Debug, Clone)]
pub(crate) struct Operators(pub Arc<Controller>);

impl OperatorService for Operators {
    async fn who_am_i(&self, bearer: Bearer) -> Reply<WhoAmI> {
        Ok(self.0.authorize(&bearer)?.who_am_i())
    }

    async fn list_nodes(&self, bearer: Bearer, which: ListNodes) -> Reply<Vec<Node>> {
        nodes::list(&self.0, &self.0.authorize(&bearer)?, &which)
    }
    async fn resolve_target(&self, bearer: Bearer, target: String) -> Reply<Resolution> {
        target::resolve(&self.0, &self.0.authorize(&bearer)?, &target)
    }
    async fn revoke_node(&self, bearer: Bearer, node: String) -> Reply<Node> {
        nodes::revoke(&self.0, &self.0.authorize(&bearer)?, &node).await
    }
    async fn shutdown_node(&self, bearer: Bearer, which: ShutdownNode) -> Reply<Node> {
        nodes::shutdown(&self.0, &self.0.authorize(&bearer)?, which).await
    }

    async fn list_objects(&self, bearer: Bearer, which: ListObjects) -> Reply<Vec<Object>> {
        objects::list(&self.0, &self.0.authorize(&bearer)?, &which)
    }
    async fn get_object(&self, bearer: Bearer, key: ObjectKey) -> Reply<Object> {
        objects::get(&self.0, &self.0.authorize(&bearer)?, &key)
    }
    async fn list_changes(&self, bearer: Bearer, since: Revision) -> Reply<Changes> {
        objects::changes(&self.0, &self.0.authorize(&bearer)?, since)
    }
    async fn list_inventory(&self, bearer: Bearer, owner: Owner) -> Reply<Vec<ObjectKey>> {
        objects::inventory(&self.0, &self.0.authorize(&bearer)?, &owner)
    }

    async fn list_history(&self, bearer: Bearer, which: ListHistory) -> Reply<Vec<HistoryEntry>> {
        history::list(&self.0, &self.0.authorize(&bearer)?, &which)
    }
    async fn get_history(&self, bearer: Bearer, plan: PlanNumber) -> Reply<History> {
        history::get(&self.0, &self.0.authorize(&bearer)?, plan)
    }

    async fn begin_plan(&self, bearer: Bearer, plan: BeginPlan) -> Reply<PlanNumber> {
        plans::begin(&self.0, &self.0.authorize(&bearer)?, plan).await
    }
    async fn write_objects(
        &self,
        bearer: Bearer,
        plan: PlanNumber,
        writes: Vec<ObjectWrite>,
    ) -> Reply<Vec<WriteResult>> {
        writes::write(&self.0, &self.0.authorize(&bearer)?, plan, writes).await
    }
    async fn finish_plan(&self, bearer: Bearer, plan: FinishPlan) -> Reply<()> {
        plans::finish(&self.0, &self.0.authorize(&bearer)?, plan).await
    }

    async fn create_enrollment_token(
        &self,
        bearer: Bearer,
        wish: CreateEnrollmentToken,
    ) -> Reply<EnrollmentToken> {
        admin::enrollment_token(&self.0, &self.0.authorize(&bearer)?, wish).await
    }
    async fn create_user_token(&self, bearer: Bearer, wish: CreateUserToken) -> Reply<UserToken> {
        admin::user_token(&self.0, &self.0.authorize(&bearer)?, wish).await
    }
    async fn create_tenant(&self, bearer: Bearer, tenant: TenantId) -> Reply<Tenant> {
        admin::create_tenant(&self.0, &self.0.authorize(&bearer)?, tenant).await
    }
    async fn list_tenants(&self, bearer: Bearer) -> Reply<Vec<Tenant>> {
        admin::tenants(&self.0, &self.0.authorize(&bearer)?)
    }
    async fn list_audit(
        &self,
        bearer: Bearer,
        which: ListAudit,
    ) -> Reply<BoxStream<'static, Reply<AuditEvent>>> {
        Ok(admin::audit(self.0.clone(), &self.0.authorize(&bearer)?, which))
    }
    async fn verify_audit(&self, bearer: Bearer) -> Reply<AuditCheck> {
        admin::verify_audit(&self.0, &self.0.authorize(&bearer)?)
    }
    async fn list_tools(&self, bearer: Bearer, which: ListTools) -> Reply<Vec<Tool>> {
        tools::list(&self.0, &self.0.authorize(&bearer)?, &which)
    }
    async fn list_runs(&self, bearer: Bearer, which: ListRuns) -> Reply<Vec<Run>> {
        runs::list(&self.0, &self.0.authorize(&bearer)?, which)
    }
    async fn get_run(
        &self,
        bearer: Bearer,
        which: GetRun,
    ) -> Reply<BoxStream<'static, Reply<Vec<RunEvent>>>> {
        runs::get(&self.0, &self.0.authorize(&bearer)?, &which)
    }
    async fn start_run(
        &self,
        bearer: Bearer,
        run: StartRun,
    ) -> Reply<BoxStream<'static, Reply<Vec<RunEvent>>>> {
        runs::start(&self.0, &self.0.authorize(&bearer)?, run).await
    }
    async fn cancel_run(&self, bearer: Bearer, run: String) -> Reply<Run> {
        runs::cancel(&self.0, &self.0.authorize(&bearer)?, &run).await
    }
    async fn get_rollout(&self, bearer: Bearer, name: String) -> Reply<RolloutStatus> {
        rollouts::get(&self.0, &self.0.authorize(&bearer)?, name)
    }
    async fn steer_rollout(
        &self,
        bearer: Bearer,
        name: String,
        action: RolloutAction,
    ) -> Reply<RolloutStatus> {
        rollouts::steer(&self.0, &self.0.authorize(&bearer)?, name, action).await
    }
    async fn list_deliveries(&self, bearer: Bearer, which: ListDeliveries) -> Reply<Vec<Delivery>> {
        deliveries::list(&self.0, &self.0.authorize(&bearer)?, &which)
    }
    async fn get_digest_key(&self, bearer: Bearer) -> Reply<Secret<Vec<u8>>> {
        deliveries::digest_key(&self.0, &self.0.authorize(&bearer)?).await
    }
    async fn backup(&self, bearer: Bearer) -> Reply<BoxStream<'static, Reply<Bytes>>> {
        backup::stream(self.0.clone(), &self.0.authorize(&bearer)?).await
    }
}
