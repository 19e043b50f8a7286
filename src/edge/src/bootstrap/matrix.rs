//! The bootstrap matrix (2-protocol.md, "Enrolment") as one function from what is there to what is done.

use super::{
    Artifact, BootstrapError, Choice, ConfigState, Conflict, Decision, DirState, EnrollmentState, KeyState,
    NodeTokenState, Observed, Offer, Plan, Policy, Prompter, Refusal, SecretsState,
};

/// Decides what to do with each artifact. Touches nothing. A dry run asks nobody: what would be asked is shown as such.
pub fn plan(
    observed: &Observed,
    offer: &Offer,
    policy: Policy,
    dry_run: bool,
    prompter: &mut dyn Prompter,
) -> Result<Plan, BootstrapError> {
    let mut planner =
        Planner { observed, offer, policy, dry_run, prompter, decisions: Vec::new(), conflicts: Vec::new() };
    planner.dir();
    planner.config()?;
    let key = planner.key()?;
    let token = planner.token(key)?;
    let reused = key == Choice::Reuse && token == Choice::Reuse;
    planner.enrollment(reused)?;
    planner.service();
    planner.secrets();
    if !planner.conflicts.is_empty() {
        return Err(BootstrapError::Conflicts(planner.conflicts));
    }
    Ok(Plan {
        endpoint: offer.endpoint.clone(),
        ca_fingerprint: offer.ca_fingerprint,
        tenant: offer.tenant.clone(),
        server_key: offer.server_key.clone(),
        contacts_controller: !reused,
        decisions: planner.decisions,
    })
}

/// An artifact about which there is something to choose.
struct Question {
    artifact: Artifact,
    state: String,
    choices: Vec<Choice>,
    /// What `--keep-existing` takes, or why nothing can be kept.
    keep: Result<Choice, String>,
    /// What `--force` takes.
    force: Choice,
}

struct Planner<'a> {
    observed: &'a Observed,
    offer: &'a Offer,
    policy: Policy,
    dry_run: bool,
    prompter: &'a mut dyn Prompter,
    decisions: Vec<Decision>,
    conflicts: Vec<Conflict>,
}

