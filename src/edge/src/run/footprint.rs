//! Gives back the memory of code that only the beginning of a stream needed.
//!
//! Reading the config, the command line and the TLS handshake touch most of the program once. A daemon idles for
//! months after that, and its heartbeat needs a quarter of those pages. The kernel would take them back only when
//! memory is short, and until then they count as the daemon's.

use std::{fs, ops::Range};

/// Drops the pages of program code from this process's memory; those that are needed again come back, one by one, from
/// the page cache. Best effort: on systems without `/proc` nothing happens.
pub(super) fn release_code() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for range in maps.lines().filter_map(code) {
        #[expect(unsafe_code, reason = "the system call works on addresses")]
        // SAFETY: the range maps a file, readable and executable but not writable, so each page is the file's own
        // content, and the kernel reads it again on the next access. Nothing in this program unmaps code, so nothing
        // else can be there by now.
        let released = unsafe {
            rustix::mm::madvise(
                std::ptr::with_exposed_provenance_mut(range.start),
                range.len(),
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
        if let Err(error) = released {
            tracing::debug!(%error, "pages of code can't be released");
        }
    }
}

/// The addresses of a line of `/proc/self/maps`, if it maps the code of a file: `r-xp` and a path.
fn code(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (addresses, rights, path) = (fields.next()?, fields.next()?, fields.nth(3)?);
    if rights != "r-xp" || !path.starts_with('/') {
        return None;
    }
    let (start, end) = addresses.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_released() {
        assert_eq!(code("1000-3000 r-xp 0002 fe:00 7     /usr/bin/aegis"), Some(0x1000..0x3000));
        for other in [
            "1000-3000 r--p 0002 fe:00 7     /usr/bin/aegis",
            "1000-3000 rw-p 0002 fe:00 7     /usr/bin/aegis",
            "1000-3000 rwxp 0002 fe:00 7     /usr/bin/aegis",
            "1000-3000 r-xp 0000 00:00 0     [vdso]",
            "1000-3000 r-xp 0000 00:00 0",
            "",
        ] {
            assert_eq!(code(other), None, "{other}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_program_goes_on_and_takes_less_memory() {
        let of_files = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        // Other tests of this process touch code at the same time.
        let less = || {
            let before = of_files();
            release_code();
            of_files() < before
        };
        assert!((0..100).any(|_| less()));
    }
}
