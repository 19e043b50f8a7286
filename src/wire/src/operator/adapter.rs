//! An [`OperatorService`] as tonic wants it: messages in and out, the bearer taken from the metadata.

use std::{sync::Arc, vec};

use aegis_core::{ObjectKey, Revision};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream, Iter, Map},
};
use tonic::{Request, Response, Status};

use super::{
    Bearer, GetRun, HistoryEntry, ListRuns, ListTools, Node, Object, ObjectWrite, OperatorService,
    PlanNumber, Run, RunEvent, ShutdownNode,
    convert::{Unreadable, all, each, proto_keys, typed},
    plan::write_result_to_proto,
    tool::tools_to_proto,
};
use crate::{error::ApiError, proto, proto::operator_server::Operator};

pub(crate) struct OperatorAdapter<T>(pub Arc<T>);

/// The rows of a list as messages; a function pointer, because a closure's type couldn't be named.
type Rows<T, P> = Map<Iter<vec::IntoIter<T>>, fn(T) -> Result<P, Status>>;
/// A long list as messages.
type Long<P> = BoxStream<'static, Result<P, Status>>;

/// The bearer and the message of a call.
fn split<M>(request: Request<M>, method: &'static str) -> Result<(Bearer, M), Status> {
    let bearer = Bearer::of_call(request.metadata(), method)?;
    Ok((bearer, request.into_inner()))
}

/// What a request asks for, as its own type.
fn parse<P, T: TryFrom<P, Error = Unreadable>>(message: P) -> Result<T, Status> {
    T::try_from(message).map_err(|error| error.in_request().into())
}

fn reply<T: Into<P>, P>(result: Result<T, ApiError>) -> Result<Response<P>, Status> {
    Ok(Response::new(result?.into()))
}

fn rows<T: Into<P>, P>(result: Result<Vec<T>, ApiError>) -> Result<Response<Rows<T, P>>, Status> {
    let row: fn(T) -> Result<P, Status> = |row| Ok(row.into());
    Ok(Response::new(stream::iter(result?).map(row)))
}

fn run_events(
    events: BoxStream<'static, Result<Vec<RunEvent>, ApiError>>,
) -> Response<Long<proto::RunEvents>> {
    Response::new(events.map(|events| Ok(proto::RunEvents { events: each(events?) })).boxed())
}

#[tonic::async_trait]
impl<T: OperatorService> Operator for OperatorAdapter<T> {
    type ListNodesStream = Rows<Node, proto::Node>;
    type ListObjectsStream = Rows<Object, proto::Object>;
    type ListHistoryStream = Rows<HistoryEntry, proto::HistoryEntry>;
    type ListAuditStream = Long<proto::AuditEvent>;
    type BackupStream = Long<proto::BackupChunk>;
    type ListRunsStream = Rows<Run, proto::Run>;
    type GetRunStream = Long<proto::RunEvents>;
    type StartRunStream = Long<proto::RunEvents>;

    async fn who_am_i(
        &self,
        request: Request<proto::WhoAmIRequest>,
    ) -> Result<Response<proto::WhoAmIResponse>, Status> {
        let (bearer, _) = split(request, "WhoAmI")?;
        reply(self.0.who_am_i(bearer).await)
    }

    async fn list_nodes(
        &self,
        request: Request<proto::ListNodesRequest>,
    ) -> Result<Response<Self::ListNodesStream>, Status> {
        let (bearer, message) = split(request, "ListNodes")?;
        rows(self.0.list_nodes(bearer, message.into()).await)
    }

    async fn resolve_target(
        &self,
        request: Request<proto::ResolveTargetRequest>,
    ) -> Result<Response<proto::ResolveTargetResponse>, Status> {
        let (bearer, message) = split(request, "ResolveTarget")?;
        reply(self.0.resolve_target(bearer, message.target).await)
    }

    async fn list_objects(
        &self,
        request: Request<proto::ListObjectsRequest>,
    ) -> Result<Response<Self::ListObjectsStream>, Status> {
        let (bearer, message) = split(request, "ListObjects")?;
        rows(self.0.list_objects(bearer, message.into()).await)
    }

    async fn get_object(
        &self,
        request: Request<proto::GetObjectRequest>,
    ) -> Result<Response<proto::Object>, Status> {
        let (bearer, message) = split(request, "GetObject")?;
        reply(self.0.get_object(bearer, ObjectKey::new(message.kind, message.name)).await)
    }

