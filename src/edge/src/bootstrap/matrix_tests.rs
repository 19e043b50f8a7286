//! Every cell of the matrix: how an artifact is found, against the policies.

use std::collections::VecDeque;

use aegis_core::ExitCode;
use aegis_wire::{ServerSigningKey, SigningKey};

use super::*;
use crate::{config::EdgeConfig, state::StateDir};

fn offer() -> Offer {
    Offer {
        endpoint: "ctl.example:50056".parse().unwrap(),
        ca_fingerprint: "ab".repeat(32).parse().unwrap(),
        tenant: "default".parse().unwrap(),
        label: "web".into(),
        expires_at: jiff::Timestamp::from_second(1000).unwrap(),
        server_key: ServerSigningKey::new(SigningKey::from_seed(&[1; 32])).public(),
    }
}

fn fresh() -> Observed {
    Observed {
        state: StateDir::of_config("/h/edge/aegis-config.yaml"),
        dir: DirState::Missing,
        config: ConfigState::Missing,
        key: KeyState::Missing,
        token: NodeTokenState::Missing,
        enrollment: EnrollmentState::Missing,
        secrets: SecretsState::Missing,
    }
}

/// A host that is enrolled here already.
fn enrolled() -> Observed {
    Observed {
        dir: DirState::Present(0o700),
        config: ConfigState::Valid(Box::new(EdgeConfig {
            endpoint: Some(offer().endpoint),
            ..EdgeConfig::default()
        })),
        key: KeyState::Usable("SHA256:x".into()),
        token: NodeTokenState::Belongs(aegis_core::NodeId::of_public_key(&[1; 32])),
        secrets: SecretsState::Present(0o700),
        ..fresh()
    }
}

/// Answers in the given order, and notes what it was asked.
#[derive(Default)]
struct Script {
    answers: VecDeque<Choice>,
    asked: Vec<Vec<Choice>>,
}

impl Prompter for Script {
    fn choose(&mut self, _: &str, choices: &[Choice]) -> Result<Choice, Refusal> {
        self.asked.push(choices.to_vec());
        self.answers.pop_front().ok_or(Refusal::Nobody)
    }
}

fn decide(observed: &Observed, policy: Policy) -> Result<Plan, BootstrapError> {
    plan(observed, &offer(), policy, false, &mut Script::default())
}

fn conflicts(result: Result<Plan, BootstrapError>) -> Vec<Artifact> {
    match result {
        Err(BootstrapError::Conflicts(found)) => found.iter().map(|conflict| conflict.artifact).collect(),
        other => panic!("{other:?}"),
    }
}

/// One cell: this state of one artifact, and what each policy makes of it. `None` is a conflict.
struct Cell {
    what: &'static str,
    observed: Observed,
    artifact: Artifact,
    force: Option<Choice>,
    keep: Option<Choice>,
    non_interactive: Option<Choice>,
    /// What a person may choose from; empty: nobody is asked.
    offered: &'static [Choice],
}

