//! Enrolment against a controller on loopback: what is there after each way in which it can go.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

use aegis_core::ExitCode;
use aegis_wire::{ApiError, CaFingerprint, Reason, ServerSigningKey};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    bootstrap::{BootstrapError, Unattended},
    fake_controller::{FakeController, NOW, node_token},
    proxy::{ProxyEnv, dialer_for},
    run::Identity,
};

struct FixedClock;

impl Clock for FixedClock {
    fn now_ms(&self) -> i64 {
        NOW * 1000
    }
}

/// A host with an empty home, and a controller to enrol with.
struct Lab {
    home: tempfile::TempDir,
    state: StateDir,
    controller: FakeController,
    proxy: ProxyEnv,
}

impl Lab {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(home.path().join("edge/aegis-config.yaml"));
        Self { home, state, controller: FakeController::start().await, proxy: ProxyEnv::default() }
    }

    async fn enroll(&self, token: &str, policy: Policy) -> Result<EnrollReport, EnrollError> {
        self.enroll_with(token, policy, |_| {}).await
    }

    async fn enroll_with(
        &self,
        token: &str,
        policy: Policy,
        change: impl Fn(&mut EnrollRequest),
    ) -> Result<EnrollReport, EnrollError> {
        let mut request = EnrollRequest {
            token: token.to_owned(),
            state: self.state.clone(),
            policy,
            dry_run: false,
            minimal: false,
        };
        change(&mut request);
        let env = self.proxy.clone();
        let host = Host { hostname: "host".into(), os: "linux", arch: "x86_64", path: vec![] };
        let deps = EnrollDeps {
            clock: &FixedClock,
            dialer: &move |endpoint| dialer_for(endpoint, &env),
            prompter: &mut Unattended,
            host: &host,
        };
        enroll(&request, deps).await
    }

    fn token(&self) -> String {
        self.controller.token("default")
    }

    /// Files and directories in the state directory.
    fn files(&self) -> BTreeSet<String> {
        match fs::read_dir(self.state.dir()) {
            Ok(entries) => entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect(),
            Err(_) => BTreeSet::new(),
        }
    }
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(ToString::to_string).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

const ENROLLED: &[&str] =
    &["aegis-config.yaml", "node.key", "node.key.pub", "node.token", "secrets", "server.key.pub"];

#[tokio::test]
async fn a_fresh_host_has_its_files_with_their_modes_and_no_enrolment_token() {
    let lab = Lab::new().await;
    let report = lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap();
    assert_eq!((report.outcome, report.name.as_deref()), (Outcome::Enrolled, Some("web-1")));
    assert_eq!(lab.files(), names(ENROLLED));
    for (path, want) in [
        (lab.state.dir().to_path_buf(), 0o700),
        (lab.state.secrets(), 0o700),
        (lab.state.node_key(), 0o600),
        (lab.state.node_token(), 0o600),
        (lab.state.node_key_pub(), 0o644),
        (lab.state.server_key(), 0o644),
        (lab.state.config().to_path_buf(), 0o644),
    ] {
        assert_eq!(mode(&path), want, "{}", path.display());
    }
    let config = config::load(lab.state.config()).unwrap();
    assert_eq!(config.endpoint, Some(lab.controller.endpoint.clone()));
    assert_eq!(config.ca_fingerprint, Some(lab.controller.pin));
    let identity = Identity::load(&lab.state).unwrap();
    assert_eq!(Some(identity.node_id), report.node_id);
    assert_eq!(identity.server_key, lab.controller.behaviour.signing.public());
}

#[tokio::test]
async fn minimal_writes_the_short_config() {
    let lab = Lab::new().await;
    lab.enroll_with(&lab.token(), Policy::Ask, |request| request.minimal = true).await.unwrap();
    let text = fs::read_to_string(lab.state.config()).unwrap();
    assert!(text.starts_with("cluster:\n") && text.lines().count() == 5, "{text}");
}

