//! What every root file system has, whatever its image: places to mount on.

use std::io;

use crate::{
    erofs::Contents,
    tree::{Attributes, Kind, ROOT, Tree},
};

/// Directories that the guest mounts on, with their modes.
const DIRECTORIES: [(&[u8], u16); 8] = [
    (b"proc", 0o555),
    (b"sys", 0o555),
    (b"dev", 0o755),
    (b"tmp", 0o1777),
    (b"run", 0o755),
    (b"var", 0o755),
    (b"workspace", 0o755),
    (b"etc", 0o755),
];
/// Files in /etc that the guest mounts its own over.
const FILES: [&[u8]; 3] = [b"resolv.conf", b"hosts", b"hostname"];
/// What is added counts as of a layer above all others.
const LAYER: u32 = u32::MAX;

/// Adds the directories and files that the guest needs. Where something else has such a name, a symbolic link say, it is
/// replaced: a mount would follow the link to who knows where. What is right already stays as it is.
pub fn ensure(tree: &mut Tree, contents: &mut Contents) -> io::Result<()> {
    let full = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    for (name, mode) in DIRECTORIES {
        if tree.child(ROOT, name).is_none_or(|child| tree.children(child.node).is_none()) {
            let kind = Kind::Directory(std::collections::BTreeMap::new());
            let attributes = Attributes { mode, ..Attributes::implicit_directory() };
            tree.insert(ROOT, name, LAYER, attributes, kind).map_err(full)?;
        }
    }
    let Some(etc) = tree.child(ROOT, b"etc").map(|child| child.node) else { return Ok(()) };
    for name in FILES {
        let is_file = |node| matches!(tree.node(node).kind, Kind::File(_));
        if tree.child(etc, name).is_none_or(|child| !is_file(child.node)) {
            let content = contents.begin(0, None)?.ok_or(io::ErrorKind::FileTooLarge)?;
            let attributes = Attributes { mode: 0o644, ..Attributes::implicit_directory() };
            tree.insert(etc, name, LAYER, attributes, Kind::File(content)).map_err(full)?;
        }
    }
    for content in tree.take_released() {
        contents.discard(&content);
    }
    Ok(())
}
