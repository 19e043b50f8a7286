//! From manifests to a plan: load, read, plan; and faults back to their places in the files.
//!
//! What is unchanged is neither parsed nor read again: a document whose digest was found unchanged before, and whose
//! object nobody wrote since, is settled ([`crate::cache`]).

use std::collections::{BTreeSet, HashMap, HashSet};

use aegis_core::{
    Kind, NodeId, ObjectKey, Outcome, diagnostic::Diagnostic, ownership::Policy, selector::Target,
};
use aegis_kinds::{
    AnyKind, App, Batch, EdgeGroup, EdgeNode, KINDS, Kit, Next, Rollout, Secret, SecretSpec, Spec,
    ValueDigest, Visitor,
};
use aegis_wire::error::ApiError;

use crate::{
    cache::{Cache, Entry},
    dangling, fetch,
    intent::{Intent, Wish},
    manifest::{self, Decoder, Diagnostics, Document, Header, Origin, Refined, Slice, Sources},
    plan::{Plan, Problem, Settled},
    realm::{Changes, Provenance, Realm},
};

/// Decodes the documents of every kind in the table.
pub struct Kinds;

impl Decoder for Kinds {
    type Spec = Spec;

    fn kinds(&self) -> &[&'static str] {
        const NAMES: [&str; KINDS.len()] = {
            let mut names = [""; KINDS.len()];
            let mut index = 0;
            while index < names.len() {
                names[index] = KINDS[index].name;
                index += 1;
            }
            names
        };
        &NAMES
    }

    fn decode(&self, kind: &'static str, document: &str) -> Result<(Header, Spec), serde_saphyr::Error> {
        struct Decode<'a>(&'a str);
        impl Visitor for Decode<'_> {
            type Out = Result<(Header, Spec), serde_saphyr::Error>;
            fn visit<K: AnyKind>(self) -> Self::Out {
                let (mut header, spec) = manifest::decode_document::<K::Spec>(self.0)?;
                if let Some(name) = K::canonical_name(&header.name, &spec) {
                    header.name = name;
                }
                Ok((header, K::wrap(spec)))
            }
        }
        aegis_kinds::visit(kind, Decode(document))
            .unwrap_or_else(|| Err(serde::de::Error::custom(format_args!("'{kind}' is no kind"))))
    }

    fn refine(&self, kind: &str, path: &str, text: &str) -> Option<Refined> {
        if (kind, path) == (Rollout::NAME, "spec.strategy.batch") {
            let (message, help) = Batch::fault(text)?;
            return Some(Refined { within: 0..text.len(), message, help: Some(help.to_owned()) });
        }
        let is_target = (kind, path) == (EdgeGroup::NAME, "spec.selector")
            || ([Rollout::NAME, App::NAME, Kit::NAME, Secret::NAME].contains(&kind) && path == "spec.target");
        if !is_target {
            return None;
        }
        let error = text.parse::<Target>().err()?;
        Some(Refined { within: error.span, message: error.message, help: error.help })
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// The manifests are at fault. Nothing was changed.
    #[error("the manifests are invalid")]
    Invalid(Diagnostics),
    /// The realm couldn't be read.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// A plan, and what is worth remembering of it once it is applied or was found to have nothing to do.
#[derive(Debug)]
pub struct Declared {
    /// The plan.
    pub plan: Plan,
    /// What the next plan of the same owner needn't look at.
    pub remember: Cache,
}

/// The documents of `sources`, checked as far as that goes without a realm.
pub fn validate(sources: &Sources) -> Result<Vec<Document<Spec>>, Diagnostics> {
    let documents = manifest::load(sources, &Kinds)?;
    let mut found = Diagnostics::default();
    for document in &documents {
        if let Err(refusal) = document.spec.check(&document.key.name) {
            found.add(|| refused(sources, document, &refusal));
        }
    }
    if found.is_empty() { Ok(documents) } else { Err(found) }
}

fn refused(sources: &Sources, document: &Document<Spec>, refusal: &aegis_core::Refusal) -> Diagnostic {
    let path = refusal.field.as_ref().map_or_else(|| "metadata.name".to_owned(), |f| format!("spec.{f}"));
    let diagnostic = Diagnostic::error(&refusal.message).at(sources.place(&document.origin, &path));
    match &refusal.help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// Plans what `sources` declare, over what is in `realm`.
///
/// [`Declared::remember`] may be kept whether the plan is applied or not.
pub async fn plan<R: Realm>(
    realm: &R,
    sources: &Sources,
    by: Provenance,
    policy: Policy,
    cache: Option<&Cache>,
) -> Result<Declared, DeclareError> {
    let slices = sources.slices().map_err(DeclareError::Invalid)?;
    plan_part(realm, Part { sources, slices, digests: HashMap::new() }, by, policy, cache).await
}

/// Those documents that belong to one realm.
#[derive(Debug)]
pub struct Part<'a> {
    /// All that was read.
    pub sources: &'a Sources,
    /// The documents of this realm.
    pub slices: Vec<Slice>,
    /// Of the values of secrets that were read already.
    pub digests: HashMap<ObjectKey, ValueDigest>,
}

/// As [`plan`], of some of the documents: no other is looked at.
pub async fn plan_part<R: Realm>(
    realm: &R,
    part: Part<'_>,
    by: Provenance,
    policy: Policy,
    cache: Option<&Cache>,
) -> Result<Declared, DeclareError> {
    let Part { sources, slices, digests } = part;
    let changes = match cache {
        Some(cache) => realm.changes(cache.revision).await?,
        None => Changes { revision: fetch::revision(realm).await?, ..Changes::default() },
    };
    let job = Job { realm, sources, digests, by, policy, changes };
    // A realm that is behind what was remembered of it was restored from a backup.
    let cache = cache.filter(|cache| job.changes.complete && cache.revision <= job.changes.revision);
    if let Some(sorted) = cache.and_then(|cache| sort(&slices, cache, &job.changes, job.policy.prune)) {
        match job.plan(sorted).await {
            // To say all that is wrong, and where, it takes all documents.
            Err(DeclareError::Invalid(_)) => {}
            planned => return planned,
        }
    }
    job.plan(Sorted { unsettled: slices, ..Sorted::default() }).await
}

/// What is to be planned.
struct Job<'a, R> {
    realm: &'a R,
    sources: &'a Sources,
    digests: HashMap<ObjectKey, ValueDigest>,
    by: Provenance,
    policy: Policy,
    changes: Changes,
}

