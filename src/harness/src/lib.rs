//! What host and guest say to each other: frames on one byte stream, and the messages in them.
//!
//! The guest's PID 1 (`main.rs`) is one end; `aegis-backend` is the other and uses this library. The stream is a
//! virtio-serial port, a socket pair or a vsock, depending on the backend; nothing here knows which.
//!
//! The guest's first line on the stream is [`greeting`]: a one-time token that it was given out of band. After that,
//! both sides speak frames ([`frame`]). Control frames carry JSON ([`message`]); data frames carry the bytes of a
//! stream ([`stream`]) against credit, so that one that nobody reads holds up no other.

pub mod frame;
pub mod jail;
pub mod message;
pub mod stream;

/// The version of this protocol; host and harness come from one build, so any other is refused.
pub const VERSION: u32 = 1;

/// The name of the virtio-serial port of the control channel.
pub const PORT_NAME: &str = "aegis.ctl";

/// The first line that a guest sends, with its newline.
pub fn greeting(token: &str) -> String {
    format!("AEGIS/{VERSION} {token}\n")
}
