//! Whether KVM runs a kernel here: asked by running one loop.
//!
//! `/dev/kvm` opens and makes virtual CPUs also where a host interprets every instruction of a kernel, at a thousandth of
//! the speed, and stops at the first that it doesn't know. A kernel can't be booted there.

use std::{
    fs, io,
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use kvm_bindings::{kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm as Device, VcpuExit};
use rustix::mm::{MapFlags, ProtFlags};

use crate::process::boot_id;

/// Iterations of two instructions each.
const ITERATIONS: u32 = 100_000;
/// Millions of instructions a second below which KVM isn't one; real ones do thousands, interpreters do one or two.
const LEAST_MIPS: f64 = 50.0;
/// Longer than any interpreter takes.
const LIMIT: Duration = Duration::from_secs(2);
/// Where the loop is in the guest's memory.
const CODE: u64 = 0x1000;

/// What KVM is good for.
#[derive(Debug, Clone, PartialEq)]
pub enum Kvm {
    /// It runs kernels.
    Usable {
        /// Millions of instructions a second.
        mips: f64,
    },
    /// It is there, and can't.
    Slow {
        /// Millions of instructions a second; none: it didn't end in time.
        mips: Option<f64>,
    },
    /// It can't be used.
    Unavailable {
        /// Why.
        reason: String,
        /// A command that may help.
        hint: Option<String>,
    },
}

impl Kvm {
    /// Whether it runs kernels.
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Usable { .. })
    }

    /// In one line.
    pub fn describe(&self) -> String {
        match self {
            Self::Usable { mips } => format!("KVM works ({mips:.0} MIPS)"),
            Self::Slow { mips: Some(mips) } => {
                format!("/dev/kvm does {mips:.1} MIPS: it opens but can't run a kernel")
            }
            Self::Slow { mips: None } => "/dev/kvm opens but can't run a kernel".to_owned(),
            Self::Unavailable { reason, .. } => reason.clone(),
        }
    }

    fn of(mips: f64) -> Self {
        if mips < LEAST_MIPS { Self::Slow { mips: Some(mips) } } else { Self::Usable { mips } }
    }
}

/// Asks KVM, or the file that has its answer since the host booted. Blocks for up to two seconds, usually none.
pub fn kvm(cache: &Path) -> Kvm {
    let boot = boot_id().unwrap_or_default();
    let known = fs::read_to_string(cache).ok().and_then(|text| {
        let (of, mips) = text.trim().split_once(' ')?;
        (of == boot).then(|| mips.parse().ok()).flatten()
    });
    // The right to open it may have changed since.
    if let Err(unavailable) = open() {
        return unavailable;
    }
    if let Some(mips) = known {
        return Kvm::of(mips);
    }
    let measured = measure_bounded();
    if let Kvm::Usable { mips } | Kvm::Slow { mips: Some(mips) } = &measured {
        // Without it, it is measured again.
        let _ = fs::write(cache, format!("{boot} {mips}\n"));
    }
    measured
}

fn open() -> Result<Device, Kvm> {
    Device::new().map_err(|error| {
        let (reason, hint) = match error.errno() {
            libc::ENOENT => {
                ("there is no /dev/kvm", Some("sudo modprobe kvm_intel || sudo modprobe kvm_amd"))
            }
            libc::EACCES | libc::EPERM => ("/dev/kvm may not be opened", Some("sudo usermod -aG kvm $USER")),
            _ => ("/dev/kvm can't be opened", None),
        };
        Kvm::Unavailable {
            reason: format!("{reason} ({})", io::Error::from(error)),
            hint: hint.map(str::to_owned),
        }
    })
}