#[tokio::test]
async fn a_dry_run_touches_neither_disk_nor_network() {
    let lab = Lab::new().await;
    let report =
        lab.enroll_with(&lab.token(), Policy::Force, |request| request.dry_run = true).await.unwrap();
    assert_eq!(report.outcome, Outcome::Planned);
    assert_eq!((lab.controller.calls(), fs::read_dir(lab.home.path()).unwrap().count()), (0, 0));
    assert_eq!(report.plan.decisions.len(), 7);
}

#[tokio::test]
async fn a_text_that_is_no_token_is_an_invalid_argument() {
    let lab = Lab::new().await;
    let error = lab.enroll("not.a.token", Policy::Force).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Invalid);
    assert!(lab.files().is_empty());
}

#[tokio::test]
async fn an_expired_token_changes_nothing() {
    let lab = Lab::new().await;
    let token = lab.controller.token_with("default", |claims| {
        (claims.nbf, claims.iat, claims.exp) = (NOW - 900, NOW - 900, NOW);
    });
    let error = lab.enroll(&token, Policy::Force).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Unauthorized);
    assert!(error.to_string().contains("expired"), "{error}");
    assert!(lab.files().is_empty() && lab.controller.calls() == 0);
}

#[tokio::test]
async fn a_controller_with_another_ca_gets_nothing_and_the_token_stays_usable() {
    let lab = Lab::new().await;
    let token = lab.controller.token_with("default", |claims| {
        claims.cfp = "ab".repeat(32).parse::<CaFingerprint>().unwrap();
    });
    let error = lab.enroll(&token, Policy::Force).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Unauthorized);
    assert_eq!(error.token_fate(), Some(TokenFate::Usable));
    assert!(error.to_string().contains("isn't the pinned controller"), "{error}");
    assert_eq!(lab.files(), names(&["enrollment.jwt", "secrets"]));
    assert_eq!(lab.controller.calls(), 0);
}

#[tokio::test]
async fn a_controller_that_is_away_leaves_no_node_token_and_the_enrolment_token_for_another_try() {
    let lab = Lab::new().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let token = lab.controller.token_with("default", |claims| claims.cep = gone.to_string().parse().unwrap());
    let error = lab.enroll(&token, Policy::NonInteractive).await.unwrap_err();
    assert_eq!((error.exit_code(), error.token_fate()), (ExitCode::Generic, Some(TokenFate::Usable)));
    assert!(error.to_string().ends_with("; the enrolment token wasn't used"), "{error}");
    assert_eq!(lab.files(), names(&["enrollment.jwt", "secrets"]));
    assert_eq!(fs::read_to_string(lab.state.enrollment()).unwrap(), token);
    // The same again meets no question.
    let again = lab.enroll(&token, Policy::NonInteractive).await.unwrap_err();
    assert_eq!(again.exit_code(), ExitCode::Generic);
}

#[tokio::test]
async fn a_refused_attestation_leaves_no_key() {
    let lab = Lab::new().await;
    *lab.controller.behaviour.attest.lock().unwrap() = Err(ApiError::exhausted("too many enrolments"));
    let error = lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap_err();
    assert_eq!(error.token_fate(), Some(TokenFate::Usable));
    assert_eq!(lab.files(), names(&["enrollment.jwt", "secrets"]));
}

#[tokio::test]
async fn a_refused_challenge_leaves_no_key_and_no_node_token_and_says_that_the_token_is_usable() {
    let lab = Lab::new().await;
    *lab.controller.behaviour.answer.lock().unwrap() = Box::new(|_, _| {
        let refused = ApiError::permission_denied("this node was revoked; the token is still usable");
        Err(refused.reason(Reason::TokenUsable))
    });
    let error = lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap_err();
    assert_eq!((error.exit_code(), error.token_fate()), (ExitCode::Unauthorized, Some(TokenFate::Usable)));
    assert_eq!(error.to_string(), "this node was revoked; the token is still usable");
    assert_eq!(lab.files(), names(&["enrollment.jwt", "secrets"]));
}

