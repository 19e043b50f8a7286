//! The gRPC codec of every call: prost, with buffers that start small.
//!
//! Tonic's own codec sets aside 8 KiB a stream and direction before the first byte. With ten thousand daemons on one
//! controller that is 160 MB for messages of a hundred bytes, so ours start at 256 bytes and grow when they must.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

/// The first allocation of a stream's buffer, in bytes: an envelope with a heartbeat fits.
const INITIAL: usize = 256;
/// How much is gathered before it is handed to HTTP/2, in bytes. Tonic's own value.
const YIELD: usize = 32 * 1024;

/// Prost messages in small buffers.
#[derive(Debug, Clone)]
pub struct LeanCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for LeanCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for LeanCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(INITIAL, YIELD))
    }
    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(INITIAL, YIELD))
    }
}
