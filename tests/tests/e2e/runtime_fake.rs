//! A daemon that only pretends: it answers on the socket as it was told, and says what it was asked.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use aegis_tests::SOON;

/// What is answered to `METHOD /path`.
pub type Answers = BTreeMap<&'static str, Answer>;

/// An answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status and a body.
    Json(u16, String),
    /// Records; at `None` it waits until something is deleted.
    Records(Vec<Option<String>>),
    /// Records, once the request's own body has this text.
    After(&'static str, Vec<String>),
}

/// What was asked, and whether something was deleted.
#[derive(Debug, Default)]
struct Seen {
    requests: Vec<String>,
    deleted: bool,
}

/// The daemon.
#[derive(Debug)]
pub struct Fake {
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Fake {
    /// Answers at `home/aegisd.sock`.
    pub fn start(home: &Path, answers: Answers) -> Self {
        std::fs::create_dir_all(home).unwrap();
        let listener = UnixListener::bind(home.join("aegisd.sock")).unwrap();
        let seen = Arc::<(Mutex<Seen>, Condvar)>::default();
        let shared = Arc::clone(&seen);
        let answers = Arc::new(answers);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answers) = (Arc::clone(&shared), Arc::clone(&answers));
                // A client that goes away in the middle is part of the tests.
                thread::spawn(move || drop(answer(stream, &answers, &seen)));
            }
        });
        Self { seen }
    }

    /// `METHOD /path body` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().requests.clone()
    }
}

fn answer(stream: UnixStream, answers: &Answers, seen: &(Mutex<Seen>, Condvar)) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SOON))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let request = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        match line.strip_prefix("content-length:") {
            _ if line.is_empty() => break,
            Some(value) => length = value.trim().parse().unwrap(),
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let route = request.split('?').next().unwrap().to_owned();
    {
        let mut state = seen.0.lock().unwrap();
        let line = format!("{request} {}", String::from_utf8_lossy(&body));
        state.requests.push(line.trim_end().to_owned());
        let succeeds = matches!(answers.get(route.as_str()), Some(Answer::Json(200..300, _)));
        state.deleted |= request.starts_with("DELETE") && succeeds;
        seen.1.notify_all();
    }
    match answers.get(route.as_str()) {
        Some(Answer::Json(status, body)) => {
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
            writer.write_all((head + body).as_bytes())
        }
        Some(Answer::Records(records)) => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            for record in records {
                if let Some(record) = record {
                    writer.write_all(format!("{record}\n").as_bytes())?;
                } else {
                    let state = seen.0.lock().unwrap();
                    drop(seen.1.wait_timeout_while(state, SOON, |state| !state.deleted).unwrap());
                }
            }
            Ok(())
        }
        Some(Answer::After(text, records)) => {
            let mut input = Vec::new();
            writer.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            while !String::from_utf8_lossy(&input).contains(text) {
                let mut piece = [0; 4096];
                match reader.read(&mut piece)? {
                    0 => break,
                    count => input.extend_from_slice(&piece[..count]),
                }
            }
            let lines: Vec<String> = String::from_utf8_lossy(&input)
                .lines()
                .filter(|line| line.starts_with('{'))
                .map(str::to_owned)
                .collect();
            seen.0.lock().unwrap().requests.extend(lines);
            for record in records {
                writer.write_all(format!("{record}\n").as_bytes())?;
            }
            // What is still on its way may be read, so that the answer isn't lost by a reset.
            reader.get_ref().set_read_timeout(Some(Duration::from_millis(200)))?;
            drop(reader.read_to_end(&mut Vec::new()));
            Ok(())
        }
        None => {
            let body = format!(
                r#"{{"error":{{"code":"not_found","message":"there is no {route}","hint":"ask for less"}}}}"#
            );
            let head = format!("HTTP/1.1 404 x\r\ncontent-length: {}\r\n\r\n", body.len());
            writer.write_all((head + &body).as_bytes())
        }
    }
}
