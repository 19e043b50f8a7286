//! What the engine needs of the place where objects live.

use std::{collections::BTreeSet, future::Future};

use aegis_core::{NodeId, ObjectKey, Outcome, Owner, Revision, outcome::Summary};
use aegis_wire::error::ApiError;

/// The body of an enrolled host of which nobody has said anything. An empty body means the same for a host.
pub const UNDECLARED_HOST: &[u8] = br#"{"spec":{}}"#;

/// A stored object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Which one.
    pub key: ObjectKey,
    /// Of its last write; 0: known, but never written.
    pub revision: Revision,
    /// The JSON of an `aegis_core::ownership::Stored`.
    pub body: Vec<u8>,
}

/// An enrolled host, as far as names go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its id.
    pub id: NodeId,
    /// Its name, which others may share.
    pub name: String,
}

/// Which objects were written after a revision. A host counts as its `EdgeNode`, and as written when it is enrolled,
/// renamed or revoked: what names mean depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The realm's revision now.
    pub revision: Revision,
    /// False: the revision asked for is too long ago, or from before a restore, so anything may have changed.
    pub complete: bool,
    /// The objects, each once.
    pub keys: BTreeSet<ObjectKey>,
}

/// One conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which object.
    pub key: ObjectKey,
    /// The revision that was read; 0: it wasn't there.
    pub base: Revision,
    /// The new body; `None`: the object goes.
    pub next: Option<Vec<u8>>,
    /// The plan's lines, for history and audit.
    pub steps: Vec<String>,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// How one write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is durable, with this revision.
    Done(Revision),
    /// Somebody wrote the object after it was read; nothing was changed.
    Stale,
    /// A rule forbids it; nothing was changed.
    Refused(String),
}

/// Who makes a plan, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Whose elements it declares.
    pub owner: Owner,
    /// What was run, such as `apply -f fleet.yaml`.
    pub source: String,
}

/// One object that an earlier plan wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastWrite {
    /// Whose plan.
    pub by: Owner,
    /// Which object.
    pub key: ObjectKey,
    /// The body before the write; empty: it wasn't there.
    pub before: Vec<u8>,
}

/// Where objects live: a controller, or the memory of a test.
pub trait Realm: Send + Sync {
    /// All objects of these kinds. An enrolled host without declared state is there with revision 0.
    fn objects(&self, kinds: &[&str]) -> impl Future<Output = Result<Vec<Object>, ApiError>> + Send;
    /// One object; `None`: absent. A host is also found by a name that only it has; the object's key says its id.
    fn object(&self, key: &ObjectKey) -> impl Future<Output = Result<Option<Object>, ApiError>> + Send;
    /// The enrolled hosts that aren't revoked.
    fn hosts(&self) -> impl Future<Output = Result<Vec<Host>, ApiError>> + Send;
    /// What was written after `since`.
    fn changes(&self, since: Revision) -> impl Future<Output = Result<Changes, ApiError>> + Send;
    /// What `owner` declared, be it there or not yet.
    fn inventory(&self, owner: &Owner) -> impl Future<Output = Result<BTreeSet<ObjectKey>, ApiError>> + Send;
    /// Own before create: records what the plan is going to own, and gives the plan's number in the history.
    fn begin(
        &self,
        by: &Provenance,
        owns: Vec<ObjectKey>,
    ) -> impl Future<Output = Result<Revision, ApiError>> + Send;
    /// Writes, each on its own condition. The results are in the order of the writes.
    fn write(
        &self,
        plan: Revision,
        writes: Vec<Write>,
    ) -> impl Future<Output = Result<Vec<Written>, ApiError>> + Send;
    /// Forget after delete: ends the plan.
    fn finish(
        &self,
        plan: Revision,
        forgets: Vec<ObjectKey>,
        summary: &Summary,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
    /// Whose plan this was, and all that later plans wrote, of whichever owner, the earliest first; `None`: no such
    /// plan.
    fn past(
        &self,
        plan: Revision,
    ) -> impl Future<Output = Result<Option<(Owner, Vec<PastWrite>)>, ApiError>> + Send;
}
