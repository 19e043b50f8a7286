//! The report as people read it. The lines of the reference come first, as they are there.

use aegis_wire::runtime::Status;

use super::{Finding, Report};
use crate::fleet::visible;

/// The report.
pub fn text(report: &Report) -> String {
    let mut text = "Aegis Doctor\n============\n\n".to_owned();
    for found in &report.tools {
        text += &format!("{:<9} {}\n", format!("{}:", found.name), found.detail);
        text += &fix(found.fix.as_deref().filter(|_| !found.ok), "  ");
    }
    let state = match (&report.unreachable, report.running) {
        (Some(why), _) => format!("not reachable: {}", visible(why)),
        (None, true) => "running".to_owned(),
        (None, false) => "not running".to_owned(),
    };
    text += &format!("\naegisd:   {state}\n");
    text += &fix((!report.running).then_some("aegis up"), "  ");
    if let Some(status) = &report.status {
        text += &daemon(status);
    }
    text += "\nMachine:\n";
    for found in &report.machine {
        text += &line(found);
    }
    text
}

fn daemon(status: &Status) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let can = &status.capabilities;
    let mut text = format!(
        "\nBackend:     {}\nCapabilities:\n  Pause/Resume:          {}\n  Memory Snapshots:      {}\n  Boot from disk layers: {}\nInstalled kits: {}\n",
        visible(&status.backend),
        yes(can.pause_resume),
        yes(can.memory_snapshots),
        yes(can.boot_from_disk_layers),
        status.kits
    );
    text += "\nBackends:\n";
    for backend in &status.backends {
        let usable = if backend.usable { "usable" } else { "not usable" };
        text += &format!(
            "  {:<16} {usable}: {}\n",
            format!("{}:", visible(&backend.name)),
            visible(&backend.reason)
        );
        text += &fix(backend.hint.as_deref().filter(|_| !backend.usable), "    ");
    }
    text
}

fn line(found: &Finding) -> String {
    let mark = if found.ok { "" } else { "! " };
    let mut text = format!("  {:<16} {mark}{}\n", format!("{}:", found.name), found.detail);
    text += &fix(found.fix.as_deref().filter(|_| !found.ok), "    ");
    text
}

/// The command that makes it good, on a line of its own.
fn fix(command: Option<&str>, indent: &str) -> String {
    command.map(|command| format!("{indent}fix: {}\n", visible(command))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let status = serde_json::from_value(serde_json::json!({
            "backend": "libkrun", "kits": 2, "instances": 0, "version": "0.1.0", "pid": 1, "router": "x",
            "capabilities": {"pause_resume": false, "memory_snapshots": false,
                             "boot_from_disk_layers": true, "is_vm": true},
            "backends": [
                {"name": "libkrun", "usable": true, "reason": "KVM"},
                {"name": "qemu", "usable": false, "reason": "there is none", "hint": "install it"},
            ],
        }));
        Report {
            tools: vec![
                Finding::good("Go", "installed"),
                Finding::good("krunvm", "found (optional, not used by Aegis)"),
                Finding::good("libkrun", "found at /opt/homebrew/lib/libkrun.dylib"),
                Finding::good("e2fsprogs", "found"),
            ],
            running: true,
            unreachable: None,
            status: Some(status.unwrap()),
            machine: vec![Finding::bad("KVM", "no", Some("sudo modprobe kvm_amd".into()))],
        }
    }

    /// As it stands in the reference.
    const REFERENCE: &str = "\
Aegis Doctor
============

Go:       installed
krunvm:   found (optional, not used by Aegis)
libkrun:  found at /opt/homebrew/lib/libkrun.dylib
e2fsprogs: found

aegisd:   running

Backend:     libkrun
Capabilities:
  Pause/Resume:          no
  Memory Snapshots:      no
  Boot from disk layers: yes
Installed kits: 2
";

    #[test]
    fn it_begins_as_in_the_reference() {
        let text = text(&report());
        let rest = text.strip_prefix(REFERENCE).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(
            rest,
            "\nBackends:\n  libkrun:         usable: KVM\n  qemu:            not usable: there is none\n    fix: install it\n\nMachine:\n  KVM:             ! no\n    fix: sudo modprobe kvm_amd\n"
        );
    }

    #[test]
    fn without_a_daemon_it_says_how_to_start_one() {
        let text = text(&Report { running: false, status: None, ..report() });
        assert!(text.contains("\naegisd:   not running\n  fix: aegis up\n\nMachine:\n"), "{text}");
    }
}
