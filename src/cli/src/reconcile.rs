//! The way that every changing command takes: plan, show, ask, apply, report.

use std::time::Duration;

use aegis_core::{ExitCode, HumanDuration, Outcome, Owner};
use aegis_engine::{
    apply,
    event::Report,
    imperative::{self, WishError},
    intent::Wish,
    plan::{Plan, Problem},
    realm::{Provenance, Realm},
};
use aegis_wire::operator::OperatorClient;
use clap::Args;
use tokio::time::Instant;

use crate::{
    declared::Declared,
    failure::Failure,
    interrupt::Interrupt,
    output::{self, OutputArgs},
    realm::ControllerRealm,
    realms::AnyRealm,
    render::{self, Shown},
    terminal::{self, Paint, Stream},
};

/// How far a changing command goes.
#[derive(Debug, Clone, Copy, Args)]
pub struct ApplyArgs {
    /// Show the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Apply without asking
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Begin nothing new after this time, such as 30s or 2m; exit 8
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<HumanDuration>,
}

/// How far an imperative command goes.
#[derive(Debug, Clone, Copy, Args)]
pub struct ImperativeArgs {
    /// Show what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Plans wishes that came from a command line.
pub async fn plan_wishes(
    client: &OperatorClient,
    owner: Owner,
    source: String,
    wishes: Vec<Wish>,
    force_conflicts: bool,
) -> Result<(ControllerRealm, Plan), Failure> {
    let realm = ControllerRealm::new(client.clone());
    let plan = plan_in(&realm, owner, source, wishes, force_conflicts).await?;
    Ok((realm, plan))
}

/// The same in any realm.
pub async fn plan_in<R: Realm>(
    realm: &R,
    owner: Owner,
    source: String,
    wishes: Vec<Wish>,
    force_conflicts: bool,
) -> Result<Plan, Failure> {
    let by = Provenance { owner, source };
    imperative::plan(realm, by, wishes, force_conflicts).await.map_err(|error| match error {
        WishError::Api(error) => error.into(),
        WishError::Invalid(problems) => at_fault(problems),
    })
}

/// Shows a plan, asks where somebody can be asked, applies it, and reports each object.
pub async fn carry_out(
    realm: &ControllerRealm,
    plan: Plan,
    args: ApplyArgs,
    output: OutputArgs,
) -> Result<ExitCode, Failure> {
    let parts = vec![(AnyRealm::Controller(realm.clone()), plan)];
    carry_out_all(Declared { parts }, args, output).await
}

/// The same of plans for several realms: shown and asked about as one, and none is begun when any is in conflict.
pub async fn carry_out_all(
    declared: Declared,
    args: ApplyArgs,
    output: OutputArgs,
) -> Result<ExitCode, Failure> {
    let paint = Paint::of(Stream::Stdout);
    let in_conflict = declared.plans().any(Plan::has_conflicts);
    if args.dry_run {
        output.show(&declared.preview(), |report| render::plan_text(report, Shown::All, paint))?;
        return if in_conflict {
            Err(conflict("others own what this would change"))
        } else {
            Ok(ExitCode::Success)
        };
    }
    if in_conflict {
        // Nothing is begun: each object ends as failed or skipped, and that is what is reported.
        let mut report = None;
        for (_, plan) in declared.parts {
            let refused = apply::refuse(&plan);
            report =
                Some(report.map_or_else(|| refused.clone(), |before: Report| before.joined(refused.clone())));
        }
        let report = report.unwrap_or_else(Report::nothing);
        output.show(&report, |report| render::plan_text(report, Shown::Differences, paint))?;
        return Err(conflict("others own what this would change; nothing was changed"));
    }
    if !args.yes && declared.plans().any(Plan::has_differences) && terminal::can_ask() {
        show_before_asking(&declared);
        if !terminal::confirm("Apply this plan?")? {
            return Err(Failure::new(ExitCode::Cancelled, "not applied; nothing was changed"));
        }
    }
    let interrupt = Interrupt::listen();
    let deadline = args.timeout.map(|timeout| Instant::now() + Duration::from(timeout));
    let late = move || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let stop = { move || interrupt.is_set() || late() };
    let asked_to_stop = stop.clone();
    let mut sink = |event: &aegis_engine::event::ObjectEvent| {
        if output.is_table() {
            // A reader that went away doesn't stop an apply.
            drop(output::print(&render::object(event, false, paint)));
        }
    };
    let mut reports: Option<Report> = None;
    let mut broken = None;
    for (realm, plan) in declared.parts {
        match apply::apply(&realm, plan, &stop, &mut sink).await {
            Ok(report) => {
                reports = Some(match reports {
                    Some(before) => before.joined(report),
                    None => report,
                });
            }
            // What another realm did is reported all the same.
            Err(error) => broken = Some(error),
        }
    }
    let Some(report) = reports else {
        return broken.map_or(Ok(ExitCode::Success), |error| Err(error.into()));
    };
    output.show(&report, |report| render::warnings(report, paint) + &render::summary(report, paint))?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    verdict(&report, asked_to_stop(), late())
}

fn at_fault(problems: Vec<Problem>) -> Failure {
    let lines: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.key, p.message)).collect();
    Failure::invalid(lines.join("\n       ")).hint_if(problems.into_iter().find_map(|p| p.help))
}

fn conflict(message: impl Into<String>) -> Failure {
    Failure::new(ExitCode::OwnershipConflict, message)
        .hint("leave these fields to their owners, or take them over with --force-conflicts")
}

#[allow(clippy::print_stderr, reason = "the plan to agree to is a message; data is what was done")]
fn show_before_asking(declared: &Declared) {
    eprint!("{}", render::plan_text(&declared.preview(), Shown::Differences, Paint::of(Stream::Stderr)));
}

fn verdict(report: &Report, stopped: bool, late: bool) -> Result<ExitCode, Failure> {
    let undone = report.summary.count(Outcome::Failed) + report.summary.count(Outcome::Skipped);
    if undone == 0 {
        return Ok(ExitCode::Success);
    }
    let total: u64 = report.summary.0.values().sum();
    let part = format!("{undone} of {total} objects were not applied");
    if report.has_conflicts() {
        let message = format!("another owner changed what this would change meanwhile; {part}");
        return Err(conflict(message));
    }
    Err(match (late, stopped) {
        (true, _) => Failure::new(ExitCode::DeadlineExceeded, format!("the time is up; {part}")),
        (false, true) => Failure::new(ExitCode::Cancelled, format!("cancelled; {part}")),
        (false, false) => Failure::generic(part),
    }
    .hint("run the same command again: what is done stays done"))
}

/// One imperative verb: planned, shown, applied, without asking.
pub async fn imperative(
    client: &OperatorClient,
    source: String,
    wishes: Vec<Wish>,
    args: ImperativeArgs,
    output: OutputArgs,
) -> Result<ExitCode, Failure> {
    let (realm, plan) = plan_wishes(client, Owner::cli(), source, wishes, false).await?;
    let args = ApplyArgs { dry_run: args.dry_run, yes: true, timeout: None };
    carry_out(&realm, plan, args, output).await
}
