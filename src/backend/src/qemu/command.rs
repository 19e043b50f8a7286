//! QEMU's command line. Every file is one that it inherits, so it needs no right to open any.

use std::{ffi::OsString, os::fd::RawFd};

use crate::kernel::Discovery;

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The CPU itself.
    Kvm,
    /// QEMU, by translation.
    Tcg,
}

impl Accelerator {
    /// As QEMU names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// Where the guest's memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// QEMU's own.
    Own,
    /// A file that keeps what is written: a template in the making.
    Shared(RawFd),
    /// A file of which only what is written is copied: a clone.
    Private(RawFd),
}

/// What is passed to QEMU.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) accelerator: Accelerator,
    pub(super) memory_mib: u32,
    pub(super) memory: Memory,
    pub(super) cpus: u32,
    pub(super) discovery: Discovery,
    /// The rate of the host's time stamp counter.
    pub(super) tsc_khz: Option<u64>,
    pub(super) vmlinux: RawFd,
    pub(super) initramfs: RawFd,
    pub(super) channel: RawFd,
    pub(super) qmp: RawFd,
    pub(super) rootfs: RawFd,
    pub(super) workspace: Option<RawFd>,
    /// Whether it waits for a saved state instead of booting.
    pub(super) is_clone: bool,
}

impl Line<'_> {
    /// The guest's devices and the rest, without the program's name.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut line = Arguments::default();
        line.add("-name", format!("aegis-{},debug-threads=off", self.name));
        line.flags(&["-nodefaults", "-no-user-config", "-no-reboot"]);
        line.add("-display", "none");
        line.add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
        line.add("-M", self.machine());
        line.add("-accel", self.acceleration());
        line.add("-cpu", self.cpu());
        line.add("-smp", self.cpus.to_string());
        line.add("-m", format!("{}M", self.memory_mib));
        if let Memory::Shared(file) | Memory::Private(file) = self.memory {
            let share = if matches!(self.memory, Memory::Shared(_)) { "on" } else { "off" };
            let size = self.memory_mib;
            line.add(
                "-object",
                format!("memory-backend-file,id=ram,size={size}M,mem-path={},share={share}", path(file)),
            );
        }
        line.add("-kernel", path(self.vmlinux));
        line.add("-initrd", path(self.initramfs));
        line.add("-append", self.kernel_command_line());
        line.add("-serial", "stdio");
        line.add("-chardev", format!("socket,id=qmp,fd={}", self.qmp));
        line.add("-mon", "chardev=qmp,mode=control");
        line.add("-device", "virtio-serial-device,max_ports=2");
        line.add("-chardev", format!("socket,id=ctl,fd={}", self.channel));
        line.add("-device", format!("virtserialport,chardev=ctl,name={}", aegis_harness::PORT_NAME));
        self.disks(&mut line);
        if self.is_clone {
            line.add("-incoming", "defer");
        } else if matches!(self.memory, Memory::Shared(_)) {
            // A clone of a state that doesn't say that it was paused runs as soon as it is there.
            line.add("-global", "migration.store-global-state=off");
        }
        line.0
    }

    /// Each has its name as its serial number, by which the harness finds it: in which order the kernel does differs between
    /// machines.
    fn disks(&self, line: &mut Arguments) {
        let rootfs = ("vda", 1, self.rootfs, true);
        let workspace = self.workspace.map(|file| ("vdb", 2, file, false));
        for (name, set, file, is_read_only) in std::iter::once(rootfs).chain(workspace) {
            line.disk(name, set, file, is_read_only);
        }
    }

    fn machine(&self) -> String {
        // The real-time clock stays: without it the kernel waits a second for one. x-option-roms stays too, as QEMU 10
        // hangs without; the timers are not needed once the kernel is told the rate of the TSC and can check its APIC's
        // timer by that of ACPI. Without ACPI the interrupts and the clock are the old ones.
        let acpi = if self.discovery == Discovery::Acpi { "on" } else { "off" };
        let is_modern = self.tsc_khz.is_some() && self.discovery == Discovery::Acpi;
        let timers = if is_modern { ",pit=off,pic=off" } else { "" };
        let memory = if self.memory == Memory::Own { "" } else { ",memory-backend=ram" };
        format!("microvm,acpi={acpi},rtc=on,isa-serial=on{timers}{memory}")
    }

    fn acceleration(&self) -> &'static str {
        match self.accelerator {
            Accelerator::Kvm => "kvm",
            // QEMU would let its translations grow to a gigabyte a guest.
            Accelerator::Tcg => "tcg,tb-size=64",
        }
    }

    fn cpu(&self) -> &'static str {
        match self.accelerator {
            // Nested and para-virtual hosts refuse the MSR of arch-capabilities.
            Accelerator::Kvm => "host,-arch-capabilities",
            // What x86-64-v2 asks for, and quicker than `max`, whose wide vectors are emulated piece by piece.
            Accelerator::Tcg => "Nehalem-v1",
        }
    }

    fn kernel_command_line(&self) -> String {
        // A panic ends the machine (with -no-reboot) instead of hanging it. Modules and locks stay as they were built:
        // patching code is what costs most in a boot under translation, and so is a probe for a trace nobody reads.
        let mut words: Vec<String> = [
            "console=ttyS0",
            "quiet",
            "panic=-1",
            "reboot=t",
            "cryptomgr.notests=1",
            "noreplace-smp",
            "initcall_blacklist=init_kprobe_trace",
            "random.trust_cpu=on",
        ]
        .map(str::to_owned)
        .into();
        if self.accelerator == Accelerator::Tcg {
            // There is no speculation to guard against in translated code.
            words.push("mitigations=off".to_owned());
        }
        if let Some(khz) = self.tsc_khz {
            // Without these, a boot under translation hangs now and then while it measures its clocks.
            words.extend([format!("tsc_early_khz={khz}"), "no_timer_check".to_owned()]);
        }
        words.join(" ")
    }
}

