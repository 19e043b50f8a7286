//! Apps made of closures, for tests: each connection is the other end of a pipe in memory.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    sync::Semaphore,
};

use crate::upstream::{Connection, Connections, OpenError, Target, Upstreams};

pub type App = dyn Fn(DuplexStream) -> BoxFuture<'static, ()> + Send + Sync;

pub struct Fake {
    pub targets: Mutex<Vec<Target>>,
    pub failure: Mutex<Option<OpenError>>,
    pub connections: Connections,
    pub opened: AtomicUsize,
    /// Opening waits until there is a permit, when there is a gate.
    pub gate: Option<Arc<Semaphore>>,
    pub app: Arc<App>,
}

impl Fake {
    pub fn new<F>(names: &[&str], app: impl Fn(DuplexStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let target =
            |name: &&str| Target { id: format!("app-{name}"), name: (*name).into(), ports: vec![80] };
        Self {
            targets: Mutex::new(names.iter().map(target).collect()),
            failure: Mutex::default(),
            connections: Connections::default(),
            opened: AtomicUsize::new(0),
            gate: None,
            app: Arc::new(move |stream| app(stream).boxed()),
        }
    }
}

impl Upstreams for Fake {
    fn targets(&self) -> Vec<Target> {
        self.targets.lock().unwrap().clone()
    }

    fn open(&self, _id: &str, _port: u16) -> BoxFuture<'static, Result<Connection, OpenError>> {
        if let Some(failure) = self.failure.lock().unwrap().clone() {
            return async move { Err(failure) }.boxed();
        }
        self.opened.fetch_add(1, Ordering::SeqCst);
        let (guard, gate, app) = (self.connections.enter(), self.gate.clone(), Arc::clone(&self.app));
        async move {
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            let (near, far) = duplex(64 * 1024);
            tokio::spawn(app(far));
            Ok(Connection { stream: Box::new(near), guard })
        }
        .boxed()
    }
}

/// Reads until the text is there.
pub async fn read_to(stream: &mut (impl AsyncReadExt + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
