//! The first line of a guest, and its hello.

use aegis_harness::{
    frame::{self, Decoder, Kind},
    greeting,
    message::{ToGuest, ToHost},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::GuestError;
use crate::machine::Channel;

/// Reads the greeting and the hello that follows; what came after them is left in the decoder. Bounded in length; the
/// caller bounds the time.
pub async fn receive<C>(channel: &mut C, token: &str) -> Result<Decoder, GuestError>
where
    C: AsyncRead + Unpin + Send,
{
    let expected = greeting(token);
    let mut line = vec![0; expected.len()];
    // The length is no secret, so reading exactly that much and then comparing all of it tells nothing.
    channel.read_exact(&mut line).await.map_err(|error| closed(&error))?;
    if !is_same(&line, expected.as_bytes()) {
        return Err(GuestError::Greeting("its token is wrong"));
    }
    let mut decoder = Decoder::default();
    let mut bytes = [0; 4096];
    loop {
        let next =
            decoder.next_frame().map_err(|_| GuestError::Greeting("a broken frame after the greeting"))?;
        if let Some(frame) = next {
            return match (frame.kind, serde_json::from_slice(&frame.body)) {
                (Kind::Control, Ok(ToHost::Hello { version: aegis_harness::VERSION })) => Ok(decoder),
                (Kind::Control, Ok(ToHost::Hello { version })) => Err(GuestError::Version(version)),
                _ => Err(GuestError::Greeting("its first message isn't a hello")),
            };
        }
        match channel.read(&mut bytes).await {
            Ok(0) => return Err(GuestError::Closed("it closed its channel".into())),
            Ok(count) => decoder.push(&bytes[..count]),
            Err(error) => return Err(closed(&error)),
        }
    }
}

/// Sends one message before the channel's tasks exist.
pub(super) async fn send(channel: &mut Channel, message: &ToGuest) -> Result<(), GuestError> {
    let mut bytes = Vec::new();
    frame::write(Kind::Control, 0, &encode(message)?, &mut bytes);
    channel.write_all(&bytes).await.map_err(|error| closed(&error))?;
    channel.flush().await.map_err(|error| closed(&error))
}

/// A message as the body of a frame.
pub(super) fn encode(message: &ToGuest) -> Result<Vec<u8>, GuestError> {
    let body = serde_json::to_vec(message).map_err(|error| GuestError::Closed(error.to_string().into()))?;
    let size = body.len();
    if size > frame::MAX_CONTROL { Err(GuestError::TooLarge { size }) } else { Ok(body) }
}

fn closed(error: &std::io::Error) -> GuestError {
    GuestError::Closed(match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it closed its channel before it greeted".into(),
        _ => error.to_string().into(),
    })
}

/// Compares in a time that depends on the length alone.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}
