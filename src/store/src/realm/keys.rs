//! Where the rows of a realm are, beneath its prefix.

use aegis_core::{ObjectKey, Owner};

/// The prefix of a realm, and the keys beneath it.
#[derive(Debug, Clone)]
pub(super) struct Keys(pub String);

impl Keys {
    pub(super) fn objects(&self) -> String {
        format!("{}obj/", self.0)
    }
    pub(super) fn of_kind(&self, kind: &str) -> String {
        format!("{}obj/{kind}/", self.0)
    }
    pub(super) fn object(&self, key: &ObjectKey) -> String {
        format!("{}obj/{}/{}", self.0, key.kind, key.name)
    }
    pub(super) fn inventory(&self, owner: &Owner) -> String {
        format!("{}inv/{owner}/", self.0)
    }
    pub(super) fn owned(&self, owner: &Owner, key: &ObjectKey) -> String {
        format!("{}inv/{owner}/{}/{}", self.0, key.kind, key.name)
    }
    /// The number of the last plan.
    pub(super) fn last_plan(&self) -> String {
        format!("{}plans", self.0)
    }
    pub(super) fn history(&self) -> String {
        format!("{}hist/", self.0)
    }
    pub(super) fn plan(&self, plan: u64) -> String {
        format!("{}hist/{plan:020}", self.0)
    }
    pub(super) fn all_changes(&self) -> String {
        format!("{}histchg/", self.0)
    }
    pub(super) fn changes(&self, plan: u64) -> String {
        format!("{}histchg/{plan:020}/", self.0)
    }
    pub(super) fn change(&self, plan: u64, key: &ObjectKey) -> String {
        format!("{}histchg/{plan:020}/{}/{}", self.0, key.kind, key.name)
    }
}

/// The object of what follows a prefix: `App/web`.
pub(super) fn object_of(rest: &str) -> Option<ObjectKey> {
    let (kind, name) = rest.split_once('/')?;
    Some(ObjectKey::new(kind.to_owned(), name))
}
