//! The dispatcher against a world of unreliable hosts and unsteady people, with made-up time: ten thousand of them, each
//! made from its seed alone, and the laws checked after each step.

use std::{collections::BTreeSet, time::Duration};

use super::{FleetRun, Input, RunState, TargetOutcome};
use laws::Witness;
use world::World;

mod laws;
mod world;

const SEEDS: u64 = 10_000;

/// Names the seed also when the machine itself panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing seed is {}", self.0);
        }
    }
}

/// One run from its start to its end, as it ended; the error names the law that was broken.
fn simulate(seed: u64) -> Result<FleetRun, String> {
    let (mut world, targets, strategy) = World::new(seed);
    let mut run = FleetRun::new(targets, strategy);
    let mut witness = Witness::new(targets, strategy);
    let mut actions = Vec::new();
    let mut now = Duration::ZERO;
    // Enough for each target's results and the world's whims; a run that takes more is turning in circles.
    let mut steps = 1_000 + 20 * u64::from(targets);
    while !witness.is_over() {
        steps = steps.checked_sub(1).ok_or("the run must end: it turns in circles")?;
        let due = run.due();
        let (at, input) = match (world.next_at(), due) {
            (None, None) => return Err(format!("the run must end: nothing is due, {run:?}")),
            (Some(next), due) if due.is_none_or(|due| next < due) => world.next(),
            (_, due) => (due.unwrap_or_default(), Some(Input::Tick)),
        };
        if at < now {
            return Err(format!("what is due must not be past: {at:?} at {now:?}"));
        }
        now = at;
        let Some(input) = input else { continue };
        actions.clear();
        run.on(input.clone(), now, &mut actions);
        let told = |law| format!("{law}, at {now:?} after {input:?} with {strategy:?}, actions {actions:?}");
        witness.saw(&input, now, &actions, &run).map_err(told)?;
        world.act(now, &actions);
    }
    for input in [Input::Start, Input::Proceed, Input::Cancel, Input::Tick] {
        actions.clear();
        run.on(input, now + Duration::from_hours(1), &mut actions);
        if !actions.is_empty() || run.due().is_some() {
            return Err(format!("after the end nothing must happen: {actions:?}"));
        }
    }
    witness.at_the_end(&run)?;
    Ok(run)
}

#[test]
fn the_laws_hold_in_ten_thousand_worlds() {
    let (mut states, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..SEEDS {
        let seed = Seed(number);
        match simulate(seed.0) {
            Ok(run) => {
                states.insert(run.state());
                outcomes.extend(run.counts().0.keys().copied());
            }
            Err(law) => panic!("{law}"),
        }
    }
    let all = RunState::ALL.iter().filter(|s| !matches!(s, RunState::Running | RunState::Interrupted));
    assert!(states.iter().eq(all), "the worlds must lead everywhere: {states:?}");
    assert!(outcomes.iter().eq(TargetOutcome::ALL), "the worlds must lead everywhere: {outcomes:?}");
}
