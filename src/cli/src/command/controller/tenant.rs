//! `aegis controller tenant`

use aegis_core::{ExitCode, TenantId};
use aegis_wire::operator::Tenant;
use clap::Subcommand;

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, table},
};

/// Tenants: each sees only its own hosts and objects
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a tenant
    Create {
        /// Its name: u-… for a person, t-… for a team, else a-z, 0-9 and '-'
        tenant: TenantId,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List the tenants that the caller may see
    Ls {
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        match self.verb {
            Verb::Create { tenant, output } => {
                let tenant = client.create_tenant(&tenant).await?;
                output.show(&tenant, |tenant| format!("+ tenant {} created\n", tenant.tenant))?;
            }
            Verb::Ls { output } => {
                let tenants = client.list_tenants().await?;
                output.show(tenants.as_slice(), |tenants| {
                    let row =
                        |t: &Tenant| [t.tenant.to_string(), t.nodes.to_string(), t.created_at.to_string()];
                    table(["TENANT", "HOSTS", "CREATED"], tenants.iter().map(row))
                })?;
            }
        }
        Ok(ExitCode::Success)
    }
}
