//! What is written down of a process, so that a later daemon can tell it from another of the same number.

use std::{fs, io, path::Path};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The file of a machine's directory that has its process.
pub(crate) const RECORD: &str = "process";

/// A process by its number and the time when it began, in the kernel's ticks since it booted, and that boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    id: u32,
    began: u64,
    boot: String,
}

impl Record {
    /// Of a process that runs.
    pub(crate) fn of(id: u32) -> io::Result<Self> {
        Ok(Self { id, began: began(id)?, boot: boot_id()? })
    }

    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        fs::write(directory.join(RECORD), format!("{} {} {}\n", self.id, self.began, self.boot))
    }

    pub(crate) fn read(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join(RECORD)).ok()?;
        let mut words = text.split_whitespace();
        let (id, began) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { id, began, boot: words.next()?.to_owned() })
    }

    /// Whether this very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot) && began(self.id).is_ok_and(|began| began == self.began)
    }

    /// Ends it, if it is the one. The handle is opened before the time is compared, so no other is hit.
    pub(crate) fn kill(&self) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.id).ok().and_then(Pid::from_raw) else { return Ok(false) };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(false) };
        if !self.is_alive() {
            return Ok(false);
        }
        pidfd_send_signal(handle, Signal::KILL)?;
        Ok(true)
    }
}

/// This boot of the host.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// When a process began: the 22nd field of its `stat`; the second, its name, may have spaces and brackets. One that has
/// ended and was not waited for doesn't count.
fn began(id: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let mut rest = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    if rest.next() == Some("Z") {
        return Err(io::ErrorKind::NotFound.into());
    }
    let field = rest.nth(18).and_then(|field| field.parse().ok());
    field.ok_or_else(|| io::Error::other("/proc has no start time"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_the_very_process_is_ended() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let record = Record::of(child.id()).unwrap();
        record.write(directory.path()).unwrap();
        assert_eq!(Record::read(directory.path()), Some(record.clone()));
        let other = Record { began: record.began + 1, ..record.clone() };
        assert!(!other.kill().unwrap() && record.is_alive());
        let earlier = Record { boot: "another".to_owned(), ..record.clone() };
        assert!(!earlier.kill().unwrap() && record.is_alive());
        assert!(record.kill().unwrap());
        child.wait().unwrap();
        assert!(!record.kill().unwrap());
    }
}
