//! Names for a guest: what it asks its nameserver goes to the host's resolvers, wherever they are, and nothing but questions does.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{Shared, stack::Flow};

/// How long a resolver may take before the next one is asked.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// How long a guest may take between two questions on a connection.
const IDLE: Duration = Duration::from_secs(30);

/// Identifier, flags and four counts.
const HEADER: usize = 12;

/// The code for a server that failed (RFC 1035).
const SERVER_FAILURE: u8 = 2;

/// The answer to a question that came in a datagram. None: it was no question.
pub async fn answer(shared: &Shared, question: &[u8]) -> Option<Vec<u8>> {
    if !is_question(question) {
        return None;
    }
    for resolver in shared.outside.resolvers() {
        match timeout(ANSWER_LIMIT, ask(resolver, question)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%error, %resolver, "a resolver failed"),
            Err(_) => tracing::debug!(%resolver, "a resolver doesn't answer"),
        }
    }
    Some(failure(question))
}

/// Answers the questions of a connection.
pub async fn serve(mut flow: Flow, shared: &Shared) {
    loop {
        let Ok(Ok(question)) = timeout(IDLE, message(&mut flow)).await else { break };
        let Some(answer) = answer_by_stream(shared, &question).await else { break };
        if write(&mut flow, &answer).await.is_err() {
            break;
        }
    }
    flow.shutdown().await.ok();
}

async fn answer_by_stream(shared: &Shared, question: &[u8]) -> Option<Vec<u8>> {
    if !is_question(question) {
        return None;
    }
    for resolver in shared.outside.resolvers() {
        let asking = async {
            let mut stream = TcpStream::connect(resolver).await?;
            write(&mut stream, question).await?;
            let answer = message(&mut stream).await?;
            if is_answer(question, &answer) {
                Ok(answer)
            } else {
                Err(io::Error::from(io::ErrorKind::InvalidData))
            }
        };
        if let Ok(Ok(answer)) = timeout(ANSWER_LIMIT, asking).await {
            return Some(answer);
        }
    }
    Some(failure(question))
}

async fn ask(resolver: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    // A port of its own for each question: that, and the identifier, is what keeps strangers from answering.
    let any = match resolver {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if is_answer(question, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

/// A message of a stream: its length, then itself.
async fn message(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write(stream: &mut (impl AsyncWriteExt + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}

/// Whether it is a standard query with one question: no update, no transfer by notify, nothing else that a resolver on the host's
/// loopback might listen to.
fn is_question(message: &[u8]) -> bool {
    // The top bit says answer, the next four which operation.
    message.len() > HEADER && message[2] & 0xf8 == 0 && message[4..8] == [0, 1, 0, 0]
}

fn is_answer(question: &[u8], answer: &[u8]) -> bool {
    answer.len() >= HEADER && answer[2] & 0x80 != 0 && question.get(..2) == answer.get(..2)
}

/// Says that no resolver answered.
fn failure(question: &[u8]) -> Vec<u8> {
    let mut answer = question[..HEADER].to_vec();
    answer[2] |= 0x80;
    answer[3] = 0x80 | SERVER_FAILURE;
    // Without the question: it would have to be parsed to be repeated without what follows it.
    answer[4..12].fill(0);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_are_questions() {
        let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x01\x00\x01";
        assert!(is_question(question));
        for (at, byte, why) in [
            (2, 0x81, "an answer"),
            (2, 0x29, "an update"),
            (5, 2, "two questions"),
            (7, 1, "an answer inside"),
        ] {
            let mut other = *question;
            other[at] = byte;
            assert!(!is_question(&other), "{why}");
        }
        assert!(!is_question(b"GET / HTTP"));
        assert!(!is_question(&question[..12]));
        let failed = failure(question);
        assert!(is_answer(question, &failed) && failed[3] & 0xf == SERVER_FAILURE);
        assert!(!is_answer(b"\x99\x99", &failed) && !is_answer(question, question));
    }
}