fn burnt() -> ApiError {
    ApiError::unauthenticated("the enrolment token was used before; it is burnt").reason(Reason::TokenBurnt)
}

#[tokio::test]
async fn what_becomes_of_the_token_follows_from_the_reason_and_never_from_the_words() {
    let lab = Lab::new().await;
    for (message, reason, fate, shown) in [
        ("all is still usable", Some(Reason::TokenBurnt), TokenFate::Burnt, "all is still usable"),
        ("it is burnt", Some(Reason::TokenUsable), TokenFate::Usable, "it is burnt"),
        ("it is burnt", None, TokenFate::Usable, "it is burnt; the enrolment token wasn't used"),
    ] {
        *lab.controller.behaviour.answer.lock().unwrap() =
            Box::new(move |_, _| Err(ApiError::unauthenticated(message).reason(reason)));
        let error = lab.enroll(&lab.token(), Policy::Force).await.unwrap_err();
        assert_eq!((error.token_fate(), error.to_string().as_str()), (Some(fate), shown));
    }
}

#[tokio::test]
async fn a_burnt_token_is_said_and_removed() {
    let lab = Lab::new().await;
    *lab.controller.behaviour.answer.lock().unwrap() = Box::new(|_, _| Err(burnt()));
    let error = lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap_err();
    assert_eq!((error.exit_code(), error.token_fate()), (ExitCode::Unauthorized, Some(TokenFate::Burnt)));
    assert!(error.hint().unwrap().contains("enrollment-token create"));
    assert_eq!(lab.files(), names(&["secrets"]));
}

#[tokio::test]
async fn a_controller_that_dies_in_the_middle_leaves_a_host_that_can_attest_again_with_its_key() {
    let lab = Lab::new().await;
    *lab.controller.behaviour.answer.lock().unwrap() = Box::new(|_, _| Err(ApiError::unavailable("gone")));
    let error = lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap_err();
    assert_eq!(error.token_fate(), Some(TokenFate::Unknown));
    assert!(error.to_string().ends_with("may have been used"), "{error}");
    let key = fs::read(lab.state.node_key()).unwrap();
    assert!(!lab.state.node_token().exists());

    *lab.controller.behaviour.answer.lock().unwrap() = Box::new(|enrolled, _| Ok(enrolled));
    let report = lab.enroll(&lab.token(), Policy::KeepExisting).await.unwrap();
    assert_eq!(report.outcome, Outcome::Enrolled);
    assert_eq!(fs::read(lab.state.node_key()).unwrap(), key);
    assert_eq!(lab.files(), names(ENROLLED));
}

#[tokio::test]
async fn an_answer_by_another_signing_key_is_refused() {
    let lab = Lab::new().await;
    *lab.controller.behaviour.answer.lock().unwrap() = Box::new(|mut enrolled, _| {
        enrolled.server_key = ServerSigningKey::new(SigningKey::from_seed(&[9; 32])).public();
        Ok(enrolled)
    });
    let error = lab.enroll(&lab.token(), Policy::Force).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Unauthorized);
    assert!(error.to_string().contains("isn't the one that the enrolment token names"), "{error}");
    assert!(!lab.state.node_token().exists() && !lab.state.server_key().exists());
}

#[tokio::test]
async fn a_node_token_for_another_key_or_tenant_is_refused() {
    for (tenant, seed, says) in [("default", 8, "another key"), ("other", 2, "another node or tenant")] {
        let lab = Lab::new().await;
        *lab.controller.behaviour.answer.lock().unwrap() = Box::new(move |mut enrolled, signing| {
            let signing = ServerSigningKey::new(signing.clone());
            let key = SigningKey::from_seed(&[seed; 32]).public();
            let tenant: TenantId = tenant.parse().unwrap();
            enrolled.node_token = node_token(&signing, &key, &tenant);
            enrolled.node_id = NodeId::of_public_key(key.as_bytes());
            enrolled.tenant = tenant;
            Ok(enrolled)
        });
        let error = lab.enroll(&lab.token(), Policy::Force).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!lab.state.node_token().exists());
    }
}