#[allow(clippy::too_many_lines, reason = "the matrix is a table")]
fn cells() -> Vec<Cell> {
    let cell = |what, observed, artifact, force, keep, non_interactive, offered| Cell {
        what,
        observed,
        artifact,
        force,
        keep,
        non_interactive,
        offered,
    };
    let (all, with) = (fresh, |change: fn(&mut Observed)| {
        let mut observed = fresh();
        change(&mut observed);
        observed
    });
    let same = |choice| (Some(choice), Some(choice), Some(choice));
    let mut cells = Vec::new();
    let mut quiet = |what, observed, artifact, choice| {
        let (force, keep, non) = same(choice);
        cells.push(cell(what, observed, artifact, force, keep, non, &[]));
    };
    quiet("no dir", all(), Artifact::ConfigDir, Choice::Create);
    quiet("dir", with(|o| o.dir = DirState::Present(0o700)), Artifact::ConfigDir, Choice::Keep);
    quiet("stricter dir", with(|o| o.dir = DirState::Present(0o500)), Artifact::ConfigDir, Choice::Keep);
    quiet("open dir", with(|o| o.dir = DirState::Present(0o755)), Artifact::ConfigDir, Choice::FixMode);
    quiet("no config", all(), Artifact::Config, Choice::Create);
    quiet("no key", all(), Artifact::NodeKey, Choice::Generate);
    quiet("no token", all(), Artifact::NodeToken, Choice::Obtain);
    quiet("expired token", with(|o| o.token = NodeTokenState::Expired), Artifact::NodeToken, Choice::Replace);
    quiet(
        "token without its key",
        with(|o| o.token = NodeTokenState::Foreign("no key".into())),
        Artifact::NodeToken,
        Choice::Replace,
    );
    quiet("no jwt", all(), Artifact::EnrollmentJwt, Choice::Write);
    quiet("same jwt", with(|o| o.enrollment = EnrollmentState::Same), Artifact::EnrollmentJwt, Choice::Keep);
    quiet("service", all(), Artifact::ServiceUnit, Choice::Leave);
    quiet("no secrets", all(), Artifact::Secrets, Choice::Create);
    quiet("secrets", with(|o| o.secrets = SecretsState::Present(0o700)), Artifact::Secrets, Choice::Keep);
    quiet(
        "open secrets",
        with(|o| o.secrets = SecretsState::Present(0o750)),
        Artifact::Secrets,
        Choice::FixMode,
    );

    cells.push(cell(
        "config of this controller",
        with(|o| o.config = enrolled().config),
        Artifact::Config,
        Some(Choice::Overwrite),
        Some(Choice::UseExisting),
        None,
        &[Choice::UseExisting, Choice::Overwrite, Choice::Merge, Choice::Abort],
    ));
    cells.push(cell(
        "config of another controller",
        with(|o| {
            let endpoint = Some("other.example:1".parse().unwrap());
            o.config = ConfigState::Valid(Box::new(EdgeConfig { endpoint, ..EdgeConfig::default() }));
        }),
        Artifact::Config,
        Some(Choice::Overwrite),
        None,
        None,
        &[Choice::Overwrite, Choice::Merge, Choice::Abort],
    ));
    cells.push(cell(
        "config with another CA",
        with(|o| {
            let ca_fingerprint = Some("cd".repeat(32).parse().unwrap());
            o.config = ConfigState::Valid(Box::new(EdgeConfig { ca_fingerprint, ..EdgeConfig::default() }));
        }),
        Artifact::Config,
        Some(Choice::Overwrite),
        None,
        None,
        &[Choice::Overwrite, Choice::Merge, Choice::Abort],
    ));
    cells.push(cell(
        "broken config",
        with(|o| o.config = ConfigState::Invalid("x".into())),
        Artifact::Config,
        Some(Choice::Overwrite),
        None,
        None,
        &[Choice::Overwrite, Choice::Abort],
    ));
    cells.push(cell(
        "key",
        with(|o| o.key = enrolled().key),
        Artifact::NodeKey,
        Some(Choice::Generate),
        Some(Choice::Reuse),
        None,
        &[Choice::Reuse, Choice::Generate, Choice::Abort],
    ));
    cells.push(cell(
        "broken key",
        with(|o| o.key = KeyState::Broken("x".into())),
        Artifact::NodeKey,
        Some(Choice::Generate),
        None,
        None,
        &[Choice::Generate, Choice::Abort],
    ));
    cells.push(cell(
        "another jwt",
        with(|o| o.enrollment = EnrollmentState::Other("db".into())),
        Artifact::EnrollmentJwt,
        Some(Choice::Replace),
        None,
        None,
        &[Choice::Replace, Choice::Abort],
    ));
    cells
}

#[test]
fn every_cell_of_the_matrix() {
    for cell in cells() {
        for (policy, want) in [
            (Policy::Force, cell.force),
            (Policy::KeepExisting, cell.keep),
            (Policy::NonInteractive, cell.non_interactive),
        ] {
            let result = decide(&cell.observed, policy);
            match want {
                Some(choice) => {
                    assert_eq!(
                        result.unwrap().chosen(cell.artifact),
                        Some(choice),
                        "{} {policy:?}",
                        cell.what
                    );
                }
                None => assert_eq!(conflicts(result), [cell.artifact], "{} {policy:?}", cell.what),
            }
        }
        let mut script =
            Script { answers: cell.offered.iter().copied().take(1).collect(), ..Script::default() };
        let asked = plan(&cell.observed, &offer(), Policy::Ask, false, &mut script).unwrap();
        let offered: Vec<_> = script.asked.iter().map(Vec::as_slice).collect();
        assert_eq!(
            offered,
            if cell.offered.is_empty() { vec![] } else { vec![cell.offered] },
            "{}",
            cell.what
        );
        if let Some(first) = cell.offered.first() {
            assert_eq!(asked.chosen(cell.artifact), Some(*first), "{}", cell.what);
        }
        let dry = plan(&cell.observed, &offer(), Policy::Ask, true, &mut Script::default()).unwrap();
        if !cell.offered.is_empty() {
            assert_eq!(dry.chosen(cell.artifact), Some(Choice::Ask), "{}", cell.what);
        }
    }
}

