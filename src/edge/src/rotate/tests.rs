//! Rotations against a controller on loopback, cut off at each step, refused, lost, and at once.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use aegis_core::ExitCode;
use aegis_wire::{ApiError, PublicKey, Reason, dial::TcpDialer, token::NodeClaims};

use super::*;
use crate::{
    config,
    fake_controller::{FakeController, NOW, node_key, node_token},
};

const DAY: Duration = Duration::from_hours(24);

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An enrolled host and its controller.
struct Lab {
    _home: tempfile::TempDir,
    state: StateDir,
    config: EdgeConfig,
    controller: FakeController,
    clock: TestClock,
    host: Host,
}

impl Lab {
    async fn new() -> Arc<Self> {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(home.path().join("aegis-config.yaml"));
        let controller = FakeController::start().await;
        let (endpoint, pin) = (&controller.endpoint, &controller.pin);
        let text = format!("cluster: {{edge: {{endpoint: '{endpoint}', caFingerprint: '{pin}'}}}}");
        let config = config::parse(&text, "test").unwrap();
        let (key, signing) = (node_key(), &controller.behaviour.signing);
        let server = signing.public();
        let pinned = format!("{} {}\n", server.key_id, server.public.to_base64());
        let token = node_token(signing, &key.public(), &"default".parse().unwrap());
        write_atomic(&state.node_key(), 0o600, &key.seed()[..]).unwrap();
        write_atomic(&state.node_token(), 0o600, token.as_bytes()).unwrap();
        write_atomic(&state.server_key(), 0o644, pinned.as_bytes()).unwrap();
        let host = Host { hostname: "h".into(), os: "linux", arch: "x86_64", path: vec![] };
        let clock = TestClock(AtomicI64::new(NOW * 1000));
        Arc::new(Self { _home: home, state, config, controller, clock, host })
    }

    fn deps<'a>(&'a self, passed: &'a (dyn Fn(&str) + Send + Sync)) -> RotateDeps<'a> {
        RotateDeps { clock: &self.clock, dialer: &|_| Ok(Arc::new(TcpDialer)), host: &self.host, passed }
    }

    async fn rotate(&self) -> Result<Rotated, RotateError> {
        rotate(self.deps(&|_| {}), &self.state, &self.config, DAY).await
    }
    async fn refresh(&self) -> Result<Refreshed, RotateError> {
        refresh(self.deps(&|_| {}), &self.state, &self.config).await
    }
    async fn settle(&self) -> Result<Settled, RotateError> {
        settle(self.deps(&|_| {}), &self.state, &self.config).await
    }

    /// Does `what` in a task that dies when `step` is done.
    async fn cut_at(self: &Arc<Self>, what: What, step: &'static str) {
        let lab = Arc::clone(self);
        let task = tokio::spawn(async move {
            let die = move |passed: &str| assert!(passed != step, "cut off at {step}");
            let deps = lab.deps(&die);
            match what {
                What::Rotate => drop(rotate(deps, &lab.state, &lab.config, DAY).await.unwrap()),
                What::Settle => drop(settle(deps, &lab.state, &lab.config).await.unwrap()),
            }
        });
        // A step that isn't needed any more isn't passed.
        if let Err(error) = task.await {
            assert!(error.is_panic());
        }
    }

    fn known_key(&self) -> PublicKey {
        self.controller.behaviour.node_key.lock().unwrap().clone()
    }
    /// Key and token belong together, the controller knows the key, and nothing is left to do.
    fn is_whole(&self, what: &str) {
        let identity = Identity::load(&self.state).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(identity.key.public(), self.known_key(), "{what}");
        assert!(!self.state.node_key_next().exists(), "{what}");
        let public = fs::read_to_string(self.state.node_key_pub()).unwrap();
        assert_eq!(public.trim(), self.known_key().to_base64(), "{what}");
        for path in [self.state.node_key(), self.state.node_token()] {
            assert_eq!(mode(&path), 0o600, "{what}: {}", path.display());
        }
    }
    /// The seeds in the archive.
    fn archived(&self) -> BTreeSet<Vec<u8>> {
        let Ok(entries) = fs::read_dir(self.state.archive()) else { return BTreeSet::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|x| x == "key"))
            .map(|p| fs::read(p).unwrap())
            .collect()
    }
    fn set_rotated(
        &self,
        answer: impl Fn(aegis_wire::enrollment::Rotated) -> Answer + Send + Sync + 'static,
    ) {
        *self.controller.behaviour.rotated.lock().unwrap() = Box::new(answer);
    }
    fn refuse(&self, error: Option<ApiError>) {
        *self.controller.behaviour.rotation.lock().unwrap() = error.map_or(Ok(()), Err);
    }
}

