//! The system calls that a guest without a VM may not make.
//!
//! What can change the host or reaches seldom used parts of its kernel is refused with EPERM; everything else programs may
//! need. Namespaces and lost capabilities refuse most of these too: this is a second wall.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Refused whatever their arguments are.
const DENIED: &[i64] = &[
    // The kernel itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_lookup_dcookie,
    // Rings pass system calls by this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Mounts and other namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    // Files by handles, past every directory's rights.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The kernel's keys have no namespaces.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The host's clock, swap, quotas and accounting.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_kcmp,
    libc::SYS_fanotify_init,
    // The hardware.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// The families of sockets that there are for a guest. All others reach the host: VMs' sockets, the kernel's ciphers, raw
/// frames, buses of devices, and whatever modules the host has.
const SOCKETS: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// From here on a call's number is one of x32: the kernel takes them from any process of x86-64, as the same architecture.
const X32: u32 = 0x4000_0000;

/// What `clone` may not make.
const NEW_NAMESPACES: &[i32] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// The filter, as bytes of its `struct sock_filter` array.
pub(super) fn program() -> Result<Vec<u8>, String> {
    let filter = SeccompFilter::new(
        rules()?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?,
    );
    let filter = filter.map_err(|error| error.to_string())?;
    let program: BpfProgram = BpfProgram::try_from(filter).map_err(|error| error.to_string())?;
    let first = without_clone3();
    let all = first.into_iter().chain(program.iter().map(|line| (line.code, line.jt, line.jf, line.k)));
    Ok(all
        .flat_map(|(code, yes, no, value)| {
            let mut bytes = code.to_ne_bytes().to_vec();
            bytes.extend([yes, no]);
            bytes.extend(value.to_ne_bytes());
            bytes
        })
        .collect())
}

/// `clone3` has its flags in memory, where no filter sees them. It isn't known, so that C libraries use `clone`. Nor are the
/// calls of x32, which are those of the list by other numbers.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the header gives these constants as wider numbers than fields"
)]
fn without_clone3() -> [(u16, u8, u8, u32); 4] {
    let load_number = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let is_at_least = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    let is_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let unknown = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    [
        (load_number, 0, 0, 0),
        (is_at_least, 1, 0, X32),
        (is_equal, 0, 1, libc::SYS_clone3 as u32),
        (answer, 0, 0, unknown),
    ]
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let namespaces = NEW_NAMESPACES.iter().map(|flag| {
        let flag = u64::from(flag.cast_unsigned());
        rule(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)
    });
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    let others = SOCKETS.iter().map(|family| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(family.cast_unsigned()))
    });
    let others = others.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(others).map_err(|error| error.to_string())?]);
    // Typing into a terminal as if somebody sat there.
    let typing = [libc::TIOCSTI, libc::TIOCLINUX];
    let terminals = typing.iter().map(|request| rule(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *request));
    rules.insert(libc::SYS_ioctl, terminals.collect::<Result<_, _>>()?);
    Ok(rules)
}

fn rule(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, String> {
    let condition =
        SeccompCondition::new(argument, length, operator, value).map_err(|error| error.to_string())?;
    SeccompRule::new(vec![condition]).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_filter_is_a_program_that_the_kernel_takes() {
        let bytes = program().unwrap();
        assert_eq!(bytes.len() % 8, 0);
        assert!(bytes.len() / 8 <= 4096, "BPF_MAXINSNS");
        assert_eq!(&bytes[..2], &(0x20_u16).to_ne_bytes(), "it begins by loading the call's number");
    }

    /// This kernel may not have x32, so the first lines are followed by hand.
    #[test]
    fn calls_by_other_numbers_are_unknown() {
        let lines = without_clone3();
        let is_unknown = |number: u32| {
            let mut at = 1;
            while let Some((code, yes, no, value)) = lines.get(at) {
                let holds = match u32::from(*code) & 0xf0 {
                    libc::BPF_JGE => number >= *value,
                    libc::BPF_JEQ => number == *value,
                    _ => return true,
                };
                at += 1 + usize::from(if holds { *yes } else { *no });
            }
            false
        };
        let of = |call: i64| u32::try_from(call).unwrap();
        assert!(is_unknown(of(libc::SYS_clone3)));
        for call in [libc::SYS_unshare, libc::SYS_mount, libc::SYS_io_uring_setup] {
            assert!(is_unknown(X32 | of(call)) && !is_unknown(of(call)), "{call}");
        }
    }
}