    async fn list_changes(
        &self,
        request: Request<proto::ListChangesRequest>,
    ) -> Result<Response<proto::ListChangesResponse>, Status> {
        let (bearer, message) = split(request, "ListChanges")?;
        reply(self.0.list_changes(bearer, Revision(message.since)).await)
    }

    async fn list_inventory(
        &self,
        request: Request<proto::ListInventoryRequest>,
    ) -> Result<Response<proto::ListInventoryResponse>, Status> {
        let (bearer, message) = split(request, "ListInventory")?;
        let owner = typed("owner", &message.owner).map_err(Unreadable::in_request)?;
        let keys = self.0.list_inventory(bearer, owner).await?;
        Ok(Response::new(proto::ListInventoryResponse { keys: proto_keys(keys) }))
    }

    async fn list_history(
        &self,
        request: Request<proto::ListHistoryRequest>,
    ) -> Result<Response<Self::ListHistoryStream>, Status> {
        let (bearer, message) = split(request, "ListHistory")?;
        rows(self.0.list_history(bearer, parse(message)?).await)
    }

    async fn get_history(
        &self,
        request: Request<proto::GetHistoryRequest>,
    ) -> Result<Response<proto::GetHistoryResponse>, Status> {
        let (bearer, message) = split(request, "GetHistory")?;
        reply(self.0.get_history(bearer, PlanNumber(message.revision)).await)
    }

    async fn list_tools(
        &self,
        request: Request<proto::ListToolsRequest>,
    ) -> Result<Response<proto::ListToolsResponse>, Status> {
        let (bearer, message) = split(request, "ListTools")?;
        let node = Some(message.node).filter(|node| !node.is_empty());
        Ok(Response::new(tools_to_proto(self.0.list_tools(bearer, ListTools { node }).await?)))
    }

    async fn list_runs(
        &self,
        request: Request<proto::ListRunsRequest>,
    ) -> Result<Response<Self::ListRunsStream>, Status> {
        let (bearer, message) = split(request, "ListRuns")?;
        let limit = Some(message.limit).filter(|limit| *limit > 0);
        rows(self.0.list_runs(bearer, ListRuns { limit }).await)
    }

    async fn get_run(
        &self,
        request: Request<proto::GetRunRequest>,
    ) -> Result<Response<Self::GetRunStream>, Status> {
        let (bearer, proto::GetRunRequest { run_id, follow }) = split(request, "GetRun")?;
        Ok(run_events(self.0.get_run(bearer, GetRun { run: run_id, follow }).await?))
    }

    async fn get_rollout(
        &self,
        request: Request<proto::GetRolloutRequest>,
    ) -> Result<Response<proto::RolloutStatus>, Status> {
        let (bearer, message) = split(request, "GetRollout")?;
        reply(self.0.get_rollout(bearer, message.name).await)
    }

    async fn list_deliveries(
        &self,
        request: Request<proto::ListDeliveriesRequest>,
    ) -> Result<Response<proto::ListDeliveriesResponse>, Status> {
        let (bearer, message) = split(request, "ListDeliveries")?;
        let deliveries = self.0.list_deliveries(bearer, message.into()).await?;
        Ok(Response::new(proto::ListDeliveriesResponse { deliveries: each(deliveries) }))
    }

    async fn get_digest_key(
        &self,
        request: Request<proto::GetDigestKeyRequest>,
    ) -> Result<Response<proto::GetDigestKeyResponse>, Status> {
        let (bearer, proto::GetDigestKeyRequest {}) = split(request, "GetDigestKey")?;
        let key = self.0.get_digest_key(bearer).await?;
        Ok(Response::new(proto::GetDigestKeyResponse { key: Bytes::copy_from_slice(key.expose()) }))
    }

    async fn start_run(
        &self,
        request: Request<proto::StartRunRequest>,
    ) -> Result<Response<Self::StartRunStream>, Status> {
        let (bearer, message) = split(request, "StartRun")?;
        Ok(run_events(self.0.start_run(bearer, parse(message)?).await?))
    }

    async fn cancel_run(
        &self,
        request: Request<proto::CancelRunRequest>,
    ) -> Result<Response<proto::Run>, Status> {
        let (bearer, message) = split(request, "CancelRun")?;
        reply(self.0.cancel_run(bearer, message.run_id).await)
    }

    async fn steer_rollout(
        &self,
        request: Request<proto::SteerRolloutRequest>,
    ) -> Result<Response<proto::RolloutStatus>, Status> {
        let (bearer, message) = split(request, "SteerRollout")?;
        let action = typed("action", &message.action).map_err(Unreadable::in_request)?;
        reply(self.0.steer_rollout(bearer, message.name, action).await)
    }

