//! The CLI's end. Lists come as streams and are gathered here; many writes go in several messages.

use aegis_core::{ObjectKey, Owner, Revision, Secret, TenantId};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tonic::{
    IntoRequest, Request, Streaming,
    metadata::{Ascii, MetadataValue},
};

use super::{
    AuditCheck, AuditEvent, BeginPlan, Changes, CreateEnrollmentToken, CreateUserToken, Delivery,
    EnrollmentToken, FinishPlan, GetRun, History, HistoryEntry, ListAudit, ListDeliveries, ListHistory,
    ListNodes, ListObjects, ListRuns, ListTools, MAX_MESSAGE, Node, Object, ObjectWrite, PlanNumber,
    Resolution, RolloutAction, RolloutStatus, Run, RunEvent, ShutdownNode, StartRun, Tenant, Tool, UserToken,
    WhoAmI, WriteResult,
    bearer::{AUTHORIZATION, TENANT},
    convert::{Unreadable, all, keys},
    plan::write_result_from_proto,
    tool::tools_from_proto,
};
use crate::{dial::Channel, error::ApiError, proto, proto::operator_client};

/// The most writes of one message.
const BATCH_WRITES: usize = 500;
/// The most bytes of one message of writes, unless a single write is larger.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// What a call ends in.
type Reply<T> = Result<T, ApiError>;

/// Calls a controller with one token. Cheap to clone.
#[derive(Clone)]
pub struct OperatorClient {
    inner: operator_client::OperatorClient<tonic::transport::Channel>,
    authorization: MetadataValue<Ascii>,
    tenant: Option<MetadataValue<Ascii>>,
}

impl std::fmt::Debug for OperatorClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorClient(token …)")
    }
}

/// Reads a message of an answer.
fn read<P, T: TryFrom<P, Error = Unreadable>>(message: P) -> Reply<T> {
    T::try_from(message).map_err(Unreadable::in_answer)
}

/// Gathers a list.
async fn gather<P, T>(mut rows: Streaming<P>, read: impl Fn(P) -> Reply<T>) -> Reply<Vec<T>> {
    let mut list = Vec::new();
    while let Some(row) = rows.message().await? {
        list.push(read(row)?);
    }
    Ok(list)
}

