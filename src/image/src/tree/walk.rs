//! How a path leads through the tree, and what of it is refused.

use super::{Attributes, Kind, NodeId, ROOT, Rule, Tree};

/// As many as Linux follows.
const MOST_LINKS: u32 = 40;
/// The longest name of a directory's entry, in EROFS as in most file systems.
const NAME_BYTES: usize = 255;

/// The bounds of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a path, both as it is written and after links were followed.
    pub path_bytes: usize,
}

/// A path, cut into names: the directories, and what is in the last of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The directories on the way.
    pub directories: Vec<&'a [u8]>,
    /// The last name; none for the root itself.
    pub last: Option<&'a [u8]>,
    /// Whether the path began with a slash.
    pub is_absolute: bool,
}

/// Cuts a path of an entry; it is taken relative to the root, with a slash in front or not.
pub fn split(path: &[u8], bounds: Bounds) -> Result<Parts<'_>, Rule> {
    if path.is_empty() {
        return Err(Rule::new("its name is empty"));
    }
    if path.len() > bounds.path_bytes {
        return Err(Rule::new(format!("its name is longer than {} bytes", bounds.path_bytes)));
    }
    let mut directories: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    for name in &directories {
        check_name(name)?;
        if *name == b".." {
            return Err(Rule::new("its name has .. in it"));
        }
    }
    let last = directories.pop();
    Ok(Parts { directories, last, is_absolute: path.starts_with(b"/") })
}

fn check_name(name: &[u8]) -> Result<(), Rule> {
    if name.len() > NAME_BYTES {
        return Err(Rule::new(format!("a part of its name is longer than {NAME_BYTES} bytes")));
    }
    if name.contains(&0) {
        return Err(Rule::new("its name has a zero byte"));
    }
    Ok(())
}

impl Tree {
    /// The bounds that the tree was made with.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The directory that `directories` lead to, through symbolic links; none if it isn't there.
    pub fn find_directory(&mut self, directories: &[&[u8]]) -> Result<Option<NodeId>, Rule> {
        self.walk(directories, None)
    }

    /// The directory that `directories` lead to; those that aren't there are made.
    pub fn make_directories(&mut self, directories: &[&[u8]], layer: u32) -> Result<NodeId, Rule> {
        let made = self.walk(directories, Some(layer))?;
        made.ok_or_else(|| Rule::new("its directory can't be made"))
    }

    fn walk(&mut self, directories: &[&[u8]], make: Option<u32>) -> Result<Option<NodeId>, Rule> {
        // The way from the root, with the length of each name: `..` of a link goes back on it.
        let mut way: Vec<(NodeId, usize)> = vec![(ROOT, 0)];
        let mut length = 0;
        let mut links = 0;
        let mut ahead: Vec<Box<[u8]>> = directories.iter().rev().map(|name| (*name).into()).collect();
        while let Some(name) = ahead.pop() {
            let (here, here_length) = way.last().copied().unwrap_or((ROOT, 0));
            match &*name {
                b"" | b"." => continue,
                b".." => {
                    if way.len() == 1 {
                        return Err(Rule::new("a symbolic link on the way leads above the root"));
                    }
                    way.pop();
                    length -= here_length;
                    continue;
                }
                _ => check_name(&name)?,
            }
            let next = match (self.child(here, &name), make) {
                (Some(child), _) => child.node,
                (None, None) => return Ok(None),
                (None, Some(layer)) => {
                    let kind = Kind::Directory(std::collections::BTreeMap::new());
                    self.insert(here, &name, layer, Attributes::implicit_directory(), kind)?
                }
            };
            match &self.node(next).kind {
                Kind::Directory(_) => {
                    way.push((next, name.len() + 1));
                    length += name.len() + 1;
                    if length > self.bounds.path_bytes {
                        let most = self.bounds.path_bytes;
                        return Err(Rule::new(format!(
                            "its path is longer than {most} bytes once links are followed"
                        )));
                    }
                }
                Kind::Symlink(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Rule::new(format!(
                            "its path leads through more than {MOST_LINKS} symbolic links"
                        )));
                    }
                    if target.starts_with(b"/") {
                        way.truncate(1);
                        length = 0;
                    }
                    ahead.extend(target.rsplit(|byte| *byte == b'/').map(Into::into));
                }
                Kind::File(_) => return Err(Rule::new("its path leads through a file")),
            }
        }
        Ok(way.last().map(|(node, _)| *node))
    }
}