    async fn begin_plan(
        &self,
        request: Request<proto::BeginPlanRequest>,
    ) -> Result<Response<proto::BeginPlanResponse>, Status> {
        let (bearer, message) = split(request, "BeginPlan")?;
        let plan = self.0.begin_plan(bearer, parse(message)?).await?;
        Ok(Response::new(proto::BeginPlanResponse { plan: plan.0 }))
    }

    async fn write_objects(
        &self,
        request: Request<proto::WriteObjectsRequest>,
    ) -> Result<Response<proto::WriteObjectsResponse>, Status> {
        let (bearer, message) = split(request, "WriteObjects")?;
        let writes: Vec<ObjectWrite> = all(message.writes).map_err(Unreadable::in_request)?;
        let results = self.0.write_objects(bearer, PlanNumber(message.plan), writes).await?;
        let results = results.into_iter().map(write_result_to_proto).collect();
        Ok(Response::new(proto::WriteObjectsResponse { results }))
    }

    async fn finish_plan(
        &self,
        request: Request<proto::FinishPlanRequest>,
    ) -> Result<Response<proto::FinishPlanResponse>, Status> {
        let (bearer, message) = split(request, "FinishPlan")?;
        self.0.finish_plan(bearer, parse(message)?).await?;
        Ok(Response::new(proto::FinishPlanResponse {}))
    }

    async fn revoke_node(
        &self,
        request: Request<proto::RevokeNodeRequest>,
    ) -> Result<Response<proto::Node>, Status> {
        let (bearer, message) = split(request, "RevokeNode")?;
        reply(self.0.revoke_node(bearer, message.node).await)
    }

    async fn shutdown_node(
        &self,
        request: Request<proto::ShutdownNodeRequest>,
    ) -> Result<Response<proto::Node>, Status> {
        let (bearer, proto::ShutdownNodeRequest { node, reason }) = split(request, "ShutdownNode")?;
        reply(self.0.shutdown_node(bearer, ShutdownNode { node, reason }).await)
    }

    async fn create_enrollment_token(
        &self,
        request: Request<proto::CreateEnrollmentTokenRequest>,
    ) -> Result<Response<proto::CreateEnrollmentTokenResponse>, Status> {
        let (bearer, message) = split(request, "CreateEnrollmentToken")?;
        reply(self.0.create_enrollment_token(bearer, parse(message)?).await)
    }

    async fn create_user_token(
        &self,
        request: Request<proto::CreateUserTokenRequest>,
    ) -> Result<Response<proto::CreateUserTokenResponse>, Status> {
        let (bearer, message) = split(request, "CreateUserToken")?;
        reply(self.0.create_user_token(bearer, parse(message)?).await)
    }

    async fn create_tenant(
        &self,
        request: Request<proto::CreateTenantRequest>,
    ) -> Result<Response<proto::Tenant>, Status> {
        let (bearer, message) = split(request, "CreateTenant")?;
        let tenant = typed("tenant", &message.tenant).map_err(Unreadable::in_request)?;
        reply(self.0.create_tenant(bearer, tenant).await)
    }

    async fn list_tenants(
        &self,
        request: Request<proto::ListTenantsRequest>,
    ) -> Result<Response<proto::ListTenantsResponse>, Status> {
        let (bearer, _) = split(request, "ListTenants")?;
        let tenants = each(self.0.list_tenants(bearer).await?);
        Ok(Response::new(proto::ListTenantsResponse { tenants }))
    }

    async fn list_audit(
        &self,
        request: Request<proto::ListAuditRequest>,
    ) -> Result<Response<Self::ListAuditStream>, Status> {
        let (bearer, message) = split(request, "ListAudit")?;
        let events = self.0.list_audit(bearer, message.into()).await?;
        Ok(Response::new(events.map(|event| Ok(event?.into())).boxed()))
    }

    async fn verify_audit(
        &self,
        request: Request<proto::VerifyAuditRequest>,
    ) -> Result<Response<proto::VerifyAuditResponse>, Status> {
        let (bearer, _) = split(request, "VerifyAudit")?;
        reply(self.0.verify_audit(bearer).await)
    }

    async fn backup(
        &self,
        request: Request<proto::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let (bearer, _) = split(request, "Backup")?;
        let pieces = self.0.backup(bearer).await?;
        Ok(Response::new(pieces.map(|piece| Ok(proto::BackupChunk { data: piece? })).boxed()))
    }
}
