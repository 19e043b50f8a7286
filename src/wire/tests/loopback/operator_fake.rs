//! An operators' service that gives back what it got, where that can be seen.

use std::sync::{Mutex, PoisonError};

use aegis_core::{
    NodeId, ObjectKey, Outcome, Owner, Revision, Secret, TenantId,
    fleet::{Counts, OnError, RunId, RunState, TargetOutcome},
    outcome::Summary,
};
use aegis_kinds::tool::ToolClass;
use aegis_wire::{
    ApiError,
    edge::{Refusal, ReportPhase},
    operator::{
        AuditCheck, AuditEvent, AuditOutcome, Bearer, BeginPlan, Changes, CreateEnrollmentToken,
        CreateUserToken, Delivery, EnrollmentToken, FinishPlan, GetRun, History, HistoryChange, HistoryEntry,
        ListAudit, ListDeliveries, ListHistory, ListNodes, ListObjects, ListRuns, ListTools, Node,
        NodeStatus, Object, ObjectWrite, OperatorService, PlanNumber, Resolution, RolloutAction, RolloutHost,
        RolloutPhase, RolloutStatus, Run, RunChange, RunEvent, RunTarget, ShutdownNode, SkipReason, Skipped,
        StartRun, TargetResult, Tenant, Tool, UserToken, WhoAmI, Write, WriteError, WriteRefusal,
        WriteResult,
    },
    token::Role,
};
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use jiff::Timestamp;

type Reply<T> = Result<T, ApiError>;