#[tokio::test]
async fn keep_existing_with_a_matching_token_calls_nobody_and_heals_the_tenant() {
    let lab = Lab::new().await;
    let first = lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap();
    let calls = lab.controller.calls();
    let text = fs::read_to_string(lab.state.config()).unwrap();
    let mine = text.replace("tenant: default", "tenant: t-wrong  # whose?\n      labels: {a: b}");
    fs::write(lab.state.config(), &mine).unwrap();
    let key = fs::read(lab.state.node_key()).unwrap();
    let token = fs::read(lab.state.node_token()).unwrap();
    fs::remove_file(lab.state.server_key()).unwrap();
    fs::set_permissions(lab.state.node_token(), fs::Permissions::from_mode(0o644)).unwrap();

    let report = lab.enroll(&lab.token(), Policy::KeepExisting).await.unwrap();
    assert_eq!((report.outcome, lab.controller.calls()), (Outcome::Reused, calls));
    assert_eq!(report.node_id, first.node_id);
    assert_eq!(fs::read_to_string(lab.state.config()).unwrap(), mine.replace("t-wrong", "default"));
    assert_eq!(fs::read(lab.state.node_key()).unwrap(), key);
    assert_eq!(fs::read(lab.state.node_token()).unwrap(), token);
    assert_eq!((report.repaired.len(), mode(&lab.state.node_token())), (1, 0o600));
    assert_eq!(lab.files(), names(ENROLLED));
}

#[tokio::test]
async fn keep_existing_with_a_token_of_another_key_is_exit_four_and_changes_nothing() {
    let lab = Lab::new().await;
    lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap();
    let other = SigningKey::from_seed(&[8; 32]);
    fs::write(lab.state.node_key(), &other.seed()[..]).unwrap();
    let (calls, token) = (lab.controller.calls(), fs::read(lab.state.node_token()).unwrap());
    let error = lab.enroll(&lab.token(), Policy::KeepExisting).await.unwrap_err();
    assert_eq!((error.exit_code(), lab.controller.calls()), (ExitCode::BootstrapConflict, calls));
    assert!(error.to_string().contains("another key"), "{error}");
    assert_eq!(fs::read(lab.state.node_token()).unwrap(), token);
}

#[tokio::test]
async fn keep_existing_refuses_what_belongs_to_another_tenant_controller_or_endpoint() {
    let lab = Lab::new().await;
    lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap();
    let other = FakeController::start().await;
    for (token, says) in [
        (lab.controller.token("t-2"), "bound to the tenant default"),
        (other.token("default"), "it names"),
        (
            lab.controller.token_with("default", |claims| {
                claims.spk = ServerSigningKey::new(SigningKey::from_seed(&[9; 32])).public();
            }),
            "this controller didn't make it",
        ),
    ] {
        let error = lab.enroll(&token, Policy::KeepExisting).await.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::BootstrapConflict);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn non_interactive_on_an_enrolled_host_is_exit_four() {
    let lab = Lab::new().await;
    lab.enroll(&lab.token(), Policy::NonInteractive).await.unwrap();
    for policy in [Policy::NonInteractive, Policy::Ask] {
        let error = lab.enroll(&lab.token(), policy).await.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::BootstrapConflict);
        let EnrollError::Bootstrap(BootstrapError::Conflicts(conflicts)) = error else { panic!("{error}") };
        assert_eq!(conflicts.len(), 3);
    }
}

#[tokio::test]
async fn force_takes_a_new_key_and_archives_the_old_one() {
    let lab = Lab::new().await;
    let first = lab.enroll(&lab.token(), Policy::Force).await.unwrap();
    let key = fs::read(lab.state.node_key()).unwrap();
    let second = lab.enroll(&lab.token(), Policy::Force).await.unwrap();
    assert_ne!(first.node_id, second.node_id);
    let archived = lab.state.archive().join("2027-01-15T08:00:00Z.key");
    assert_eq!((fs::read(&archived).unwrap(), mode(&archived)), (key, 0o600));
    assert_eq!(mode(&lab.state.archive()), 0o700);
}

