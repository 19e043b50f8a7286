//! `aegis diff`

use aegis_core::ExitCode;
use aegis_engine::plan::Plan;
use clap::ValueEnum;

use crate::{
    context::ContextArgs,
    declared::{self, Wanted},
    failure::Failure,
    manifests::{ManifestArgs, OwnerArgs},
    output,
    render::{self, Shown},
    secret_values::SecretArgs,
    terminal::{Paint, Stream},
};

/// Show what apply would do, and change nothing
///
/// The plan is the one that apply makes and carries out. Objects that needn't change are only counted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis diff -f fleet.yaml                         what would change
  aegis diff -f fleet/ --prune --exit-code         in a pipeline: exit 10 when anything would
  aegis diff -f fleet/ --output markdown           as a comment under a pull request")]
pub struct Args {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Show conflicts as taken over
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Exit 10 when there are differences, 11 when there are conflicts
    #[arg(long)]
    exit_code: bool,
    /// How to show the plan
    #[arg(long, short = 'o', value_enum, env = "AEGIS_OUTPUT", default_value = "text", hide_env = true)]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    #[value(alias = "table")]
    Text,
    /// For programs
    Json,
    /// For both
    Yaml,
    /// For pull requests
    Markdown,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let wanted = Wanted {
            manifests: &self.manifests,
            owner: &self.owner,
            secrets: &self.secrets,
            force_conflicts: self.force_conflicts,
            verb: "diff",
            use_cache: true,
        };
        let declared = declared::plan(context, wanted).await?;
        let report = declared.preview();
        output::print(&match self.output {
            Format::Text => render::plan_text(&report, Shown::Differences, Paint::of(Stream::Stdout)),
            Format::Json => output::json(&report)?,
            Format::Yaml => output::yaml(&report)?,
            Format::Markdown => render::markdown(&report),
        })?;
        Ok(match (self.exit_code, report.has_conflicts(), declared.plans().any(Plan::has_differences)) {
            (true, true, _) => ExitCode::OwnershipConflict,
            (true, false, true) => ExitCode::Differences,
            _ => ExitCode::Success,
        })
    }
}
