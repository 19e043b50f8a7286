//! The `target` of kinds that live on this machine or on hosts: whom it names.

use aegis_core::{Kind, NodeId, Reference, selector::Target};

use crate::{EdgeGroup, EdgeNode};

/// What a target names.
pub(crate) fn reference(target: Option<&Target>) -> Option<Reference> {
    let (kind, name) = match target? {
        Target::Group(group) => (EdgeGroup::NAME, group),
        Target::Node(node) => (EdgeNode::NAME, node),
        Target::All | Target::Selector(_) => return None,
    };
    Some(Reference { kind, name: name.clone(), field: "target".into() })
}

/// The target with a host's name replaced by its id.
pub(crate) fn resolve(
    target: Option<Target>,
    resolve: &dyn Fn(&Reference) -> Option<String>,
) -> Option<Target> {
    let named = reference(target.as_ref()).filter(|named| named.kind == EdgeNode::NAME);
    let id = named.filter(|node| NodeId::new(node.name.as_str()).is_err()).and_then(|node| resolve(&node));
    match id {
        Some(id) => Some(Target::Node(id)),
        None => target,
    }
}
