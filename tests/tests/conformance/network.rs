//! The guest's way out, and what it doesn't lead to.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use aegis_tests::{
    Process, eventually,
    runtime::{BOOTS, guest_cache},
};
use serde_json::json;

use crate::stage::{Guest, Stage, skip};

crate::scenarios! {
    a_guest_reaches_out_and_not_in,
    guests_do_not_see_each_other,
}

/// A host of its own: a network namespace with a web server, and a cable to this one.
struct Elsewhere {
    _server: Process,
    _holder: Process,
    _page: tempfile::TempDir,
    /// Its address, and our end of the cable.
    theirs: String,
    ours: String,
}

impl Elsewhere {
    /// None: that needs root and `ip`.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let own = std::process::id();
        let (low, high) = (own % 200 + 20, own / 200 % 200 + 20);
        let address = |end: u32| format!("10.{low}.{high}.{}", number * 4 + end);
        let (ours, theirs) = (address(1), address(2));
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sleep", "600"]).stdin(Stdio::null());
        let mut holder = Process::start(holder);
        let pid = holder.id().to_string();
        let cable = format!("ag{own}n{number}");
        let (here, there) = (format!("{cable}a"), format!("{cable}b"));
        let run = |words: &[&str]| {
            Command::new(words[0])
                .args(&words[1..])
                .stdin(Stdio::null())
                .output()
                .is_ok_and(|output| output.status.success())
        };
        let own_net = fs::read_link("/proc/self/ns/net").ok()?;
        eventually("its network is there", BOOTS, || {
            let ended = holder.ended().is_some();
            let theirs = fs::read_link(format!("/proc/{pid}/ns/net"));
            (ended || theirs.is_ok_and(|theirs| theirs != own_net)).then_some(())
        });
        let inside = ["nsenter", "-t", &pid, "-n"];
        let address = format!("{theirs}/30");
        let steps: [&[&str]; 5] = [
            &["ip", "link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &pid],
            &["ip", "addr", "add", &format!("{ours}/30"), "dev", &here],
            &["ip", "link", "set", &here, "up"],
            &[&inside[..], &["ip", "addr", "add", &address, "dev", &there]].concat(),
            &[&inside[..], &["ip", "link", "set", &there, "up"]].concat(),
        ];
        if !steps.iter().all(|step| run(step)) {
            return None;
        }
        let page = tempfile::tempdir().ok()?;
        fs::write(page.path().join("index.html"), "elsewhere\n").ok()?;
        let cache = guest_cache();
        let busybox = ["busybox/bin/busybox", "busybox/usr/bin/busybox"].map(|path| cache.join(path));
        let busybox = busybox.into_iter().find(|path| path.is_file())?;
        let mut server = Command::new(inside[0]);
        server.args(&inside[1..]).arg(busybox).args(["httpd", "-f", "-p", &format!("{theirs}:8080"), "-h"]);
        let server = Process::start({
            server.arg(page.path()).stdin(Stdio::null());
            server
        });
        Some(Self { _server: server, _holder: holder, _page: page, theirs, ours })
    }
}

/// A server on all of this host's loopback, which no guest may reach. Gives its port.
fn on_loopback() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nloopback");
        }
    });
    port
}

fn a_guest_reaches_out_and_not_in(stage: &Stage) {
    let Some(elsewhere) = Elsewhere::new() else {
        skip("a network of its own needs root and Debian's iproute2");
    };
    let get = |guest: &Guest, place: &str| {
        guest.says(&format!("timeout 10 wget -q -O - http://{place}/ 2>&1 || echo refused"))
    };
    let guest = Guest::start(&stage.runtime, &["sleep", "100000"], json!({}));
    eventually("it reaches a server elsewhere", BOOTS, || {
        (get(&guest, &format!("{}:8080", elsewhere.theirs)) == "elsewhere").then_some(())
    });
    let port = on_loopback();
    let gateway = guest.says("ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p'");
    assert!(!gateway.is_empty(), "it has a way out");
    for place in ["127.0.0.1", "localhost", &gateway, &elsewhere.ours] {
        let said = get(&guest, &format!("{place}:{port}"));
        assert!(!said.contains("loopback") && said.contains("refused"), "{place}: {said}");
    }
    // Nor the router and the registry, which are on the host's loopback too.
    for port in [stage.runtime.router().port(), stage.registry.address().port()] {
        assert!(get(&guest, &format!("{gateway}:{port}")).contains("refused"));
    }
}

fn guests_do_not_see_each_other(stage: &Stage) {
    let serve = "mkdir -p /tmp/w; echo private >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w";
    let one = Guest::start(&stage.runtime, &["sh", "-c", serve], json!({}));
    let two = Guest::start(&stage.runtime, &["sleep", "100000"], json!({}));
    eventually("it serves itself", BOOTS, || {
        one.says("wget -q -O - http://127.0.0.1:8080/ || true").contains("private").then_some(())
    });
    let address = one.says("ip -4 addr | sed -n 's/^ *inet \\(10[0-9.]*\\).*/\\1/p' | head -n 1");
    for place in [address.as_str(), "127.0.0.1"] {
        let said = two.says(&format!("timeout 5 wget -q -O - http://{place}:8080/ 2>&1 || echo refused"));
        assert!(!said.contains("private"), "{place}: {said}");
    }
}
