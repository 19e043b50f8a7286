//! Which documents are for this machine's daemon, and which for a controller.

use aegis_core::Kind;
use aegis_kinds::{App, Kit, Secret, Spec};

use crate::{
    declare::{Kinds, validate},
    manifest::{self, Diagnostics, Document, Slice, Sources},
};

/// Kinds that live on this machine, unless they have a `target`.
pub const LOCAL: [&str; 3] = [App::NAME, Kit::NAME, Secret::NAME];

/// Documents by the realm that they belong to.
#[derive(Debug, Default)]
pub struct Divided {
    /// Those for this machine's daemon.
    pub local: Vec<Slice>,
    /// Those for a controller.
    pub others: Vec<Slice>,
    /// Secrets among the local ones, decoded: their values are still to be read.
    pub local_secrets: Vec<Document<Spec>>,
    /// Secrets for the daemons of other hosts.
    pub other_secrets: Vec<Document<Spec>>,
}

/// Whether an object of this spec lives on this machine.
pub fn is_local(spec: &Spec) -> bool {
    match spec {
        Spec::App(spec) => spec.target.is_none(),
        Spec::Kit(spec) => spec.target.is_none(),
        Spec::Secret(spec) => spec.target.is_none(),
        _ => false,
    }
}

/// Divides the documents of `sources`. Only those of kinds that may be local are decoded, as most manifests of a fleet
/// have none.
///
/// Errors: when one of these is at fault, all that is wrong with any document.
pub fn divide(sources: &Sources) -> Result<Divided, Diagnostics> {
    let mut divided = Divided::default();
    for slice in sources.slices()? {
        let may_be_local = sources.sniff(&slice).0.is_none_or(|kind| LOCAL.contains(&kind));
        let slices = if may_be_local { &mut divided.local } else { &mut divided.others };
        slices.push(slice);
    }
    if divided.local.is_empty() {
        return Ok(divided);
    }
    let candidates = std::mem::take(&mut divided.local);
    let (documents, mut found) = manifest::decode(sources, &candidates, &Kinds);
    let own = || documents.iter().filter(|document| LOCAL.contains(&document.spec.kind()));
    found.append(manifest::duplicates(sources, own().map(|document| (&document.key, &document.origin))));
    if !found.is_empty() || own().any(|document| document.spec.check(&document.key.name).is_err()) {
        // To say all that is wrong, and where, it takes all documents.
        validate(sources)?;
        return Err(found);
    }
    // Without a fault there is a document for each slice, in the same order.
    for (slice, document) in candidates.into_iter().zip(documents) {
        let local = is_local(&document.spec);
        let slices = if local { &mut divided.local } else { &mut divided.others };
        slices.push(slice);
        if matches!(document.spec, Spec::Secret(_)) {
            let secrets = if local { &mut divided.local_secrets } else { &mut divided.other_secrets };
            secrets.push(document);
        }
    }
    Ok(divided)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Sources {
        Sources::from_texts([("test.yaml", text.as_bytes())]).unwrap()
    }

    const GROUP: &str =
        "---\napiVersion: aegis.dev/v1\nkind: EdgeGroup\nmetadata: {name: web}\nspec: {selector: all}\n";
    const SECRET: &str =
        "---\napiVersion: aegis.dev/v1\nkind: Secret\nmetadata: {name: KEY}\nspec: {valueFrom: {env: KEY}}\n";

    fn app(name: &str, more: &str) -> String {
        format!(
            "---\napiVersion: aegis.dev/v1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{image: a, command: [b]{more}}}\n"
        )
    }

    #[test]
    fn a_target_tells_the_realm() {
        let all = [GROUP, SECRET, &app("here", ""), &app("there", ", target: all")].concat();
        let divided = divide(&sources(&all)).unwrap();
        assert_eq!((divided.local.len(), divided.others.len()), (2, 2));
        assert_eq!((divided.local_secrets.len(), divided.other_secrets.len()), (1, 0));
    }

    #[test]
    fn a_fault_is_reported_with_all_others() {
        let text = [app("a", ""), app("A_b", ""), GROUP.replace("all", "'('")].concat();
        assert_eq!(divide(&sources(&text)).unwrap_err().count(), 1);
        let text = [app("a", ""), app("a", ", target: all")].concat();
        assert_eq!(divide(&sources(&text)).unwrap_err().count(), 1);
    }
}
