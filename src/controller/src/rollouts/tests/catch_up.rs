//! Hosts that come later get the call, if that is declared.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_host_that_joins_gets_the_call_once() {
    let mut stage = Stage::of(1).await;
    stage.apply(&with("catchUp", json!(true))).await;
    stage.until(RolloutPhase::Complete).await;
    stage.join(2).await;
    let status = stage.until_so("done", |status| status.targets == 2 && status.phase.is_over()).await;
    assert_eq!((status.phase, states(&status)), (RolloutPhase::Complete, vec!["ok", "ok"]));
    tokio::time::sleep(Duration::from_mins(2)).await;
    stage.leave("web-2").await;
    stage.connect("web-2").await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(stage.calls(), ["web-1 deploy", "web-2 deploy"]);
    assert_eq!(stage.status().await.runs.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn hosts_that_join_together_are_one_run() {
    let mut stage = Stage::of(1).await;
    stage.apply(&with("catchUp", json!(true))).await;
    stage.until(RolloutPhase::Complete).await;
    for number in 2..=4 {
        stage.join(number).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let status = stage.until_so("done", |status| status.targets == 4 && status.phase.is_over()).await;
    assert_eq!((status.runs.len(), stage.calls().len()), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn without_it_nobody_who_joins_gets_the_call() {
    let mut stage = Stage::of(1).await;
    stage.apply(&deploy()).await;
    stage.until(RolloutPhase::Complete).await;
    stage.join(2).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!((stage.calls().len(), stage.status().await.targets), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_lost_gets_it_again_but_not_for_ever() {
    let mut stage = Stage::of(1).await;
    stage.acts("web-1", "deploy", Act::Leave);
    let mut spec = with("catchUp", json!(true));
    spec["strategy"] = json!({"onError": "continue"});
    stage.apply(&spec).await;
    let status = stage.until(RolloutPhase::Failed).await;
    assert_eq!(states(&status), ["disconnected"]);
    for _ in 0..5 {
        stage.connect("web-1").await;
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    assert_eq!(stage.calls().len(), 3, "the call may be what ends the stream");
    assert_eq!(stage.status().await.phase, RolloutPhase::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_lost_once_completes_it() {
    let mut stage = Stage::of(2).await;
    stage.acts("web-1", "deploy", Act::Leave);
    let mut spec = with("catchUp", json!(true));
    spec["strategy"] = json!({"onError": "continue"});
    stage.apply(&spec).await;
    stage.until(RolloutPhase::Failed).await;
    stage.acts("web-1", "deploy", Act::Ok);
    stage.connect("web-1").await;
    let status = stage.until(RolloutPhase::Complete).await;
    assert_eq!(states(&status), ["ok", "ok"]);
    assert_eq!(stage.calls(), ["web-1 deploy", "web-2 deploy", "web-1 deploy"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_joins_and_isnt_well_takes_nothing_back() {
    let mut stage = Stage::of(1).await;
    stage.acts("web-2", "check", Act::Fail);
    let mut spec = with("catchUp", json!(true));
    spec["healthCheck"] = call("check");
    spec["rollback"] = call("undo");
    stage.apply(&spec).await;
    stage.until(RolloutPhase::Complete).await;
    stage.join(2).await;
    let status = stage.until(RolloutPhase::Failed).await;
    assert_eq!(states(&status), ["ok", "error"]);
    assert_eq!(stage.calls(), ["web-1 deploy", "web-1 check", "web-2 deploy", "web-2 check"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_joins_without_the_tool_is_an_error_of_its_own_and_later_ones_are_served() {
    let mut stage = Stage::of(1).await;
    stage.declares("web-1").await;
    let mut spec = owners();
    spec["catchUp"] = json!(true);
    spec["rollback"] = call("undo");
    stage.apply(&spec).await;
    stage.until(RolloutPhase::Complete).await;
    stage.join(2).await;
    let status = stage.until(RolloutPhase::Failed).await;
    let why = "1 ok, 1 error; web-2: there is no tool 'app.deploy' on any of the hosts";
    assert_eq!((states(&status), status.message.as_str()), (vec!["ok", "error"], why));
    stage.join(3).await;
    stage.declares("web-3").await;
    let status = stage.until_so("done", |status| status.targets == 3 && status.phase.is_over()).await;
    assert_eq!((states(&status), status.phase), (vec!["ok", "error", "ok"], RolloutPhase::Failed));
    assert!(status.message.starts_with("2 ok, 1 error; web-2: there is no tool"), "{}", status.message);
    assert_eq!(stage.calls(), ["web-1 deploy", "web-3 deploy"]);
}
