//! Who listens on a port, as far as /proc says.

use std::{fs, path::Path};

/// `the process 'nginx' (pid 123)`, or `another process` where it can't be seen.
pub fn of(port: u16) -> String {
    inodes(port)
        .iter()
        .find_map(|inode| process_with(&format!("socket:[{inode}]")))
        .map_or_else(|| "another process".into(), |(pid, name)| format!("the process '{name}' (pid {pid})"))
}

/// The sockets that listen on the port.
fn inodes(port: u16) -> Vec<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines()).filter_map(|line| listening(line, port)).collect()
}

/// The socket of a line of `/proc/net/tcp`, if it listens (state 0A) on the port.
fn listening(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    (u16::from_str_radix(local, 16) == Ok(port) && state == "0A").then(|| inode.to_owned())
}

fn process_with(socket: &str) -> Option<(u32, String)> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let holds =
            |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|link| link == Path::new(socket));
        fs::read_dir(entry.path().join("fd")).ok()?.flatten().any(holds).then_some(())?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((pid, name.trim().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(of(port).contains(&format!("(pid {})", std::process::id())), "{}", of(port));
        drop(listener);
        assert_eq!(of(port), "another process");
    }
}
