//! Where rollouts are: in words, as a table, and as an exit code; and waiting until one is over.

use std::time::Duration;

use aegis_core::{ExitCode, fleet::Counts};
use aegis_wire::{
    ApiError, Code,
    operator::{OperatorClient, RolloutHost, RolloutPhase, RolloutStatus},
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::{
    failure::Failure,
    fleet::{duration, visible},
    output::{fields, table},
};

/// How often a rollout is asked for while somebody waits for it.
const ASKED_EVERY: Duration = Duration::from_millis(500);
/// How long a controller that is away is asked again.
const AWAY_AT_MOST: Duration = Duration::from_secs(30);
/// How many rollouts are asked for at once.
const AT_ONCE: usize = 16;

/// Whoever knows where rollouts are.
pub trait Rollouts {
    /// Where the rollout of this name is.
    fn status(&self, name: &str) -> impl Future<Output = Result<RolloutStatus, ApiError>>;
}

impl Rollouts for OperatorClient {
    async fn status(&self, name: &str) -> Result<RolloutStatus, ApiError> {
        self.get_rollout(name).await
    }
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The rollout's name.
    pub name: String,
    /// Of which of its specs the end is waited for, at least: what was before counts no more.
    pub generation: Option<u64>,
}

/// Waits until a rollout is over; `changed` hears of each change.
pub async fn until_over(
    rollouts: &impl Rollouts,
    awaited: &Awaited,
    mut changed: impl FnMut(&RolloutStatus) -> Result<(), Failure>,
) -> Result<RolloutStatus, Failure> {
    let mut last: Option<RolloutStatus> = None;
    let mut away_since = None;
    loop {
        match rollouts.status(&awaited.name).await {
            Ok(status) => {
                away_since = None;
                let counts = awaited.generation.is_none_or(|least| status.generation >= least);
                if counts && last.as_ref() != Some(&status) {
                    changed(&status)?;
                }
                if counts && status.phase.is_over() {
                    return Ok(status);
                }
                last = Some(status);
            }
            Err(error) if error.code == Code::Unavailable => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= AWAY_AT_MOST {
                    return Err(error.into());
                }
            }
            // What was declared a moment ago has no status yet.
            Err(error) if error.code == Code::NotFound && awaited.generation.is_some() => {}
            Err(error) => return Err(unknown(error, &awaited.name)),
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

/// Where each of these is; none where there is nothing to say of it yet.
pub async fn statuses(
    client: &OperatorClient,
    names: impl IntoIterator<Item = String>,
) -> Result<Vec<Option<RolloutStatus>>, Failure> {
    let ask = |name: String| async move {
        match client.status(&name).await {
            Ok(status) => Ok(Some(status)),
            Err(error) if error.code == Code::NotFound => Ok(None),
            Err(error) => Err(Failure::from(error)),
        }
    };
    stream::iter(names).map(ask).buffered(AT_ONCE).try_collect().await
}

/// That there is no such rollout, with the way to find the one that was meant.
pub fn unknown(error: ApiError, name: &str) -> Failure {
    match error.code {
        Code::NotFound => Failure::not_found(format!("there is no Rollout/{name}"))
            .hint("`aegis rollout ls` lists the rollouts"),
        _ => error.into(),
    }
}

/// What a command that waited for a rollout ends with. What isn't over is no failure.
pub const fn exit_code(phase: RolloutPhase) -> ExitCode {
    match phase {
        RolloutPhase::Halted | RolloutPhase::RolledBack => ExitCode::FleetHalted,
        RolloutPhase::Aborted => ExitCode::Cancelled,
        RolloutPhase::Failed => ExitCode::Generic,
        RolloutPhase::Pending
        | RolloutPhase::Running
        | RolloutPhase::Waiting
        | RolloutPhase::Paused
        | RolloutPhase::Complete => ExitCode::Success,
    }
}

/// `running, wave 2 of 3: 4 ok, 1 error; …` in one line.
pub fn line(status: &RolloutStatus) -> String {
    let wave = wave(status).map(|wave| format!(", wave {wave}")).unwrap_or_default();
    let message =
        if status.message.is_empty() { String::new() } else { format!("; {}", visible(&status.message)) };
    format!("{}{wave}: {}{message}", status.phase, counts(&status.outcomes, status.targets))
}

/// `4 ok, 1 error of 6 hosts`.
fn counts(outcomes: &Counts, targets: u64) -> String {
    let parts: Vec<String> = outcomes
        .0
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(outcome, count)| format!("{count} {}", outcome.as_str().replace('_', " ")))
        .collect();
    let ended = if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
    format!("{ended} of {targets} hosts")
}

/// `2 of 3`; none before the first.
pub fn wave(status: &RolloutStatus) -> Option<String> {
    (status.wave > 0).then(|| match status.waves {
        0 => status.wave.to_string(),
        waves => format!("{} of {waves}", status.wave),
    })
}

/// The fields, without the hosts.
pub fn lines(status: &RolloutStatus) -> Vec<(&'static str, String)> {
    let took = match (status.started_at, status.finished_at) {
        (Some(begin), Some(end)) => duration(end.duration_since(begin).unsigned_abs()),
        _ => String::new(),
    };
    let time = [status.started_at, status.finished_at]
        .map(|at| at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default());
    let [started, finished] = time;
    let runs: Vec<&str> = status.runs.iter().map(aegis_core::fleet::RunId::as_str).collect();
    let lines = [
        ("phase", status.phase.to_string()),
        ("message", visible(&status.message).into_owned()),
        ("generation", status.generation.to_string()),
        ("wave", wave(status).unwrap_or_default()),
        ("hosts", counts(&status.outcomes, status.targets)),
        ("started", started),
        ("finished", finished),
        ("duration", took),
        ("runs", runs.join(", ")),
    ];
    lines.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// The whole status.
pub fn text(status: &RolloutStatus) -> String {
    let text = fields([("name", status.name.clone())].into_iter().chain(lines(status)));
    if status.hosts.is_empty() { text } else { text + "\n" + &hosts_table(&status.hosts) }
}

/// The hosts with where each is.
pub fn hosts_table(hosts: &[RolloutHost]) -> String {
    let row = |host: &RolloutHost| {
        [
            host.node_id.to_string(),
            visible(&host.name).into_owned(),
            host.state.clone(),
            host.run_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    };
    table(["NODE", "NAME", "STATE", "RUN"], hosts.iter().map(row))
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::cell::RefCell;

    use aegis_core::{
        NodeId,
        fleet::{RunId, TargetOutcome},
    };

    use super::*;

    pub fn status(phase: RolloutPhase, generation: u64) -> RolloutStatus {
        let mut outcomes = Counts::default();
        outcomes.add(TargetOutcome::Ok);
        let run = RunId::at(1, [0; 4]);
        RolloutStatus {
            name: "reload".into(),
            generation,
            phase,
            message: String::new(),
            wave: 2,
            waves: 3,
            targets: 3,
            outcomes,
            started_at: Some("2026-04-28T14:32:11Z".parse().unwrap()),
            finished_at: phase.is_over().then(|| "2026-04-28T14:33:16Z".parse().unwrap()),
            runs: vec![run.clone()],
            hosts: vec![RolloutHost {
                node_id: NodeId::new("n-00000000000000000000").unwrap(),
                name: "web-1".into(),
                state: "ok".into(),
                run_id: Some(run),
            }],
        }
    }

    /// Answers one question after the other; the last answer stays.
    struct Fake(RefCell<Vec<Result<RolloutStatus, Code>>>);

    impl Rollouts for Fake {
        async fn status(&self, _: &str) -> Result<RolloutStatus, ApiError> {
            let mut answers = self.0.borrow_mut();
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            answer.map_err(|code| ApiError::new(code, "no"))
        }
    }

    async fn wait(
        answers: Vec<Result<RolloutStatus, Code>>,
        generation: Option<u64>,
    ) -> (Vec<String>, Result<RolloutPhase, ExitCode>) {
        let fake = Fake(RefCell::new(answers));
        let mut heard = Vec::new();
        let awaited = Awaited { name: "reload".into(), generation };
        let changed = |status: &RolloutStatus| {
            heard.push(format!("{} {}", status.generation, status.phase));
            Ok(())
        };
        let end = until_over(&fake, &awaited, changed).await;
        (heard, end.map(|status| status.phase).map_err(|failure| failure.exit))
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_older_generation_is_not_the_one_that_is_waited_for() {
        use RolloutPhase::{Complete, Running};
        let answers = vec![
            Err(Code::NotFound),
            Ok(status(Complete, 4)),
            Err(Code::Unavailable),
            Ok(status(Running, 7)),
            Ok(status(Running, 7)),
            Ok(status(Complete, 7)),
        ];
        let (heard, end) = wait(answers, Some(7)).await;
        assert_eq!((heard, end), (vec!["7 running".to_owned(), "7 complete".to_owned()], Ok(Complete)));
        assert_eq!(wait(vec![Ok(status(Complete, 4))], None).await.1, Ok(Complete));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_or_stays_away_is_not_waited_for() {
        assert_eq!(wait(vec![Err(Code::NotFound)], None).await.1, Err(ExitCode::Unavailable));
        let begun = Instant::now();
        assert_eq!(wait(vec![Err(Code::Unavailable)], None).await.1, Err(ExitCode::Generic));
        assert!(begun.elapsed() >= AWAY_AT_MOST && begun.elapsed() < 2 * AWAY_AT_MOST);
    }

    #[test]
    fn every_phase_has_its_exit_code() {
        for (phase, code) in [
            (RolloutPhase::Pending, 0),
            (RolloutPhase::Running, 0),
            (RolloutPhase::Waiting, 0),
            (RolloutPhase::Paused, 0),
            (RolloutPhase::Complete, 0),
            (RolloutPhase::Failed, 1),
            (RolloutPhase::Halted, 6),
            (RolloutPhase::RolledBack, 6),
            (RolloutPhase::Aborted, 7),
        ] {
            assert_eq!(exit_code(phase).code(), code, "{phase}");
        }
    }

    #[test]
    fn a_rollout_is_shown_with_its_hosts() {
        let mut halted = status(RolloutPhase::Halted, 7);
        halted.message = "the health check failed on web-1".into();
        assert_eq!(line(&halted), "halted, wave 2 of 3: 1 ok of 3 hosts; the health check failed on web-1");
        assert_eq!(
            text(&halted),
            "name:       reload\n\
             phase:      halted\n\
             message:    the health check failed on web-1\n\
             generation: 7\n\
             wave:       2 of 3\n\
             hosts:      1 ok of 3 hosts\n\
             started:    2026-04-28T14:32:11Z\n\
             finished:   2026-04-28T14:33:16Z\n\
             duration:   1m05s\n\
             runs:       r-00000000000100000000\n\
             \n\
             NODE                    NAME   STATE  RUN\n\
             n-00000000000000000000  web-1  ok     r-00000000000100000000\n"
        );
    }
}
