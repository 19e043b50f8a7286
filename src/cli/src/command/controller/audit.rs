//! `aegis controller audit`

use aegis_core::ExitCode;
use aegis_wire::operator::{AuditEvent, ListAudit};
use clap::Subcommand;

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, table},
};

/// The append-only, hash-chained log of who did what
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List events, oldest first
    Ls {
        /// Only events after this sequence
        #[arg(long, value_name = "N", default_value = "0")]
        after: u64,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Check the whole chain; exit 1 when an event was altered, removed or reordered
    Verify {
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        match self.verb {
            Verb::Ls { after, limit, output } => {
                let events = client.list_audit(ListAudit { after, limit }).await?;
                output.show(events.as_slice(), |events| {
                    let heads =
                        ["SEQUENCE", "TIME", "WHO", "TENANT", "ACTION", "OBJECT", "OUTCOME", "DETAIL"];
                    table(heads, events.iter().map(row))
                })?;
            }
            Verb::Verify { output } => {
                let check = client.verify_audit().await?;
                output.show(&check, |check| format!("{} events, head {}\n", check.events, check.head))?;
                if !check.intact {
                    let at = check.broken_at.map(|at| format!(" at event {at}")).unwrap_or_default();
                    return Err(Failure::generic(format!("the audit log is broken{at}"))
                        .hint("keep the data directory as evidence, and compare it with a backup"));
                }
            }
        }
        Ok(ExitCode::Success)
    }
}

fn row(event: &AuditEvent) -> [String; 8] {
    [
        event.sequence.to_string(),
        event.time.to_string(),
        event.subject.clone(),
        event.tenant.clone(),
        event.action.clone(),
        event.object.clone(),
        event.outcome.to_string(),
        event.detail.clone(),
    ]
}