impl Planner<'_> {
    fn dir(&mut self) {
        let (state, chosen) = match &self.observed.dir {
            DirState::Missing => ("missing".to_owned(), Choice::Create),
            DirState::Present(mode) => judge_mode(*mode),
            DirState::Unusable(why) => {
                self.conflict(Artifact::ConfigDir, "unusable", why, &[]);
                return;
            }
        };
        self.record(Artifact::ConfigDir, state, chosen, None, None);
    }

    fn config(&mut self) -> Result<(), BootstrapError> {
        let (state, keep, choices) = match &self.observed.config {
            ConfigState::Missing => {
                self.record(Artifact::Config, "missing".to_owned(), Choice::Create, None, None);
                return Ok(());
            }
            ConfigState::Invalid(why) => {
                let keep = Err(format!("it can't be used as it is: {why}"));
                ("invalid".to_owned(), keep, vec![Choice::Overwrite, Choice::Abort])
            }
            ConfigState::Valid(config) => {
                let endpoint = config.endpoint.as_ref().filter(|have| **have != self.offer.endpoint);
                let ca = config.ca_fingerprint.as_ref().filter(|have| **have != self.offer.ca_fingerprint);
                match (endpoint, ca) {
                    (None, None) => (
                        "present".to_owned(),
                        Ok(Choice::UseExisting),
                        vec![Choice::UseExisting, Choice::Overwrite, Choice::Merge, Choice::Abort],
                    ),
                    (endpoint, _) => {
                        let what = match endpoint {
                            Some(have) => {
                                format!("it names {have}, the enrolment token {}", self.offer.endpoint)
                            }
                            None => {
                                "it pins another certificate authority than the enrolment token".to_owned()
                            }
                        };
                        (
                            "for another controller".to_owned(),
                            Err(what),
                            vec![Choice::Overwrite, Choice::Merge, Choice::Abort],
                        )
                    }
                }
            }
        };
        let question = Question {
            artifact: Artifact::Config,
            state: state.clone(),
            choices,
            keep,
            force: Choice::Overwrite,
        };
        let Some(chosen) = self.decide(&question)? else { return Ok(()) };
        let reason = match chosen {
            Choice::UseExisting => Some("the tenant, and what is missing, is filled in"),
            Choice::Merge => Some("endpoint, caFingerprint and tenant are set, everything else stays"),
            _ => None,
        };
        let warning = (chosen == Choice::Overwrite).then_some("the settings and comments in it are lost");
        self.answered(question, chosen, reason, warning);
        Ok(())
    }

    fn key(&mut self) -> Result<Choice, BootstrapError> {
        let question = match &self.observed.key {
            KeyState::Missing => {
                self.record(Artifact::NodeKey, "missing".to_owned(), Choice::Generate, None, None);
                return Ok(Choice::Generate);
            }
            KeyState::Usable(fingerprint) => Question {
                artifact: Artifact::NodeKey,
                state: format!("present ({fingerprint})"),
                choices: vec![Choice::Reuse, Choice::Generate, Choice::Abort],
                keep: Ok(Choice::Reuse),
                force: Choice::Generate,
            },
            KeyState::Broken(why) => Question {
                artifact: Artifact::NodeKey,
                state: "broken".to_owned(),
                choices: vec![Choice::Generate, Choice::Abort],
                keep: Err(format!("it can't be used: {why}")),
                force: Choice::Generate,
            },
        };
        let Some(chosen) = self.decide(&question)? else { return Ok(Choice::Ask) };
        let warning = (chosen == Choice::Generate).then_some(
            "locks out the old enrolment: the old key goes to archive/, its node stays listed until it is revoked",
        );
        self.answered(question, chosen, None, warning);
        Ok(chosen)
    }

    fn token(&mut self, key: Choice) -> Result<Choice, BootstrapError> {
        let artifact = Artifact::NodeToken;
        let state = &self.observed.token;
        if key == Choice::Generate && *state != NodeTokenState::Missing {
            let reason = Some("a token is useless without its key");
            self.record(artifact, "present".to_owned(), Choice::Replace, reason, None);
            return Ok(Choice::Replace);
        }
        let question = match state {
            NodeTokenState::Missing => {
                let reason = Some("after the challenge");
                self.record(artifact, "missing".to_owned(), Choice::Obtain, reason, None);
                return Ok(Choice::Obtain);
            }
            NodeTokenState::Expired => {
                self.record(
                    artifact,
                    "expired".to_owned(),
                    Choice::Replace,
                    Some("after the challenge"),
                    None,
                );
                return Ok(Choice::Replace);
            }
            NodeTokenState::Belongs(node) => Question {
                artifact,
                state: format!("present ({node})"),
                choices: vec![Choice::Reuse, Choice::Replace, Choice::Abort],
                keep: Ok(Choice::Reuse),
                force: Choice::Replace,
            },
            NodeTokenState::Foreign(why) => Question {
                artifact,
                state: "foreign".to_owned(),
                choices: vec![Choice::Replace, Choice::Abort],
                keep: Err(why.clone()),
                force: Choice::Replace,
            },
        };
        let Some(chosen) = self.decide(&question)? else { return Ok(Choice::Ask) };
        let reason = match (chosen, state) {
            (Choice::Reuse, _) => {
                Some("nothing is asked of the controller; the enrolment token stays unused")
            }
            (Choice::Replace, _) => Some("after the challenge"),
            _ => None,
        };
        self.answered(question, chosen, reason, None);
        Ok(chosen)
    }

    fn enrollment(&mut self, reused: bool) -> Result<(), BootstrapError> {
        let artifact = Artifact::EnrollmentJwt;
        let once = Some("removed after success");
        let (state, chosen, reason) = match (&self.observed.enrollment, reused) {
            (_, true) => ("not needed", Choice::Leave, None),
            (EnrollmentState::Missing, false) => ("missing", Choice::Write, once),
            (EnrollmentState::Same, false) => ("present", Choice::Keep, once),
            (EnrollmentState::Other(label), false) => {
                let question = Question {
                    artifact,
                    state: format!("another ('{label}')"),
                    choices: vec![Choice::Replace, Choice::Abort],
                    keep: Err(format!("another enrolment token ('{label}') is there and may still be good")),
                    force: Choice::Replace,
                };
                if let Some(chosen) = self.decide(&question)? {
                    self.answered(question, chosen, once, None);
                }
                return Ok(());
            }
        };
        self.record(artifact, state.to_owned(), chosen, reason, None);
        Ok(())
    }

    fn service(&mut self) {
        let reason = "not installed by this version; run 'aegis edge run --config …'";
        self.record(Artifact::ServiceUnit, "not managed".to_owned(), Choice::Leave, Some(reason), None);
    }

    fn secrets(&mut self) {
        let (state, chosen) = match self.observed.secrets {
            SecretsState::Missing => ("missing".to_owned(), Choice::Create),
            SecretsState::Present(mode) => judge_mode(mode),
        };
        self.record(Artifact::Secrets, state, chosen, None, None);
    }

    /// What the policy, or a person, chooses. `None`: a conflict was noted.
    fn decide(&mut self, question: &Question) -> Result<Option<Choice>, BootstrapError> {
        let conflict = |this: &mut Self, reason: &str| {
            this.conflict(question.artifact, &question.state, reason, &question.choices);
            Ok(None)
        };
        match self.policy {
            Policy::Force => Ok(Some(question.force)),
            Policy::KeepExisting => match &question.keep {
                Ok(choice) => Ok(Some(*choice)),
                Err(why) => conflict(self, why),
            },
            Policy::NonInteractive => match &question.keep {
                Ok(_) => conflict(self, "it is there already"),
                Err(why) => conflict(self, why),
            },
            Policy::Ask if self.dry_run => Ok(Some(Choice::Ask)),
            Policy::Ask => {
                let text = match &question.keep {
                    Ok(_) => format!("{} is {}", question.artifact.as_str(), question.state),
                    Err(why) => format!("{} is {}: {why}", question.artifact.as_str(), question.state),
                };
                match self.prompter.choose(&text, &question.choices) {
                    Err(Refusal::Nobody) => conflict(self, "it is there already, and nobody can be asked"),
                    Ok(Choice::Abort) | Err(Refusal::GaveUp) => {
                        Err(BootstrapError::Aborted(question.artifact))
                    }
                    Ok(choice) => Ok(Some(choice)),
                }
            }
        }
    }

    fn answered(&mut self, question: Question, chosen: Choice, reason: Option<&str>, warning: Option<&str>) {
        self.record(question.artifact, question.state, chosen, reason, warning);
        if let Some(decision) = self.decisions.last_mut() {
            decision.choices = question.choices;
        }
    }

    fn record(
        &mut self,
        artifact: Artifact,
        state: String,
        chosen: Choice,
        reason: Option<&str>,
        warning: Option<&str>,
    ) {
        let files = &self.observed.state;
        let path = match artifact {
            Artifact::ConfigDir => files.dir().to_path_buf(),
            Artifact::Config => files.config().to_path_buf(),
            Artifact::NodeKey => files.node_key(),
            Artifact::NodeToken => files.node_token(),
            Artifact::EnrollmentJwt => files.enrollment(),
            Artifact::Secrets => files.secrets(),
            Artifact::ServiceUnit => std::path::PathBuf::new(),
        };
        self.decisions.push(Decision {
            artifact,
            path: path.display().to_string(),
            state,
            choices: Vec::new(),
            chosen,
            reason: reason.map(ToOwned::to_owned),
            warning: warning.map(ToOwned::to_owned),
        });
    }

    fn conflict(&mut self, artifact: Artifact, state: &str, reason: &str, choices: &[Choice]) {
        self.conflicts.push(Conflict {
            artifact,
            state: state.to_owned(),
            reason: reason.to_owned(),
            choices: choices.to_vec(),
        });
    }
}

/// A directory that must be 0700.
fn judge_mode(mode: u32) -> (String, Choice) {
    let state = format!("present ({mode:04o})");
    if mode & !0o700 == 0 { (state, Choice::Keep) } else { (state, Choice::FixMode) }
}

#[cfg(test)]
#[path = "matrix_tests.rs"]
mod tests;
