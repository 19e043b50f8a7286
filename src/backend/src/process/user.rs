//! Who machines run as.

use std::{os::unix::fs::MetadataExt, path::Path};

/// `nobody` and its group, on every distribution.
const NOBODY: u32 = 65534;

/// Nobody, if we are root; others stay who they are.
pub(crate) fn nobody() -> Option<(u32, u32)> {
    rustix::process::geteuid().is_root().then_some((NOBODY, NOBODY))
}

/// Nobody, in the group that may use KVM. Where only root may, a machine stays root.
pub(crate) fn kvm_user() -> Option<(u32, u32)> {
    let (user, group) = nobody()?;
    let device = Path::new("/dev/kvm").metadata().ok()?;
    let (for_group, for_all) = (device.mode() & 0o060 == 0o060, device.mode() & 0o006 == 0o006);
    (for_group || for_all).then(|| (user, if for_group { device.gid() } else { group }))
}
