//! What a controller does for operators.

use aegis_core::{ObjectKey, Owner, Revision, Secret, TenantId};
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{
    AuditCheck, AuditEvent, Bearer, BeginPlan, Changes, CreateEnrollmentToken, CreateUserToken, Delivery,
    EnrollmentToken, FinishPlan, GetRun, History, HistoryEntry, ListAudit, ListDeliveries, ListHistory,
    ListNodes, ListObjects, ListRuns, ListTools, Node, Object, ObjectWrite, PlanNumber, Resolution,
    RolloutAction, RolloutStatus, Run, RunEvent, ShutdownNode, StartRun, Tenant, Tool, UserToken, WhoAmI,
    WriteResult,
};
use crate::error::ApiError;

/// What a call ends in.
type Reply<T> = Result<T, ApiError>;

/// The operators' service. Each method gets the bearer first: nothing about it has been checked.
///
/// What belongs to another tenant and what doesn't exist must look the same in every answer.
#[allow(missing_docs, reason = "each method is described in proto/aegis/v1/operator.proto")]
pub trait OperatorService: Send + Sync + 'static {
    fn who_am_i(&self, bearer: Bearer) -> impl Future<Output = Reply<WhoAmI>> + Send;

    fn list_nodes(&self, bearer: Bearer, which: ListNodes) -> impl Future<Output = Reply<Vec<Node>>> + Send;
    fn resolve_target(
        &self,
        bearer: Bearer,
        target: String,
    ) -> impl Future<Output = Reply<Resolution>> + Send;
    fn list_objects(
        &self,
        bearer: Bearer,
        which: ListObjects,
    ) -> impl Future<Output = Reply<Vec<Object>>> + Send;
    fn get_object(&self, bearer: Bearer, key: ObjectKey) -> impl Future<Output = Reply<Object>> + Send;
    fn list_changes(&self, bearer: Bearer, since: Revision) -> impl Future<Output = Reply<Changes>> + Send;
    fn list_inventory(
        &self,
        bearer: Bearer,
        owner: Owner,
    ) -> impl Future<Output = Reply<Vec<ObjectKey>>> + Send;
    fn list_history(
        &self,
        bearer: Bearer,
        which: ListHistory,
    ) -> impl Future<Output = Reply<Vec<HistoryEntry>>> + Send;
    fn get_history(&self, bearer: Bearer, plan: PlanNumber) -> impl Future<Output = Reply<History>> + Send;

    fn list_tools(&self, bearer: Bearer, which: ListTools) -> impl Future<Output = Reply<Vec<Tool>>> + Send;
    fn list_runs(&self, bearer: Bearer, which: ListRuns) -> impl Future<Output = Reply<Vec<Run>>> + Send;
    /// What is kept of a run; then, if it is to be followed, what happens until it has ended. Pieces in order.
    fn get_run(
        &self,
        bearer: Bearer,
        which: GetRun,
    ) -> impl Future<Output = Reply<BoxStream<'static, Reply<Vec<RunEvent>>>>> + Send;
    fn get_rollout(&self, bearer: Bearer, name: String) -> impl Future<Output = Reply<RolloutStatus>> + Send;
    fn list_deliveries(
        &self,
        bearer: Bearer,
        which: ListDeliveries,
    ) -> impl Future<Output = Reply<Vec<Delivery>>> + Send;

    fn begin_plan(&self, bearer: Bearer, plan: BeginPlan) -> impl Future<Output = Reply<PlanNumber>> + Send;
    /// The results are in the order of the writes, one each.
    fn write_objects(
        &self,
        bearer: Bearer,
        plan: PlanNumber,
        writes: Vec<ObjectWrite>,
    ) -> impl Future<Output = Reply<Vec<WriteResult>>> + Send;
    fn finish_plan(&self, bearer: Bearer, plan: FinishPlan) -> impl Future<Output = Reply<()>> + Send;
    /// `node` is an id, a unique prefix of one, or a unique name.
    fn revoke_node(&self, bearer: Bearer, node: String) -> impl Future<Output = Reply<Node>> + Send;
    fn shutdown_node(&self, bearer: Bearer, which: ShutdownNode) -> impl Future<Output = Reply<Node>> + Send;
    /// Hanging up doesn't end the run.
    fn start_run(
        &self,
        bearer: Bearer,
        run: StartRun,
    ) -> impl Future<Output = Reply<BoxStream<'static, Reply<Vec<RunEvent>>>>> + Send;
    /// `run` is an id or a unique prefix. Gives the run as it is at that moment.
    fn cancel_run(&self, bearer: Bearer, run: String) -> impl Future<Output = Reply<Run>> + Send;
    fn steer_rollout(
        &self,
        bearer: Bearer,
        name: String,
        action: RolloutAction,
    ) -> impl Future<Output = Reply<RolloutStatus>> + Send;
    /// What the digests of the tenant's secrets are made with.
    fn get_digest_key(&self, bearer: Bearer) -> impl Future<Output = Reply<Secret<Vec<u8>>>> + Send;

    fn create_enrollment_token(
        &self,
        bearer: Bearer,
        wish: CreateEnrollmentToken,
    ) -> impl Future<Output = Reply<EnrollmentToken>> + Send;
    fn create_user_token(
        &self,
        bearer: Bearer,
        wish: CreateUserToken,
    ) -> impl Future<Output = Reply<UserToken>> + Send;
    fn create_tenant(&self, bearer: Bearer, tenant: TenantId) -> impl Future<Output = Reply<Tenant>> + Send;
    fn list_tenants(&self, bearer: Bearer) -> impl Future<Output = Reply<Vec<Tenant>>> + Send;
    fn list_audit(
        &self,
        bearer: Bearer,
        which: ListAudit,
    ) -> impl Future<Output = Reply<BoxStream<'static, Reply<AuditEvent>>>> + Send;
    fn verify_audit(&self, bearer: Bearer) -> impl Future<Output = Reply<AuditCheck>> + Send;
    /// The pieces of one file, each well below 16 MiB.
    fn backup(&self, bearer: Bearer) -> impl Future<Output = Reply<BoxStream<'static, Reply<Bytes>>>> + Send;
}
