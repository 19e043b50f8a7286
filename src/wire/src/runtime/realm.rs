//! `/v1/realm/*`: the objects that are declared on this machine, as the engine asks for them. Every call is a POST with a
//! JSON body; they are between `aegis` and its own `aegisd`, and no part of the documented API.

use std::{collections::BTreeSet, fmt};

use aegis_core::{ObjectKey, Outcome, Owner, Revision, Secret, outcome::Summary};
use aegis_kinds::ValueDigest;
use http::Method;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};

use super::{
    RuntimeClient, RuntimeError,
    connection::{Call, send, whole},
};
use crate::seal;

/// Where the calls are; a call's name follows.
pub const REALM: &str = "/v1/realm/";

/// The calls, and with what each is asked and answered.
pub trait RealmCall: Serialize + DeserializeOwned + Send {
    /// The last part of its path.
    const NAME: &'static str;
    /// What it answers.
    type Answer: Serialize + DeserializeOwned + Send;
}

macro_rules! calls {
    ($($call:ident $name:literal $answer:ty;)*) => {
        $(impl RealmCall for $call {
            const NAME: &'static str = $name;
            type Answer = $answer;
        })*
    };
}
calls! {
    ListObjects "objects" Vec<RealmObject>;
    GetObject "object" Option<RealmObject>;
    ListChanges "changes" RealmChanges;
    ListInventory "inventory" BTreeSet<ObjectKey>;
    BeginPlan "begin" Revision;
    WriteObjects "write" Vec<RealmWritten>;
    FinishPlan "finish" ();
    GetPast "past" Option<RealmPast>;
    ListPlans "plans" Vec<RealmPlan>;
    GetPlan "plan" Option<RealmPlanDetail>;
    GetAppStatus "app-status" Option<RealmAppStatus>;
    GetDigestKey "digest-key" DigestKey;
}

/// Objects of these kinds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListObjects {
    /// The kinds' names.
    pub kinds: Vec<String>,
}

/// One object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetObject {
    /// Which.
    pub key: ObjectKey,
}

/// An object as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealmObject {
    /// Which.
    pub key: ObjectKey,
    /// Of its last write.
    pub revision: Revision,
    /// The JSON of an `aegis_core::ownership::Stored`.
    pub body: String,
}

/// What was written after a revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListChanges {
    /// The revision.
    pub since: Revision,
}

/// See `aegis_engine::realm::Changes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RealmChanges {
    /// The realm's revision now.
    pub revision: Revision,
    /// Whether the keys are all that were written.
    pub complete: bool,
    /// What was written.
    pub keys: BTreeSet<ObjectKey>,
}

/// What an owner declared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListInventory {
    /// Whose.
    pub owner: Owner,
}

/// Opens a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeginPlan {
    /// For whom.
    pub owner: Owner,
    /// What was run.
    pub source: String,
    /// What it is going to own.
    pub owns: Vec<ObjectKey>,
}

/// Writes of a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriteObjects {
    /// Which plan.
    pub plan: Revision,
    /// The writes, each on its own condition.
    pub writes: Vec<RealmWrite>,
}

/// One write.
#[derive(Clone, Serialize, Deserialize)]
pub struct RealmWrite {
    /// Which object.
    pub key: ObjectKey,
    /// The revision that was read; 0: it wasn't there.
    pub base: Revision,
    /// The new body; none: it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The plan's lines.
    pub steps: Vec<String>,
    /// What becomes of it.
    pub outcome: Outcome,
    /// A secret's new value. It is sealed in the commit of this write, and stands nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub secret_value: Option<Secret<String>>,
}

impl fmt::Debug for RealmWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealmWrite").field("key", &self.key).field("base", &self.base).finish_non_exhaustive()
    }
}

#[allow(clippy::ref_option, reason = "serde passes the field as it is")]
fn exposed<S: Serializer>(value: &Option<Secret<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Secret::expose).serialize(serializer)
}

/// How one write ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RealmWritten {
    /// It is durable.
    Done(Revision),
    /// Somebody wrote the object after it was read.
    Stale,
    /// A rule forbids it.
    Refused(String),
}

/// Closes a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinishPlan {
    /// Which.
    pub plan: Revision,
    /// What the owner owns no longer.
    pub forgets: Vec<ObjectKey>,
    /// How the objects ended.
    pub summary: Summary,
}

/// What later plans wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetPast {
    /// After which plan.
    pub plan: Revision,
}

/// See `aegis_engine::realm::Realm::past`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RealmPast {
    /// Whose plan it was.
    pub owner: Owner,
    /// The writes, the earliest first.
    pub writes: Vec<RealmPastWrite>,
}

