//! `aegis edge token`

use std::path::PathBuf;

use aegis_core::ExitCode;
use aegis_edge::rotate::refresh;
use clap::Subcommand;

use super::this_host::ThisHost;
use crate::{
    failure::Failure,
    output::{OutputArgs, fields},
};

/// The node token of this host
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Get another node token for this host, for the key that it has
    ///
    /// The daemon renews its token by itself; this is for when it can't wait. A daemon that runs takes the new one over.
    Refresh {
        /// The daemon's config [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]
        #[arg(long, value_name = "PATH")]
        config: Option<PathBuf>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let Verb::Refresh { config, output } = self.verb;
        let this = ThisHost::of(config)?;
        let refreshed = this.with_deps(async |deps| refresh(deps, &this.state, &this.config).await).await?;
        output.show(&refreshed, |refreshed| {
            fields([
                ("node_id", refreshed.node_id.to_string()),
                ("key_fingerprint", refreshed.key_fingerprint.clone()),
                ("token_expires", refreshed.token_expires.to_string()),
            ])
        })?;
        Ok(ExitCode::Success)
    }
}
