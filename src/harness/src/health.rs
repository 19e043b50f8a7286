//! How the guest is: counters out of `/proc`, which shows this guest's processes and no others.

use std::{fs, os::fd::OwnedFd};

use aegis_harness::message::Health;

/// The parent of all threads of a VM's kernel, which are no processes of the guest's.
const KERNEL: u32 = 2;

/// Where counts of ends for lack of memory come from, and whose memory is meant.
pub enum Whose {
    /// A VM's: all of it.
    Machine,
    /// A jail's: that of its processes. With the file that its cgroup counts in, if there is one.
    Jail(Option<OwnedFd>),
}

/// The counters, which never fall although processes come and go.
pub struct Counters {
    whose: Whose,
    ticks_per_second: u64,
    page_kib: u64,
    cpu_us: u64,
    /// All ticks at the last look. What a process used stays in the sum when it ends, as its parent's count of its children;
    /// only of one whose parent doesn't wait for it are they lost.
    ticks: u64,
}

/// One line of `/proc/N/stat`, as far as it is of use.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Its own time, in ticks.
    own: u64,
    /// That of children that it waited for.
    children: u64,
}

impl Counters {
    /// Nothing counted yet.
    pub fn new(whose: Whose) -> Self {
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        let page_kib = (rustix::param::page_size() / 1024) as u64;
        Self { whose, ticks_per_second, page_kib, cpu_us: 0, ticks: 0 }
    }

    /// Whether there is a kernel of its own.
    pub fn are_of_machine(&self) -> bool {
        matches!(self.whose, Whose::Machine)
    }

    /// Looks at everything.
    pub fn look(&mut self, packets: u64) -> Health {
        let own = std::process::id();
        let (mut ticks, mut processes, mut private_kib) = (0, 0, 0);
        for pid in process_numbers() {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let Some(stat) = parse_stat(&read("stat")) else { continue };
            if pid == KERNEL || stat.parent == KERNEL {
                continue;
            }
            if pid == own {
                ticks += stat.children;
            } else {
                ticks += stat.own + stat.children;
                processes += 1;
                private_kib += private_pages(&read("statm")) * self.page_kib;
            }
        }
        self.cpu_us += ticks.saturating_sub(self.ticks) * 1_000_000 / self.ticks_per_second;
        self.ticks = ticks;
        let memory_kib = match self.whose {
            Whose::Machine => fs::read_to_string("/proc/meminfo").map_or(0, |text| memory_in_use(&text)),
            Whose::Jail(_) => private_kib,
        };
        Health { cpu_us: self.cpu_us, packets, memory_kib, processes }
    }

    /// How many processes the kernel has ended because memory ran out.
    pub fn memory_ends(&self) -> u64 {
        let text = match &self.whose {
            Whose::Jail(Some(events)) => {
                let mut text = [0; 512];
                rustix::io::pread(events, &mut text[..], 0)
                    .map(|length| String::from_utf8_lossy(&text[..length]).into_owned())
                    .unwrap_or_default()
            }
            _ => fs::read_to_string("/proc/vmstat").unwrap_or_default(),
        };
        number_after(&text, "oom_kill ").unwrap_or(0)
    }
}

fn process_numbers() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn fields(stat: &str) -> impl Iterator<Item = &str> {
    // The name before them may have spaces and parentheses of its own.
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace()
}

fn parse_stat(stat: &str) -> Option<Stat> {
    let parent = fields(stat).nth(1)?.parse().ok()?;
    let sum = |from| fields(stat).skip(from).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Stat { parent, own: sum(11), children: sum(13) })
}

fn private_pages(statm: &str) -> u64 {
    let mut numbers = statm.split_ascii_whitespace().skip(1).filter_map(|pages| pages.parse::<u64>().ok());
    let (resident, shared) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    resident.saturating_sub(shared)
}

fn memory_in_use(meminfo: &str) -> u64 {
    let total = number_after(meminfo, "MemTotal:").unwrap_or(0);
    total.saturating_sub(number_after(meminfo, "MemAvailable:").unwrap_or(0))
}

/// The number after a word that begins a line.
fn number_after(text: &str, word: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const STAT: &str =
        "42 (a ) b) S 7 42 42 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 100 1000000 50 1844674407 1 1";

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        assert_eq!(parse_stat(STAT).unwrap(), Stat { parent: 7, own: 33, children: 77 });
        assert_eq!(parse_stat("42 (sh"), None);
    }

    #[test]
    fn numbers_are_found_by_the_word_before_them() {
        let version_1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        let version_2 = "low 0\nhigh 0\nmax 9\noom 4\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(number_after(version_1, "oom_kill "), Some(3));
        assert_eq!(number_after(version_2, "oom_kill "), Some(2));
        assert_eq!(memory_in_use("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\n"), 600);
        assert_eq!(private_pages("900 50 20 1 0 30 0"), 30);
    }
}