#[test]
fn every_choice_a_person_makes_is_taken_and_abort_stops() {
    for cell in cells() {
        for choice in cell.offered {
            let mut script = Script { answers: [*choice].into(), ..Script::default() };
            let result = plan(&cell.observed, &offer(), Policy::Ask, false, &mut script);
            if *choice == Choice::Abort {
                let error = result.unwrap_err();
                assert_eq!(error, BootstrapError::Aborted(cell.artifact), "{}", cell.what);
                assert_eq!(error.exit_code(), ExitCode::Cancelled);
            } else {
                assert_eq!(result.unwrap().chosen(cell.artifact), Some(*choice), "{}", cell.what);
            }
        }
    }
}

#[test]
fn keep_existing_with_key_and_token_contacts_nobody_and_writes_no_enrolment_token() {
    let plan = decide(&enrolled(), Policy::KeepExisting).unwrap();
    assert!(!plan.contacts_controller);
    assert_eq!(plan.chosen(Artifact::NodeKey), Some(Choice::Reuse));
    assert_eq!(plan.chosen(Artifact::NodeToken), Some(Choice::Reuse));
    assert_eq!(plan.chosen(Artifact::EnrollmentJwt), Some(Choice::Leave));
}

#[test]
fn keep_existing_refuses_a_token_that_does_not_belong() {
    let observed =
        Observed { token: NodeTokenState::Foreign("it belongs to another key".into()), ..enrolled() };
    let result = decide(&observed, Policy::KeepExisting);
    let text = result.as_ref().unwrap_err().to_string();
    assert_eq!(result.as_ref().unwrap_err().exit_code(), ExitCode::BootstrapConflict);
    assert!(text.contains("node.token: it belongs to another key"), "{text}");
    assert_eq!(conflicts(result), [Artifact::NodeToken]);
    // A person can only replace it.
    let mut script =
        Script { answers: [Choice::UseExisting, Choice::Reuse, Choice::Replace].into(), ..Script::default() };
    let asked = plan(&observed, &offer(), Policy::Ask, false, &mut script).unwrap();
    assert!(asked.contacts_controller);
    assert_eq!(script.asked[2], [Choice::Replace, Choice::Abort]);
}

#[test]
fn a_person_may_keep_the_key_and_still_take_a_new_token() {
    let mut script =
        Script { answers: [Choice::Merge, Choice::Reuse, Choice::Replace].into(), ..Script::default() };
    let asked = plan(&enrolled(), &offer(), Policy::Ask, false, &mut script).unwrap();
    assert!(asked.contacts_controller);
    assert_eq!(script.asked[2], [Choice::Reuse, Choice::Replace, Choice::Abort]);
    assert_eq!(asked.chosen(Artifact::EnrollmentJwt), Some(Choice::Write));
}

#[test]
fn non_interactive_names_every_conflict_at_once() {
    let result = decide(&enrolled(), Policy::NonInteractive);
    assert_eq!(conflicts(result), [Artifact::Config, Artifact::NodeKey, Artifact::NodeToken]);
    assert!(decide(&fresh(), Policy::NonInteractive).is_ok());
}

#[test]
fn without_a_terminal_a_question_is_a_conflict() {
    let error = plan(&enrolled(), &offer(), Policy::Ask, false, &mut super::super::Unattended).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::BootstrapConflict);
    assert!(error.to_string().contains("nobody can be asked"), "{error}");
    assert!(error.hint().unwrap().contains("--keep-existing"));
}

#[test]
fn force_warns_of_what_it_costs() {
    let plan = decide(&enrolled(), Policy::Force).unwrap();
    let warned: Vec<_> = plan.warnings().map(|(artifact, _)| artifact).collect();
    assert_eq!(warned, [Artifact::Config, Artifact::NodeKey]);
    assert_eq!(plan.chosen(Artifact::NodeToken), Some(Choice::Replace));
    assert!(decide(&fresh(), Policy::Force).unwrap().warnings().next().is_none());
}

#[test]
fn a_directory_that_cannot_be_ours_is_a_conflict_under_every_policy() {
    let observed = Observed { dir: DirState::Unusable("others use it too"), ..fresh() };
    for policy in [Policy::Ask, Policy::NonInteractive, Policy::Force, Policy::KeepExisting] {
        assert_eq!(conflicts(decide(&observed, policy)), [Artifact::ConfigDir]);
    }
}

#[test]
fn the_plan_is_shown_as_a_table_and_as_json() {
    let plan = decide(&enrolled(), Policy::Force).unwrap();
    let table = crate::bootstrap::table(&plan);
    assert!(table.starts_with("ARTIFACT"), "{table}");
    assert!(table.contains("warning: locks out the old enrolment"), "{table}");
    assert!(table.contains("not installed by this version"), "{table}");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["decisions"][2]["artifact"], "node.key");
    assert_eq!(json["decisions"][2]["chosen"], "generate");
    assert_eq!(json["decisions"][2]["choices"], serde_json::json!(["reuse", "generate", "abort"]));
    assert_eq!(json["endpoint"], "ctl.example:50056");
}
