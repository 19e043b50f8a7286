//! `aegis history`

use aegis_core::ExitCode;
use aegis_wire::operator::{History, HistoryEntry, ListHistory};

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, fields, table},
    past,
    realms::HistoryRealm,
};

/// List every applied plan, newest first, or show one: who, what, when
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis history                 the last plans
  aegis history 41              what revision 41 did
  aegis rollback 41             back to what its owner had declared then")]
pub struct Args {
    /// Show what this revision did
    revision: Option<u64>,
    /// At most so many
    #[arg(long, default_value = "50", value_name = "N")]
    limit: u64,
    /// Only this owner's
    #[arg(long, value_name = "NAME")]
    owner: Option<aegis_core::Owner>,
    #[command(flatten)]
    realm: HistoryRealm,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let realm = self.realm.one(context).await?;
        if let Some(revision) = self.revision {
            let history = past::one(&realm, revision).await?.ok_or_else(|| {
                Failure::not_found(format!("there is no revision {revision}"))
                    .hint("`aegis history` lists the revisions")
            })?;
            self.output.show(&history, one)?;
        } else {
            let which = ListHistory { limit: Some(self.limit).filter(|n| *n > 0), owner: self.owner };
            let entries = past::all(&realm, which).await?;
            self.output.show(entries.as_slice(), |entries| {
                let heads = ["REVISION", "WHEN", "WHO", "OWNER", "SOURCE", "RESULT"];
                table(heads, entries.iter().map(row))
            })?;
        }
        Ok(ExitCode::Success)
    }
}

fn row(entry: &HistoryEntry) -> [String; 6] {
    [
        entry.revision.to_string(),
        entry.started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        entry.subject.clone(),
        entry.owner.to_string(),
        entry.source.clone(),
        if entry.finished_at.is_some() { entry.summary.to_string() } else { "not finished".into() },
    ]
}

fn one(history: &History) -> String {
    let [revision, when, who, owner, source, result] = row(&history.entry);
    let mut text = fields([
        ("revision", revision),
        ("when", when),
        ("who", who),
        ("owner", owner),
        ("source", source),
        ("result", result),
    ]);
    for change in &history.changes {
        text += &format!("{} {}\n", change.key, change.outcome);
        for step in &change.steps {
            text += &format!("    {step}\n");
        }
    }
    text
}