impl<R: Realm> Job<'_, R> {
    async fn plan(&self, sorted: Sorted<'_>) -> Result<Declared, DeclareError> {
        let Sorted { cache, settled, unsettled } = sorted;
        let (documents, mut found) = manifest::decode(self.sources, &unsettled, &Kinds);
        found.append(manifest::duplicates(self.sources, documents.iter().map(|d| (&d.key, &d.origin))));
        if !found.is_empty() {
            return Err(DeclareError::Invalid(found));
        }
        let mut origins = Vec::with_capacity(documents.len());
        let mut wishes = Vec::with_capacity(documents.len());
        for (index, mut document) in documents.into_iter().enumerate() {
            if let (Spec::Secret(secret), Some(digest)) =
                (&mut document.spec, self.digests.get(&document.key))
            {
                *secret = SecretSpec {
                    target: secret.target.take(),
                    ..SecretSpec::new(secret.scope.clone(), digest.clone())
                };
            }
            origins.push(From { named: is_named(&document), origin: document.origin, hash: document.hash });
            let intent = Intent::Declare(Box::new((document.spec, document.meta)));
            wishes.push(Wish { key: document.key, intent, document: Some(index) });
        }

        let keys: HashSet<ObjectKey> = settled.iter().map(|(_, entry)| entry.key.clone()).collect();
        let known = cache.and_then(|cache| self.known_inventory(cache, &keys, &wishes));
        let is_known = known.is_some();
        let snapshot =
            fetch::snapshot(self.realm, &wishes, &self.policy.owner, self.changes.revision, known, keys)
                .await?;
        let cached = settled
            .iter()
            .map(|(_, entry)| Settled { key: entry.key.clone(), host: entry.host.clone() })
            .collect();
        let mut plan = Plan::new(self.by.clone(), self.policy.clone(), wishes, cached, &snapshot)
            .map_err(|problems| DeclareError::Invalid(diagnose(self.sources, &origins, &problems)))?;
        let dangling = dangling::check(self.realm, &plan).await?;
        if !dangling.is_empty() {
            return Err(DeclareError::Invalid(diagnose(self.sources, &origins, &dangling)));
        }
        if is_known && !plan.policy.owner.is_cli() {
            // Somebody may have ended this owner's part since; what is written is owned in any case.
            let written = plan.items().filter(|item| item.plan.next != Next::Same);
            plan.owns = written.map(|item| item.key.clone()).collect();
        }

        let mut remember = Cache {
            revision: self.changes.revision,
            leftovers: false,
            entries: settled.into_iter().map(|(hash, entry)| (hash, entry.clone())).collect(),
        };
        remember_unchanged(&mut remember, &plan, &origins, &snapshot.inventory);
        // What isn't remembered couldn't be missed when its document goes.
        remember.leftovers = {
            let remembered = remember.keys();
            match cache {
                Some(cache) if is_known => {
                    cache.leftovers || self.is_foreign(cache) || !cache.keys().is_subset(&remembered)
                }
                _ => snapshot.inventory.iter().any(|key| !remembered.contains(key)),
            }
        };
        Ok(Declared { plan, remember })
    }

    /// What the owner declared before, if that is known without asking: every document was known, and there is
    /// nothing else that it declared.
    fn known_inventory(
        &self,
        cache: &Cache,
        settled: &HashSet<ObjectKey>,
        wishes: &[Wish],
    ) -> Option<BTreeSet<ObjectKey>> {
        let known = cache.keys();
        // Hosts are known by their ids and wished for by names: the same hosts, as long as none got another name.
        let mut hosts: HashMap<&str, &ObjectKey> = HashMap::new();
        if !self.changes.keys.iter().any(|key| key.kind == EdgeNode::NAME) {
            let entries = cache.entries.values();
            hosts.extend(entries.filter_map(|entry| Some((entry.host.as_deref()?, &entry.key))));
        }
        let key = |Wish { key, .. }: &'_ Wish| match hosts.get(key.name.as_str()) {
            Some(host) if key.kind == EdgeNode::NAME => (*host).clone(),
            _ => key.clone(),
        };
        let wished: HashSet<ObjectKey> = wishes.iter().map(key).collect();
        if !wished.iter().all(|key| known.contains(key)) {
            return None;
        }
        let vanished = known.iter().any(|key| !settled.contains(*key) && !wished.contains(*key));
        if cache.leftovers || vanished || self.is_foreign(cache) {
            return None;
        }
        Some(settled.iter().cloned().chain(wished).collect())
    }

    /// Whether anybody, perhaps this owner elsewhere, wrote objects that the cache doesn't know.
    fn is_foreign(&self, cache: &Cache) -> bool {
        let known = cache.keys();
        self.changes.keys.iter().any(|key| !known.contains(key))
    }
}