pub fn tenant() -> TenantId {
    TenantId::new("default").unwrap()
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub fn group(name: &str) -> ObjectKey {
    ObjectKey::new("EdgeGroup", name)
}

pub fn node(number: u8) -> Node {
    Node {
        node_id: NodeId::of_public_key(&[number; 32]),
        name: format!("web-{number}"),
        status: NodeStatus::Connected,
        connected: true,
        os: "linux".into(),
        arch: "x86_64".into(),
        tags: vec!["prod".into()],
        labels: [("region".to_owned(), "eu".to_owned())].into(),
        since: at(0),
        last_heartbeat_at: (number > 1).then(|| at(30)),
        enrolled_at: at(-60),
        local_tools: vec!["docker".into()],
        display_name: (number > 1).then(|| "Web".to_owned()),
        tenant: tenant(),
        version: "0.1.0".into(),
        key_fingerprint: "SHA256:abc".into(),
        hostname: "host".into(),
        draining: false,
    }
}

pub fn entry() -> HistoryEntry {
    let mut summary = Summary::default();
    summary.add_many(Outcome::Created, 2);
    HistoryEntry {
        revision: PlanNumber(7),
        started_at: at(0),
        finished_at: None,
        subject: "ann".into(),
        owner: Owner::new("fleet").unwrap(),
        source: "apply -f fleet.yaml".into(),
        summary,
    }
}

pub fn event(sequence: u64) -> AuditEvent {
    AuditEvent {
        sequence,
        time: at(1),
        subject: "ann".into(),
        tenant: "default".into(),
        action: "apply".into(),
        object: "EdgeGroup/web".into(),
        outcome: AuditOutcome::Refused,
        detail: String::new(),
        hash: "00".into(),
    }
}

pub fn tool() -> Tool {
    Tool {
        name: "fs.read".into(),
        summary: "read a file".into(),
        class: ToolClass::ReadOnly,
        fleet_capable: true,
        timeout_ms: Some(5_000),
        parameters: serde_json::json!({ "type": "object" }),
        custom: false,
        unavailable: None,
    }
}

pub fn run() -> Run {
    let mut outcomes = Counts::default();
    outcomes.add(TargetOutcome::Ok);
    Run {
        run_id: RunId::at(5, [1; 4]),
        tenant: "default".into(),
        subject: "ann".into(),
        target: "all".into(),
        tool: "cmd.run".into(),
        arguments: Bytes::from_static(br#"{"command":"true"}"#),
        mode: "rolling=25%".parse().unwrap(),
        max_concurrency: Some(4),
        on_error: OnError::StopAfter(2),
        require_min: None,
        deadline_ms: 1_500,
        security_context: "default".into(),
        state: RunState::Halted,
        reason: "stop-after=2: 2 of 3 targets failed".into(),
        started_at: at(0),
        finished_at: Some(at(9)),
        targets: 3,
        outcomes,
        rollout: Some("web".into()),
    }
}

/// One of each kind.
pub fn run_events() -> Vec<RunEvent> {
    let host = RunTarget { node_id: NodeId::of_public_key(&[1; 32]), name: "web-1".into() };
    let result = TargetResult {
        exit_code: Some(-1),
        refusal: Some(Refusal::Path),
        stdout: Bytes::from_static(b"a\0\xff"),
        stderr: Bytes::from_static(b"text"),
        stdout_bytes: 9,
        stderr_bytes: 4,
        data: Some(serde_json::json!({ "size": 3 })),
        duration_ms: 12,
        ..TargetResult::without_host(2, host.clone(), TargetOutcome::TimedOut, "too slow".into())
    };
    let skipped =
        Skipped { node_id: host.node_id.clone(), name: "web-2".into(), reason: SkipReason::Disconnected };
    let changes = [
        RunChange::Started { run: run(), targets: vec![host], skipped: vec![skipped] },
        RunChange::WaveStarted { wave: 1, waves: 4, targets: 2 },
        RunChange::Dispatched { targets: vec![0, 2] },
        RunChange::Output { target: 2, stderr: true, data: Bytes::from_static(b"\xfe\0") },
        RunChange::Result(result),
        RunChange::WaveEnded { wave: 1 },
        RunChange::Halted { reason: "why".into() },
        RunChange::Cancelling { subject: "ann".into() },
        RunChange::Finished { run: run() },
    ];
    (1..).zip(changes).map(|(sequence, what)| RunEvent { sequence, time: at(1), what }).collect()
}

pub fn rollout() -> RolloutStatus {
    let host = RolloutHost {
        node_id: NodeId::of_public_key(&[1; 32]),
        name: "web-1".into(),
        state: "rolled_back".into(),
        run_id: Some(RunId::at(5, [1; 4])),
    };
    RolloutStatus {
        name: "web".into(),
        generation: 9,
        phase: RolloutPhase::RolledBack,
        message: String::new(),
        wave: 1,
        waves: 3,
        targets: 5,
        outcomes: run().outcomes,
        started_at: Some(at(0)),
        finished_at: None,
        runs: vec![RunId::at(5, [1; 4])],
        hosts: vec![host],
    }
}

/// Remembers the sizes of the batches that came.
#[derive(Default)]
pub struct Desk {
    batches: Mutex<Vec<usize>>,
}

fn check(bearer: &Bearer) -> Reply<()> {
    match bearer.token() {
        "good" => Ok(()),
        "weak" => {
            Err(ApiError::permission_denied(format!("{} needs the role {}", bearer.method(), bearer.role())))
        }
        _ => Err(ApiError::unauthenticated("unknown token")),
    }
}

impl OperatorService for Desk {
    async fn who_am_i(&self, bearer: Bearer) -> Reply<WhoAmI> {
        check(&bearer)?;
        Ok(WhoAmI {
            subject: "ann".into(),
            tenant: bearer.tenant().cloned().unwrap_or_else(tenant),
            role: Role::Operator,
            controller_scope: true,
            expires_at: at(60),
            version: "0.1.0".into(),
        })
    }

    async fn list_nodes(&self, bearer: Bearer, which: ListNodes) -> Reply<Vec<Node>> {
        check(&bearer)?;
        let fits = |node: &Node| {
            which.tags.iter().all(|tag| node.tags.contains(tag))
                && which.labels.iter().all(|(key, value)| node.labels.get(key) == Some(value))
                && (node.connected || !which.connected)
        };
        Ok((0..200).map(node).filter(fits).collect())
    }

    async fn resolve_target(&self, bearer: Bearer, target: String) -> Reply<Resolution> {
        check(&bearer)?;
        let skipped = Skipped { node_id: node(2).node_id, name: target, reason: SkipReason::Draining };
        Ok(Resolution { nodes: vec![node(1)], skipped: vec![skipped] })
    }

    async fn list_objects(&self, bearer: Bearer, which: ListObjects) -> Reply<Vec<Object>> {
        check(&bearer)?;
        let named = |kind: &String| Object {
            key: ObjectKey::new(kind.clone(), which.name.clone().unwrap_or_default()),
            revision: Revision(3),
            body: Bytes::from_static(b"{\"spec\":{}}"),
        };
        Ok(which.kinds.iter().map(named).collect())
    }

    async fn get_object(&self, bearer: Bearer, key: ObjectKey) -> Reply<Object> {
        check(&bearer)?;
        if key.name == "gone" {
            return Err(ApiError::not_found(format!("{key} not found")));
        }
        Ok(Object { key, revision: Revision(0), body: Bytes::new() })
    }

    async fn list_changes(&self, bearer: Bearer, since: Revision) -> Reply<Changes> {
        check(&bearer)?;
        Ok(Changes { revision: Revision(since.0 + 1), complete: true, keys: vec![group("web")] })
    }

    async fn list_inventory(&self, bearer: Bearer, owner: Owner) -> Reply<Vec<ObjectKey>> {
        check(&bearer)?;
        Ok(vec![group(owner.as_str())])
    }

    async fn list_history(&self, bearer: Bearer, which: ListHistory) -> Reply<Vec<HistoryEntry>> {
        check(&bearer)?;
        let entry = HistoryEntry { owner: which.owner.unwrap_or_else(Owner::cli), ..entry() };
        Ok(vec![entry; usize::try_from(which.limit.unwrap_or(1)).unwrap()])
    }

    async fn get_history(&self, bearer: Bearer, plan: PlanNumber) -> Reply<History> {
        check(&bearer)?;
        let change = HistoryChange {
            key: group("web"),
            outcome: Outcome::Created,
            steps: vec!["+ selector".into()],
            before: Bytes::new(),
        };
        Ok(History { entry: HistoryEntry { revision: plan, ..entry() }, changes: vec![change] })
    }

    async fn list_tools(&self, bearer: Bearer, which: ListTools) -> Reply<Vec<Tool>> {
        check(&bearer)?;
        Ok(vec![Tool { unavailable: which.node.map(|node| format!("not on {node}")), ..tool() }])
    }

    async fn list_runs(&self, bearer: Bearer, which: ListRuns) -> Reply<Vec<Run>> {
        check(&bearer)?;
        Ok(vec![run(); usize::try_from(which.limit.unwrap_or(1)).unwrap()])
    }

    async fn get_run(
        &self,
        bearer: Bearer,
        which: GetRun,
    ) -> Reply<BoxStream<'static, Reply<Vec<RunEvent>>>> {
        check(&bearer)?;
        if which.run != "r-1" {
            return Err(ApiError::not_found(format!("run '{}' not found", which.run)));
        }
        let end = which.follow.then(|| Err(ApiError::unavailable("the controller stops")));
        Ok(stream::iter(std::iter::once(Ok(run_events())).chain(end)).boxed())
    }

    async fn get_rollout(&self, bearer: Bearer, name: String) -> Reply<RolloutStatus> {
        check(&bearer)?;
        Ok(RolloutStatus { name, ..rollout() })
    }

    async fn list_deliveries(&self, bearer: Bearer, which: ListDeliveries) -> Reply<Vec<Delivery>> {
        check(&bearer)?;
        let node = node(1);
        let delivery = Delivery {
            key: ObjectKey::new(which.kind.unwrap_or_default(), which.name.unwrap_or_default()),
            node_id: node.node_id,
            node_name: node.name,
            phase: Some(ReportPhase::Failed),
            message: "no such image".into(),
            since: Some(at(1)),
        };
        let unheard = Delivery { phase: None, message: String::new(), since: None, ..delivery.clone() };
        Ok(vec![delivery, unheard])
    }

    async fn get_digest_key(&self, bearer: Bearer) -> Reply<Secret<Vec<u8>>> {
        check(&bearer)?;
        Ok(Secret::new(vec![7; 32]))
    }

    async fn start_run(
        &self,
        bearer: Bearer,
        start: StartRun,
    ) -> Reply<BoxStream<'static, Reply<Vec<RunEvent>>>> {
        check(&bearer)?;
        // Gives back what it got, in a run.
        let run = Run {
            target: start.target.unwrap_or_default(),
            tool: start.tool,
            arguments: start.arguments,
            mode: start.mode,
            max_concurrency: start.max_concurrency,
            on_error: start.on_error.unwrap_or(OnError::Continue),
            require_min: start.require_min,
            deadline_ms: start.deadline_ms.unwrap_or(60_000),
            security_context: start.security_context.unwrap_or_else(|| "default".into()),
            rollout: start.idempotency_key,
            ..run()
        };
        let what = RunChange::Started { run, targets: vec![], skipped: vec![] };
        Ok(stream::iter([Ok(vec![RunEvent { sequence: 1, time: at(0), what }])]).boxed())
    }

    async fn cancel_run(&self, bearer: Bearer, which: String) -> Reply<Run> {
        check(&bearer)?;
        Ok(Run { reason: which, ..run() })
    }

    async fn steer_rollout(
        &self,
        bearer: Bearer,
        name: String,
        action: RolloutAction,
    ) -> Reply<RolloutStatus> {
        check(&bearer)?;
        Ok(RolloutStatus { name, message: action.to_string(), ..rollout() })
    }

    async fn begin_plan(&self, bearer: Bearer, plan: BeginPlan) -> Reply<PlanNumber> {
        check(&bearer)?;
        Ok(PlanNumber(plan.owns.len() as u64))
    }

    async fn write_objects(
        &self,
        bearer: Bearer,
        plan: PlanNumber,
        writes: Vec<ObjectWrite>,
    ) -> Reply<Vec<WriteResult>> {
        check(&bearer)?;
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(writes.len());
        let result = |write: ObjectWrite| match write.write {
            Write::Put(_) => Ok(Revision(write.base.0 + 1)),
            Write::Delete => Err(WriteError { refusal: WriteRefusal::Stale, message: write.key.to_string() }),
        };
        // Plan 0 is a controller that loses a result.
        let lost = usize::from(plan == PlanNumber(0));
        Ok(writes.into_iter().skip(lost).map(result).collect())
    }

    async fn finish_plan(&self, bearer: Bearer, plan: FinishPlan) -> Reply<()> {
        check(&bearer)?;
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(plan.summary.count(Outcome::Created), 2);
        Err(ApiError::conflict(format!("{} {:?}", plan.forgets.len(), batches)))
    }

    async fn revoke_node(&self, bearer: Bearer, name: String) -> Reply<Node> {
        check(&bearer)?;
        Ok(Node { name, status: NodeStatus::Revoked, connected: false, ..node(1) })
    }

    async fn shutdown_node(&self, bearer: Bearer, which: ShutdownNode) -> Reply<Node> {
        check(&bearer)?;
        Ok(Node { name: which.node, display_name: Some(which.reason), ..node(1) })
    }

    async fn create_enrollment_token(
        &self,
        bearer: Bearer,
        wish: CreateEnrollmentToken,
    ) -> Reply<EnrollmentToken> {
        check(&bearer)?;
        Ok(EnrollmentToken {
            token: wish.label,
            expires_at: at(i64::try_from(wish.ttl_seconds.unwrap_or(900)).unwrap()),
            controller_endpoint: "relay.example:443".parse().unwrap(),
            command_hint: "aegis edge enroll …".into(),
            tenant: wish.tenant.unwrap_or_else(tenant),
        })
    }

    async fn create_user_token(&self, bearer: Bearer, wish: CreateUserToken) -> Reply<UserToken> {
        check(&bearer)?;
        Ok(UserToken {
            token: "token".into(),
            expires_at: at(i64::try_from(wish.ttl_seconds.unwrap_or(60)).unwrap()),
            tenant: wish.tenant.unwrap_or_else(tenant),
            role: wish.role,
            subject: wish.subject.unwrap_or_else(|| "somebody".into()),
        })
    }

    async fn create_tenant(&self, bearer: Bearer, tenant: TenantId) -> Reply<Tenant> {
        check(&bearer)?;
        Ok(Tenant { tenant, created_at: at(0), nodes: 0 })
    }

    async fn list_tenants(&self, bearer: Bearer) -> Reply<Vec<Tenant>> {
        check(&bearer)?;
        Ok(vec![Tenant { tenant: tenant(), created_at: at(0), nodes: 4 }])
    }

    async fn list_audit(
        &self,
        bearer: Bearer,
        which: ListAudit,
    ) -> Reply<BoxStream<'static, Reply<AuditEvent>>> {
        check(&bearer)?;
        let from = which.after + 1;
        Ok(stream::iter((from..from + which.limit.unwrap_or(1)).map(|sequence| Ok(event(sequence)))).boxed())
    }

    async fn verify_audit(&self, bearer: Bearer) -> Reply<AuditCheck> {
        check(&bearer)?;
        Ok(AuditCheck { events: 9, intact: false, broken_at: Some(4), head: "ff".into() })
    }

    async fn backup(&self, bearer: Bearer) -> Reply<BoxStream<'static, Reply<Bytes>>> {
        check(&bearer)?;
        let end = Err(ApiError::internal("the disk is full"));
        Ok(stream::iter([Ok(Bytes::from(vec![7; 1 << 20])), Ok(Bytes::from_static(b"end")), end]).boxed())
    }
}
