//! The end of a VM. A jail's is the end of its first process, and the kernel ends all others with it.

use std::fs;

use rustix::{mount::UnmountFlags, system::RebootCommand};

/// Writes everything to disk and turns the machine off.
pub fn end() {
    // Nothing runs any more, so that it isn't in use and its journal will be clean.
    let _ = rustix::mount::unmount("/workspace", UnmountFlags::empty());
    rustix::fs::sync();
    power_off();
}

/// Turns the machine off.
pub fn power_off() {
    let options = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let command = if can_power_off(&options) { RebootCommand::PowerOff } else { RebootCommand::Restart };
    let _ = rustix::system::reboot(command);
    let _ = rustix::system::reboot(RebootCommand::Restart);
}

/// A kernel that is told how to reset, or that has no ACPI, would halt for ever when asked to power off.
fn can_power_off(options: &str) -> bool {
    options.split_ascii_whitespace().all(|option| option != "acpi=off" && !option.starts_with("reboot="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_without_acpi_are_reset() {
        assert!(can_power_off("console=hvc0 quiet panic=-1"));
        assert!(!can_power_off("quiet reboot=t panic=-1\n"));
        assert!(!can_power_off("acpi=off"));
    }
}