/// In a thread of its own: a call that never returns costs that thread and no more.
fn measure_bounded() -> Kvm {
    let (sender, measured) = mpsc::channel();
    let started =
        std::thread::Builder::new().name("kvm-probe".to_owned()).spawn(move || sender.send(measure()));
    if let Err(error) = started {
        return Kvm::Unavailable { reason: format!("KVM can't be probed: {error}"), hint: None };
    }
    match measured.recv_timeout(LIMIT) {
        Ok(Ok(mips)) => Kvm::of(mips),
        Ok(Err(error)) => Kvm::Unavailable { reason: format!("KVM can't run a loop: {error}"), hint: None },
        Err(_) => Kvm::Slow { mips: None },
    }
}

fn measure() -> io::Result<f64> {
    let [a, b, c, d] = ITERATIONS.to_le_bytes();
    // mov ecx, ITERATIONS; loop: dec ecx; jnz loop; hlt
    let code = [0xb9, a, b, c, d, 0x49, 0x75, 0xfd, 0xf4];
    let device = Device::new().map_err(io::Error::from)?;
    let machine = device.create_vm().map_err(io::Error::from)?;
    let size = 0x2000;
    #[allow(unsafe_code, reason = "memory that is shared with a guest has no safe form")]
    // SAFETY: the mapping is new and as large as said; it is never unmapped, so the guest's view of it stays valid, and
    // nobody else has a reference to it.
    unsafe {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let memory = rustix::mm::mmap_anonymous(std::ptr::null_mut(), size, protection, MapFlags::PRIVATE)?;
        std::ptr::copy_nonoverlapping(code.as_ptr(), memory.cast::<u8>().add(0x1000), code.len());
        let region = kvm_userspace_memory_region {
            memory_size: size as u64,
            userspace_addr: memory as u64,
            ..kvm_userspace_memory_region::default()
        };
        machine.set_user_memory_region(region).map_err(io::Error::from)?;
    }
    let mut cpu = machine.create_vcpu(0).map_err(io::Error::from)?;
    // Ring 0 in 32 bits, flat and without paging: the least in which a kernel's instructions are a kernel's.
    let mut special = cpu.get_sregs().map_err(io::Error::from)?;
    let flat = kvm_segment { limit: 0xffff_ffff, present: 1, s: 1, g: 1, db: 1, ..kvm_segment::default() };
    special.cs = kvm_segment { selector: 8, type_: 11, ..flat };
    let data = kvm_segment { selector: 16, type_: 3, ..flat };
    (special.ds, special.es, special.ss) = (data, data, data);
    special.cr0 |= 1;
    cpu.set_sregs(&special).map_err(io::Error::from)?;
    let mut registers = cpu.get_regs().map_err(io::Error::from)?;
    (registers.rip, registers.rflags) = (CODE, 2);
    cpu.set_regs(&registers).map_err(io::Error::from)?;
    let began = Instant::now();
    loop {
        match cpu.run() {
            Ok(VcpuExit::Hlt) => break,
            Ok(exit) => return Err(io::Error::other(format!("it stopped with {exit:?}"))),
            Err(error) if error.errno() == libc::EINTR && began.elapsed() < LIMIT => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(f64::from(2 * ITERATIONS) / began.elapsed().as_secs_f64() / 1e6)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_answer_is_bounded_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("kvm");
        let began = Instant::now();
        let first = kvm(&cache);
        assert!(began.elapsed() < Duration::from_secs(10));
        if cache.exists() {
            assert_eq!(kvm(&cache), first, "the second answer is the first one");
            fs::write(&cache, format!("{} 1.4\n", boot_id().unwrap())).unwrap();
            assert_eq!(kvm(&cache), Kvm::Slow { mips: Some(1.4) });
            fs::write(&cache, "another-boot 99999\n").unwrap();
            assert_ne!(kvm(&cache), Kvm::Usable { mips: 99999.0 });
        } else {
            assert!(!first.is_usable());
        }
    }

    #[test]
    fn slow_is_not_usable_and_says_why() {
        assert_eq!(Kvm::of(1.4).describe(), "/dev/kvm does 1.4 MIPS: it opens but can't run a kernel");
        assert!(!Kvm::of(49.9).is_usable() && Kvm::of(3000.0).is_usable());
    }
}
