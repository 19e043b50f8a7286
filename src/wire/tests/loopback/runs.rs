//! Tools, runs and rollouts, from end to end.

use aegis_core::fleet::OnError;
use aegis_wire::{
    Code,
    operator::{GetRun, ListRuns, ListTools, OperatorClient, RolloutAction, RunChange, RunEvent, StartRun},
};
use bytes::Bytes;
use futures::StreamExt;

use crate::{
    Running,
    operator_fake::{rollout, run, run_events, tool},
};

async fn client() -> (Running, OperatorClient) {
    let server = Running::start(&["127.0.0.1"]).await;
    let client = OperatorClient::new(server.connect().await, "good").unwrap();
    (server, client)
}

#[tokio::test]
async fn every_event_of_a_run_arrives_as_it_was() {
    let (_server, caller) = client().await;
    let which = GetRun { run: "r-1".into(), follow: true };
    let mut events = caller.get_run(which).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), run_events());
    assert_eq!(events.next().await.unwrap().unwrap_err().code, Code::Unavailable);
    let unknown = caller.get_run(GetRun { run: "r-2".into(), follow: false }).await.err().unwrap();
    assert_eq!(unknown.code, Code::NotFound);
}

#[test]
fn every_event_is_read_back_from_its_json_and_bytes_that_are_no_text_are_base64() {
    for event in run_events() {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<RunEvent>(&json).unwrap(), event, "{json}");
    }
    let output = serde_json::to_value(&run_events()[3]).unwrap();
    assert_eq!(output["data"], serde_json::json!({ "base64": "/gA=" }));
    assert_eq!(output["event"], "output");
}

#[tokio::test]
async fn a_run_is_begun_as_it_was_asked_for() {
    let (_server, caller) = client().await;
    let start = StartRun {
        target: Some("tags=prod".into()),
        tool: "cmd.run".into(),
        arguments: Bytes::from_static(b"{}"),
        mode: "sequential".parse().unwrap(),
        max_concurrency: Some(3),
        on_error: Some(OnError::FailFast),
        require_min: Some(2),
        deadline_ms: Some(700),
        security_context: Some("ops".into()),
        idempotency_key: Some("key".into()),
    };
    let mut events = caller.start_run(start.clone()).await.unwrap();
    let RunChange::Started { run, .. } = events.next().await.unwrap().unwrap().remove(0).what else {
        panic!("a run starts with its start")
    };
    assert_eq!(Some(run.target), start.target);
    assert_eq!((run.tool, run.arguments, run.mode), (start.tool, start.arguments, start.mode));
    assert_eq!((run.max_concurrency, run.require_min), (start.max_concurrency, start.require_min));
    assert_eq!((Some(run.on_error), Some(run.deadline_ms)), (start.on_error, start.deadline_ms));
    assert_eq!((Some(run.security_context), run.rollout), (start.security_context, start.idempotency_key));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn runs_tools_and_rollouts_are_listed_and_steered() {
    let (_server, caller) = client().await;
    assert_eq!(caller.list_runs(ListRuns { limit: Some(2) }).await.unwrap(), [run(), run()]);
    assert_eq!(caller.cancel_run("r-00").await.unwrap().reason, "r-00");
    assert_eq!(caller.list_tools(ListTools::default()).await.unwrap(), [tool()]);
    let of_host = caller.list_tools(ListTools { node: Some("web-1".into()) }).await.unwrap();
    assert_eq!(of_host[0].unavailable.as_deref(), Some("not on web-1"));
    assert_eq!(caller.get_rollout("web").await.unwrap(), rollout());
    assert_eq!(caller.steer_rollout("web", RolloutAction::Abort).await.unwrap().message, "abort");
}
