//! Each host gets the call once for every spec.

use super::{stage::settle, *};

#[tokio::test(start_paused = true)]
async fn every_host_gets_the_call_once_wave_after_wave() {
    let stage = Stage::of(3).await;
    stage.apply(&deploy()).await;
    let status = stage.until(RolloutPhase::Complete).await;
    assert_eq!(stage.calls(), ["web-1 deploy", "web-2 deploy", "web-3 deploy"]);
    assert_eq!(states(&status), ["ok", "ok", "ok"]);
    assert_eq!((status.wave, status.waves, status.targets), (3, 3, 3));
    assert_eq!((status.runs.len(), status.message.as_str()), (1, "3 ok"));
    assert!(status.started_at.is_some() && status.finished_at.is_some());
    assert!(stage.all_were_written_down());
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(stage.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_label_begins_nothing_and_another_spec_begins_anew() {
    let stage = Stage::of(2).await;
    stage.apply(&deploy()).await;
    let first = stage.until(RolloutPhase::Complete).await;
    stage.declare("default", &json!({"spec": deploy(), "meta": {"labels": {"a": "b"}}})).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(stage.status().await, first);
    let mut other = deploy();
    other["args"]["command"] = json!("other");
    stage.apply(&other).await;
    let pending = stage.status().await;
    assert_eq!(
        pending.phase,
        RolloutPhase::Pending,
        "what is known of the one before isn't said of this one"
    );
    let second = stage.until(RolloutPhase::Complete).await;
    assert!(second.generation > first.generation);
    assert_eq!(stage.calls()[2..], ["web-1 other", "web-2 other"]);
    assert_eq!(second.runs.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_and_a_share_are_waves() {
    for (batch, waves) in [(json!(2), 2), (json!("25%"), 4), (json!("100%"), 1)] {
        let stage = Stage::of(4).await;
        stage.apply(&with("strategy", json!({"batch": batch}))).await;
        let status = stage.until(RolloutPhase::Complete).await;
        assert_eq!(status.waves, waves, "{batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn between_two_waves_it_waits() {
    let stage = Stage::of(2).await;
    stage.apply(&with("strategy", json!({"pause": "20s"}))).await;
    let waiting = stage.until(RolloutPhase::Waiting).await;
    let message = "wave 1 of 2 has ended; the next begins after the pause of 20s";
    assert_eq!((waiting.message.as_str(), stage.calls().len()), (message, 1));
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert_eq!(stage.calls().len(), 1);
    stage.until(RolloutPhase::Complete).await;
    assert_eq!(stage.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_as_many_hosts_as_it_needs() {
    let mut stage = Stage::of(1).await;
    stage.apply(&with("strategy", json!({"requireMin": 3}))).await;
    let status = stage.until(RolloutPhase::Waiting).await;
    assert_eq!(status.message, "connected hosts of 'all': 1, needed: 3");
    stage.join(2).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(stage.calls().is_empty());
    stage.join(3).await;
    stage.until(RolloutPhase::Complete).await;
    assert_eq!(stage.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_any_host_it_waits_and_so_it_does_for_a_group() {
    let mut stage = Stage::of(0).await;
    stage.apply(&with("target", json!("group:web"))).await;
    let status = stage.until(RolloutPhase::Waiting).await;
    assert_eq!(status.message, "EdgeGroup/web not found");
    stage.apply(&deploy()).await;
    let status = stage.until(RolloutPhase::Waiting).await;
    assert_eq!(status.message, "connected hosts of 'all': 0, needed: 1");
    stage.join(1).await;
    stage.until(RolloutPhase::Complete).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_halts_it_or_not_as_declared() {
    let stage = Stage::of(3).await;
    stage.acts("web-2", "deploy", Act::Fail);
    stage.apply(&deploy()).await;
    let status = stage.until(RolloutPhase::Halted).await;
    assert_eq!(states(&status), ["ok", "error", "not_started"]);
    assert_eq!(status.message, "fail-fast: 1 of 3 targets failed: web-2: exit code 1");
    assert_eq!(stage.calls().len(), 2);
    stage.apply(&with("strategy", json!({"onError": "continue"}))).await;
    let status = stage.until(RolloutPhase::Failed).await;
    assert_eq!((states(&status), status.message.as_str()), (vec!["ok", "error", "ok"], "2 ok, 1 error"));
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_run_halts_it_with_the_reason() {
    let stage = Stage::of(1).await;
    stage.apply(&with("securityContext", json!("nowhere"))).await;
    let status = stage.until(RolloutPhase::Halted).await;
    assert!(status.message.contains("nowhere"), "{}", status.message);
    assert!(status.runs.is_empty() && stage.calls().is_empty());
    stage.apply(&with("tool", json!("own.tool"))).await;
    let status = stage.until(RolloutPhase::Halted).await;
    assert!(status.message.contains("there is no tool 'own.tool'"), "{}", status.message);
}

#[tokio::test(start_paused = true)]
async fn another_spec_halts_what_runs_and_then_begins() {
    let stage = Stage::of(2).await;
    stage.acts("web-1", "deploy", Act::Hang);
    let mut spec = with("rollback", call("undo"));
    spec["strategy"] = json!({"onError": "continue"});
    stage.apply(&spec).await;
    stage.until_calls(1).await;
    let mut other = deploy();
    other["args"]["command"] = json!("other");
    stage.apply(&other).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(stage.calls(), ["web-1 deploy"], "what runs ends first");
    assert_eq!(stage.status().await.phase, RolloutPhase::Pending);
    stage.until(RolloutPhase::Complete).await;
    assert_eq!(stage.calls(), ["web-1 deploy", "web-1 other", "web-2 other"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_is_cancelled_and_forgotten() {
    let stage = Stage::of(2).await;
    stage.acts("web-1", "deploy", Act::Hang);
    stage.apply(&with("rollback", call("undo"))).await;
    stage.until_calls(1).await;
    let run = stage.status().await.runs.remove(0);
    stage.delete().await;
    settle().await;
    let error = stage.try_status().await.unwrap_err();
    assert_eq!(error.message, "Rollout/app not found");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.rows(), 0);
    let place = crate::runs::Place { tenant: crate::testing::tenant("default"), id: run };
    let run = crate::runs::Runs::get(&stage.controller, &place).unwrap();
    assert_eq!(run.state, aegis_core::fleet::RunState::Cancelled);
    assert_eq!(stage.calls(), ["web-1 deploy"]);
    // Declared again, it is another one.
    stage.acts("web-1", "deploy", Act::Ok);
    stage.apply(&deploy()).await;
    stage.until(RolloutPhase::Complete).await;
    assert_eq!(stage.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_it_that_is_cancelled_ends_it() {
    use aegis_wire::operator::OperatorService;
    let stage = Stage::of(2).await;
    stage.acts("web-1", "deploy", Act::Hang);
    stage.apply(&with("rollback", call("undo"))).await;
    stage.until_calls(1).await;
    let run = stage.status().await.runs[0].to_string();
    stage.operator.service.cancel_run(stage.operator.call("CancelRun"), run.clone()).await.unwrap();
    let status = stage.until(RolloutPhase::Aborted).await;
    assert_eq!(status.message, format!("its run {run} was cancelled by tester"));
    assert_eq!(stage.calls(), ["web-1 deploy"]);
}

#[tokio::test(start_paused = true)]
async fn hosts_that_are_meant_and_not_there_are_told_of() {
    let mut stage = Stage::of(2).await;
    stage.leave("web-2").await;
    stage.apply(&deploy()).await;
    let status = stage.until(RolloutPhase::Complete).await;
    assert_eq!((states(&status), status.message.as_str()), (vec!["ok"], "1 ok; not there at the begin: 1"));
}