/// An inherited file, for options that take a path.
fn path(file: RawFd) -> String {
    format!("/proc/self/fd/{file}")
}

#[derive(Debug, Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }

    fn add(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.extend([option.into(), value.into()]);
    }

    /// A disk on an inherited file: given as a set, QEMU uses the file as it was opened.
    fn disk(&mut self, name: &str, set: u8, file: RawFd, is_read_only: bool) {
        let read_only = if is_read_only { "on" } else { "off" };
        self.add("-add-fd", format!("fd={file},set={set}"));
        // Nobody else opens it, or all only read it; the lock of a file that is shared by number says nothing.
        self.add(
            "-blockdev",
            format!(
                "driver=raw,node-name={name},read-only={read_only},discard=unmap,file.driver=file,\
                 file.filename=/dev/fdset/{set},file.locking=off,file.read-only={read_only}"
            ),
        );
        self.add("-device", format!("virtio-blk-device,drive={name},serial={name}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        Line {
            name: "i1",
            accelerator: Accelerator::Tcg,
            memory_mib: 256,
            memory: Memory::Own,
            cpus: 1,
            discovery: Discovery::Acpi,
            tsc_khz: Some(2_600_000),
            vmlinux: 10,
            initramfs: 11,
            channel: 12,
            qmp: 13,
            rootfs: 14,
            workspace: None,
            is_clone: false,
        }
    }

    fn text(line: &Line<'_>) -> String {
        let words: Vec<String> =
            line.arguments().iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn the_line_says_what_was_asked() {
        let cold = line();
        for (line, has, has_not) in [
            (
                cold.clone(),
                vec![
                    "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
                    "-M microvm,acpi=on,rtc=on,isa-serial=on,pit=off,pic=off ",
                    "-accel tcg,tb-size=64 -cpu Nehalem-v1 -smp 1 -m 256M",
                    "tsc_early_khz=2600000 no_timer_check",
                    "mitigations=off",
                    "fd=14,set=1",
                    "socket,id=ctl,fd=12",
                ],
                vec!["-incoming", "set=2", "memory-backend"],
            ),
            (
                Line { accelerator: Accelerator::Kvm, discovery: Discovery::CommandLine, ..cold.clone() },
                vec!["acpi=off", "-accel kvm -cpu host,-arch-capabilities"],
                vec!["mitigations=off", "pit=off"],
            ),
            (
                Line { tsc_khz: None, workspace: Some(15), cpus: 2, ..cold.clone() },
                vec!["fd=15,set=2", "virtio-blk-device,drive=vdb,serial=vdb", "-smp 2"],
                vec!["pit=off", "tsc_early_khz", "-global"],
            ),
            (
                Line { memory: Memory::Shared(16), ..cold.clone() },
                vec![
                    "size=256M,mem-path=/proc/self/fd/16,share=on",
                    "memory-backend=ram",
                    "store-global-state=off",
                ],
                vec!["-incoming"],
            ),
            (
                Line { memory: Memory::Private(16), is_clone: true, ..cold },
                vec!["mem-path=/proc/self/fd/16,share=off", "-incoming defer"],
                vec!["-global"],
            ),
        ] {
            let text = text(&line);
            for part in has {
                assert!(text.contains(part), "{part} is not in {text}");
            }
            for part in has_not {
                assert!(!text.contains(part), "{part} is in {text}");
            }
        }
    }

    #[test]
    fn a_template_and_its_clones_have_the_same_devices() {
        let devices = |line: &Line<'_>| -> Vec<OsString> {
            let arguments = line.arguments();
            let pairs = arguments
                .windows(2)
                .filter(|pair| ["-device", "-M", "-smp", "-cpu"].map(OsString::from).contains(&pair[0]));
            pairs.map(|pair| pair[1].clone()).collect()
        };
        let template = Line { memory: Memory::Shared(16), ..line() };
        let clone = Line { memory: Memory::Private(20), is_clone: true, rootfs: 30, ..line() };
        assert_eq!(devices(&template), devices(&clone));
    }
}