/// Where a wish comes from, and whether it speaks of hosts by names.
struct From {
    origin: Origin,
    hash: blake3::Hash,
    named: bool,
}

/// Documents that need no look, and those that do.
#[derive(Default)]
struct Sorted<'a> {
    /// The cache that says so.
    cache: Option<&'a Cache>,
    settled: Vec<(blake3::Hash, &'a Entry)>,
    unsettled: Vec<Slice>,
}

/// Which documents need no look: their digest is known, and nothing that they depend on was written since or is to be
/// looked at. `None`: a document stands twice.
fn sort<'a>(slices: &[Slice], cache: &'a Cache, changes: &Changes, prune: bool) -> Option<Sorted<'a>> {
    let hosts_changed = changes.keys.iter().any(|key| key.kind == EdgeNode::NAME);
    let stands = |(key, declared): &(ObjectKey, bool)| {
        // What isn't declared here may be what --prune removes; hosts never are.
        !changes.keys.contains(key) && (*declared || !prune || key.kind == EdgeNode::NAME)
    };
    let is_settled = |entry: &&Entry| {
        !changes.keys.contains(&entry.key)
            && (!entry.named || !hosts_changed)
            && entry.references.iter().all(stands)
    };
    let mut entries: Vec<Option<&Entry>> =
        slices.iter().map(|slice| cache.entries.get(&slice.hash).filter(is_settled)).collect();

    let mut declared: HashSet<&ObjectKey> = HashSet::with_capacity(entries.len());
    if !entries.iter().flatten().all(|entry| declared.insert(&entry.key)) {
        return None;
    }
    // Whoever points to a document that has to be looked at is looked at too: the two may form a circle now.
    let mut pointing: HashMap<&ObjectKey, Vec<usize>> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        for (key, _) in entry.iter().flat_map(|e| &e.references).filter(|(_, declared)| *declared) {
            pointing.entry(key).or_default().push(index);
        }
    }
    let mut open: Vec<&ObjectKey> = pointing.keys().filter(|key| !declared.contains(*key)).copied().collect();
    while let Some(key) = open.pop() {
        for index in pointing.remove(key).unwrap_or_default() {
            open.extend(entries[index].take().map(|entry| &entry.key));
        }
    }

    let mut sorted = Sorted { cache: Some(cache), ..Sorted::default() };
    for (slice, entry) in slices.iter().zip(entries) {
        match entry {
            Some(entry) => sorted.settled.push((slice.hash, entry)),
            None => sorted.unsettled.push(slice.clone()),
        }
    }
    Some(sorted)
}

