//! The client of `aegisd` against a small server that speaks HTTP over a Unix socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{convert::Infallible, path::PathBuf, time::Duration};

use aegis_wire::runtime::{
    CreateTask, Exec, ExecInput, LogQuery, PutSecret, Record, Rollback, RunOptions, RuntimeClient,
    RuntimeError, Serve,
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How long anything may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

struct Fake {
    _directory: tempfile::TempDir,
    socket: PathBuf,
    /// A line for every request that is over.
    seen: mpsc::UnboundedReceiver<String>,
}

impl Fake {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("aegisd.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (sink, seen) = mpsc::unbounded();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = sink.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, sink.clone()));
                    // A client that goes away is part of the tests.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    let _ = sink.unbounded_send("closed".to_owned());
                });
            }
        });
        Self { _directory: directory, socket, seen }
    }
    fn client(&self) -> RuntimeClient {
        RuntimeClient::new(&self.socket)
    }
    async fn next(&mut self) -> String {
        tokio::time::timeout(SOON, self.seen.next()).await.expect("something is seen").unwrap()
    }
    async fn request(&mut self) -> String {
        loop {
            let seen = self.next().await;
            if seen != "closed" {
                return seen;
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    sink: mpsc::UnboundedSender<String>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().to_string();
    let method = request.method().clone();
    if path.ends_with("/exec") {
        return Ok(Response::new(echo(request.into_body())));
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    sink.unbounded_send(format!("{method} {path} {}", String::from_utf8_lossy(&body))).unwrap();
    let (status, text) = match path.as_str() {
        "/v1/apps/none" => (404, r#"{"error":{"code":"not_found","message":"no app none","hint":"list"}}"#),
        "/v1/kits" => (500, "out of cheese"),
        "/v1/status" => (200, "[1"),
        _ if path.contains("/logs") => (200, LOG),
        "/v1/apps/web/rollback" => {
            (200, r#"{"id":"rel-1","image_digest":"sha256:0","created_at":"2026-01-01T00:00:00Z"}"#)
        }
        _ if path.contains("tasks") || path.contains("instances") => (200, "[]"),
        _ => (204, ""),
    };
    let answer = Response::builder().status(status);
    Ok(answer.body(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync()).unwrap())
}

const LOG: &str = concat!(
    r#"{"id":"task-1","kind":"task"}"#,
    "\n\n",
    r#"{"ts":"2026-01-01T00:00:00Z","stream":"stdout","source":"main","line":"one"}"#,
    "\n",
    r#"{"ts":"2026-01-01T00:00:00Z","stream":"stderr","source":"main","line":"two","partial":true}"#,
    "\n",
    r#"{"exit_code":42,"done":true}"#,
);

/// Sends every line of the input back, as it comes, and a byte at a time.
fn echo(mut input: Incoming) -> Body {
    let (mut sink, lines) = mpsc::channel::<Bytes>(0);
    tokio::spawn(async move {
        let mut pending = Vec::new();
        while let Some(Ok(frame)) = input.frame().await {
            pending.extend_from_slice(&frame.into_data().unwrap());
            while let Some(at) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=at).collect();
                let line = String::from_utf8(line).unwrap();
                let record = serde_json::json!({
                    "ts": "2026-01-01T00:00:00Z", "stream": "stdout", "source": "exec", "line": line.trim(),
                });
                for byte in format!("{record}\n").into_bytes() {
                    if sink.send(Bytes::from(vec![byte])).await.is_err() {
                        return;
                    }
                }
            }
        }
        let _ = sink.send(Bytes::from_static(b"{\"exit_code\":0,\"done\":true}\n")).await;
    });
    StreamBody::new(lines.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync()
}

#[tokio::test]
async fn calls_are_where_the_specification_has_them() {
    let mut fake = Fake::start();
    let client = fake.client();
    let _ = client.cancel_task("task-1").await;
    assert_eq!(fake.request().await, "DELETE /v1/tasks/task-1 ");
    client.put_secret(Some("my/app"), "K", &PutSecret { value: "v".into() }).await.unwrap();
    assert_eq!(fake.request().await, r#"PUT /v1/apps/my%2Fapp/secrets/K {"value":"v"}"#);
    client.delete_secret(None, "K").await.unwrap();
    assert_eq!(fake.request().await, "DELETE /v1/secrets/K ");
    client.delete_image("docker.io/library/alpine:3.21").await.unwrap();
    assert_eq!(fake.request().await, "DELETE /v1/images/docker.io%2Flibrary%2Falpine%3A3.21 ");
    client.rollback("web", &Rollback::default()).await.unwrap();
    assert_eq!(fake.request().await, "POST /v1/apps/web/rollback {}");
    let _ = client.serve("web", &Serve { wait: true }).await;
    assert_eq!(fake.request().await, r#"POST /v1/apps/web/serve {"wait":true}"#);
    let task = CreateTask {
        command: vec!["true".into()],
        image: None,
        options: RunOptions::default(),
        timeout_ms: None,
    };
    let _ = client.create_task(&task).await;
    assert_eq!(fake.request().await, r#"POST /v1/tasks {"command":["true"],"options":{}}"#);
}

#[tokio::test]
async fn a_failure_says_what_the_daemon_said() {
    let fake = Fake::start();
    let client = fake.client();
    let wanted = RuntimeError::not_found("no app none").hint("list");
    assert_eq!(client.app("none").await.unwrap_err(), wanted);
    let plain = client.kits().await.unwrap_err();
    assert_eq!((plain.status, plain.message.contains("out of cheese")), (500, true));
    assert!(client.status().await.unwrap_err().message.contains("can't be read"));
}

#[tokio::test]
async fn nobody_at_the_socket_is_told_from_everything_else() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("aegisd.sock");
    let client = RuntimeClient::new(&socket);
    assert_eq!(client.status().await.unwrap_err().code, RuntimeError::NOT_RUNNING);
    // One that a daemon left behind.
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(client.status().await.unwrap_err().code, RuntimeError::NOT_RUNNING);
    let long = directory.path().join("x".repeat(120));
    assert_eq!(RuntimeClient::new(long).status().await.unwrap_err().status, 400);
    // One that takes the call and hangs up.
    let other = directory.path().join("other.sock");
    let listener = UnixListener::bind(&other).unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    assert_eq!(RuntimeClient::new(other).status().await.unwrap_err().code, RuntimeError::BROKEN);
}

#[tokio::test]
async fn records_come_as_they_were_written() {
    let fake = Fake::start();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut records = fake.client().task_logs("task-1", query).await.unwrap();
    let mut output = Vec::new();
    let mut code = None;
    while let Some(record) = records.next().await {
        match record.unwrap() {
            Record::Log(record) => output.extend(record.bytes()),
            Record::Done { exit_code, .. } => code = Some(exit_code),
            Record::Header { id, .. } => assert_eq!(id, "task-1"),
        }
    }
    assert_eq!((output.as_slice(), code), (&b"one\ntwo"[..], Some(42)));
}

#[tokio::test]
async fn an_exec_is_answered_while_it_is_typed_into() {
    let mut fake = Fake::start();
    let exec = Exec { command: vec!["cat".into()], env: [].into(), terminal: None };
    let (sender, mut records) = fake.client().exec("inst-1", &exec).await.unwrap();
    let said = async |records: &mut aegis_wire::runtime::Records| {
        let record = tokio::time::timeout(SOON, records.next()).await.expect("an answer comes");
        match record.unwrap().unwrap() {
            Record::Log(record) => record.line,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(said(&mut records).await, r#"{"command":["cat"]}"#);
    assert!(sender.stdin(b"hello").await);
    assert_eq!(said(&mut records).await, r#"{"stdin":"aGVsbG8="}"#);
    assert!(sender.send(&ExecInput::Resize(24, 80)).await);
    assert_eq!(said(&mut records).await, r#"{"resize":[24,80]}"#);
    drop(sender);
    assert!(matches!(records.next().await, Some(Ok(Record::Done { exit_code: 0, .. }))));
    assert!(records.next().await.is_none());
    drop(records);
    assert_eq!(fake.next().await, "closed");

    // Who lets go of the records ends the exec, whatever is still typed.
    let (sender, records) = fake.client().exec("inst-1", &exec).await.unwrap();
    drop(records);
    assert_eq!(fake.next().await, "closed");
    drop(sender);
}
