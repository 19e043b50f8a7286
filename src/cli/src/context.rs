//! Which controller to ask, and as whom.

use std::{path::PathBuf, sync::Arc};

use aegis_core::TenantId;
use aegis_wire::{
    CaFingerprint, Endpoint,
    dial::{TcpDialer, connect},
    operator::OperatorClient,
};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{environment, failure::Failure, paths};

/// The flag.
#[derive(Debug, Clone, Args)]
pub struct ContextArgs {
    /// The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]
    ///
    /// A controller writes one for its administrator at its first start: DATA-DIR/admin-context.yaml.
    #[arg(long, value_name = "FILE", global = true)]
    pub context: Option<PathBuf>,
}

/// A context file. A controller writes the first one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Where the controller listens.
    pub endpoint: String,
    /// Of the CA that signed its certificate.
    pub ca_fingerprint: String,
    /// For which tenant to act.
    pub tenant: TenantId,
    /// The user token; `AEGIS_USER_TOKEN` overrides it.
    #[serde(default)]
    pub token: Option<String>,
}

/// A context, checked, with the token to use.
pub struct Connection {
    /// Where the controller listens.
    pub endpoint: Endpoint,
    /// Of its CA.
    pub pin: CaFingerprint,
    /// For which tenant.
    pub tenant: TenantId,
    token: String,
    token_is_own: bool,
}

impl ContextArgs {
    /// The connection that the flags, the environment and the file say.
    pub fn connection(&self) -> Result<Connection, Failure> {
        let path = self.path()?;
        let text = std::fs::read_to_string(&path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Failure::invalid(format!("no controller is set: {} doesn't exist", path.display())).hint(
                    "name a context with --context FILE or AEGIS_CONTEXT; a controller writes one at its first start: DATA-DIR/admin-context.yaml",
                )
            } else {
                Failure::file(&path, &error)
            }
        })?;
        let broken = |what: String| {
            Failure::invalid(format!("{}: {what}", path.display()))
                .hint("a context has endpoint, ca_fingerprint, tenant and token; take the controller's admin-context.yaml")
        };
        let context: Context = serde_saphyr::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let own = environment::get(&environment::USER_TOKEN);
        let token_is_own = own.is_some();
        let token = own.or(context.token).ok_or_else(|| {
            Failure::new(aegis_core::ExitCode::Unauthorized, format!("{} has no token", path.display()))
                .hint("set AEGIS_USER_TOKEN, or add a token made by `aegis controller token create`")
        })?;
        Ok(Connection {
            endpoint: context.endpoint.parse().map_err(|e| broken(format!("endpoint: {e}")))?,
            pin: context.ca_fingerprint.parse().map_err(|e| broken(format!("ca_fingerprint: {e}")))?,
            tenant: context.tenant,
            token,
            token_is_own,
        })
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        match &self.context {
            Some(path) => Ok(path.clone()),
            None => match environment::get(&environment::CONTEXT) {
                Some(path) => Ok(path.into()),
                None => Ok(paths::home()?.join("context.yaml")),
            },
        }
    }

    /// Whether there is a controller to ask: one was named, or the file is there.
    pub fn is_set(&self) -> Result<bool, Failure> {
        let is_named = self.context.is_some() || environment::get(&environment::CONTEXT).is_some();
        Ok(is_named || self.path()?.exists())
    }

    /// A client of that controller.
    pub async fn client(&self) -> Result<OperatorClient, Failure> {
        self.connection()?.client().await
    }
}

impl Connection {
    /// What tells this connection's tenant from others: an own token may be for any.
    pub fn tenant_key(&self) -> String {
        if self.token_is_own {
            blake3::hash(self.token.as_bytes()).to_string()
        } else {
            self.tenant.to_string()
        }
    }

    /// A client of this controller. An own token speaks for its own tenant, the context's for the context's.
    pub async fn client(&self) -> Result<OperatorClient, Failure> {
        let channel = connect(&self.endpoint, &self.pin, Arc::new(TcpDialer)).await?;
        let client = OperatorClient::new(channel, &self.token)?;
        Ok(if self.token_is_own { client } else { client.for_tenant(&self.tenant) })
    }
}
