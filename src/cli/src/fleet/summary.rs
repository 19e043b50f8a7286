//! How a run ended, host by host and in one line.

use std::time::Duration;

use aegis_core::fleet::{RunState, TargetOutcome};
use aegis_wire::operator::{Run, RunTarget};

use super::{Board, visible};
use crate::output::table;

/// With more hosts than this, only those that aren't ok have a row.
const MOST_ROWS: usize = 50;

/// The hosts with how each ended; of many only those that didn't end well.
pub fn results_table(board: &Board) -> String {
    let all = board.targets.len() <= MOST_ROWS;
    let ended_well = |place: usize| {
        board.results.get(place).and_then(Option::as_ref).is_some_and(|r| r.outcome == TargetOutcome::Ok)
    };
    let rows: Vec<_> = board.rows().enumerate().filter(|(place, _)| all || !ended_well(*place)).collect();
    if rows.is_empty() {
        return String::new();
    }
    table(
        ["NODE", "NAME", "OUTCOME", "EXIT", "DURATION"],
        rows.into_iter().map(|(place, (host, result)): (usize, (&RunTarget, _))| {
            [
                host.node_id.to_string(),
                visible(&host.name).into_owned(),
                board.state_of(place).to_owned(),
                result.and_then(|result| result.exit_code).map(|code| code.to_string()).unwrap_or_default(),
                result
                    .filter(|result| result.outcome != TargetOutcome::NotStarted && result.duration_ms > 0)
                    .map(|result| duration(result.duration()))
                    .unwrap_or_default(),
            ]
        }),
    )
}

/// `3 ok, 1 error, 2 not started`.
pub fn counts(board: &Board) -> String {
    let ended = board.counts.0.iter().map(|(outcome, count)| (*count, outcome.as_str().replace('_', " ")));
    let in_flight = board.in_flight() as u64;
    let waiting = (board.targets.len() as u64).saturating_sub(board.counts.total() + in_flight);
    let rest = [
        (in_flight, "running".to_owned()),
        (waiting, "waiting".to_owned()),
        (board.skipped.len() as u64, "skipped".to_owned()),
    ];
    let parts: Vec<String> = ended
        .chain(rest)
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() { "no hosts".to_owned() } else { parts.join(", ") }
}

/// The counts, and why the run is over if not all hosts had their turn.
pub fn verdict(board: &Board, run: &Run) -> String {
    let counts = counts(board);
    let reason = visible(&run.reason);
    match run.state {
        RunState::Running | RunState::Ok | RunState::Failed => counts,
        RunState::TimedOut => format!("{counts}; the deadline was {}", deadline(run)),
        // The reason says who cancelled it.
        RunState::Cancelled if !reason.is_empty() => format!("{counts}; {reason}"),
        state if reason.is_empty() => format!("{counts}; {state}"),
        state => format!("{counts}; {state}: {reason}"),
    }
}

/// A run's deadline as it is typed.
pub fn deadline(run: &Run) -> String {
    aegis_core::HumanDuration(Duration::from_millis(run.deadline_ms)).to_string()
}

/// `5 hosts`.
pub fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

/// `350ms`, `1.2s`, `2m05s`, `3h07m`: three digits say enough of how long something took.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Keep, sample::Sample},
        *,
    };

    #[test]
    fn every_host_has_a_row_and_every_outcome_a_count() {
        let mut sample = Sample::new(["web-1", "web-2", "web-3", "web-4"]);
        let mut board = Board::new(Keep::Nothing);
        board.take(&sample.started());
        board.take(&sample.ended(0, TargetOutcome::Ok, ""));
        board.take(&sample.ended(1, TargetOutcome::Error, ""));
        board.take(&sample.ended(2, TargetOutcome::NotStarted, ""));
        assert_eq!(
            results_table(&board),
            "NODE                    NAME   OUTCOME      EXIT  DURATION\n\
             n-00000000000000000000  web-1  ok           0     1.2s\n\
             n-00000000000000000001  web-2  error        1     1.2s\n\
             n-00000000000000000002  web-3  not_started  -     -\n\
             n-00000000000000000003  web-4  waiting      -     -\n"
        );
        assert_eq!(counts(&board), "1 ok, 1 error, 1 not started, 1 waiting");
        let mut run = sample.run(RunState::Halted);
        run.reason = "fail-fast: 1 of 4 targets failed".into();
        assert!(verdict(&board, &run).ends_with("waiting; halted: fail-fast: 1 of 4 targets failed"));
        for (state, reason, end) in [
            (RunState::Cancelled, "cancelled by alice", "; cancelled by alice"),
            (RunState::Cancelled, "", "; cancelled"),
            (RunState::Interrupted, "the controller ended", "; interrupted: the controller ended"),
            (RunState::TimedOut, "", "; the deadline was 1m"),
            (RunState::Failed, "", "1 waiting"),
        ] {
            let run = Run { reason: reason.into(), ..sample.run(state) };
            assert!(verdict(&board, &run).ends_with(end), "{state}");
        }
    }

    #[test]
    fn of_many_hosts_only_those_that_did_not_end_well_have_a_row() {
        let names: Vec<String> = (0..51).map(|number| format!("web-{number}")).collect();
        let mut sample = Sample::of(names);
        let mut board = Board::new(Keep::Nothing);
        board.take(&sample.started());
        for target in 0..51 {
            let outcome = if target == 7 { TargetOutcome::Error } else { TargetOutcome::Ok };
            board.take(&sample.ended(target, outcome, ""));
        }
        assert_eq!(results_table(&board).lines().count(), 2);
        assert!(results_table(&board).contains("web-7 "));
    }

    #[test]
    fn durations_have_about_three_digits() {
        for (millis, text) in [
            (0, "0ms"),
            (350, "350ms"),
            (1_299, "1.2s"),
            (59_999, "59.9s"),
            (125_000, "2m05s"),
            (11_220_000, "3h07m"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
