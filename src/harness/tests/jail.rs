//! The walls of a jail, tried from inside, and what it leaves behind: nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod host;

use std::{
    fs,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use aegis_harness::{
    frame::Kind,
    jail::Limit,
    message::{Network, Setup, ToGuest, ToHost},
    stream,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use host::{Directory, Guest, Starter, command, shell, starters};

#[test]
fn without_its_host_or_its_starter_nothing_is_left() {
    for starter in starters() {
        for by_hanging_up in [true, false] {
            let mark = format!("{}-{starter:?}-{by_hanging_up}", std::process::id());
            let mut guest = Guest::ready(starter, |_| {});
            let process =
                guest.spawn(shell(&format!("trap '' TERM HUP; echo here; sleep 1000 & : {mark}; wait")));
            guest.wait("the line", |guest| guest.text(stream::stdout(process)) == "here\n");
            assert!(is_anywhere(&mark));
            if by_hanging_up {
                guest.hang_up();
                guest.end();
            } else {
                guest.process.kill().unwrap();
                guest.process.wait().unwrap();
            }
            let end = std::time::Instant::now() + host::PATIENCE;
            while is_anywhere(&mark) {
                assert!(std::time::Instant::now() < end, "{mark} is still there");
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn nothing_of_the_host_and_no_secret_shows() {
    for starter in starters() {
        let mut guest = Guest::ready(starter, |_| {});
        let mut with_secret =
            shell("env; cat /proc/1/environ /proc/*/cmdline | tr '\\0' ' '; cat </proc/1/fd/0; :");
        with_secret.env.insert("SECRET".to_owned(), "value-of-a-secret".to_owned());
        let process = guest.spawn(with_secret);
        let exit = guest.exit(process);
        assert_eq!(exit.stdout.matches("value-of-a-secret").count(), 1, "in its own environment: {exit:?}");
        assert!(!exit.stdout.contains("AEGIS_"), "{exit:?}");
        assert!(exit.stderr.contains("/proc/1/environ"), "it isn't readable: {exit:?}");
        assert!(exit.stderr.contains("/proc/1/fd/0"), "neither are its files: {exit:?}");
        let outside = fs::read(format!("/proc/{}/cmdline", guest.process.id())).unwrap();
        assert!(!String::from_utf8_lossy(&outside).contains("token-of-a-test"));
        assert_eq!(guest.shell("hostname; cat /etc/hostname; pwd").stdout, "i-test\ni-test\n/workspace\n");
    }
}

#[test]
fn only_what_is_meant_for_it_can_be_written() {
    for starter in starters() {
        let mut guest = Guest::ready(starter, |_| {});
        for path in ["/x", "/bin/x", "/etc/hosts.new", "/dev/x", "/proc/sys/kernel/hostname", "/sys/x"] {
            assert_ne!(guest.shell(&format!("echo x >{path}")).code, 0, "{path}");
        }
        let everywhere = ["/tmp/x", "/run/x", "/var/x", "/workspace/x", "/dev/shm/x", "/dev/null"];
        // Where the image's files belong to whoever started it.
        let own = if starter == Starter::Nobody { vec![] } else { vec!["/var/content/x"] };
        for path in everywhere.into_iter().chain(own) {
            let exit = guest.shell(&format!("echo x >{path}"));
            assert_eq!(exit.code, 0, "{starter:?} {path}: {exit:?}");
        }
        assert_eq!(guest.shell("cat /var/content/file").stdout, "from the image\n");
        for forbidden in [
            "mount -t tmpfs x /tmp",
            "umount /proc/sys",
            "mknod /tmp/node c 1 3",
            "chroot / true",
            "unshare -m true",
            "chmod 600 /dev/null",
            "ip link set lo down",
            "hostname other",
            "test -e /proc/sysrq-trigger && echo b >/proc/sysrq-trigger",
        ] {
            assert_ne!(guest.shell(forbidden).code, 0, "{forbidden}");
        }
        assert_eq!(fs::read_dir(host::rootfs().join("var/content")).unwrap().count(), 1);
        // Its first process can't be ended from inside.
        guest.shell("kill -9 1; kill -TERM 1");
        assert_eq!(guest.shell("exit 3").code, 3);
    }
}

#[test]
fn the_workspace_is_the_directory_that_was_given() {
    for starter in starters().into_iter().filter(|starter| *starter != Starter::Nobody) {
        let workspace = Directory::new("workspace");
        fs::write(workspace.0.join("before"), "kept\n").unwrap();
        let mut guest = Guest::ready(starter, |jail| jail.workspace = Some(workspace.0.clone()));
        let exit = guest.shell("cat before; echo new >after; stat -c %u:%g before after");
        assert_eq!(exit.stdout, "kept\n0:0\n0:0\n");
        let after = workspace.0.join("after");
        assert_eq!(fs::read_to_string(&after).unwrap(), "new\n");
        let ids = [&workspace.0, &after].map(|path| fs::metadata(path).unwrap().uid());
        assert_eq!(ids[0], ids[1], "its files belong to whom the directory belongs");
    }
}

#[test]
fn the_users_of_a_shifted_guest_are_nobody_on_the_host() {
    if !starters().contains(&Starter::Shifted) {
        eprintln!("only root can do that");
        return;
    }
    let mut guest = Guest::ready(Starter::Shifted, |_| {});
    assert_eq!(guest.shell("id -u; cat /proc/self/uid_map | tr -s ' '").stdout, "0\n 0 1073741824 65536\n");
    let mark = format!("shifted-{}", std::process::id());
    let process = guest.spawn(shell(&format!("echo here; sleep 1000; : {mark}")));
    guest.wait("the line", |guest| guest.text(stream::stdout(process)) == "here\n");
    let found = processes_of_host().find(|path| has_mark(path, &mark)).unwrap();
    assert_eq!(fs::metadata(found).unwrap().uid(), host::FIRST_ID);
}

#[test]
fn filters_and_limits_hold_for_all() {
    /// `ld [0]; jeq SYS_mkdir, errno(EPERM); allow`, as the bytes of `struct sock_filter`.
    fn filter() -> Vec<u8> {
        let (load, equal, leave) = (0x20_u16, 0x15_u16, 0x06_u16);
        let mkdir = u32::try_from(libc::SYS_mkdir).unwrap();
        [(load, 0, 0, 0), (equal, 0, 1, mkdir), (leave, 0, 0, 0x0005_0001), (leave, 0, 0, 0x7fff_0000)]
            .into_iter()
            .flat_map(|(code, jt, jf, k): (u16, u8, u8, u32)| {
                let mut bytes = code.to_ne_bytes().to_vec();
                bytes.extend([jt, jf]);
                bytes.extend(k.to_ne_bytes());
                bytes
            })
            .collect()
    }
    for starter in starters() {
        let mut guest = Guest::ready(starter, |jail| {
            jail.seccomp = Some(BASE64_STANDARD.encode(filter()));
            jail.limits = vec![Limit { resource: 7, most: 123 }];
        });
        let exit = guest.shell("ulimit -n; mkdir /tmp/directory");
        assert_eq!(exit.stdout, "123\n");
        assert!(exit.stderr.contains("Operation not permitted"), "{exit:?}");
        assert!(guest.shell("grep Seccomp: /proc/self/status").stdout.ends_with("\t2\n"));
    }
}

#[test]
fn memory_that_ran_out_is_told_from_a_kill() {
    let directory = Directory::new("events");
    let path = directory.0.join("memory.events");
    fs::write(&path, "low 0\nhigh 0\nmax 1\noom 1\noom_kill 1\n").unwrap();
    let events = fs::File::open(&path).unwrap();
    rustix::io::fcntl_setfd(&events, rustix::io::FdFlags::empty()).unwrap();
    let mut guest = Guest::ready(Starter::Same, |jail| jail.oom_events = Some(events.as_raw_fd()));
    let mut end = |line: &str, count| {
        let process = guest.spawn(shell(&format!("echo here; cat; {line}")));
        guest.wait("its start", |guest| guest.text(stream::stdout(process)) == "here\n");
        fs::write(&path, format!("oom 1\noom_kill {count}\n")).unwrap();
        guest.say(&ToGuest::Signal { process, signal: 9 });
        guest.until(|message| matches!(message, ToHost::Exited { process: of, .. } if *of == process))
    };
    assert!(matches!(end("sleep 1000", 1), ToHost::Exited { out_of_memory: false, .. }));
    assert!(matches!(end("sleep 1000", 2), ToHost::Exited { out_of_memory: true, signal: Some(9), .. }));
}

#[test]
fn packets_go_out_and_come_in() {
    let network = Network {
        address: "10.0.2.15/24".to_owned(),
        gateway: "10.0.2.2".to_owned(),
        nameserver: "10.0.2.3".to_owned(),
        mtu: 1500,
    };
    for starter in starters().into_iter().filter(|starter| *starter != Starter::Nobody) {
        if fs::File::options().read(true).write(true).open("/dev/net/tun").is_err() {
            eprintln!("/dev/net/tun can't be opened here");
            return;
        }
        let setup = Setup { network: Some(network.clone()), ..host::setup() };
        let mut guest = Guest::ready_with(starter, setup, |_| {});
        assert_eq!(
            guest.shell("cat /etc/resolv.conf; tail -n 1 /etc/hosts").stdout,
            "nameserver 10.0.2.3\n10.0.2.15 i-test\n"
        );
        let lookup = guest.spawn(command(&["nslookup", "example.org", "10.0.2.3"]));
        guest.wait("the question", |guest| {
            guest.packets.iter().any(|packet| packet[9] == 17 && packet[16..20] == [10, 0, 2, 3])
        });
        guest.say(&ToGuest::Signal { process: lookup, signal: 9 });
        guest.packets.clear();
        guest.send(Kind::Data, stream::NETWORK, &echo_request([10, 0, 2, 2], [10, 0, 2, 15]));
        guest.wait("the answer", |guest| {
            guest
                .packets
                .iter()
                .any(|packet| packet[9] == 1 && packet[16..20] == [10, 0, 2, 2] && packet[20] == 0)
        });
        assert!(guest.health().packets >= 2);
        // A server on this address only is found, too.
        guest.spawn(shell("echo own >index.html; httpd -f -p 10.0.2.15:8082"));
        guest.connect(8082);
    }
}

#[test]
fn a_root_without_its_places_is_refused() {
    let root = Directory::new("no-root");
    for directory in ["tmp", "run"] {
        fs::create_dir(root.0.join(directory)).unwrap();
    }
    let mut guest = Guest::start(Starter::Same, |jail| jail.root.clone_from(&root.0));
    guest.say(&ToGuest::Setup(Box::new(host::setup())));
    let answer = guest.until(|message| matches!(message, ToHost::SetupFailed { .. }));
    let ToHost::SetupFailed { reason } = answer else { unreachable!("nothing else was asked for") };
    assert!(reason.starts_with("/var of the image: "), "{reason}");
    guest.end();
}

/// An ICMP echo request.
fn echo_request(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    fn checksum(bytes: &[u8]) -> [u8; 2] {
        let mut sum: u32 =
            bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!u16::try_from(sum).unwrap()).to_be_bytes()
    }
    let mut header = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0];
    header.extend(from);
    header.extend(to);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    let mut request = [8, 0, 0, 0, 0, 1, 0, 1];
    let sum = checksum(&request);
    request[2..4].copy_from_slice(&sum);
    header.extend(request);
    header
}

fn processes_of_host() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path())
}

fn has_mark(process: &Path, mark: &str) -> bool {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(mark)
}

/// Whether any process of this machine has `mark` on its command line.
fn is_anywhere(mark: &str) -> bool {
    processes_of_host().any(|process| has_mark(&process, mark))
}
