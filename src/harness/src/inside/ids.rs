//! Who on the host the guest's users are.

use std::fs;

use aegis_harness::jail::Ids;
use rustix::{
    process::Pid,
    thread::{Gid, Uid},
};

use crate::context::{Context, Outcome};

/// How many ids there are in a guest whose starter is root.
const IDS: u32 = 65_536;

/// Says it, from outside.
pub fn write(child: Pid, ids: Ids) -> Outcome<()> {
    let pid = child.as_raw_nonzero();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let write = |file: &str, text: String| {
        let path = format!("/proc/{pid}/{file}");
        fs::write(&path, text).context(path)
    };
    if uid == 0 {
        let base = match ids {
            Ids::Same => 0,
            Ids::Shifted { base } => base,
        };
        write("uid_map", format!("0 {base} {IDS}\n"))?;
        write("gid_map", format!("0 {base} {IDS}\n"))
    } else {
        // Whoever has one id may hand on that one, and no groups with it.
        write("setgroups", "deny".to_owned())?;
        write("uid_map", format!("0 {uid} 1\n"))?;
        write("gid_map", format!("0 {gid} 1\n"))
    }
}

/// The ids that this process has on the host needn't be its own in here, and the groups shouldn't.
pub fn become_root() -> Outcome<()> {
    // Not allowed where there is only one id: then the groups are the starter's, and have no name in here.
    let _ = rustix::thread::set_thread_groups(&[]);
    if rustix::process::getuid().is_root() && rustix::process::getgid().is_root() {
        return Ok(());
    }
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).context("becoming the group root")?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).context("becoming root")
}
