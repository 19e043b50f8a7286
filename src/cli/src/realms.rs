//! Where objects live: with a controller, or with this machine's daemon.

use std::collections::BTreeSet;

use aegis_core::{ObjectKey, Owner, Revision, outcome::Summary};
use aegis_engine::{
    divide::LOCAL,
    realm::{Changes, Host, Object, PastWrite, Provenance, Realm, Write, Written},
};
use aegis_wire::{ApiError, operator::OperatorClient};
use clap::{Args, ValueEnum};

use crate::{
    context::ContextArgs, failure::Failure, local, realm::ControllerRealm, runtime_realm::RuntimeRealm,
};

/// The flag.
#[derive(Debug, Clone, Copy, Args)]
pub struct RealmArgs {
    /// Where to look [default: for App, Kit and Secret, aegisd on this machine and, where one is set, the controller]
    #[arg(long, value_enum, value_name = "REALM")]
    pub realm: Option<RealmName>,
}

/// A realm, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RealmName {
    /// aegisd on this machine.
    Local,
    /// The controller of the context.
    Controller,
}

/// Either of them.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there are one or two of them")]
pub enum AnyRealm {
    /// A controller's.
    Controller(ControllerRealm),
    /// This machine's.
    Local(RuntimeRealm),
}

impl AnyRealm {
    /// The controller of the context.
    pub async fn controller(context: &ContextArgs) -> Result<Self, Failure> {
        Ok(Self::Controller(ControllerRealm::new(context.client().await?)))
    }
    /// This machine's daemon.
    pub fn local() -> Result<Self, Failure> {
        Ok(Self::Local(RuntimeRealm::new(local::client()?)))
    }
    /// What people call it.
    pub fn name(&self) -> RealmName {
        match self {
            Self::Controller(_) => RealmName::Controller,
            Self::Local(_) => RealmName::Local,
        }
    }
    /// The controller's client, when it is one.
    pub fn operator(&self) -> Option<&OperatorClient> {
        match self {
            Self::Controller(realm) => Some(realm.client()),
            Self::Local(_) => None,
        }
    }
}

impl RealmName {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Controller => "controller",
        }
    }
}

/// Whether objects of this kind may live on this machine.
pub fn may_be_local(kind: &str) -> bool {
    LOCAL.contains(&kind)
}

impl RealmArgs {
    /// The realms to look in for objects of these kinds, this machine's first. That one is left out when no daemon runs,
    /// and the controller's when no context is set, as long as there is another.
    pub async fn of_kinds(self, context: &ContextArgs, kinds: &[&str]) -> Result<Vec<AnyRealm>, Failure> {
        match self.realm {
            Some(RealmName::Local) => {
                if kinds.iter().any(|kind| may_be_local(kind)) {
                    return Ok(vec![AnyRealm::local()?]);
                }
                let kinds = kinds.join(", ");
                return Err(Failure::invalid(format!("there is no {kinds} on this machine"))
                    .hint("leave --realm out, or say --realm controller"));
            }
            Some(RealmName::Controller) => return Ok(vec![AnyRealm::controller(context).await?]),
            None => {}
        }
        let mut realms = Vec::new();
        if kinds.iter().any(|kind| may_be_local(kind)) && is_running()? {
            realms.push(AnyRealm::local()?);
        }
        let controllers_only = kinds.iter().any(|kind| !may_be_local(kind)) && kinds.len() == 1;
        if controllers_only || context.is_set()? {
            realms.push(AnyRealm::controller(context).await?);
        }
        if realms.is_empty() {
            // Nobody is there to ask: say what is missing where the kind would be first of all.
            let local = kinds.iter().any(|kind| may_be_local(kind)) && kinds.len() == 1;
            realms.push(if local { AnyRealm::local()? } else { AnyRealm::controller(context).await? });
        }
        Ok(realms)
    }
}

/// Whose history is meant.
#[derive(Debug, Clone, Copy, Args)]
pub struct HistoryRealm {
    /// Whose history [default: the controller's, or aegisd's on this machine when no controller is set]
    #[arg(long, value_enum, value_name = "REALM")]
    pub realm: Option<RealmName>,
}

impl HistoryRealm {
    /// The one realm that is meant where nothing tells which: a controller's, if a context is set.
    pub async fn one(self, context: &ContextArgs) -> Result<AnyRealm, Failure> {
        match self.realm {
            Some(RealmName::Local) => AnyRealm::local(),
            None if !context.is_set()? && is_running()? => AnyRealm::local(),
            _ => AnyRealm::controller(context).await,
        }
    }
}

/// Whether this machine's daemon runs.
pub fn is_running() -> Result<bool, Failure> {
    let socket = local::client()?.socket().to_owned();
    Ok(std::os::unix::net::UnixStream::connect(socket).is_ok())
}

macro_rules! either {
    ($self:ident, $realm:ident => $call:expr) => {
        match $self {
            AnyRealm::Controller($realm) => $call,
            AnyRealm::Local($realm) => $call,
        }
    };
}

impl Realm for AnyRealm {
    async fn objects(&self, kinds: &[&str]) -> Result<Vec<Object>, ApiError> {
        either!(self, realm => realm.objects(kinds).await)
    }
    async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        either!(self, realm => realm.object(key).await)
    }
    async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        either!(self, realm => realm.hosts().await)
    }
    async fn changes(&self, since: Revision) -> Result<Changes, ApiError> {
        either!(self, realm => realm.changes(since).await)
    }
    async fn inventory(&self, owner: &Owner) -> Result<BTreeSet<ObjectKey>, ApiError> {
        either!(self, realm => realm.inventory(owner).await)
    }
    async fn begin(&self, by: &Provenance, owns: Vec<ObjectKey>) -> Result<Revision, ApiError> {
        either!(self, realm => realm.begin(by, owns).await)
    }
    async fn write(&self, plan: Revision, writes: Vec<Write>) -> Result<Vec<Written>, ApiError> {
        either!(self, realm => realm.write(plan, writes).await)
    }
    async fn finish(
        &self,
        plan: Revision,
        forgets: Vec<ObjectKey>,
        summary: &Summary,
    ) -> Result<(), ApiError> {
        either!(self, realm => realm.finish(plan, forgets, summary).await)
    }
    async fn past(&self, plan: Revision) -> Result<Option<(Owner, Vec<PastWrite>)>, ApiError> {
        either!(self, realm => realm.past(plan).await)
    }
}
