//! Pause, resume, abort.

use aegis_wire::{Code, operator::OperatorService, operator::RolloutAction, token::Role};

use super::{stage::settle, *};
use crate::testing::{Operator, audit_lines};

#[tokio::test(start_paused = true)]
async fn while_it_is_paused_nothing_begins() {
    let stage = Stage::of(3).await;
    stage.acts("web-1", "deploy", Act::Hang);
    let mut spec = deploy();
    spec["strategy"] = json!({"deadline": "10s", "onError": "continue"});
    stage.apply(&spec).await;
    stage.until_calls(1).await;
    let status = stage.steer(RolloutAction::Pause).await.unwrap();
    assert_eq!((status.phase, status.message.as_str()), (RolloutPhase::Paused, "paused by tester"));
    stage.steer(RolloutAction::Pause).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let status = stage.status().await;
    assert_eq!(states(&status), ["timed_out", "pending", "pending"], "what runs goes on");
    assert_eq!(stage.calls().len(), 1);
    stage.steer(RolloutAction::Resume).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        (stage.status().await.phase, stage.calls().len()),
        (RolloutPhase::Failed, 3),
        "it is heard at once"
    );
    let log = audit_lines(&stage.controller).join("\n");
    assert_eq!(log.matches("rollout.pause Ok Rollout/app").count(), 1, "{log}");
    assert_eq!(log.matches("rollout.resume Ok Rollout/app").count(), 1, "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_before_the_begin_and_for_the_next_spec() {
    let stage = Stage::of(1).await;
    stage.apply(&with("strategy", json!({"requireMin": 2}))).await;
    stage.until(RolloutPhase::Waiting).await;
    stage.steer(RolloutAction::Pause).await.unwrap();
    stage.apply(&deploy()).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(stage.status().await.phase, RolloutPhase::Paused);
    assert!(stage.calls().is_empty());
    stage.steer(RolloutAction::Resume).await.unwrap();
    stage.until(RolloutPhase::Complete).await;
}

#[tokio::test(start_paused = true)]
async fn a_check_doesnt_begin_either_while_it_is_paused() {
    let stage = Stage::of(2).await;
    stage.acts("web-1", "deploy", Act::Hang);
    let mut spec = with("healthCheck", call("check"));
    spec["strategy"] = json!({"deadline": "10s", "onError": "continue", "batch": 2});
    stage.apply(&spec).await;
    stage.until_calls(2).await;
    stage.steer(RolloutAction::Pause).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(stage.calls().len(), 2);
    stage.steer(RolloutAction::Resume).await.unwrap();
    stage.until(RolloutPhase::Failed).await;
    assert_eq!(stage.calls()[2..], ["web-2 check"]);
}

#[tokio::test(start_paused = true)]
async fn an_abort_cancels_what_runs_and_only_another_spec_begins_again() {
    let stage = Stage::of(2).await;
    stage.acts("web-1", "deploy", Act::Hang);
    stage.apply(&with("rollback", call("undo"))).await;
    stage.until_calls(1).await;
    stage.steer(RolloutAction::Abort).await.unwrap();
    let status = stage.until(RolloutPhase::Aborted).await;
    assert_eq!(
        (states(&status), status.message.as_str()),
        (vec!["cancelled", "not_started"], "aborted by tester")
    );
    assert_eq!(stage.calls(), ["web-1 deploy"]);
    for action in [RolloutAction::Resume, RolloutAction::Pause] {
        let error = stage.steer(action).await.unwrap_err();
        assert_eq!(error.code, Code::Conflict);
        assert_eq!(error.message, format!("rollout 'app' is aborted, there is nothing to {action}"));
        assert!(error.hint.unwrap().contains("change its spec"));
    }
    stage.steer(RolloutAction::Abort).await.unwrap();
    stage.acts("web-1", "deploy", Act::Ok);
    stage.apply(&deploy()).await;
    stage.until(RolloutPhase::Complete).await;
    // The spec that was aborted, declared once more, is another generation.
    stage.apply(&with("rollback", call("undo"))).await;
    stage.until(RolloutPhase::Complete).await;
    let log = audit_lines(&stage.controller).join("\n");
    assert_eq!(log.matches("rollout.abort Ok Rollout/app").count(), 1, "{log}");
    assert!(log.contains("rollout.resume Refused Rollout/app"), "{log}");
    assert!(log.contains("rollout.aborted Ok Rollout/app: aborted by tester"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_a_health_check_and_a_rollback() {
    for hangs in ["check", "undo"] {
        let stage = Stage::of(2).await;
        stage.acts("web-1", hangs, Act::Hang);
        if hangs == "undo" {
            stage.acts("web-1", "check", Act::Fail);
        }
        let mut spec = with("healthCheck", call("check"));
        spec["rollback"] = call("undo");
        stage.apply(&spec).await;
        stage.until_so("there", |_| stage.calls().contains(&format!("web-1 {hangs}"))).await;
        // Nothing else but the abort makes it look in the next second.
        tokio::time::sleep(Duration::from_secs(5)).await;
        stage.steer(RolloutAction::Abort).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = stage.status().await;
        assert_eq!(
            (status.phase, status.message.as_str()),
            (RolloutPhase::Aborted, "aborted by tester"),
            "{hangs}"
        );
        assert!(!stage.calls().contains(&"web-2 deploy".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_over_isnt_steered_unless_it_catches_up() {
    let mut stage = Stage::of(1).await;
    stage.apply(&deploy()).await;
    stage.until(RolloutPhase::Complete).await;
    for action in [RolloutAction::Resume, RolloutAction::Pause, RolloutAction::Abort] {
        assert_eq!(stage.steer(action).await.unwrap_err().code, Code::Conflict);
    }
    stage.apply(&with("catchUp", json!(true))).await;
    stage.until(RolloutPhase::Complete).await;
    stage.steer(RolloutAction::Pause).await.unwrap();
    stage.join(2).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(stage.calls().len(), 2);
    stage.steer(RolloutAction::Resume).await.unwrap();
    stage.until_calls(3).await;
    stage.until(RolloutPhase::Complete).await;
    stage.steer(RolloutAction::Abort).await.unwrap();
    stage.until(RolloutPhase::Aborted).await;
    stage.join(3).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(stage.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn unknown_ones_and_those_of_others_look_alike() {
    let stage = Stage::of(0).await;
    let body = json!({"spec": deploy()});
    stage.declare("t-other", &body).await;
    settle().await;
    let foreign = stage.try_status().await.unwrap_err();
    let steered = stage.steer(RolloutAction::Pause).await.unwrap_err();
    assert_eq!(foreign, steered);
    assert_eq!(foreign.message, "Rollout/app not found");
    let other = Operator::new(&stage.controller, "t-other", Role::Viewer);
    let theirs = other.service.get_rollout(other.call("GetRollout"), "app".into()).await.unwrap();
    assert_eq!(theirs.phase, RolloutPhase::Waiting);
}