impl OperatorClient {
    /// A client on this connection, with this token.
    pub fn new(channel: Channel, token: &str) -> Reply<Self> {
        let mut authorization = MetadataValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| ApiError::unauthenticated("the token has characters that no token has"))?;
        authorization.set_sensitive(true);
        let inner = operator_client::OperatorClient::new(channel.into_tonic())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(Self { inner, authorization, tenant: None })
    }

    /// The same client, acting for another tenant, where the token is delegated to do so.
    #[must_use]
    pub fn for_tenant(mut self, tenant: &TenantId) -> Self {
        // A tenant's name is of a-z, 0-9 and '-', which every metadata value may hold.
        self.tenant = MetadataValue::try_from(tenant.as_str()).ok();
        self
    }

    fn call<M>(
        &self,
        message: M,
    ) -> (operator_client::OperatorClient<tonic::transport::Channel>, Request<M>) {
        let mut request = message.into_request();
        request.metadata_mut().insert(AUTHORIZATION, self.authorization.clone());
        if let Some(tenant) = &self.tenant {
            request.metadata_mut().insert(TENANT, tenant.clone());
        }
        (self.inner.clone(), request)
    }

    /// Whom the controller takes the token's bearer for.
    pub async fn who_am_i(&self) -> Reply<WhoAmI> {
        let (mut client, request) = self.call(proto::WhoAmIRequest {});
        read(client.who_am_i(request).await?.into_inner())
    }

    /// The nodes for which all conditions hold, in the order of their ids.
    pub async fn list_nodes(&self, which: ListNodes) -> Reply<Vec<Node>> {
        let (mut client, request) = self.call(proto::ListNodesRequest::from(which));
        gather(client.list_nodes(request).await?.into_inner(), read).await
    }

    /// The nodes that a target expression means.
    pub async fn resolve_target(&self, target: &str) -> Reply<Resolution> {
        let (mut client, request) = self.call(proto::ResolveTargetRequest { target: target.to_owned() });
        read(client.resolve_target(request).await?.into_inner())
    }

    /// Declared objects.
    pub async fn list_objects(&self, which: ListObjects) -> Reply<Vec<Object>> {
        let (mut client, request) = self.call(proto::ListObjectsRequest::from(which));
        gather(client.list_objects(request).await?.into_inner(), |row| Ok(row.into())).await
    }

    /// One declared object; for an `EdgeNode` the name may be an id, a unique prefix of one, or a unique name.
    pub async fn get_object(&self, key: &ObjectKey) -> Reply<Object> {
        let message = proto::GetObjectRequest { kind: key.kind.to_string(), name: key.name.clone() };
        let (mut client, request) = self.call(message);
        Ok(client.get_object(request).await?.into_inner().into())
    }

    /// What has changed since `since`.
    pub async fn list_changes(&self, since: Revision) -> Reply<Changes> {
        let (mut client, request) = self.call(proto::ListChangesRequest { since: since.0 });
        Ok(client.list_changes(request).await?.into_inner().into())
    }

    /// What `owner` declared.
    pub async fn list_inventory(&self, owner: &Owner) -> Reply<Vec<ObjectKey>> {
        let (mut client, request) = self.call(proto::ListInventoryRequest { owner: owner.to_string() });
        Ok(keys(client.list_inventory(request).await?.into_inner().keys))
    }

    /// Applied plans, newest first.
    pub async fn list_history(&self, which: ListHistory) -> Reply<Vec<HistoryEntry>> {
        let (mut client, request) = self.call(proto::ListHistoryRequest::from(which));
        gather(client.list_history(request).await?.into_inner(), read).await
    }

    /// One applied plan with its changes.
    pub async fn get_history(&self, plan: PlanNumber) -> Reply<History> {
        let (mut client, request) = self.call(proto::GetHistoryRequest { revision: plan.0 });
        read(client.get_history(request).await?.into_inner())
    }

    /// The tools that are built in, or those of a host.
    pub async fn list_tools(&self, which: ListTools) -> Reply<Vec<Tool>> {
        let (mut client, request) =
            self.call(proto::ListToolsRequest { node: which.node.unwrap_or_default() });
        tools_from_proto(client.list_tools(request).await?.into_inner()).map_err(Unreadable::in_answer)
    }

    /// Runs, newest first.
    pub async fn list_runs(&self, which: ListRuns) -> Reply<Vec<Run>> {
        let (mut client, request) =
            self.call(proto::ListRunsRequest { limit: which.limit.unwrap_or_default() });
        gather(client.list_runs(request).await?.into_inner(), read).await
    }

    /// What is kept of a run; then, if it is to be followed, what happens until it has ended.
    pub async fn get_run(&self, which: GetRun) -> Reply<impl RunEvents + use<>> {
        let message = proto::GetRunRequest { run_id: which.run, follow: which.follow };
        let (mut client, request) = self.call(message);
        Ok(events(client.get_run(request).await?.into_inner()))
    }

    /// Begins a run, and tells of it until it has ended. Hanging up doesn't end it.
    pub async fn start_run(&self, run: StartRun) -> Reply<impl RunEvents + use<>> {
        let (mut client, request) = self.call(proto::StartRunRequest::from(run));
        Ok(events(client.start_run(request).await?.into_inner()))
    }

    /// Cancels a run: id or unique prefix.
    pub async fn cancel_run(&self, run: &str) -> Reply<Run> {
        let (mut client, request) = self.call(proto::CancelRunRequest { run_id: run.to_owned() });
        read(client.cancel_run(request).await?.into_inner())
    }

    /// Where a rollout is.
    pub async fn get_rollout(&self, name: &str) -> Reply<RolloutStatus> {
        let (mut client, request) = self.call(proto::GetRolloutRequest { name: name.to_owned() });
        read(client.get_rollout(request).await?.into_inner())
    }

    /// Pauses, resumes or aborts a rollout.
    pub async fn steer_rollout(&self, name: &str, action: RolloutAction) -> Reply<RolloutStatus> {
        let message = proto::SteerRolloutRequest { name: name.to_owned(), action: action.to_string() };
        let (mut client, request) = self.call(message);
        read(client.steer_rollout(request).await?.into_inner())
    }

    /// How hosts stand with what has a target.
    pub async fn list_deliveries(&self, which: ListDeliveries) -> Reply<Vec<Delivery>> {
        let (mut client, request) = self.call(proto::ListDeliveriesRequest::from(which));
        let deliveries = client.list_deliveries(request).await?.into_inner().deliveries;
        all(deliveries).map_err(Unreadable::in_answer)
    }

    /// What the digests of the tenant's secrets are made with.
    pub async fn digest_key(&self) -> Reply<Secret<Vec<u8>>> {
        let (mut client, request) = self.call(proto::GetDigestKeyRequest {});
        Ok(Secret::new(client.get_digest_key(request).await?.into_inner().key.to_vec()))
    }

    /// Opens a plan.
    pub async fn begin_plan(&self, plan: BeginPlan) -> Reply<PlanNumber> {
        let (mut client, request) = self.call(proto::BeginPlanRequest::from(plan));
        Ok(PlanNumber(client.begin_plan(request).await?.into_inner().plan))
    }

    /// Writes objects, in messages of at most 500 writes and 2 MiB, one after the other. When one of them fails as a
    /// whole, the writes of those before it are done.
    pub async fn write_objects(&self, plan: PlanNumber, writes: Vec<ObjectWrite>) -> Reply<Vec<WriteResult>> {
        let mut results = Vec::with_capacity(writes.len());
        for batch in batches(writes) {
            let sent = batch.len();
            let writes = batch.into_iter().map(Into::into).collect();
            let (mut client, request) = self.call(proto::WriteObjectsRequest { plan: plan.0, writes });
            let answers = client.write_objects(request).await?.into_inner().results;
            if answers.len() != sent {
                return Err(ApiError::unreadable(
                    "write result",
                    format!("{} for {sent} writes", answers.len()),
                ));
            }
            for answer in answers {
                results.push(write_result_from_proto(answer).map_err(Unreadable::in_answer)?);
            }
        }
        Ok(results)
    }

    /// Closes a plan.
    pub async fn finish_plan(&self, plan: FinishPlan) -> Reply<()> {
        let (mut client, request) = self.call(proto::FinishPlanRequest::from(plan));
        client.finish_plan(request).await?;
        Ok(())
    }

    /// Revokes a node: id, unique prefix or unique name.
    pub async fn revoke_node(&self, node: &str) -> Reply<Node> {
        let (mut client, request) = self.call(proto::RevokeNodeRequest { node: node.to_owned() });
        read(client.revoke_node(request).await?.into_inner())
    }

    /// Ends a node's daemon.
    pub async fn shutdown_node(&self, which: ShutdownNode) -> Reply<Node> {
        let message = proto::ShutdownNodeRequest { node: which.node, reason: which.reason };
        let (mut client, request) = self.call(message);
        read(client.shutdown_node(request).await?.into_inner())
    }

    /// Makes an enrolment token.
    pub async fn create_enrollment_token(&self, wish: CreateEnrollmentToken) -> Reply<EnrollmentToken> {
        let (mut client, request) = self.call(proto::CreateEnrollmentTokenRequest::from(wish));
        read(client.create_enrollment_token(request).await?.into_inner())
    }

    /// Makes a user token.
    pub async fn create_user_token(&self, wish: CreateUserToken) -> Reply<UserToken> {
        let (mut client, request) = self.call(proto::CreateUserTokenRequest::from(wish));
        read(client.create_user_token(request).await?.into_inner())
    }

    /// Makes a tenant.
    pub async fn create_tenant(&self, tenant: &TenantId) -> Reply<Tenant> {
        let (mut client, request) = self.call(proto::CreateTenantRequest { tenant: tenant.to_string() });
        read(client.create_tenant(request).await?.into_inner())
    }

    /// The tenants that the caller may see.
    pub async fn list_tenants(&self) -> Reply<Vec<Tenant>> {
        let (mut client, request) = self.call(proto::ListTenantsRequest {});
        all(client.list_tenants(request).await?.into_inner().tenants).map_err(Unreadable::in_answer)
    }

    /// The audit log, oldest first.
    pub async fn list_audit(&self, which: ListAudit) -> Reply<Vec<AuditEvent>> {
        let (mut client, request) = self.call(proto::ListAuditRequest::from(which));
        gather(client.list_audit(request).await?.into_inner(), read).await
    }

    /// Checks the audit log's chain, on the controller.
    pub async fn verify_audit(&self) -> Reply<AuditCheck> {
        let (mut client, request) = self.call(proto::VerifyAuditRequest {});
        Ok(client.verify_audit(request).await?.into_inner().into())
    }

    /// The pieces of a backup file.
    pub async fn backup(&self) -> Reply<impl Stream<Item = Reply<Bytes>> + Send + Unpin + use<>> {
        let (mut client, request) = self.call(proto::BackupRequest {});
        let pieces = client.backup(request).await?.into_inner();
        Ok(pieces.map(|piece| Ok(piece?.data)))
    }
}

