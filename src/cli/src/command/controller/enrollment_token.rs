//! `aegis controller enrollment-token`

use aegis_core::{ExitCode, HumanDuration, TenantId};
use aegis_wire::operator::CreateEnrollmentToken;
use clap::Subcommand;

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, fields},
};

/// Tokens with which hosts enrol
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token: good for one host, for at most 15 minutes
    #[command(after_help = "Example:
  aegis controller enrollment-token create --label web-1 --output json | jq -r .token")]
    Create {
        /// What it is for; where it can be a host name that is free in the tenant, the host is called so
        #[arg(long, value_name = "L")]
        label: String,
        /// The host's tenant [default: the caller's]
        #[arg(long, value_name = "T")]
        tenant: Option<TenantId>,
        /// How long it is good, at most 15m [default: 15m]
        #[arg(long, value_name = "DURATION")]
        ttl: Option<HumanDuration>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let Verb::Create { label, tenant, ttl, output } = self.verb;
        let wish = CreateEnrollmentToken { label, tenant, ttl_seconds: super::token::seconds(ttl)? };
        let token = context.client().await?.create_enrollment_token(wish).await?;
        output.show(&token, |token| {
            fields([
                ("token", token.token.clone()),
                ("tenant", token.tenant.to_string()),
                ("expires_at", token.expires_at.to_string()),
                ("controller_endpoint", token.controller_endpoint.to_string()),
                ("run on the host", token.command_hint.clone()),
            ])
        })?;
        Ok(ExitCode::Success)
    }
}
