//! `aegis edge enroll`

use std::{
    io::{BufReader, stderr, stdin},
    path::PathBuf,
};

use aegis_core::ExitCode;
use aegis_edge::{
    bootstrap::{self, Policy, Prompter, StreamPrompter, Unattended},
    capabilities::Host,
    clock::SystemClock,
    enroll::{EnrollDeps, EnrollReport, EnrollRequest, Outcome, enroll},
    proxy::{ProxyEnv, dialer_for},
    state::StateDir,
};

use crate::{
    failure::Failure,
    output::{OutputArgs, fields},
    paths,
    terminal::{Paint, Stream, can_ask},
};

/// Make this machine a host of the fleet, with a token from its controller
///
/// Decides what to do with files that are there already (asking on a terminal), proves the possession of a new or
/// kept key, and stores the node token. The token names the controller and its CA, so first contact is never blind.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis edge enroll TOKEN                                 asks where something is there already
  aegis edge enroll TOKEN --dry-run                       what it would do
  aegis edge enroll TOKEN --force --no-service            for scripts: overwrite whatever is there
A token comes from `aegis controller enrollment-token create --label NAME`.")]
pub struct Args {
    /// The enrolment token; - reads it from standard input, so that it stands in no process list
    token: String,
    /// The daemon's config; its folder keeps the daemon's state [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Fail with exit 4 rather than ask
    #[arg(long)]
    non_interactive: bool,
    /// Overwrite whatever is there
    #[arg(long, conflicts_with = "keep_existing")]
    force: bool,
    /// Reuse whatever is there; exit 4 where that would be unsafe
    #[arg(long)]
    keep_existing: bool,
    /// Show what would be done; touch neither disk nor network
    #[arg(long)]
    dry_run: bool,
    /// Write the short config template instead of the annotated one
    #[arg(long)]
    minimal: bool,
    /// Install no service unit
    #[arg(long)]
    no_service: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let token = if self.token == "-" {
            std::io::read_to_string(stdin()).map_err(|e| Failure::generic(format!("standard input: {e}")))?
        } else {
            self.token
        };
        let policy = match (self.force, self.keep_existing, self.non_interactive) {
            (true, ..) => Policy::Force,
            (_, true, _) => Policy::KeepExisting,
            (_, _, true) => Policy::NonInteractive,
            _ => Policy::Ask,
        };
        let state = StateDir::of_config(paths::edge_config(self.config)?);
        let variable = |name: &str| std::env::var(name).ok();
        let proxies = ProxyEnv::read(&variable);
        let mut asking = StreamPrompter::new(BufReader::new(stdin()), stderr());
        let prompter: &mut dyn Prompter = if can_ask() { &mut asking } else { &mut Unattended };
        let request = EnrollRequest { token, state, policy, dry_run: self.dry_run, minimal: self.minimal };
        let deps = EnrollDeps {
            clock: &SystemClock,
            dialer: &move |endpoint| dialer_for(endpoint, &proxies),
            prompter,
            host: &Host::this(std::env::var_os("PATH").as_deref()),
        };
        let report = enroll(&request, deps)
            .await
            .map_err(|error| Failure::new(error.exit_code(), error.to_string()).hint_if(error.hint()))?;
        let config = request.state.config().display().to_string();
        self.output.show(&report, |report| text(report, &config))?;
        if report.outcome != Outcome::Planned {
            say_what_is_next(&report, &config, self.no_service);
        }
        Ok(ExitCode::Success)
    }
}

fn text(report: &EnrollReport, config: &str) -> String {
    let mut text = bootstrap::table(&report.plan);
    let paint = Paint::of(Stream::Stdout);
    text += "\n";
    text += &match report.outcome {
        Outcome::Planned => "nothing was changed\n".to_owned(),
        Outcome::Enrolled => paint.green("enrolled\n"),
        Outcome::Reused => "already enrolled; the controller wasn't contacted\n".to_owned(),
    };
    let mut lines = Vec::new();
    lines.extend(report.node_id.as_ref().map(|id| ("node_id", id.to_string())));
    lines.extend(report.name.as_ref().map(|name| ("name", name.clone())));
    lines.push(("tenant", report.tenant.to_string()));
    lines.extend(report.token_expires.map(|at| ("token_expires", at.to_string())));
    lines.push(("config", config.to_owned()));
    text + &fields(lines)
}

#[allow(clippy::print_stderr, reason = "what to do next is a message, not data")]
fn say_what_is_next(report: &EnrollReport, config: &str, no_service: bool) {
    let run = format!("aegis edge run --config {config}");
    match report.restart_pid {
        Some(pid) => eprintln!("a daemon runs with the old identity; restart it: kill {pid} && {run}"),
        None if no_service => {}
        None => eprintln!("no service unit is installed by this version; run the daemon with: {run}"),
    }
}
