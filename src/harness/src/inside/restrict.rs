//! What a jail gives up before any of the user's code runs: all of it holds for the harness, too.

#![expect(unsafe_code, reason = "there are no safe wrappers")]

use std::io;

use aegis_harness::jail::Jail;
use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::{
    process::DumpableBehavior,
    thread::{CapabilitySet, CapabilitySets},
};

use crate::{
    context::{Context, Outcome},
    inside::landlock,
    sys::check,
};

/// What a guest's root is left with: to own files, to be other users, to end processes, to listen on low ports.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// The most instructions that a filter may have (`BPF_MAXINSNS`).
const LONGEST_FILTER: usize = 4096;

/// Does all of it, in the order in which each step still can be taken.
pub fn restrict(jail: &Jail, remarks: &mut Vec<String>) -> Outcome<()> {
    for limit in &jail.limits {
        let value = libc::rlimit64 { rlim_cur: limit.most, rlim_max: limit.most };
        // SAFETY: `value` is the structure that the call takes, and outlives it.
        check(unsafe { libc::setrlimit64(limit.resource, &raw const value) })
            .context(format_args!("limit {}", limit.resource))?;
    }
    // Nobody in here reads this process's memory or environment, which are the host's, nor its files, which are the channel.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("keeping memory private")?;
    rustix::thread::set_no_new_privs(true).context("no new privileges")?;
    drop_capabilities().context("giving up capabilities")?;
    match landlock::restrict() {
        Ok(()) => {}
        Err(error) if landlock::is_missing(&error) => remarks.push("this kernel has no landlock".to_owned()),
        Err(error) => return Err(format!("landlock: {error}")),
    }
    match &jail.seccomp {
        Some(filter) => filter_calls(&BASE64_STANDARD.decode(filter).context("the seccomp filter")?),
        None => Ok(()),
    }
}

fn drop_capabilities() -> io::Result<()> {
    let all = CapabilitySet::all().difference(KEPT);
    for capability in all.iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A kernel older than the capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let kept = CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, kept)?)
}

fn filter_calls(bytes: &[u8]) -> Outcome<()> {
    let mut filter: Vec<libc::sock_filter> = Vec::with_capacity(bytes.len() / 8);
    let (instructions, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() || instructions.is_empty() || instructions.len() > LONGEST_FILTER {
        return Err("the seccomp filter isn't one".to_owned());
    }
    for [code_0, code_1, jt, jf, k_0, k_1, k_2, k_3] in instructions {
        filter.push(libc::sock_filter {
            code: u16::from_ne_bytes([*code_0, *code_1]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes([*k_0, *k_1, *k_2, *k_3]),
        });
    }
    let length = libc::c_ushort::try_from(filter.len()).context("the seccomp filter")?;
    let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: `program` points to as many instructions as it says, and both outlive the call, which copies them.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) })
        .context("the seccomp filter")
        .map(drop)
}