#[tokio::test]
async fn force_against_a_controller_that_is_away_keeps_the_old_enrolment() {
    let lab = Lab::new().await;
    lab.enroll(&lab.token(), Policy::Force).await.unwrap();
    let before: Vec<_> = [lab.state.node_key(), lab.state.node_token(), lab.state.config().to_path_buf()]
        .map(|path| fs::read(path).unwrap())
        .into();
    *lab.controller.behaviour.attest.lock().unwrap() = Err(ApiError::unavailable("away"));
    lab.enroll(&lab.token(), Policy::Force).await.unwrap_err();
    let after: Vec<_> = [lab.state.node_key(), lab.state.node_token(), lab.state.config().to_path_buf()]
        .map(|path| fs::read(path).unwrap())
        .into();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_key_that_is_refused_under_force_gives_way_to_the_old_one_and_leaves_no_node_token() {
    let lab = Lab::new().await;
    lab.enroll(&lab.token(), Policy::Force).await.unwrap();
    let (key, public) =
        (fs::read(lab.state.node_key()).unwrap(), fs::read(lab.state.node_key_pub()).unwrap());
    *lab.controller.behaviour.answer.lock().unwrap() = Box::new(|_, _| Err(burnt()));
    lab.enroll(&lab.token(), Policy::Force).await.unwrap_err();
    assert_eq!(fs::read(lab.state.node_key()).unwrap(), key);
    assert_eq!(fs::read(lab.state.node_key_pub()).unwrap(), public);
    assert!(!lab.state.node_token().exists());
    assert_eq!(fs::read_dir(lab.state.archive()).unwrap().count(), 0);
    // The same host, by its old key, is enrolled again.
    *lab.controller.behaviour.answer.lock().unwrap() = Box::new(|enrolled, _| Ok(enrolled));
    let again = lab.enroll(&lab.token(), Policy::KeepExisting).await.unwrap();
    assert_eq!((again.outcome, fs::read(lab.state.node_key()).unwrap()), (Outcome::Enrolled, key));
}

#[tokio::test]
async fn a_running_daemon_is_named_for_a_restart() {
    let lab = Lab::new().await;
    let first = lab.enroll(&lab.token(), Policy::Force).await.unwrap();
    assert_eq!(first.restart_pid, None);
    let _lock = crate::state::DaemonLock::take(&lab.state).unwrap();
    let second = lab.enroll(&lab.token(), Policy::Force).await.unwrap();
    assert_eq!(second.restart_pid, Some(std::process::id()));
}

/// A proxy that tunnels wherever it is asked to. Gives its address, and then the head of each request.
async fn tunnelling_proxy() -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (asked, requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let mut server = TcpStream::connect(head.split(' ').nth(1).unwrap()).await.unwrap();
            asked.send(head).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    (address, requests)
}

#[tokio::test]
async fn a_host_enrols_through_a_proxy_unless_no_proxy_exempts_the_controller() {
    let (address, mut requests) = tunnelling_proxy().await;
    let mut lab = Lab::new().await;
    lab.proxy = ProxyEnv { proxy: Some(format!("http://user:secret@{address}")), bypass: None };
    lab.enroll(&lab.token(), Policy::Force).await.unwrap();
    let request = requests.try_recv().unwrap();
    assert!(request.starts_with(&format!("CONNECT {} HTTP/1.1", lab.controller.endpoint)), "{request}");
    assert!(request.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="), "{request}");

    lab.proxy.bypass = Some("127.0.0.0/8".into());
    lab.enroll(&lab.token(), Policy::Force).await.unwrap();
    assert!(requests.try_recv().is_err());
}
