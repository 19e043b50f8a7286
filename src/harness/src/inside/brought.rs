//! What the process outside brings into a jail: copies of the host's directories, which aren't mounted anywhere yet.

use std::{
    fs,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use aegis_harness::jail::Jail;
use rustix::{
    mount::OpenTreeFlags,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags,
    },
    process::Pid,
    thread::LinkNameSpaceType,
};

use crate::{
    context::{Context, Outcome},
    inside::seal::{Seal, map_tree, seal_tree},
    network,
};

/// The files of a message at most: root, workspace and the maker of network devices.
const FILES: usize = 3;

/// The sign that a guest may start.
const START: u8 = b's';
/// Flags next to it: which files come with it.
const HAS_TREES: u8 = 1;
const HAS_WORKSPACE: u8 = 2;
const HAS_TUN: u8 = 4;

/// Directories and devices.
pub struct Brought {
    /// The root file system.
    pub root: OwnedFd,
    /// `/workspace`.
    pub workspace: Option<OwnedFd>,
    /// `/dev/net/tun`, opened for the jail's network.
    pub tun: Option<OwnedFd>,
}

impl Brought {
    /// Copied by the guest itself, before something hides them.
    pub fn own(jail: &Jail) -> Outcome<Self> {
        let copy = |path, seal| {
            let tree = copy(path)?;
            seal_tree(&tree, seal).context(format_args!("sealing {}", path.display()))?;
            Ok::<_, String>(tree)
        };
        let root = copy(&jail.root, Seal::Writing)?;
        let workspace =
            jail.workspace.as_deref().map(|workspace| copy(workspace, Seal::Devices)).transpose()?;
        Ok(Self { root, workspace, tun: None })
    }

    /// Copied from outside, for a guest whose users count from another number.
    pub fn mapped(jail: &Jail, child: Pid) -> Outcome<Self> {
        let users = fs::File::open(format!("/proc/{}/ns/user", child.as_raw_nonzero()));
        let users = OwnedFd::from(users.context("the guest's users")?);
        let copy = |path, seal| {
            let tree = copy(path)?;
            map_tree(&tree, seal, &users)
                .context(format_args!("mapping the owners in {}", path.display()))?;
            Ok::<_, String>(tree)
        };
        let root = copy(&jail.root, Seal::Writing)?;
        let workspace =
            jail.workspace.as_deref().map(|workspace| copy(workspace, Seal::Devices)).transpose()?;
        Ok(Self { root, workspace, tun: open_tun_for(child).ok() })
    }
}

/// A mount of what is at `path`, with everything below: parts of a mount that a host's user can't unmount can't be left out
/// either.
fn copy(path: &Path) -> Outcome<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(rustix::fs::CWD, path, flags).context(path.display())
}

/// Whoever opens it decides whose network it is for; this process has no use for its own any more.
fn open_tun_for(child: Pid) -> Outcome<OwnedFd> {
    let network =
        fs::File::open(format!("/proc/{}/ns/net", child.as_raw_nonzero())).context("the network")?;
    let kind = Some(LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(network.as_fd(), kind).context("the network")?;
    network::open_tun()
}

/// Lets the guest start.
pub fn send(to: &OwnedFd, brought: Option<&Brought>) -> Outcome<()> {
    let mut files = Vec::new();
    let mut flags = 0;
    if let Some(brought) = brought {
        flags |= HAS_TREES;
        files.push(brought.root.as_fd());
        for (file, flag) in [(&brought.workspace, HAS_WORKSPACE), (&brought.tun, HAS_TUN)] {
            if let Some(file) = file {
                flags |= flag;
                files.push(file.as_fd());
            }
        }
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err("more files than fit in a message".to_owned());
    }
    let bytes = [START, flags];
    rustix::net::sendmsg(to, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)
        .context("starting the guest")
        .map(drop)
}

/// Waits for the sign to start. An error: it will never come.
pub fn receive(from: &OwnedFd) -> Outcome<Option<Brought>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 2];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received = rustix::net::recvmsg(from, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)
        .context("the sign to start")?;
    if received.bytes != 2 {
        return Err("whoever started this is gone".to_owned());
    }
    let flags = bytes[1];
    let mut files = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        })
        .flatten();
    let mut next = |flag| (flags & flag != 0).then(|| files.next()).flatten();
    let Some(root) = next(HAS_TREES) else { return Ok(None) };
    Ok(Some(Brought { root, workspace: next(HAS_WORKSPACE), tun: next(HAS_TUN) }))
}
