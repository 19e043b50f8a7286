//! The tunnel itself: `CONNECT host:port` (RFC 9110, 9.3.6).

use std::{io, sync::Arc};

use aegis_wire::{
    Endpoint,
    dial::{BoxedIo, Dialer, Dialing},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Proxy;

/// The longest answer that is read; what is longer isn't a proxy's.
const LONGEST_ANSWER: usize = 8 * 1024;

/// Dials through a proxy. The name is resolved by the proxy, not here.
pub struct ProxyDialer {
    proxy: Proxy,
    /// Opens the connection to the proxy.
    below: Arc<dyn Dialer>,
}

impl ProxyDialer {
    /// Tunnels through `proxy`, which `below` reaches.
    pub fn new(proxy: Proxy, below: Arc<dyn Dialer>) -> Self {
        Self { proxy, below }
    }
}

impl std::fmt::Debug for ProxyDialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.proxy.fmt(f)
    }
}

impl Dialer for ProxyDialer {
    fn dial(&self, endpoint: &Endpoint) -> Dialing {
        let (proxy, endpoint) = (self.proxy.clone(), endpoint.clone());
        let dialing = self.below.dial(&proxy.endpoint);
        Box::pin(async move {
            let stream = dialing
                .await
                .map_err(|error| io::Error::other(format!("the proxy {}: {error}", proxy.endpoint)))?;
            tunnel(stream, &proxy, &endpoint).await
        })
    }
}

async fn tunnel(mut stream: BoxedIo, proxy: &Proxy, endpoint: &Endpoint) -> io::Result<BoxedIo> {
    let authorization = proxy
        .authorization
        .as_ref()
        .map(|value| format!("Proxy-Authorization: {value}\r\n"))
        .unwrap_or_default();
    let request = format!("CONNECT {endpoint} HTTP/1.1\r\nHost: {endpoint}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let status = read_status(&mut stream).await?;
    match status {
        200..=299 => Ok(stream),
        407 => {
            Err(refused(proxy, "wants other credentials (407); check the user and password in HTTPS_PROXY"))
        }
        status => Err(refused(proxy, &format!("refused the tunnel to {endpoint} ({status})"))),
    }
}

fn refused(proxy: &Proxy, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("the proxy {} {what}", proxy.endpoint))
}

/// The status of the answer. Reads exactly to the end of its head, so that no byte of the tunnel is swallowed.
async fn read_status(stream: &mut BoxedIo) -> io::Result<u16> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the proxy's answer isn't HTTP");
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LONGEST_ANSWER {
            return Err(malformed());
        }
        head.push(stream.read_u8().await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(io::ErrorKind::UnexpectedEof, "the proxy closed the connection")
            }
            _ => error,
        })?);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| malformed())?;
    let mut words = line.split(' ');
    match (words.next(), words.next().and_then(|status| status.parse().ok())) {
        (Some("HTTP/1.1" | "HTTP/1.0"), Some(status)) => Ok(status),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use aegis_wire::dial::TcpDialer;
    use tokio::net::TcpListener;

    use super::*;
    use crate::proxy::{ProxyEnv, proxy_for};

    /// A proxy that takes one connection, answers with `answer`, and echoes what comes after. Gives what it was asked.
    async fn proxy(answer: &'static str) -> (Endpoint, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.ok();
            String::from_utf8(head).unwrap()
        });
        (endpoint, asked)
    }

    async fn dial(proxy: &Endpoint, credentials: &str) -> io::Result<BoxedIo> {
        let env = ProxyEnv { proxy: Some(format!("http://{credentials}{proxy}")), bypass: None };
        let target = "ctl.example:50056".parse().unwrap();
        let found = proxy_for(&target, &env).unwrap().unwrap();
        ProxyDialer::new(found, Arc::new(TcpDialer)).dial(&target).await
    }

    #[tokio::test]
    async fn a_tunnel_carries_bytes_both_ways_and_sends_credentials() {
        let (endpoint, asked) = proxy("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await;
        let mut stream = dial(&endpoint, "user:secret@").await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"hello");
        drop(stream);
        assert_eq!(
            asked.await.unwrap(),
            "CONNECT ctl.example:50056 HTTP/1.1\r\nHost: ctl.example:50056\r\nProxy-Authorization: Basic \
             dXNlcjpzZWNyZXQ=\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn no_byte_behind_the_answer_is_swallowed() {
        let (endpoint, _asked) = proxy("HTTP/1.0 200 OK\r\n\r\nfirst").await;
        let mut stream = dial(&endpoint, "").await.unwrap();
        let mut first = [0; 5];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"first");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_an_error_that_says_so() {
        for (answer, says) in [
            ("HTTP/1.1 407 Auth\r\n\r\n", "check the user and password"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "refused the tunnel to ctl.example:50056 (403)"),
            ("SSH-2.0-x\r\n\r\n", "isn't HTTP"),
        ] {
            let (endpoint, _asked) = proxy(answer).await;
            let Err(error) = dial(&endpoint, "").await else { panic!("{answer}") };
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
