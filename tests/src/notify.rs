//! The socket on which a service manager hears its services (`sd_notify`).

use std::{
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
};

use crate::wait::{SOON, eventually};

/// A service manager's ear.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    /// Listens in `directory`.
    pub fn in_directory(directory: &Path) -> Self {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path }
    }

    /// What `NOTIFY_SOCKET` is to be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until a service says `line`.
    #[track_caller]
    pub fn hear(&self, line: &str) {
        eventually(&format!("the service says {line}"), SOON, || {
            let mut buffer = [0; 4096];
            let count = self.socket.recv(&mut buffer).ok()?;
            String::from_utf8_lossy(&buffer[..count]).lines().any(|said| said == line).then_some(())
        });
    }
}
