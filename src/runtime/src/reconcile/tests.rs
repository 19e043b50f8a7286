//! The plan's laws over made-up worlds, and the loop over a made-up daemon, by a clock that is paused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{sync::Arc, time::Duration};

use aegis_core::{ObjectKey, Outcome, Owner, outcome::Summary};
use aegis_engine::realm::{Provenance, Realm, Write};
use aegis_store::{MemoryStore, Store, realm::StoreRealm};
use proptest::{collection, option, prelude::*, sample::select};
use serde_json::json;

use super::{
    AppStatus, Condition, Goal, Held, Instance, Observed, Phase, Plan, Published, Reconciler, Step,
    fake::Fake,
};

const KINDS: &[&str] = &["App", "Kit", "Secret"];

// The plan alone.

fn worlds() -> impl Strategy<Value = Observed> {
    let release = select(vec!["a", "b", "c"]);
    let phase = select(vec![
        Phase::Starting,
        Phase::Ready,
        Phase::Ready,
        Phase::Interrupted,
        Phase::Ended("exit code 1".into()),
    ]);
    let releases = collection::vec(release, 0..4);
    let instances = collection::vec((0..4_usize, phase, any::<bool>()), 0..4);
    (releases, instances, option::of(0..4_usize)).prop_map(|(releases, instances, serving)| {
        let releases: Vec<Published> = releases
            .iter()
            .enumerate()
            .map(|(number, fingerprint)| Published {
                id: format!("rel-{number}"),
                fingerprint: (*fingerprint).to_owned(),
                image: "x".into(),
                image_digest: "d".into(),
            })
            .collect();
        let instances: Vec<Instance> = instances
            .into_iter()
            .enumerate()
            .filter_map(|(number, (release, phase, is_declared))| {
                let release = releases.get(release)?.id.clone();
                Some(Instance { id: format!("inst-{number}"), release, phase, is_declared })
            })
            .collect();
        let serving = serving.and_then(|at| instances.get(at)).map(|instance| instance.id.clone());
        Observed { releases, instances, serving }
    })
}

fn goals() -> impl Strategy<Value = Option<Goal>> {
    let held = (select(vec!["a", "b"]), option::of(0..4_u8), option::of(0..4_u8));
    let held = option::of(held).prop_map(|held| {
        held.map(|(fingerprint, release, instance)| Held {
            fingerprint: fingerprint.to_owned(),
            release: release.map(|number| format!("rel-{number}")),
            reason: "it failed".into(),
            instance: instance.map(|number| format!("inst-{number}")),
        })
    });
    let goal = (option::of(select(vec!["a", "b", "c"])), any::<bool>(), held).prop_map(
        |(fingerprint, serve, held)| Goal {
            serve: serve && fingerprint.is_some(),
            fingerprint: fingerprint.map(str::to_owned),
            held,
        },
    );
    option::weighted(0.9, goal)
}

