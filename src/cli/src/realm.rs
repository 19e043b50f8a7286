//! A controller as the engine's realm.

use std::collections::BTreeSet;

use aegis_core::{Kind, ObjectKey, Owner, Revision, Secret, outcome::Summary};
use aegis_engine::realm::{Changes, Host, Object, PastWrite, Provenance, Realm, Write, Written};
use aegis_kinds::EdgeNode;
use aegis_wire::{
    ApiError, Code,
    operator::{
        self, BeginPlan, FinishPlan, ListHistory, ListNodes, ListObjects, NodeStatus, ObjectWrite,
        OperatorClient, PlanNumber, WriteRefusal, WriteResult,
    },
};

use crate::secret_values::Values;

/// The objects of one tenant of a controller.
#[derive(Debug, Clone)]
pub struct ControllerRealm(pub OperatorClient, Values);

impl ControllerRealm {
    /// Over this client.
    pub fn new(client: OperatorClient) -> Self {
        Self(client, Values::default())
    }
    /// With the values of secrets that are going to be written.
    pub fn with_values(self, values: Values) -> Self {
        Self(self.0, values)
    }
    /// Asks the controller.
    pub fn client(&self) -> &OperatorClient {
        &self.0
    }
}

/// What is stored of an enrolled host of which nothing was ever declared: it is there, and empty.
const UNDECLARED: &[u8] = br#"{"spec":{}}"#;

fn object(from: operator::Object) -> Object {
    let body = if from.body.is_empty() { UNDECLARED.to_vec() } else { from.body.to_vec() };
    Object { key: from.key, revision: from.revision, body }
}

impl Realm for ControllerRealm {
    async fn objects(&self, kinds: &[&str]) -> Result<Vec<Object>, ApiError> {
        let kinds = kinds.iter().map(ToString::to_string).collect();
        let objects = self.0.list_objects(ListObjects { kinds, name: None }).await?;
        Ok(objects.into_iter().map(object).collect())
    }

    async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        match self.0.get_object(key).await {
            Ok(found) => Ok(Some(object(found))),
            Err(error) if error.code == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        let nodes = self.0.list_nodes(ListNodes::default()).await?;
        let there = nodes.into_iter().filter(|node| node.status != NodeStatus::Revoked);
        Ok(there.map(|node| Host { id: node.node_id, name: node.name }).collect())
    }

    async fn changes(&self, since: Revision) -> Result<Changes, ApiError> {
        let changes = self.0.list_changes(since).await?;
        Ok(Changes {
            revision: changes.revision,
            complete: changes.complete,
            keys: changes.keys.into_iter().collect(),
        })
    }

    async fn inventory(&self, owner: &Owner) -> Result<BTreeSet<ObjectKey>, ApiError> {
        Ok(self.0.list_inventory(owner).await?.into_iter().collect())
    }

    async fn begin(&self, by: &Provenance, owns: Vec<ObjectKey>) -> Result<Revision, ApiError> {
        let plan = BeginPlan { owner: by.owner.clone(), source: by.source.clone(), owns };
        Ok(Revision(self.0.begin_plan(plan).await?.0))
    }

    async fn write(&self, plan: Revision, writes: Vec<Write>) -> Result<Vec<Written>, ApiError> {
        let value = |write: &Write| {
            let value = write.next.as_ref().and_then(|_| self.1.get(&write.key))?;
            Some(Secret::new(value.expose().clone().into_bytes()))
        };
        let writes = writes.into_iter().map(|write| ObjectWrite {
            value: value(&write),
            key: write.key,
            base: write.base,
            write: write.next.map_or(operator::Write::Delete, |body| operator::Write::Put(body.into())),
            steps: write.steps,
            outcome: write.outcome,
        });
        let results = self.0.write_objects(PlanNumber(plan.0), writes.collect()).await?;
        Ok(results.into_iter().map(written).collect())
    }

    async fn finish(
        &self,
        plan: Revision,
        forgets: Vec<ObjectKey>,
        summary: &Summary,
    ) -> Result<(), ApiError> {
        let plan = FinishPlan { plan: PlanNumber(plan.0), forgets, summary: summary.clone() };
        self.0.finish_plan(plan).await
    }

    async fn past(&self, plan: Revision) -> Result<Option<(Owner, Vec<PastWrite>)>, ApiError> {
        let history = match self.0.get_history(PlanNumber(plan.0)).await {
            Ok(history) => history,
            Err(error) if error.code == Code::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let owner = history.entry.owner;
        let entries = self.0.list_history(ListHistory { limit: None, owner: None }).await?;
        let mut later: Vec<(PlanNumber, Owner)> = entries
            .into_iter()
            .map(|entry| (entry.revision, entry.owner))
            .filter(|(number, _)| number.0 > plan.0)
            .collect();
        later.sort_unstable();
        let mut writes = Vec::new();
        for (number, by) in later {
            let changes = self.0.get_history(number).await?.changes;
            writes.extend(changes.into_iter().map(|change| PastWrite {
                by: by.clone(),
                key: change.key,
                before: change.before.to_vec(),
            }));
        }
        Ok(Some((owner, writes)))
    }
}

fn written(result: WriteResult) -> Written {
    match result {
        Ok(revision) => Written::Done(revision),
        Err(error) if error.refusal == WriteRefusal::Stale => Written::Stale,
        Err(error) => Written::Refused(error.message),
    }
}

/// The name under which an object is stored; a host may be given by its id, a unique prefix or its name.
pub async fn key(client: &OperatorClient, kind: &'static str, name: &str) -> Result<ObjectKey, ApiError> {
    let key = ObjectKey::new(kind, name);
    if kind != EdgeNode::NAME {
        return Ok(key);
    }
    Ok(client.get_object(&key).await?.key)
}
