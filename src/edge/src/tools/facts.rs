//! `host.facts`: what the host is, from `/proc` and the kernel, without running a program.

use std::{collections::BTreeMap, fs, net::Ipv6Addr};

use rustix::system::uname;
use serde_json::{Map, Value, json};

use super::files::{Context, Report};

/// Looks.
pub(super) fn facts(context: &Context) -> Result<Report, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let system = uname();
    let release = os_release(&read("/etc/os-release"));
    let memory = memory(&read("/proc/meminfo"));
    // "16598.42": whole seconds are enough.
    let uptime = read("/proc/uptime");
    let uptime: u64 = uptime.split(['.', ' ']).next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let load: Vec<f64> =
        read("/proc/loadavg").split_ascii_whitespace().take(3).filter_map(|n| n.parse().ok()).collect();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let named = |name: &str| release.get(name).cloned().unwrap_or_default();
    context.go_on()?;
    let facts = json!({
        "hostname": system.nodename().to_string_lossy(),
        "os": std::env::consts::OS,
        "distribution": { "id": named("ID"), "version": named("VERSION_ID"), "name": named("PRETTY_NAME") },
        "kernel": system.release().to_string_lossy(),
        "arch": std::env::consts::ARCH,
        "cpus": cpus,
        "memory": memory,
        "uptimeSeconds": uptime,
        "load": load,
        "disks": disks(&read("/proc/self/mounts")),
        "addresses": addresses(&read("/proc/net/fib_trie"), &read("/proc/net/if_inet6")),
        "daemon": env!("CARGO_PKG_VERSION"),
    });
    let mut text = String::new();
    lines("", &facts, &mut text);
    Ok(Report { text: text.into_bytes(), data: facts })
}

fn first(text: &str) -> &str {
    text.split_ascii_whitespace().next().unwrap_or_default()
}

fn os_release(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// In bytes.
fn memory(text: &str) -> Value {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| first(line).parse::<u64>().ok()).map(|kibibytes| kibibytes * 1024)
    };
    json!({
        "totalBytes": bytes("MemTotal"), "availableBytes": bytes("MemAvailable"),
        "swapTotalBytes": bytes("SwapTotal"), "swapFreeBytes": bytes("SwapFree"),
    })
}

/// The file systems on disks of this host. One in the network might not answer, and isn't asked.
fn disks(mounts: &str) -> Value {
    let mut seen = std::collections::BTreeSet::new();
    let disk = |line: &str| {
        let mut fields = line.split(' ');
        let (device, path, kind) = (fields.next()?, fields.next()?, fields.next()?);
        if !device.starts_with("/dev/") || !seen.insert(device.to_owned()) {
            return None;
        }
        // Blanks in a path stand in octal.
        let path = path.replace("\\040", " ");
        let found = rustix::fs::statvfs(path.as_str()).ok()?;
        Some(json!({
            "path": path, "device": device, "type": kind,
            "totalBytes": found.f_blocks * found.f_frsize, "availableBytes": found.f_bavail * found.f_frsize,
        }))
    };
    mounts.lines().filter_map(disk).collect()
}

/// The host's own addresses but those of the loopback.
fn addresses(routes: &str, inet6: &str) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    let mut last = "";
    for line in routes.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line == "/32 host LOCAL" && !last.starts_with("127.") {
            found.insert(last.to_owned());
        }
    }
    let mut all: Vec<_> = found.into_iter().collect();
    for line in inet6.lines() {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let address =
            fields.first().and_then(|digits| u128::from_str_radix(digits, 16).ok()).map(Ipv6Addr::from);
        if let Some(address) = address.filter(|address| !address.is_loopback()) {
            all.push(address.to_string());
        }
    }
    all
}

/// `memory.totalBytes: 123`, a line a fact.
fn lines(prefix: &str, value: &Value, text: &mut String) {
    let named = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| lines(&named(name), value, text));
        }
        Value::Array(list) if list.iter().all(|item| !item.is_object()) => {
            let items: Vec<_> = list.iter().map(plain).collect();
            line(prefix, &items.join(" "), text);
        }
        Value::Array(list) => {
            for item in list {
                let path = item.get("path").map(plain).unwrap_or_default();
                let rest: Map<String, Value> = item
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(name, _)| *name != "path")
                    .map(own)
                    .collect();
                lines(&format!("{prefix}[{path}]"), &Value::Object(rest), text);
            }
        }
        other => line(prefix, &plain(other), text),
    }
}

fn line(name: &str, value: &str, text: &mut String) {
    text.extend([name, ": ", value, "\n"]);
}

fn own((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_host() {
        let routes = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n        \
                      /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.0.5\n        /32 host LOCAL\n";
        let inet6 = "fe80000000000000000000000000abcd 02 40 20 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\n";
        assert_eq!(addresses(routes, inet6), ["10.0.0.5", "fe80::abcd"]);
    }

    #[test]
    fn facts_read_as_lines() {
        let mut text = String::new();
        let facts = json!({"a": {"b": 1}, "c": ["x", "y"], "d": [{"path": "/", "size": 2}]});
        lines("", &facts, &mut text);
        assert_eq!(text, "a.b: 1\nc: x y\nd[/].size: 2\n");
    }

    #[test]
    fn memory_is_in_bytes() {
        let found = memory("MemTotal:       1000 kB\nMemAvailable:    10 kB\n");
        assert_eq!((found["totalBytes"].as_u64(), found["swapTotalBytes"].as_u64()), (Some(1_024_000), None));
    }
}