fn is_named(document: &Document<Spec>) -> bool {
    let by_name = |kind: &str, name: &str| kind == EdgeNode::NAME && NodeId::new(name).is_err();
    by_name(&document.key.kind, &document.key.name)
        || document.spec.references().iter().any(|r| by_name(r.kind, &r.name))
}

fn remember_unchanged(cache: &mut Cache, plan: &Plan, origins: &[From], inventory: &BTreeSet<ObjectKey>) {
    let declared: HashSet<&ObjectKey> =
        plan.items().map(|item| &item.key).chain(plan.cached.iter().map(|settled| &settled.key)).collect();
    for item in plan.items() {
        let (Some(from), Intent::Declare(wish)) =
            (item.document.and_then(|index| origins.get(index)), &item.intent)
        else {
            continue;
        };
        // A secret's document can be the same while its value, which stands elsewhere, is another.
        let settled = item.key.kind != Secret::NAME
            && item.plan.outcome == Outcome::Unchanged
            && item.plan.next == Next::Same
            && item.plan.conflicts.is_empty()
            && item.plan.kept.is_empty()
            && inventory.contains(&item.key);
        if settled {
            let references = wish.0.references().into_iter().map(|r| {
                let key = ObjectKey::new(r.kind, r.name);
                // A host is there whether it is declared or not.
                let here = key.kind != EdgeNode::NAME && declared.contains(&key);
                (key, here)
            });
            let entry = Entry {
                key: item.key.clone(),
                host: item.host.clone(),
                named: from.named,
                references: references.collect(),
            };
            cache.entries.insert(from.hash, entry);
        }
    }
}

fn diagnose(sources: &Sources, origins: &[From], problems: &[Problem]) -> Diagnostics {
    let mut found = Diagnostics::default();
    for problem in problems {
        found.add(|| {
            let mut diagnostic = Diagnostic::error(match problem.document {
                Some(_) => problem.message.clone(),
                None => format!("{}: {}", problem.key, problem.message),
            });
            if let Some(from) = problem.document.and_then(|index| origins.get(index)) {
                let path =
                    problem.field.as_ref().map_or_else(|| "metadata.name".into(), |f| format!("spec.{f}"));
                diagnostic = diagnostic.at(sources.place(&from.origin, &path));
            }
            if let Some(other) = problem.other.and_then(|index| origins.get(index)) {
                diagnostic = diagnostic.related(sources.place(&other.origin, "metadata.name"), "the other");
            }
            match &problem.help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            }
        });
    }
    found
}