type Answer = Result<aegis_wire::enrollment::Rotated, ApiError>;

#[derive(Debug, Clone, Copy)]
enum What {
    Rotate,
    Settle,
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_rotation_replaces_key_and_token_and_keeps_the_old_key() {
    let lab = Lab::new().await;
    let node_id = Identity::load(&lab.state).unwrap().node_id;
    let rotated = lab.rotate().await.unwrap();
    assert_eq!((&rotated.node_id, rotated.resumed), (&node_id, false));
    assert_eq!(rotated.old_fingerprint, node_key().public().fingerprint());
    assert_eq!(rotated.new_fingerprint, lab.known_key().fingerprint());
    assert_ne!(rotated.new_fingerprint, rotated.old_fingerprint);
    assert_eq!(rotated.token_expires.as_second(), NOW + 86_400);
    let kept = rotated.archived.unwrap();
    assert_eq!((fs::read(&kept).unwrap(), mode(&kept)), (node_key().seed().to_vec(), 0o600));
    assert_eq!(mode(&lab.state.archive()), 0o700);
    lab.is_whole("rotated");
    assert_eq!(Identity::load(&lab.state).unwrap().node_id, node_id);
}

#[tokio::test]
async fn cut_off_at_any_step_a_rotation_is_finished_by_whoever_comes_next() {
    for step in STEPS {
        let lab = Lab::new().await;
        lab.cut_at(What::Rotate, step).await;
        let in_force = lab.known_key();
        let have = [fs::read(lab.state.node_key()).ok(), fs::read(lab.state.node_key_next()).ok()];
        let is_it = |bytes: &Vec<u8>| SigningKey::from_bytes(&bytes[..32]).unwrap().public() == in_force;
        assert!(have.iter().flatten().any(is_it), "{step}: the key in force is on disk");
        let settled = lab.settle().await.unwrap();
        assert_eq!(settled == Settled::Clean, step == STEPS[7] || step == STEPS[6], "{step}: {settled:?}");
        lab.is_whole(step);
        assert_ne!(lab.known_key(), node_key().public(), "{step}");
        assert_eq!(lab.archived(), BTreeSet::from([node_key().seed().to_vec()]), "{step}");
    }
}

#[tokio::test]
async fn cut_off_again_while_it_is_finished_it_is_finished_still() {
    let lab = Lab::new().await;
    for first in STEPS {
        for second in STEPS {
            lab.cut_at(What::Rotate, first).await;
            lab.cut_at(What::Settle, second).await;
            lab.settle().await.unwrap();
            lab.is_whole(&format!("{first}, then {second}"));
        }
    }
    assert_eq!(lab.archived().len(), STEPS.len() * STEPS.len());
}

#[tokio::test]
async fn once_the_new_token_is_on_disk_nobody_needs_to_be_asked() {
    for step in &STEPS[4..] {
        let lab = Lab::new().await;
        lab.cut_at(What::Rotate, step).await;
        let calls = lab.controller.calls();
        lab.settle().await.unwrap();
        lab.is_whole(step);
        assert_eq!(lab.controller.calls(), calls, "{step}");
    }
}

#[tokio::test]
async fn said_again_a_rotation_that_was_cut_off_is_finished_once_with_the_new_wish() {
    let lab = Lab::new().await;
    lab.cut_at(What::Rotate, STEPS[3]).await;
    assert_eq!(lab.archived().len(), 1);
    let begun = PendingKey::read(&lab.state).unwrap().unwrap().key.public();
    let again = rotate(lab.deps(&|_| {}), &lab.state, &lab.config, Duration::ZERO).await.unwrap();
    assert!(again.resumed && again.archived.is_none());
    assert_eq!(again.new_fingerprint, begun.fingerprint());
    assert!(lab.archived().is_empty());
    lab.is_whole("said again");
}

#[tokio::test]
async fn how_long_the_old_key_is_kept_survives_a_crash() {
    let lab = Lab::new().await;
    let pending = PendingKey { key: SigningKey::generate().unwrap(), keep_old: Duration::ZERO };
    pending.write(&lab.state).unwrap();
    assert!(matches!(lab.settle().await.unwrap(), Settled::Finished(rotated) if rotated.archived.is_none()));
    assert!(lab.archived().is_empty());
}

#[tokio::test]
async fn old_keys_go_when_their_time_is_over() {
    for what in ["rotate", "refresh", "settle"] {
        let lab = Lab::new().await;
        lab.rotate().await.unwrap();
        assert_eq!(lab.archived().len(), 1);
        lab.clock.0.fetch_add(24 * 3_600_000 - 1, Ordering::Relaxed);
        lab.settle().await.unwrap();
        assert_eq!(lab.archived().len(), 1);
        lab.clock.0.fetch_add(1, Ordering::Relaxed);
        // The token's time is over as well, which the controller of this test doesn't mind, and the host does.
        let _ = match what {
            "rotate" => lab.rotate().await.map(drop),
            "refresh" => lab.refresh().await.map(drop),
            _ => lab.settle().await.map(drop),
        };
        assert!(!lab.archived().contains(&node_key().seed().to_vec()), "{what}");
    }
}

#[tokio::test]
async fn a_refresh_changes_the_token_and_nothing_else() {
    let lab = Lab::new().await;
    // The controller of this test makes the same token again: a blank tells the old one apart.
    let before = fs::read_to_string(lab.state.node_token()).unwrap() + " ";
    fs::write(lab.state.node_token(), &before).unwrap();
    let refreshed = lab.refresh().await.unwrap();
    assert_eq!(refreshed.key_fingerprint, node_key().public().fingerprint());
    assert_eq!(refreshed.token_expires.as_second(), NOW + 86_400);
    assert_ne!(fs::read_to_string(lab.state.node_token()).unwrap(), before);
    assert_eq!((lab.known_key(), mode(&lab.state.node_token())), (node_key().public(), 0o600));
    assert!(!lab.state.archive().exists() && !lab.state.node_key_next().exists());
    Identity::load(&lab.state).unwrap();
}

#[tokio::test]
async fn a_refresh_finishes_a_rotation_first() {
    let lab = Lab::new().await;
    lab.cut_at(What::Rotate, STEPS[2]).await;
    let refreshed = lab.refresh().await.unwrap();
    assert_eq!(refreshed.key_fingerprint, lab.known_key().fingerprint());
    lab.is_whole("refreshed");
}

#[tokio::test]
async fn of_two_rotations_at_once_the_other_is_told() {
    let lab = Lab::new().await;
    let held = RotateLock::take(&lab.state).unwrap();
    for error in [lab.rotate().await.unwrap_err(), lab.refresh().await.unwrap_err()] {
        assert!(matches!(error, RotateError::Lock(LockError::Rotating(_))), "{error}");
        assert!(error.hint().is_some() && error.exit_code() == ExitCode::Generic);
    }
    assert_eq!(lab.controller.calls(), 0);
    drop(held);
    let both = tokio::join!(lab.rotate(), lab.rotate());
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    lab.is_whole("both");
    assert_eq!(lab.archived().len(), 1);
}

#[tokio::test]
async fn whoever_settles_waits_for_a_rotation_that_runs() {
    let lab = Lab::new().await;
    lab.cut_at(What::Rotate, STEPS[0]).await;
    let held = RotateLock::take(&lab.state).unwrap();
    let waiting = lab.settle();
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending() && lab.state.node_key_next().exists());
    drop(held);
    waiting.await.unwrap();
    lab.is_whole("settled");
}

