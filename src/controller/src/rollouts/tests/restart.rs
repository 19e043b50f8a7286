//! A controller that begins anew goes on where the one before it was.

use aegis_store::Store;
use aegis_wire::operator::RolloutAction;

use super::{stage::place, *};
use crate::rollouts::rows;

#[tokio::test(start_paused = true)]
async fn hosts_that_had_their_turn_dont_get_it_again_and_the_rest_do() {
    let mut stage = Stage::of(4).await;
    stage.acts("web-2", "deploy", Act::Hang);
    stage.apply(&deploy()).await;
    stage.until_calls(2).await;
    stage.crash().await;
    stage.come_back().await;
    let status = stage.until(RolloutPhase::Failed).await;
    assert_eq!(states(&status), ["ok", "disconnected", "ok", "ok"]);
    assert_eq!(stage.calls(), ["web-1 deploy", "web-2 deploy", "web-3 deploy", "web-4 deploy"]);
    assert_eq!((status.wave, status.waves, status.runs.len()), (4, 4, 2));
    assert!(stage.all_were_written_down());
}

#[tokio::test(start_paused = true)]
async fn a_share_stays_one_of_the_hosts_of_the_begin() {
    let mut stage = Stage::of(4).await;
    stage.acts("web-2", "deploy", Act::Hang);
    stage.apply(&with("strategy", json!({"batch": "50%"}))).await;
    stage.until_calls(2).await;
    stage.crash().await;
    stage.come_back().await;
    let status = stage.until(RolloutPhase::Failed).await;
    assert_eq!((status.wave, status.waves, stage.calls().len()), (2, 2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_stopped_is_no_different() {
    let mut stage = Stage::of(3).await;
    stage.acts("web-2", "deploy", Act::Hang);
    stage.apply(&deploy()).await;
    stage.until_calls(2).await;
    stage.controller.runs.stop().await;
    // It looks again while the streams end, one after the other.
    for name in ["web-1", "web-2", "web-3"] {
        stage.leave(name).await;
    }
    stage.declare("default", &json!({"spec": deploy(), "meta": {"labels": {"a": "b"}}})).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    stage.crash().await;
    stage.come_back().await;
    let status = stage.until(RolloutPhase::Failed).await;
    assert_eq!(states(&status), ["ok", "disconnected", "ok"]);
    assert_eq!(stage.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_any_write_gives_no_host_the_call_twice() {
    let mut crashes = 0;
    for count in 1.. {
        let mut stage = Stage::of(3).await;
        let mut spec = with("healthCheck", call("check"));
        spec["strategy"] = json!({"onError": "continue"});
        stage.crash_with("", count);
        stage.apply(&spec).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !stage.is_dead() {
            break;
        }
        crashes += 1;
        stage.crash().await;
        stage.come_back().await;
        let status = stage.until_so("over", |status| status.phase.is_over()).await;
        for host in &status.hosts {
            let call = format!("{} deploy", host.name);
            let calls = stage.calls().iter().filter(|seen| **seen == call).count();
            // One whose call was written down and perhaps not sent is lost, and said to be.
            let fits = calls == 1 || (calls == 0 && host.state == "disconnected");
            assert!(fits, "{count}: {} {} {:?}", host.name, host.state, stage.calls());
        }
        assert_eq!(status.hosts.len(), 3);
        assert!(stage.all_were_written_down(), "{count}");
    }
    assert!(crashes > 20, "{crashes}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_written_down_and_never_began_is_begun_anew() {
    let mut stage = Stage::of(2).await;
    // Declared, begun, and the run.
    stage.crash_with("rollout-hosts/", 3);
    stage.apply(&deploy()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.crash().await;
    assert_eq!(stage.store.list("run/").unwrap(), []);
    let record = rows::record(&*stage.store, &place()).unwrap().unwrap();
    assert!(record.header.current.is_some());
    stage.come_back().await;
    let status = stage.until(RolloutPhase::Complete).await;
    assert_eq!(stage.calls(), ["web-1 deploy", "web-2 deploy"]);
    assert_eq!((states(&status), status.runs.len()), (vec!["ok", "ok"], 1));
}

#[tokio::test(start_paused = true)]
async fn hosts_have_time_to_come_back_and_then_it_goes_on_without_them() {
    let mut stage = Stage::of(3).await;
    stage.acts("web-1", "deploy", Act::Hang);
    stage.apply(&deploy()).await;
    stage.until_calls(1).await;
    stage.crash().await;
    stage.restart().await;
    stage.connect("web-2").await;
    let one_is_missing = "the controller began anew; hosts that aren't back: 1 of 2";
    stage.until_so("waiting for one", |status| status.message == one_is_missing).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(stage.calls().len(), 1);
    let status = stage.until(RolloutPhase::Failed).await;
    assert_eq!(states(&status), ["disconnected", "ok", "not_started"]);
    assert_eq!(stage.calls(), ["web-1 deploy", "web-2 deploy"]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_over_a_restart() {
    let mut stage = Stage::of(3).await;
    stage.acts("web-1", "deploy", Act::Hang);
    stage.apply(&deploy()).await;
    stage.until_calls(1).await;
    stage.steer(RolloutAction::Pause).await.unwrap();
    stage.crash().await;
    stage.come_back().await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!((stage.status().await.phase, stage.calls().len()), (RolloutPhase::Paused, 1));
    stage.steer(RolloutAction::Resume).await.unwrap();
    stage.until(RolloutPhase::Failed).await;
    assert_eq!(stage.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_wave_that_nobody_looked_at_is_looked_at_first() {
    for act in [Act::Ok, Act::Fail] {
        let mut stage = Stage::of(2).await;
        stage.acts("web-1", "check", Act::Hang);
        stage.apply(&with("healthCheck", call("check"))).await;
        stage.until_calls(2).await;
        stage.crash().await;
        stage.acts("web-1", "check", act);
        stage.come_back().await;
        let status = stage.until_so("over", |status| status.phase.is_over()).await;
        assert_eq!(stage.calls()[2], "web-1 check");
        let went_on = stage.calls().contains(&"web-2 deploy".to_owned());
        let expected =
            if act == Act::Ok { (RolloutPhase::Complete, true) } else { (RolloutPhase::Halted, false) };
        assert_eq!((status.phase, went_on), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_being_taken_back_is_taken_back() {
    let mut stage = Stage::of(2).await;
    stage.acts("web-2", "deploy", Act::Fail);
    stage.acts("web-1", "undo", Act::Hang);
    stage.apply(&with("rollback", call("undo"))).await;
    stage.until_calls(4).await;
    stage.crash().await;
    stage.come_back().await;
    let status = stage.until(RolloutPhase::RolledBack).await;
    assert_eq!(states(&status), ["ok", "rolled_back"]);
    assert_eq!(stage.calls().len(), 4, "nobody is asked twice: {:?}", stage.calls());
}

#[tokio::test(start_paused = true)]
async fn failures_before_it_count() {
    let mut stage = Stage::of(4).await;
    stage.acts("web-1", "deploy", Act::Fail);
    stage.acts("web-2", "deploy", Act::Hang);
    stage.acts("web-3", "deploy", Act::Fail);
    stage.apply(&with("strategy", json!({"onError": "stop-after=3"}))).await;
    stage.until_calls(2).await;
    stage.crash().await;
    stage.come_back().await;
    let status = stage.until(RolloutPhase::Halted).await;
    assert_eq!(states(&status), ["error", "disconnected", "error", "not_started"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_over_does_nothing_and_one_that_was_deleted_is_forgotten() {
    let mut stage = Stage::of(1).await;
    stage.apply(&deploy()).await;
    let before = stage.until(RolloutPhase::Complete).await;
    stage.crash().await;
    stage.come_back().await;
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert_eq!((stage.status().await, stage.calls().len()), (before, 1));
    stage.crash().await;
    let mut batch = aegis_store::Batch::new();
    batch.delete(crate::keyspace::object(&crate::testing::tenant("default"), &place().object()));
    stage.restart_with(batch).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.rows(), 0);
}