/// Does a step as a daemon would whose guests all become ready.
fn carry_out(world: &mut Observed, step: &Step, fingerprint: &str, next: &mut u32) {
    let phase = |world: &mut Observed, id: &str, phase: Phase| {
        world.instances.iter_mut().filter(|one| one.id == id).for_each(|one| one.phase = phase.clone());
    };
    *next += 1;
    match step {
        Step::Publish => world.releases.push(Published {
            id: format!("rel-{next}"),
            fingerprint: fingerprint.to_owned(),
            image: "x".into(),
            image_digest: "d".into(),
        }),
        Step::Start(release) => world.instances.push(Instance {
            id: format!("inst-{next}"),
            release: release.clone(),
            phase: Phase::Starting,
            is_declared: true,
        }),
        Step::AwaitReady(id) | Step::Wake(id) => phase(world, id, Phase::Ready),
        Step::Switch(id) => world.serving = Some(id.clone()),
        Step::Stop(id) => {
            world.instances.retain(|one| one.id != *id);
            world.serving = world.serving.take().filter(|serving| serving != id);
        }
        Step::RemoveRelease(id) => world.releases.retain(|one| one.id != *id),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_carried_out_comes_to_an_end_and_to_what_was_wanted(world in worlds(), goal in goals()) {
        let (mut world, mut next) = (world, 100);
        // A release that is held on to exists.
        let exists = |held: &Held| held.release.as_ref().is_none_or(|id| world.releases.iter().any(|r| r.id == *id));
        prop_assume!(goal.as_ref().and_then(|goal| goal.held.as_ref()).is_none_or(exists));
        let fingerprint = goal.as_ref().and_then(|goal| goal.fingerprint.clone()).unwrap_or_default();
        let mut turns = 0;
        loop {
            let plan = Plan::new(&world, goal.as_ref());
            if plan.is_empty() {
                break;
            }
            turns += 1;
            prop_assert!(turns < 10, "{world:?} {plan:?}");
            for step in &plan.steps {
                // While it is to serve, what serves goes on until something else that is ready does.
                if goal.as_ref().is_some_and(|goal| goal.serve) {
                    if let Step::Stop(id) = step {
                        prop_assert_ne!(world.serving.as_ref(), Some(id));
                    }
                    if let Step::Switch(id) = step {
                        let ready = world.instances.iter().any(|one| one.id == *id && one.phase == Phase::Ready);
                        prop_assert!(ready, "{world:?}");
                    }
                }
                carry_out(&mut world, step, &fingerprint, &mut next);
            }
        }
        let Some(goal) = goal else {
            prop_assert!(world.instances.is_empty() && world.releases.is_empty());
            return Ok(());
        };
        let held = goal.held.as_ref().filter(|held| Some(&held.fingerprint) == goal.fingerprint.as_ref());
        if goal.fingerprint.is_some() && held.is_none() {
            prop_assert_eq!(&world.releases.last().unwrap().fingerprint, &fingerprint);
        }
        if !goal.serve {
            prop_assert!(world.instances.iter().all(|one| !one.is_declared));
            return Ok(());
        }
        let wanted = match held {
            Some(held) => held.release.clone(),
            None => world.releases.last().map(|release| release.id.clone()),
        };
        if let Some(wanted) = wanted {
            let serving = world.instances.iter().find(|one| Some(&one.id) == world.serving.as_ref()).unwrap();
            prop_assert_eq!(&serving.release, &wanted);
            prop_assert!(serving.phase != Phase::Interrupted);
        }
        // It never has two, whoever made them, but for what has ended and was made by hand.
        let others = world.instances.iter().filter(|one| Some(&one.id) != world.serving.as_ref());
        // What failed stays for its log.
        let failed = held.and_then(|held| held.instance.as_ref());
        let is_left = |one: &&Instance| match one.phase {
            Phase::Ended(_) => one.is_declared && Some(&one.id) != failed,
            _ => true,
        };
        let mut others = others.filter(is_left);
        prop_assert_eq!(others.next(), None);
    }
}

/// What happens to a daemon from outside.
#[derive(Debug, Clone)]
enum Event {
    Declare(u8),
    RollBack,
    Serve,
    End,
    Busy(bool),
    Restart,
}

fn events() -> impl Strategy<Value = Vec<(Event, u64)>> {
    let event = prop_oneof![
        3 => (1..=4_u8).prop_map(Event::Declare),
        2 => Just(Event::RollBack),
        2 => Just(Event::Serve),
        2 => Just(Event::End),
        1 => any::<bool>().prop_map(Event::Busy),
        1 => Just(Event::Restart),
    ];
    collection::vec((event, select(vec![0, 1, 5, 100])), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happened, a minute in which nothing happens has few steps and few writes, and none once it is settled.
    #[test]
    fn no_minute_is_full_of_steps_or_writes(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(bounded(&events));
    }
}

async fn bounded(events: &[(Event, u64)]) {
    let mut stage = Stage::new();
    for (number, ready) in [(1, Ok(())), (2, Ok(())), (3, Err("its process ended with exit code 1"))] {
        stage.daemon.image(&format!("x:{number}"), &number.to_string(), 1, ready);
    }
    stage.declare("x:1").await;
    for (event, pause) in events {
        match event {
            Event::Declare(number) => stage.declare(&format!("x:{number}")).await,
            // There may be nothing to go back to.
            Event::RollBack => drop(stage.reconciler.roll_back_to("web", None).await),
            Event::Serve => stage.serve_by_hand(),
            Event::End => stage.end_serving(),
            Event::Busy(is_busy) => stage.daemon.world().busy = is_busy.then(|| "it is in use".to_owned()),
            Event::Restart => stage = stage.restarted(),
        }
        tokio::time::sleep(Duration::from_secs(*pause)).await;
    }
    for minute in 0..8 {
        let (writes, steps) = (stage.realm.store().revision(), stage.daemon.world().steps);
        let settled = stage.reconciler.status("web").filter(|status| minute > 2 && status.settled);
        // Something happened that changes nothing.
        stage.reconciler.trigger("web");
        tokio::time::sleep(Duration::from_mins(1)).await;
        let writes = stage.realm.store().revision().0 - writes.0;
        let steps = stage.daemon.world().steps - steps;
        assert!(writes <= 60 && steps <= 60, "{writes} writes, {steps} steps");
        assert!(
            settled.is_none() || (writes, steps) == (0, 0),
            "{settled:?}: {writes} writes, {steps} steps"
        );
    }
    let world = stage.daemon.world();
    let instances = world.apps.get("web").into_iter().flat_map(|app| &app.instances);
    let live = instances.filter(|one| !matches!(one.phase, Phase::Ended(_)));
    assert!(live.count() <= 1, "{world:?}");
}

// The loop.

struct Stage {
    realm: StoreRealm<MemoryStore>,
    daemon: Arc<Fake>,
    reconciler: Arc<Reconciler<MemoryStore, Fake>>,
    running: tokio::task::JoinHandle<()>,
}

impl Stage {
    fn new() -> Self {
        let realm = StoreRealm::new(Arc::new(MemoryStore::new()), "realm/", KINDS, "test", Arc::new(|| 1));
        Self::over(realm, Fake::new())
    }
    fn over(realm: StoreRealm<MemoryStore>, daemon: Arc<Fake>) -> Self {
        let reconciler = Reconciler::new(realm.clone(), Arc::clone(&daemon), Arc::new(|| 1));
        let told = Arc::downgrade(&reconciler);
        let tell = move || told.upgrade().into_iter().for_each(|reconciler| reconciler.trigger("web"));
        *daemon.tells.lock().unwrap() = Some(Box::new(tell));
        let running = tokio::spawn(Arc::clone(&reconciler).run());
        Self { realm, daemon, reconciler, running }
    }
    /// As after a crash: the store and what runs are there, the loop is new.
    fn restarted(self) -> Self {
        self.running.abort();
        Self::over(self.realm, self.daemon)
    }
    async fn write(&self, kind: &'static str, name: &str, spec: Option<serde_json::Value>) {
        let key = ObjectKey::new(kind, name);
        let by = Provenance { owner: Owner::new("f").unwrap(), source: "test".into() };
        let plan = self.realm.begin(&by, vec![]).await.unwrap();
        let base = self.realm.get(&key).unwrap().map(|object| object.revision).unwrap_or_default();
        let next = spec.map(|spec| serde_json::to_vec(&json!({"spec": spec})).unwrap());
        let write = Write { key, base, next, steps: vec![], outcome: Outcome::Updated };
        let written = self.realm.write(plan, vec![write]).await.unwrap();
        assert!(matches!(written[0], aegis_engine::realm::Written::Done(_)), "{written:?}");
        self.realm.finish(plan, vec![], &Summary::default()).await.unwrap();
    }
    async fn serve(&self, image: &str) {
        self.daemon.world().declared_serving = true;
        self.declare(image).await;
    }
    async fn declare(&self, image: &str) {
        let spec =
            json!({"image": image, "command": ["run"], "serve": true, "readiness": {"timeout": "30s"}});
        self.write("App", "web", Some(spec)).await;
    }
    /// As `aegis app serve` does where nothing that runs serves.
    fn serve_by_hand(&self) {
        let held = self.reconciler.held_release("web");
        self.daemon.happens(|world| {
            let Some(app) = world.apps.get_mut("web") else { return };
            let Some(release) = held.or(app.releases.last().map(|release| release.id.clone())) else {
                return;
            };
            let id = format!("inst-{}-by-hand", app.instances.len());
            let serves = |one: &&Instance| Some(&one.id) == app.serving.as_ref() || one.release == release;
            if app.instances.iter().filter(serves).any(|one| !matches!(one.phase, Phase::Ended(_))) {
                return;
            }
            app.serving = Some(id.clone());
            app.instances.push(Instance { id, release, phase: Phase::Ready, is_declared: false });
        });
    }
    /// Somebody stops what serves.
    fn end_serving(&self) {
        let serving = self.daemon.world().apps.get("web").and_then(|app| app.serving.clone());
        let ended = Phase::Ended("somebody stopped it".into());
        if let Some(serving) = serving {
            self.daemon.phase("web", &serving, &ended);
        }
    }
    async fn settled(&self, condition: Condition) -> AppStatus {
        for _ in 0..36_000 {
            let declared = self.realm.get(&ObjectKey::new("App", "web")).unwrap();
            if let Some(status) = self.reconciler.status("web")
                && status.condition == condition
                && declared.is_none_or(|declared| declared.revision == status.revision)
                && (status.settled || condition == Condition::Waiting)
            {
                assert_eq!(self.daemon.world().gaps, [] as [String; 0]);
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{:?} {:?}", self.reconciler.status("web"), self.daemon.world());
    }
    fn serving(&self) -> Option<String> {
        let world = self.daemon.world();
        let app = world.apps.get("web")?;
        let serving = app.instances.iter().find(|one| Some(&one.id) == app.serving.as_ref())?;
        Some(world.contents[&serving.release].image_digest.clone())
    }
    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.daemon.world().log)
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_is_published_served_replaced_and_removed() {
    let stage = Stage::new();
    stage.daemon.image("x:1", "one", 2, Ok(()));
    stage.daemon.image("x:2", "two", 5, Ok(()));
    stage.serve("x:1").await;
    let status = stage.settled(Condition::Ready).await;
    assert_eq!(status.to_string(), "ready: inst-2 serves rel-1");
    assert_eq!(stage.log(), ["publish web one", "start rel-1", "ready inst-2", "switch inst-2"]);

    stage.serve("x:2").await;
    stage.settled(Condition::Ready).await;
    assert_eq!(
        stage.log(),
        ["publish web two", "start rel-3", "ready inst-4", "switch inst-4", "stop inst-2"]
    );

    // What needn't change isn't touched, also not by a new loop.
    stage.serve("x:2").await;
    stage.settled(Condition::Ready).await;
    let stage = stage.restarted();
    stage.write("Kit", "other", Some(json!({"version": "1", "image": "k"}))).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.log(), [] as [String; 0]);

    stage.daemon.world().declared_serving = false;
    stage.write("App", "web", None).await;
    stage.daemon.until(|world| world.apps.is_empty()).await;
    assert_eq!(stage.log(), ["stop inst-4", "remove rel-1", "remove rel-3", "forget web"]);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.reconciler.status("web"), None);

    // It can come again.
    stage.serve("x:1").await;
    stage.settled(Condition::Ready).await;
}

#[tokio::test(start_paused = true)]
async fn what_never_gets_ready_is_rolled_back_and_not_tried_again_until_something_changes() {
    let stage = Stage::new();
    stage.daemon.image("x:1", "one", 2, Ok(()));
    stage.daemon.image("x:2", "bad", 3, Err("its process ended with exit code 1"));
    stage.daemon.image("x:3", "slow", 31, Ok(()));
    stage.serve("x:1").await;
    stage.settled(Condition::Ready).await;
    for (image, reason) in
        [("x:2", "rolled back: its process ended with exit code 1"), ("x:3", "rolled back: it took too long")]
    {
        stage.serve(image).await;
        let status = stage.settled(Condition::RolledBack).await;
        assert_eq!(status.to_string(), reason);
        assert_eq!(stage.serving().as_deref(), Some("one"));
    }
    stage.log();
    let stage = stage.restarted();
    tokio::time::sleep(Duration::from_secs(2000)).await;
    assert_eq!(stage.log(), [] as [String; 0]);

    // The tag was moved to an image that works.
    stage.daemon.image("x:3", "three", 1, Ok(()));
    stage.settled(Condition::Ready).await;
    assert_eq!(stage.serving().as_deref(), Some("three"));
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_go_back_to_it_fails_and_says_why() {
    let stage = Stage::new();
    stage.daemon.image("x:1", "one", 2, Err("no such program: run"));
    stage.serve("x:1").await;
    assert_eq!(stage.settled(Condition::Failed).await.to_string(), "failed: no such program: run");
    // It stays for its log, until something else is declared.
    let instances = stage.daemon.world().apps["web"].instances.clone();
    assert_eq!(instances.len(), 1);
    assert_eq!(instances[0].phase, Phase::Ended("no such program: run".into()));
    stage.daemon.image("x:2", "two", 2, Ok(()));
    stage.serve("x:2").await;
    stage.settled(Condition::Ready).await;
    assert_eq!(stage.daemon.world().apps["web"].instances.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_is_asked_again_ever_more_rarely() {
    let stage = Stage::new();
    stage.serve("x:1").await;
    let status = stage.settled(Condition::Waiting).await;
    assert_eq!(status.to_string(), "waiting: the registry can't be reached");
    tokio::time::sleep(Duration::from_mins(10)).await;
    let asked = stage.daemon.world().resolved;
    assert!((14..=18).contains(&asked), "{asked}");
    stage.daemon.image("x:1", "one", 2, Ok(()));
    stage.settled(Condition::Ready).await;
    // From now on nothing that runs depends on it.
    stage.daemon.world().images.get_mut("x:1").unwrap().ready.0 = Duration::from_secs(1);
    let image = stage.daemon.world().images.remove("x:1").unwrap();
    stage.serve("x:1").await;
    stage.settled(Condition::Ready).await;
    stage.daemon.world().images.insert("x:1".into(), image);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_boot_for_now_waits_and_is_tried_again() {
    let stage = Stage::new();
    stage.daemon.image("x:1", "one", 1, Ok(()));
    stage.daemon.world().busy = Some("the workspace is in use by task-1".into());
    stage.serve("x:1").await;
    let status = stage.settled(Condition::Waiting).await;
    assert_eq!(status.to_string(), "waiting: the workspace is in use by task-1");
    tokio::time::sleep(Duration::from_mins(10)).await;
    let steps = stage.daemon.world().steps;
    assert!((40..=60).contains(&steps), "{steps}");
    stage.daemon.world().busy = None;
    stage.settled(Condition::Ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_secret_or_kit_is_said_before_anything_boots() {
    let stage = Stage::new();
    stage.daemon.image("k:1", "kit", 1, Ok(()));
    stage.write("App", "web", Some(json!({"kit": "k", "serve": true}))).await;
    let status = stage.settled(Condition::Waiting).await;
    assert_eq!(status.to_string(), "waiting: the kit k isn't installed");
    let kit =
        json!({"version": "1", "image": "k:1", "config": {"command": ["run"], "requiredSecrets": ["KEY"]}});
    stage.write("Kit", "k", Some(kit)).await;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(stage.settled(Condition::Waiting).await.to_string(), "waiting: secret KEY isn't set");
    assert_eq!(stage.log(), ["publish web kit"]);
    stage.daemon.world().secrets.push("KEY".into());
    let digest = format!("hmac-sha256:{}", "0".repeat(64));
    stage.write("Secret", "KEY", Some(json!({"scope": "workspace", "digest": digest}))).await;
    stage.settled(Condition::Ready).await;
    // A new version of the kit is a new release.
    let kit = json!({"version": "2", "image": "k:1", "config": {"command": ["run"]}});
    stage.write("Kit", "k", Some(kit)).await;
    stage
        .daemon
        .until(|world| world.apps["web"].releases.len() == 2 && world.apps["web"].instances.len() == 1)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_wish_is_not_kept_waiting_by_an_older_one() {
    let stage = Stage::new();
    stage.daemon.image("x:1", "one", 2, Ok(()));
    stage.daemon.image("x:2", "slow", 29, Ok(()));
    stage.daemon.image("x:3", "three", 1, Ok(()));
    stage.serve("x:1").await;
    stage.settled(Condition::Ready).await;
    stage.serve("x:2").await;
    stage.daemon.until(|world| world.apps["web"].instances.len() == 2).await;
    let begun = tokio::time::Instant::now();
    stage.serve("x:3").await;
    stage.settled(Condition::Ready).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(stage.serving().as_deref(), Some("three"));
    assert_eq!(stage.daemon.world().apps["web"].instances.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_release_serves_when_somebody_asks_for_it_until_something_else_is_declared() {
    let stage = Stage::new();
    for number in ["1", "2", "3"] {
        stage.daemon.image(&format!("x:{number}"), number, 1, Ok(()));
    }
    stage.serve("x:1").await;
    stage.settled(Condition::Ready).await;
    assert!(stage.reconciler.roll_back_to("web", None).await.is_err());
    stage.serve("x:2").await;
    stage.settled(Condition::Ready).await;
    assert_eq!(stage.reconciler.roll_back_to("web", None).await.unwrap(), "rel-1");
    let status = stage.settled(Condition::RolledBack).await;
    assert_eq!(status.reason, "rel-1 serves, as somebody asked for");
    assert_eq!(stage.serving().as_deref(), Some("1"));
    assert!(stage.reconciler.roll_back_to("web", Some("rel-99")).await.is_err());
    stage.end_serving();
    assert_eq!(stage.settled(Condition::Ended).await.to_string(), "ended: somebody stopped it");
    stage.serve_by_hand();
    stage.settled(Condition::RolledBack).await;
    assert_eq!(stage.serving().as_deref(), Some("1"));
    // Also when its worker is in the midst of something.
    stage.daemon.image("x:4", "4", 5, Ok(()));
    stage.serve("x:4").await;
    stage.daemon.until(|world| world.apps["web"].instances.len() == 2).await;
    stage.reconciler.roll_back_to("web", Some("rel-3")).await.unwrap();
    stage.settled(Condition::RolledBack).await;
    assert_eq!(stage.serving().as_deref(), Some("2"));
    stage.serve("x:3").await;
    stage.settled(Condition::Ready).await;
    assert_eq!(stage.serving().as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_with_the_daemon_boots_again_and_what_ended_by_itself_does_not() {
    let stage = Stage::new();
    stage.daemon.image("x:1", "one", 1, Ok(()));
    stage.serve("x:1").await;
    stage.settled(Condition::Ready).await;
    stage.log();
    stage.daemon.world().apps.get_mut("web").unwrap().instances[0].phase = Phase::Interrupted;
    let stage = stage.restarted();
    stage.daemon.until(|world| world.log == ["wake inst-2"]).await;
    stage.log();
    stage.daemon.world().apps.get_mut("web").unwrap().instances[0].phase =
        Phase::Ended("its process ended with exit code 3".into());
    stage.reconciler.trigger("web");
    let status = stage.settled(Condition::Ended).await;
    assert_eq!(status.to_string(), "ended: its process ended with exit code 3");
    assert_eq!(stage.log(), [] as [String; 0]);
}