/// What happens in a run, in pieces.
pub trait RunEvents: Stream<Item = Reply<Vec<RunEvent>>> + Send + Unpin {}
impl<T: Stream<Item = Reply<Vec<RunEvent>>> + Send + Unpin> RunEvents for T {}

fn events(pieces: Streaming<proto::RunEvents>) -> impl RunEvents {
    pieces.map(|piece| all(piece?.events).map_err(Unreadable::in_answer))
}

/// Cuts writes into messages, in order.
fn batches(writes: Vec<ObjectWrite>) -> Vec<Vec<ObjectWrite>> {
    let mut batches: Vec<Vec<ObjectWrite>> = Vec::new();
    let mut bytes = 0;
    for write in writes {
        let size = write.size();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_WRITES && bytes + size <= BATCH_BYTES => {
                bytes += size;
                batch.push(write);
            }
            _ => {
                bytes = size;
                batches.push(vec![write]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use aegis_core::Outcome;

    use super::{super::Write, *};

    fn write(bytes: usize) -> ObjectWrite {
        ObjectWrite {
            key: ObjectKey::new("EdgeGroup", "web"),
            base: Revision(0),
            write: Write::Put(vec![b'x'; bytes].into()),
            steps: vec![],
            outcome: Outcome::Created,
            value: None,
        }
    }

    #[test]
    fn writes_are_cut_by_number_and_by_size() {
        let sizes = |writes| batches(writes).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![]), Vec::<usize>::new());
        assert_eq!(sizes(vec![write(10); 1001]), [500, 500, 1]);
        assert_eq!(sizes(vec![write(900 * 1024); 5]), [2, 2, 1]);
        assert_eq!(sizes(vec![write(3 * BATCH_BYTES), write(1), write(1)]), [1, 2]);
    }
}
