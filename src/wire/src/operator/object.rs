//! Declared objects.

use aegis_core::{ObjectKey, Revision};
use bytes::Bytes;
use serde::Serialize;

use super::convert::{body_as_json, keys, proto_keys};
use crate::proto;

/// One declared object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Which.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Of its last write. 0: known, never written (a node without declared state).
    pub revision: Revision,
    /// JSON, see `aegis_kinds::Stored`; empty when it was never written.
    #[serde(serialize_with = "body_as_json")]
    pub body: Bytes,
}

impl From<Object> for proto::Object {
    fn from(from: Object) -> Self {
        Self {
            kind: from.key.kind.into_owned(),
            name: from.key.name,
            revision: from.revision.0,
            body: from.body,
        }
    }
}

impl From<proto::Object> for Object {
    fn from(from: proto::Object) -> Self {
        Self { key: ObjectKey::new(from.kind, from.name), revision: Revision(from.revision), body: from.body }
    }
}

/// Which objects to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListObjects {
    /// Of these kinds; none: of all.
    pub kinds: Vec<String>,
    /// With this name.
    pub name: Option<String>,
}

impl From<ListObjects> for proto::ListObjectsRequest {
    fn from(from: ListObjects) -> Self {
        Self { kinds: from.kinds, name: from.name.unwrap_or_default() }
    }
}

impl From<proto::ListObjectsRequest> for ListObjects {
    fn from(from: proto::ListObjectsRequest) -> Self {
        Self { kinds: from.kinds, name: Some(from.name).filter(|name| !name.is_empty()) }
    }
}

/// What has changed since a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The revision now.
    pub revision: Revision,
    /// False: that revision is too long ago; read everything.
    pub complete: bool,
    /// The objects that were written or deleted since.
    pub keys: Vec<ObjectKey>,
}

impl From<Changes> for proto::ListChangesResponse {
    fn from(from: Changes) -> Self {
        Self { revision: from.revision.0, complete: from.complete, keys: proto_keys(from.keys) }
    }
}

impl From<proto::ListChangesResponse> for Changes {
    fn from(from: proto::ListChangesResponse) -> Self {
        Self { revision: Revision(from.revision), complete: from.complete, keys: keys(from.keys) }
    }
}
