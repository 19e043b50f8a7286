//! What fails for a while holds a rollout up, and doesn't leave its run behind.

use aegis_wire::operator::RolloutAction;

use super::*;
use crate::{keyspace::ROLLOUTS, runs::Runs, testing::tenant};

/// Two waves, each of which waits for a word after its check.
fn gated() -> Value {
    with("healthCheck", call("check"))
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_rollout_could_not_write_is_followed_again_wherever_it_was() {
    let mut count = 0;
    loop {
        let stage = Stage::of(3).await;
        stage.fail_with(ROLLOUTS, count, 1);
        stage.apply(&gated()).await;
        let status = stage.until(RolloutPhase::Complete).await;
        assert_eq!((states(&status), status.wave), (vec!["ok", "ok", "ok"], 3), "{count}");
        let turns = (1..=3).flat_map(|host| [format!("web-{host} deploy"), format!("web-{host} check")]);
        assert_eq!(stage.calls(), turns.collect::<Vec<_>>(), "{count}");
        if !stage.has_failed() {
            break;
        }
        count += 1;
    }
    assert!(count > 8, "{count}");
}

/// The first wave's check can't be written down, for a long time.
async fn held_up() -> Stage {
    let stage = Stage::of(2).await;
    stage.acts("web-1", "deploy", Act::Hang);
    let mut spec = gated();
    spec["strategy"] = json!({"deadline": "5s", "onError": "continue", "batch": 1});
    stage.apply(&spec).await;
    stage.until_calls(1).await;
    stage.fail_with(ROLLOUTS, 0, 1_000_000);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(stage.calls(), ["web-1 deploy"]);
    stage
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_heard_while_nothing_can_be_written() {
    let stage = held_up().await;
    stage.steer(RolloutAction::Abort).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    stage.fail_with(ROLLOUTS, 0, 0);
    let status = stage.until(RolloutPhase::Aborted).await;
    assert_eq!(status.message, "aborted by tester");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(stage.calls(), ["web-1 deploy"]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_was_told_before_is_taken_back() {
    let stage = held_up().await;
    stage.steer(RolloutAction::Pause).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    stage.steer(RolloutAction::Resume).await.unwrap();
    stage.fail_with(ROLLOUTS, 0, 0);
    stage.until(RolloutPhase::Failed).await;
    assert_eq!(stage.calls(), ["web-1 deploy", "web-2 deploy", "web-2 check"]);
}

#[tokio::test(start_paused = true)]
async fn another_spec_takes_its_place_and_its_run_ends() {
    let stage = held_up().await;
    let mut other = call("other");
    other["target"] = json!("all");
    stage.apply(&other).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    stage.fail_with(ROLLOUTS, 0, 0);
    stage.until(RolloutPhase::Complete).await;
    assert_eq!(stage.calls(), ["web-1 deploy", "web-1 other", "web-2 other"]);
    let runs = Runs::list(&stage.controller, &tenant("default"), 10).unwrap();
    assert!(runs.iter().all(|run| run.state.is_over()), "{runs:?}");
}
