//! A wave that isn't well is the last, and what was done is taken back.

use super::*;

#[tokio::test(start_paused = true)]
async fn each_wave_is_looked_at_before_the_next_begins() {
    let stage = Stage::of(2).await;
    stage.apply(&with("healthCheck", call("check"))).await;
    let status = stage.until(RolloutPhase::Complete).await;
    assert_eq!(stage.calls(), ["web-1 deploy", "web-1 check", "web-2 deploy", "web-2 check"]);
    assert_eq!(status.runs.len(), 3);
    assert!(stage.all_were_written_down());
}

#[tokio::test(start_paused = true)]
async fn a_wave_that_isnt_well_halts_it() {
    for act in [Act::Fail, Act::Leave, Act::Hang] {
        let stage = Stage::of(3).await;
        stage.acts("web-2", "check", act);
        let mut spec = with("healthCheck", call("check"));
        spec["healthCheck"]["deadline"] = json!("5s");
        stage.apply(&spec).await;
        let status = stage.until(RolloutPhase::Halted).await;
        assert!(status.message.starts_with("the health check failed on web-2: "), "{}", status.message);
        assert_eq!(states(&status), ["ok", "ok", "not_started"]);
        assert!(!stage.calls().contains(&"web-3 deploy".to_owned()), "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_wave_counts_too() {
    let stage = Stage::of(2).await;
    stage.acts("web-2", "check", Act::Fail);
    stage.apply(&with("healthCheck", call("check"))).await;
    let status = stage.until(RolloutPhase::Halted).await;
    assert_eq!(status.message, "the health check failed on web-2: exit code 1");
}

#[tokio::test(start_paused = true)]
async fn only_hosts_that_did_what_was_asked_are_looked_at() {
    let stage = Stage::of(3).await;
    stage.acts("web-1", "deploy", Act::Fail);
    let mut spec = with("healthCheck", call("check"));
    spec["strategy"] = json!({"batch": 3, "onError": "continue"});
    stage.apply(&spec).await;
    stage.until(RolloutPhase::Failed).await;
    assert_eq!(stage.calls()[3..], ["web-2 check", "web-3 check"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_taken_back_where_it_was_done() {
    let stage = Stage::of(4).await;
    stage.acts("web-2", "check", Act::Fail);
    let mut spec = with("healthCheck", call("check"));
    spec["rollback"] = call("undo");
    stage.apply(&spec).await;
    let status = stage.until(RolloutPhase::RolledBack).await;
    assert_eq!(states(&status), ["rolled_back", "rolled_back", "not_started", "not_started"]);
    assert_eq!(status.message, "the health check failed on web-2: exit code 1; taken back on 2 of 2 hosts");
    assert_eq!(stage.calls()[4..], ["web-1 undo", "web-2 undo"]);
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(stage.calls().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_halt_by_policy_takes_back_too_and_a_host_that_failed_is_among_them() {
    let stage = Stage::of(3).await;
    stage.acts("web-2", "deploy", Act::Fail);
    stage.acts("web-1", "undo", Act::Fail);
    stage.apply(&with("rollback", call("undo"))).await;
    let status = stage.until(RolloutPhase::RolledBack).await;
    assert_eq!(states(&status), ["ok", "rolled_back", "not_started"]);
    assert!(status.message.ends_with("; taken back on 1 of 2 hosts"), "{}", status.message);
    assert_eq!(stage.calls()[2..], ["web-1 undo", "web-2 undo"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_gone_isnt_asked_to_take_back() {
    let stage = Stage::of(2).await;
    stage.acts("web-1", "deploy", Act::Leave);
    stage.apply(&with("rollback", call("undo"))).await;
    let status = stage.until(RolloutPhase::Halted).await;
    assert_eq!(states(&status), ["disconnected", "not_started"]);
    assert_eq!(stage.calls(), ["web-1 deploy"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_left_since_is_asked_once_and_not_waited_for() {
    let mut stage = Stage::of(3).await;
    stage.acts("web-2", "deploy", Act::Hang);
    let mut spec = with("rollback", call("undo"));
    spec["strategy"] = json!({"deadline": "10s"});
    stage.apply(&spec).await;
    stage.until_calls(2).await;
    stage.leave("web-1").await;
    let status = stage.until(RolloutPhase::RolledBack).await;
    assert_eq!(states(&status), ["ok", "rolled_back", "not_started"]);
    assert!(status.message.ends_with("; taken back on 1 of 2 hosts"), "{}", status.message);
    assert_eq!(stage.calls()[2..], ["web-2 undo"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_sent_nothing_has_nothing_to_take_back() {
    let stage = Stage::of(3).await;
    stage.declares("web-1").await;
    stage.declares("web-3").await;
    stage.acts("web-3", "check", Act::Fail);
    let mut spec = owners();
    spec["strategy"] = json!({"batch": 3, "onError": "continue"});
    spec["healthCheck"] = call("check");
    spec["rollback"] = call("undo");
    stage.apply(&spec).await;
    let status = stage.until(RolloutPhase::RolledBack).await;
    assert_eq!(states(&status), ["rolled_back", "error", "rolled_back"]);
    assert!(status.message.ends_with("; taken back on 2 of 2 hosts"), "{}", status.message);
    assert_eq!(stage.calls()[4..], ["web-1 undo", "web-3 undo"]);
}

#[tokio::test(start_paused = true)]
async fn between_two_waves_it_says_what_it_waits_for() {
    let stage = Stage::of(2).await;
    stage.acts("web-1", "check", Act::Hang);
    let mut spec = with("healthCheck", call("check"));
    spec["strategy"] = json!({"pause": "20s"});
    stage.apply(&spec).await;
    let waiting = stage.until(RolloutPhase::Waiting).await;
    assert_eq!(waiting.message, "wave 1 of 2 has ended; waiting for the health check");
}
