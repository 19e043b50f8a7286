//! The merged tree: what is where, in memory. Content stays in the image file that it was written to.
//!
//! A name can't lead out: there is nothing above [`ROOT`].

#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;

pub use walk::{Bounds, split};

use crate::erofs::Content;

/// A file, link or directory of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// The root directory.
pub const ROOT: NodeId = NodeId(0);

impl NodeId {
    /// Its place among all nodes.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Extended attributes, with their whole names.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// What belongs to a node of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The mode's lower twelve bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// The nanoseconds of that.
    pub nanoseconds: u32,
    /// Most nodes have none.
    pub xattrs: Option<Box<Xattrs>>,
}

impl Attributes {
    /// Those of a directory that no layer describes.
    pub fn implicit_directory() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: 0, nanoseconds: 0, xattrs: None }
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Where it leads.
    pub node: NodeId,
    /// The last layer that had this name: a whiteout removes only what is of lower ones.
    pub layer: u32,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory with its entries.
    Directory(BTreeMap<Box<[u8]>, Child>),
    /// A file.
    File(Content),
    /// A symbolic link.
    Symlink(Box<[u8]>),
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner, mode and so on.
    pub attributes: Attributes,
    /// What it is.
    pub kind: Kind,
    /// How many names it has. Without one it is gone.
    pub names: u32,
}

/// A rule that an entry breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(pub String);

impl Rule {
    /// A rule in words.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A file system in the making.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    bounds: Bounds,
    /// Content that no name leads to any more.
    released: Vec<Content>,
}

impl Tree {
    /// A tree that has a root and nothing else.
    pub fn new(bounds: Bounds) -> Self {
        let root = Node {
            attributes: Attributes::implicit_directory(),
            kind: Kind::Directory(BTreeMap::new()),
            names: 1,
        };
        Self { nodes: vec![root], bounds, released: Vec::new() }
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// How many nodes there ever were: every index is below.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The entries of a directory; none of anything else.
    pub fn children(&self, id: NodeId) -> Option<&BTreeMap<Box<[u8]>, Child>> {
        match &self.node(id).kind {
            Kind::Directory(children) => Some(children),
            Kind::File(_) | Kind::Symlink(_) => None,
        }
    }

    /// What a directory has under a name.
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<Child> {
        self.children(directory)?.get(name).copied()
    }

    /// Content that became unreachable since the last call.
    pub fn take_released(&mut self) -> Vec<Content> {
        std::mem::take(&mut self.released)
    }

    /// Puts a file, a symbolic link or a directory under a name. What was there is replaced; but a directory that takes a
    /// directory's place keeps what is in it.
    pub fn insert(
        &mut self,
        directory: NodeId,
        name: &[u8],
        layer: u32,
        attributes: Attributes,
        kind: Kind,
    ) -> Result<NodeId, Rule> {
        if matches!(kind, Kind::Directory(_)) {
            let known = self.child(directory, name).filter(|child| self.children(child.node).is_some());
            if let Some(child) = known {
                self.nodes[child.node.index()].attributes = attributes;
                self.set_child(directory, name, Child { node: child.node, layer });
                return Ok(child.node);
            }
        }
        let index = u32::try_from(self.nodes.len()).map_err(|_| Rule::new("there are too many entries"))?;
        self.nodes.push(Node { attributes, kind, names: 1 });
        self.replace(directory, name, Child { node: NodeId(index), layer });
        Ok(NodeId(index))
    }

    /// Changes what the root's entry says.
    pub fn set_root(&mut self, attributes: Attributes) {
        self.nodes[ROOT.index()].attributes = attributes;
    }

    /// Gives a node that isn't a directory one more name.
    pub fn link(&mut self, directory: NodeId, name: &[u8], layer: u32, node: NodeId) {
        // First, as the name may be one that the node has already, even its last.
        self.nodes[node.index()].names += 1;
        self.replace(directory, name, Child { node, layer });
    }

    /// Removes what lower layers have under a name, at any depth.
    pub fn remove_lower(&mut self, directory: NodeId, name: &[u8], layer: u32) {
        // Not by recursion: how deep a tree is, its image says. Directories come before what is in them, so that
        // backwards they are empty when it is their turn.
        let mut found: Vec<(NodeId, Box<[u8]>, Child)> = Vec::new();
        found.extend(self.child(directory, name).map(|child| (directory, name.into(), child)));
        let mut at = 0;
        while let Some((_, _, child)) = found.get(at) {
            let node = child.node;
            let within = self.children(node).into_iter().flatten();
            let within: Vec<_> = within.map(|(name, child)| (node, name.clone(), *child)).collect();
            found.extend(within);
            at += 1;
        }
        for (directory, name, child) in found.into_iter().rev() {
            let is_needed = self.children(child.node).is_some_and(|children| !children.is_empty());
            if child.layer < layer && !is_needed {
                self.detach(directory, &name);
            }
        }
    }

    /// Removes what lower layers have in a directory, at any depth.
    pub fn clear_lower(&mut self, directory: NodeId, layer: u32) {
        let names = self.children(directory).into_iter().flatten().map(|(name, _)| name.clone());
        let names: Vec<Box<[u8]>> = names.collect();
        for name in names {
            self.remove_lower(directory, &name, layer);
        }
    }

    fn set_child(&mut self, directory: NodeId, name: &[u8], child: Child) -> Option<Child> {
        match &mut self.nodes[directory.index()].kind {
            Kind::Directory(children) => children.insert(name.into(), child),
            Kind::File(_) | Kind::Symlink(_) => None,
        }
    }

    fn replace(&mut self, directory: NodeId, name: &[u8], child: Child) {
        if let Some(old) = self.set_child(directory, name, child) {
            self.release(old.node);
        }
    }

    fn detach(&mut self, directory: NodeId, name: &[u8]) {
        let old = match &mut self.nodes[directory.index()].kind {
            Kind::Directory(children) => children.remove(name),
            Kind::File(_) | Kind::Symlink(_) => None,
        };
        if let Some(old) = old {
            self.release(old.node);
        }
    }

    /// Takes a name from a node; without names it is gone, with all that is in it.
    fn release(&mut self, id: NodeId) {
        let mut gone = vec![id];
        while let Some(id) = gone.pop() {
            let node = &mut self.nodes[id.index()];
            node.names = node.names.saturating_sub(1);
            if node.names > 0 {
                continue;
            }
            node.attributes.xattrs = None;
            match std::mem::replace(&mut node.kind, Kind::Symlink(Box::default())) {
                Kind::Directory(children) => gone.extend(children.values().map(|child| child.node)),
                Kind::File(content) => self.released.push(content),
                Kind::Symlink(_) => {}
            }
        }
    }
}
