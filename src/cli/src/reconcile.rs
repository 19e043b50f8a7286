//! The way that every changing command takes: plan, show, ask, apply, report.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use aegis_core::{ExitCode, HumanDuration, ObjectKey, Outcome, Owner, ownership::Policy};
use aegis_engine::{
    apply, dangling, declare,
    event::Report,
    fetch,
    intent::Wish,
    plan::{Plan, Problem},
    realm::{Provenance, Realm},
};
use aegis_wire::operator::OperatorClient;
use clap::Args;
use tokio::time::Instant;

use crate::{
    context::ContextArgs,
    failure::Failure,
    interrupt::Interrupt,
    manifests::{ManifestArgs, OwnerArgs},
    output::{self, OutputArgs},
    plan_cache::PlanCache,
    realm::ControllerRealm,
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

/// Plans manifests, remembering what was unchanged. Without `use_cache` every document is looked at.
pub async fn plan_manifests(
    context: &ContextArgs,
    manifests: &ManifestArgs,
    owner: &OwnerArgs,
    force_conflicts: bool,
    verb: &str,
    use_cache: bool,
) -> Result<Declared, Failure> {
    let sources = manifests.read(owner.prune)?;
    let connection = context.connection()?;
    let name = owner.owner(manifests)?;
    let cache = PlanCache::of(&connection, &name);
    let realm = ControllerRealm(connection.client().await?);
    let by = Provenance { owner: name.clone(), source: manifests.source(verb) };
    let policy = Policy { owner: name, prune: owner.prune, force_conflicts };
    let remembered = if use_cache { cache.load() } else { None };
    let declared = declare::plan(&realm, &sources, by, policy, remembered.as_ref()).await?;
    if remembered.as_ref() != Some(&declared.remember) {
        cache.save(&declared.remember);
    }
    Ok(Declared { plan: declared.plan, realm })
}

/// A plan of manifests, and where it applies.
pub struct Declared {
    /// The plan.
    pub plan: Plan,
    /// Where it applies.
    pub realm: ControllerRealm,
}

/// Plans wishes that came from a command line.
pub async fn plan_wishes(
    client: &OperatorClient,
    owner: Owner,
    source: String,
    wishes: Vec<Wish>,
    force_conflicts: bool,
) -> Result<(ControllerRealm, Plan), Failure> {
    let realm = ControllerRealm(client.clone());
    let revision = fetch::revision(&realm).await?;
    let mut inventory = BTreeSet::new();
    if !owner.is_cli() {
        // Only of what is wished for: nothing else is to be found missing.
        let wished: HashSet<&ObjectKey> = wishes.iter().map(|wish| &wish.key).collect();
        inventory = realm.inventory(&owner).await?;
        inventory.retain(|key| wished.contains(key));
    }
    let snapshot =
        fetch::snapshot(&realm, &wishes, &owner, revision, Some(inventory), HashSet::new()).await?;
    let policy = Policy { owner: owner.clone(), prune: true, force_conflicts };
    let plan = Plan::new(Provenance { owner, source }, policy, wishes, Vec::new(), &snapshot);
    let plan = plan.map_err(at_fault)?;
    let dangling = dangling::check(&realm, &plan).await?;
    if dangling.is_empty() { Ok((realm, plan)) } else { Err(at_fault(dangling)) }
}

/// Shows a plan, asks where somebody can be asked, applies it, and reports each object.
pub async fn carry_out(
    realm: &ControllerRealm,
    plan: Plan,
    args: ApplyArgs,
    output: OutputArgs,
) -> Result<ExitCode, Failure> {
    let paint = Paint::of(Stream::Stdout);
    let in_conflict = plan.has_conflicts();
    if args.dry_run {
        output.show(&apply::preview(&plan), |report| render::plan_text(report, Shown::All, paint))?;
        return if in_conflict {
            Err(conflict("others own what this would change"))
        } else {
            Ok(ExitCode::Success)
        };
    }
    if in_conflict {
        // Nothing is begun: each object ends as failed or skipped, and that is what is reported.
        let report = apply::apply(realm, plan, &|| false, &mut |_| {}).await?;
        output.show(&report, |report| render::plan_text(report, Shown::Differences, paint))?;
        return Err(conflict("others own what this would change; nothing was changed"));
    }
    if !args.yes && plan.has_differences() && terminal::can_ask() {
        show_before_asking(&plan);
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
    let report = apply::apply(realm, plan, &stop, &mut sink).await?;
    output.show(&report, |report| render::warnings(report, paint) + &render::summary(report, paint))?;
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
fn show_before_asking(plan: &Plan) {
    eprint!("{}", render::plan_text(&apply::preview(plan), Shown::Differences, Paint::of(Stream::Stderr)));
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
