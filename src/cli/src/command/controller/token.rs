//! `aegis controller token`

use aegis_core::{ExitCode, HumanDuration, TenantId};
use aegis_wire::{operator::CreateUserToken, token::Role};
use clap::Subcommand;

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, fields},
};

/// Tokens with which people and pipelines call the controller
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a user token, to be set as AEGIS_USER_TOKEN
    Create {
        /// For which tenant
        #[arg(long, value_name = "T")]
        tenant: TenantId,
        /// How much it allows: viewer reads, operator changes, admin also makes tokens
        #[arg(long, value_name = "ROLE", value_parser = ["viewer", "operator", "admin"])]
        role: String,
        /// How long it is good, such as 30m or 24h
        #[arg(long, value_name = "DURATION")]
        ttl: HumanDuration,
        /// Who uses it, for history and audit [default: named after the role]
        #[arg(long, value_name = "NAME")]
        subject: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let Verb::Create { tenant, role, ttl, subject, output } = self.verb;
        let role: Role = role.parse().map_err(|_| Failure::invalid(format!("'{role}' is no role")))?;
        let wish = CreateUserToken { tenant: Some(tenant), role, ttl_seconds: seconds(Some(ttl))?, subject };
        let token = context.client().await?.create_user_token(wish).await?;
        output.show(&token, |token| {
            fields([
                ("token", token.token.clone()),
                ("subject", token.subject.clone()),
                ("tenant", token.tenant.to_string()),
                ("role", token.role.to_string()),
                ("expires_at", token.expires_at.to_string()),
            ])
        })?;
        Ok(ExitCode::Success)
    }
}

/// A lifetime in whole seconds, at least one.
pub fn seconds(ttl: Option<HumanDuration>) -> Result<Option<u64>, Failure> {
    let Some(HumanDuration(ttl)) = ttl else { return Ok(None) };
    match ttl.as_secs() {
        0 => Err(Failure::invalid("--ttl is less than a second").hint("such as --ttl 15m")),
        seconds => Ok(Some(seconds)),
    }
}