#[tokio::test]
async fn a_controller_that_is_away_changes_nothing() {
    let lab = Lab::new().await;
    let nowhere = |_: &aegis_wire::Endpoint| Ok(Arc::new(Away) as Arc<dyn aegis_wire::dial::Dialer>);
    let deps = RotateDeps { dialer: &nowhere, ..lab.deps(&|_| {}) };
    let error = rotate(deps, &lab.state, &lab.config, DAY).await.unwrap_err();
    assert!(error.to_string().ends_with("nothing was changed"), "{error}");
    assert_eq!(error.exit_code(), ExitCode::Generic);
    assert!(!lab.state.node_key_next().exists() && !lab.state.archive().exists());
    assert_eq!(Identity::load(&lab.state).unwrap().key.public(), node_key().public());
    // One that was begun before stays: the controller may have its key.
    lab.cut_at(What::Rotate, STEPS[2]).await;
    settle(deps, &lab.state, &lab.config).await.unwrap_err();
    rotate(deps, &lab.state, &lab.config, DAY).await.unwrap_err();
    assert!(lab.state.node_key_next().exists());
    lab.settle().await.unwrap();
    lab.is_whole("settled");
}

struct Away;

impl aegis_wire::dial::Dialer for Away {
    fn dial(&self, _: &aegis_wire::Endpoint) -> aegis_wire::dial::Dialing {
        Box::pin(async { Err(std::io::Error::other("no way")) })
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_leaves_both_keys_and_is_asked_for_again() {
    for error in [ApiError::unavailable("cut"), ApiError::internal("cut")] {
        let lab = Lab::new().await;
        lab.set_rotated(move |_| Err(error.clone()));
        let lost = lab.rotate().await.unwrap_err();
        assert!(lost.to_string().ends_with("so both keys are kept"), "{lost}");
        assert_eq!(lost.exit_code(), ExitCode::Generic);
        assert!(lost.hint().unwrap().contains("again"));
        assert_ne!(lab.known_key(), node_key().public());
        lab.set_rotated(Ok);
        assert!(matches!(lab.settle().await.unwrap(), Settled::Finished(rotated) if rotated.resumed));
        lab.is_whole("asked again");
    }
}

#[tokio::test]
async fn a_refusal_takes_the_new_key_back() {
    for (refusal, exit) in [
        (ApiError::unauthenticated("revoked").reason(Reason::Revoked), ExitCode::Unauthorized),
        (ApiError::conflict("was rotated meanwhile"), ExitCode::Generic),
        (ApiError::invalid("an old nonce"), ExitCode::Generic),
        (ApiError::unauthenticated("clocks").reason(Reason::ClockSkew), ExitCode::Unauthorized),
    ] {
        let lab = Lab::new().await;
        lab.refuse(Some(refusal.clone()));
        let error = lab.rotate().await.unwrap_err();
        assert_eq!(error.exit_code(), exit, "{error}");
        let is_final = refusal.reason != Some(Reason::ClockSkew) && refusal.code != aegis_wire::Code::Invalid;
        assert_eq!(error.hint().unwrap().contains("aegis edge enroll"), is_final, "{error}");
        assert!(!lab.state.node_key_next().exists() && !lab.state.archive().exists(), "{error}");
        lab.refuse(None);
        lab.rotate().await.unwrap();
        lab.is_whole("rotated after a refusal");
    }
}

#[tokio::test]
async fn a_refusal_of_what_was_begun_before_leaves_every_file() {
    let lab = Lab::new().await;
    lab.cut_at(What::Rotate, STEPS[2]).await;
    lab.refuse(Some(ApiError::unauthenticated("this node isn't accepted")));
    for error in [lab.settle().await.unwrap_err(), lab.rotate().await.unwrap_err()] {
        assert!(matches!(error, RotateError::Neither(_)), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Unauthorized);
        assert!(error.hint().unwrap().contains("aegis edge enroll"));
    }
    assert_eq!(fs::read(lab.state.node_key()).unwrap(), node_key().seed().to_vec());
    lab.refuse(None);
    lab.settle().await.unwrap();
    lab.is_whole("taken after all");
}

/// The answer with other claims in its token, or with another signature.
fn altered(
    mut rotated: aegis_wire::enrollment::Rotated,
    signing: &aegis_wire::ServerSigningKey,
    alter: impl Fn(&mut NodeClaims),
) -> aegis_wire::enrollment::Rotated {
    let mut claims =
        NodeClaims::verify(&rotated.node_token, std::slice::from_ref(&rotated.server_key), NOW).unwrap();
    alter(&mut claims);
    rotated.node_token = claims.mint(signing).unwrap();
    rotated
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_not_believed() {
    let foreign = aegis_wire::ServerSigningKey::new(SigningKey::from_seed(&[9; 32]));
    let tenant = "default".parse().unwrap();
    let own = aegis_wire::ServerSigningKey::new(SigningKey::from_seed(&[1; 32]));
    let again = own.clone();
    let for_old_key = node_token(&own, &node_key().public(), &tenant);
    let foreign_key = foreign.public();
    let answers: Vec<Box<dyn Fn(aegis_wire::enrollment::Rotated) -> Answer + Send + Sync>> = vec![
        Box::new(move |mut rotated| {
            rotated.node_token.clone_from(&for_old_key);
            Ok(rotated)
        }),
        Box::new(move |rotated| Ok(altered(rotated, &foreign, |_| {}))),
        Box::new(move |mut rotated| {
            rotated.server_key = foreign_key.clone();
            Ok(rotated)
        }),
        Box::new(move |rotated| {
            Ok(altered(rotated, &own, |claims| claims.sub = "n-00000000000000000000".parse().unwrap()))
        }),
        Box::new(move |rotated| {
            Ok(altered(rotated, &again, |claims| claims.tid = "another".parse().unwrap()))
        }),
    ];
    for answer in answers {
        let lab = Lab::new().await;
        lab.set_rotated(answer);
        let error = lab.rotate().await.unwrap_err();
        assert!(matches!(error, RotateError::Answer(_)), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Unauthorized);
        assert_eq!(fs::read(lab.state.node_key()).unwrap(), node_key().seed().to_vec());
        assert!(lab.state.node_key_next().exists());
        lab.set_rotated(Ok);
        lab.settle().await.unwrap();
        lab.is_whole("believed");
    }
}

#[tokio::test]
async fn a_token_of_the_old_key_never_replaces_that_of_the_new() {
    let lab = Lab::new().await;
    let old = fs::read_to_string(lab.state.node_token()).unwrap();
    assert!(keep_token(&lab.state, &old, &node_key().public()).unwrap());
    let held = RotateLock::take(&lab.state).unwrap();
    assert!(!keep_token(&lab.state, &old, &node_key().public()).unwrap(), "a rotation runs");
    drop(held);
    lab.cut_at(What::Rotate, STEPS[4]).await;
    assert!(!keep_token(&lab.state, &old, &node_key().public()).unwrap(), "a rotation was cut off");
    lab.settle().await.unwrap();
    assert!(!keep_token(&lab.state, &old, &node_key().public()).unwrap(), "it is done");
    lab.is_whole("the new token");
}

#[tokio::test]
async fn a_token_that_is_another_keys_is_replaced_by_one_for_the_key_that_is_there() {
    let lab = Lab::new().await;
    let old = fs::read(lab.state.node_token()).unwrap();
    lab.rotate().await.unwrap();
    fs::write(lab.state.node_token(), old).unwrap();
    assert!(matches!(lab.settle().await.unwrap(), Settled::Refreshed(_)));
    lab.is_whole("mended");
    assert_eq!(lab.settle().await.unwrap(), Settled::Clean);
}

#[tokio::test]
async fn a_host_that_is_not_enrolled_is_told_so() {
    let lab = Lab::new().await;
    fs::remove_file(lab.state.node_key()).unwrap();
    for error in [lab.rotate().await.unwrap_err(), lab.refresh().await.unwrap_err()] {
        assert_eq!(error.exit_code(), ExitCode::Unauthorized, "{error}");
        assert!(error.hint().unwrap().contains("aegis edge enroll"));
    }
    assert!(!lab.state.node_key_next().exists() && lab.controller.calls() == 0);
}
