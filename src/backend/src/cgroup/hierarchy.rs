//! Which hierarchies of control groups this host has, and where in them this process is.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A directory of a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Version 1.
    One(PathBuf),
    /// Version 2.
    Two(PathBuf),
}

impl Place {
    pub(super) fn directory(&self) -> &Path {
        let (Self::One(directory) | Self::Two(directory)) = self;
        directory
    }
}

/// The groups of this process: below them is where it may make more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hierarchies {
    two: Option<PathBuf>,
    /// By controller.
    one: Vec<(String, PathBuf)>,
}

impl Hierarchies {
    pub(super) fn find() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    fn parse(mounts: &str, groups: &str) -> Self {
        let mut found = Self::default();
        // proc_pid_mountinfo(5): the root of the mount is the 4th field, its place the 5th, the type comes after a dash.
        for line in mounts.lines() {
            let Some((fields, rest)) = line.split_once(" - ") else { continue };
            let fields: Vec<&str> = fields.split(' ').collect();
            let (Some(root), Some(place)) = (fields.get(3), fields.get(4)) else { continue };
            let mut rest = rest.split(' ');
            let (kind, options) = (rest.next().unwrap_or_default(), rest.nth(1).unwrap_or_default());
            let below = |group: &str| {
                let group = group.strip_prefix(root.trim_end_matches('/')).unwrap_or(group);
                Path::new(place).join(group.trim_start_matches('/'))
            };
            // cgroups(7): number, controllers and path; no controllers in the line of version 2.
            for entry in groups.lines() {
                let mut parts = entry.splitn(3, ':').skip(1);
                let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
                if kind == "cgroup2" && controllers.is_empty() && found.two.is_none() {
                    found.two = Some(below(group));
                }
                if kind == "cgroup" {
                    let here =
                        controllers.split(',').filter(|name| options.split(',').any(|one| one == *name));
                    found.one.extend(here.map(|name| (name.to_owned(), below(group))));
                }
            }
        }
        found
    }

    /// Where groups with this controller can be made.
    pub(super) fn of(&self, controller: &str) -> Option<Place> {
        if let Some(two) = &self.two
            && has(two, "cgroup.controllers", controller)
            && delegate(two, controller)
        {
            return Some(Place::Two(two.clone()));
        }
        self.one(controller)
    }

    fn one(&self, controller: &str) -> Option<Place> {
        let (_, directory) = self.one.iter().find(|(name, _)| name == controller)?;
        Some(Place::One(directory.clone()))
    }

    /// Where processes can be frozen. In version 2 that needs no controller.
    pub(super) fn freezer(&self) -> Option<Place> {
        // The root of a hierarchy has no such file; what is made below it has.
        self.two.clone().map(Place::Two).or_else(|| self.one("freezer"))
    }

    pub(super) fn all(&self) -> Vec<Place> {
        let one = self.one.iter().map(|(_, directory)| Place::One(directory.clone()));
        one.chain(self.two.clone().map(Place::Two)).collect()
    }
}

fn has(directory: &Path, file: &str, controller: &str) -> bool {
    let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
    text.split_whitespace().any(|name| name == controller)
}

/// Lets groups below have a controller. A group with processes of its own can't do that, so this one moves into a group
/// below first, as is usual for services whose manager delegates their group to them.
fn delegate(directory: &Path, controller: &str) -> bool {
    let control = "cgroup.subtree_control";
    let allow = || fs::write(directory.join(control), format!("+{controller}")).is_ok();
    if has(directory, control, controller) || allow() {
        return true;
    }
    let own = directory.join("aegisd");
    let moved = (own.exists() || fs::create_dir(&own).is_ok())
        && fs::write(own.join("cgroup.procs"), std::process::id().to_string()).is_ok();
    moved && allow()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_where_they_are_mounted() {
        let mounts = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        let groups = "4:memory:/jobs/7\n1:cpu,cpuacct:/\n0::/user.slice/x\n";
        let found = Hierarchies::parse(mounts, groups);
        assert_eq!(found.two, Some("/sys/fs/cgroup/unified/user.slice/x".into()));
        assert_eq!(found.one("memory"), Some(Place::One("/sys/fs/cgroup/memory/jobs/7".into())));
        assert_eq!(found.one("cpu"), Some(Place::One("/sys/fs/cgroup/cpu,cpuacct/".into())));
        assert_eq!(found.one("pids"), None);
        assert_eq!(Hierarchies::parse("", groups), Hierarchies::default());
    }

    #[test]
    fn a_mount_of_a_part_is_counted_from_there() {
        let mounts = "33 30 0:29 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let found = Hierarchies::parse(mounts, "0::/docker/abc/init\n");
        assert_eq!(found.two, Some("/sys/fs/cgroup/init".into()));
    }
}