/// One object that a later plan wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RealmPastWrite {
    /// Whose plan.
    pub by: Owner,
    /// Which object.
    pub key: ObjectKey,
    /// The body before.
    pub before: String,
}

/// The history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListPlans {
    /// At most so many; none: all.
    pub limit: Option<u64>,
    /// Only this owner's.
    pub owner: Option<Owner>,
}

/// An applied plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealmPlan {
    /// Its number.
    pub revision: Revision,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// When it ended; 0: it still runs, or was interrupted.
    pub finished_at_ms: i64,
    /// Who applied it.
    pub subject: String,
    /// For whom.
    pub owner: Owner,
    /// What was run.
    pub source: String,
    /// How its objects ended.
    pub summary: Summary,
}

/// One plan of the history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetPlan {
    /// Which.
    pub plan: Revision,
}

/// What a plan did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RealmPlanDetail {
    /// The plan.
    pub plan: RealmPlan,
    /// What it did to each object.
    pub changes: Vec<RealmChange>,
}

/// What a plan did to an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RealmChange {
    /// Which.
    pub key: ObjectKey,
    /// What became of it.
    pub outcome: Outcome,
    /// The plan's lines.
    pub steps: Vec<String>,
    /// The body before.
    pub before: String,
}

/// Where an app stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetAppStatus {
    /// Its name.
    pub app: String,
}

/// Where an app stands, as the daemon's reconciler says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealmAppStatus {
    /// A word, such as `ready` or `rolled back`.
    pub condition: String,
    /// Whether it is as it is declared.
    pub is_ready: bool,
    /// Why, or what is going on.
    pub reason: String,
    /// The revision of the object that this is about; 0: it is no longer declared.
    pub revision: Revision,
    /// Whether there is nothing more to do for now.
    pub settled: bool,
}

/// The key of digests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetDigestKey {}

/// With this key, digests of values are made.
#[derive(Clone, Serialize, Deserialize)]
pub struct DigestKey {
    /// Hexadecimal.
    pub key: String,
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey([redacted])")
    }
}

impl DigestKey {
    /// Of its bytes.
    pub fn new(key: &[u8]) -> Self {
        Self { key: hex::encode(key) }
    }
    /// The digest of a value of the secret that is kept as `object`. Equal values of one secret have equal digests,
    /// whatever they were sealed with; those of different secrets can't be told to be equal.
    pub fn digest(&self, object: &str, value: &str) -> ValueDigest {
        // What isn't hexadecimal is no key of any daemon's: its digests differ from all others.
        let key = hex::decode(&self.key).unwrap_or_default();
        let digest = seal::digest(&key, &[object], value.as_bytes());
        digest.parse().unwrap_or_else(|_| ValueDigest::new(&[0; 32]))
    }
}

impl RuntimeClient {
    /// Makes one of the realm's calls.
    pub async fn realm<C: RealmCall>(&self, call: &C) -> Result<C::Answer, RuntimeError> {
        let body = serde_json::to_vec(call).map_err(|error| RuntimeError::internal(error.to_string()))?;
        let path = format!("{REALM}{}", C::NAME);
        let call = Call { method: Method::POST, path: &path, content_type: "application/json" };
        let answer = send(self.socket(), call, whole(body)).await?.read().await?;
        serde_json::from_slice(&answer)
            .map_err(|error| RuntimeError::internal(format!("aegisd's answer can't be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_digest_is_of_the_secret_and_its_value() {
        let key = DigestKey::new(&[7; 32]);
        let digest = key.digest("API_KEY", "hunter2");
        assert_eq!(digest, key.digest("API_KEY", "hunter2"));
        assert_ne!(digest, key.digest("API_KEY", "hunter3"));
        assert_ne!(digest, key.digest("web.API_KEY", "hunter2"));
        assert_ne!(digest, DigestKey::new(&[8; 32]).digest("API_KEY", "hunter2"));
    }

    #[test]
    fn a_value_travels_and_is_not_shown() {
        let write = RealmWrite {
            key: ObjectKey::new("Secret", "A"),
            base: Revision(0),
            body: Some("{}".into()),
            steps: vec![],
            outcome: Outcome::Created,
            secret_value: Some(Secret::new("hunter2".to_owned())),
        };
        assert!(!format!("{write:?}").contains("hunter2"));
        let text = serde_json::to_string(&write).unwrap();
        let read: RealmWrite = serde_json::from_str(&text).unwrap();
        assert_eq!(read.secret_value.unwrap().expose(), "hunter2");
    }
}
