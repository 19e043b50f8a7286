//! What a call prints: sent as it comes, as much at a time as the asker has room for, and its end kept for the result.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, watch};

/// A piece of output is at most so large.
pub const CHUNK: usize = 32 * 1024;
/// So much of the end of each stream is kept for the result.
pub const TAIL: usize = 1 << 20;
/// More credit than this is worth nothing: nobody has that much room, and the count must not overflow.
const MOST_CREDIT: usize = 1 << 30;

/// A piece of output, any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// From standard error; else from standard output.
    pub stderr: bool,
    /// At most [`CHUNK`] bytes.
    pub data: Bytes,
}

/// Where output goes.
pub type Sink = mpsc::Sender<Output>;

/// The end of a stream, and how much there was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tail {
    /// The last [`TAIL`] bytes of what was within the bound.
    pub bytes: Vec<u8>,
    /// All that there was, also what was beyond the bound.
    pub total: u64,
}

/// How many bytes may be sent that the asker hasn't answered yet.
pub(super) struct Credit {
    bytes: Semaphore,
    /// Nothing is sent any more, and nobody waits for credit.
    lifted: watch::Sender<bool>,
}

impl Credit {
    pub fn new(window: u32) -> Self {
        let bytes = Semaphore::new(0);
        let credit = Self { bytes, lifted: watch::Sender::new(false) };
        credit.give(window);
        credit
    }

    pub fn give(&self, bytes: u32) {
        let room = MOST_CREDIT.saturating_sub(self.bytes.available_permits());
        self.bytes.add_permits(room.min(usize::try_from(bytes).unwrap_or(usize::MAX)));
    }

    /// From now on output is kept for the result, and no longer sent.
    pub fn lift(&self) {
        self.lifted.send_replace(true);
    }

    async fn lifted(&self) {
        // The sender is this very struct, so the wait can't fail.
        let _ = self.lifted.subscribe().wait_for(|lifted| *lifted).await;
    }

    /// Between 1 and `most`, as soon as there is any. None: it is lifted.
    async fn take(&self, most: usize) -> Option<usize> {
        let first = tokio::select! {
            biased;
            () = self.lifted() => return None,
            first = self.bytes.acquire() => first.ok()?,
        };
        first.forget();
        let more = self.bytes.available_permits().min(most - 1);
        let more = u32::try_from(more).unwrap_or(0);
        match self.bytes.try_acquire_many(more) {
            Ok(permits) => {
                permits.forget();
                Some(1 + more as usize)
            }
            Err(_) => Some(1),
        }
    }
}

/// Takes what a call prints.
pub(super) struct Printer {
    sink: Sink,
    credit: Arc<Credit>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// How much more may be printed. None: no bound.
    room: Option<u64>,
    stdout: Ring,
    stderr: Ring,
}

#[derive(Default)]
struct Ring {
    bytes: VecDeque<u8>,
    total: u64,
}

impl Ring {
    fn push(&mut self, data: &[u8]) {
        let excess = (self.bytes.len() + data.len()).saturating_sub(TAIL).min(self.bytes.len());
        self.bytes.drain(..excess);
        self.bytes.extend(&data[data.len().saturating_sub(TAIL)..]);
    }
}

/// What may be done with the bytes that are read next, and how many those are at most.
pub(super) struct Admission {
    pub bytes: usize,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Sent and kept: room and credit for all of it are taken.
    Send,
    /// Kept: room is taken.
    Keep,
    /// Counted.
    Drop,
}

impl Printer {
    /// `most` is how much may be printed in all.
    pub fn new(sink: Sink, credit: Arc<Credit>, most: Option<u64>) -> Self {
        Self { sink, credit, kept: Mutex::new(Kept { room: most, ..Kept::default() }) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to be done with more output. Until then nothing should be read, so that the
    /// program waits and not the memory grows.
    pub async fn admit(&self) -> Admission {
        let mut bytes = CHUNK;
        if let Some(room) = &mut self.kept().room {
            bytes = bytes.min(usize::try_from(*room).unwrap_or(usize::MAX));
            if bytes == 0 {
                return Admission { bytes: CHUNK, fate: Fate::Drop };
            }
            *room -= bytes as u64;
        }
        let reserved = bytes;
        match self.credit.take(bytes).await {
            Some(credit) => {
                self.give_back_room(reserved - credit);
                Admission { bytes: credit, fate: Fate::Send }
            }
            None => Admission { bytes, fate: Fate::Keep },
        }
    }

    fn give_back_room(&self, bytes: usize) {
        if let Some(room) = &mut self.kept().room {
            *room += bytes as u64;
        }
    }

    /// Prints what was read under the admission; `data` isn't longer than it says, and may be empty.
    pub async fn print(&self, stderr: bool, data: &[u8], admission: Admission) {
        let unused = admission.bytes - data.len();
        if admission.fate != Fate::Drop {
            self.give_back_room(unused);
        }
        if admission.fate == Fate::Send {
            self.credit.give(u32::try_from(unused).unwrap_or(0));
        }
        if data.is_empty() {
            return;
        }
        {
            let mut kept = self.kept();
            let ring = if stderr { &mut kept.stderr } else { &mut kept.stdout };
            ring.total += data.len() as u64;
            if admission.fate != Fate::Drop {
                ring.push(data);
            }
        }
        if admission.fate == Fate::Send {
            let output = Output { stderr, data: Bytes::copy_from_slice(data) };
            tokio::select! {
                biased;
                sent = self.sink.send(output) => {
                    if sent.is_err() {
                        // Nobody listens any more. The program goes on, and its end is in the result.
                        self.credit.lift();
                    }
                }
                () = self.credit.lifted() => {}
            }
        }
    }

    /// Prints all of `data`.
    pub async fn print_all(&self, stderr: bool, mut data: &[u8]) {
        while !data.is_empty() {
            let admission = self.admit().await;
            let (now, later) = data.split_at(admission.bytes.min(data.len()));
            self.print(stderr, now, admission).await;
            data = later;
        }
    }

    /// From now on output is kept for the result, and no longer sent: nobody waits for credit.
    pub fn lift(&self) {
        self.credit.lift();
    }

    /// The ends of standard output and of standard error.
    pub fn tails(&self) -> (Tail, Tail) {
        let mut kept = self.kept();
        let tail =
            |ring: &mut Ring| Tail { bytes: std::mem::take(&mut ring.bytes).into(), total: ring.total };
        let stdout = tail(&mut kept.stdout);
        (stdout, tail(&mut kept.stderr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printer(window: u32, most: Option<u64>) -> (Printer, Arc<Credit>, mpsc::Receiver<Output>) {
        let (sink, outputs) = mpsc::channel(1000);
        let credit = Arc::new(Credit::new(window));
        (Printer::new(sink, Arc::clone(&credit), most), credit, outputs)
    }

    fn sent(outputs: &mut mpsc::Receiver<Output>) -> usize {
        std::iter::from_fn(|| outputs.try_recv().ok()).map(|output| output.data.len()).sum()
    }

    #[tokio::test]
    async fn no_more_is_sent_than_there_is_credit_for() {
        let (printer, credit, mut outputs) = printer(100, None);
        let data = [7; 250];
        let mut printing = Box::pin(printer.print_all(false, &data));
        assert!(futures::poll!(&mut printing).is_pending());
        assert_eq!(sent(&mut outputs), 100);
        credit.give(100);
        assert!(futures::poll!(&mut printing).is_pending());
        assert_eq!(sent(&mut outputs), 100);
        credit.give(100);
        assert!(futures::poll!(&mut printing).is_ready());
        assert_eq!(sent(&mut outputs), 50);
        assert_eq!(printer.tails().0, Tail { bytes: data.to_vec(), total: 250 });
    }

    #[tokio::test]
    async fn what_was_not_used_of_an_admission_is_given_back() {
        let (printer, _, mut outputs) = printer(10, Some(12));
        let admission = printer.admit().await;
        assert_eq!(admission.bytes, 10);
        printer.print(true, b"abc", admission).await;
        printer.print_all(true, b"defghij").await;
        assert_eq!(sent(&mut outputs), 10);
        assert_eq!(printer.tails().1.bytes, b"abcdefghij");
    }

    #[tokio::test]
    async fn beyond_the_bound_output_is_counted_and_dropped_without_credit() {
        let (printer, _, mut outputs) = printer(10, Some(4));
        printer.print_all(false, b"abcdefghijklmnop").await;
        printer.print_all(true, b"more").await;
        assert_eq!(sent(&mut outputs), 4);
        let (stdout, stderr) = printer.tails();
        assert_eq!(stdout, Tail { bytes: b"abcd".to_vec(), total: 16 });
        assert_eq!(stderr, Tail { bytes: Vec::new(), total: 4 });
    }

    #[tokio::test]
    async fn once_lifted_nobody_waits_and_the_end_is_kept() {
        let (printer, _, mut outputs) = printer(1, None);
        let mut printing = Box::pin(printer.print_all(false, b"abc"));
        assert!(futures::poll!(&mut printing).is_pending());
        printer.lift();
        printing.await;
        assert_eq!(sent(&mut outputs), 1);
        assert_eq!(printer.tails().0.bytes, b"abc");
    }

    #[tokio::test]
    async fn the_last_mebibyte_is_kept() {
        let (printer, _, outputs) = printer(0, None);
        drop(outputs);
        printer.lift();
        let data: Vec<u8> = (0_u32..1_000_000).flat_map(u32::to_be_bytes).collect();
        printer.print_all(false, &data).await;
        let tail = printer.tails().0;
        assert_eq!((tail.total, tail.bytes.len()), (4_000_000, TAIL));
        assert!(data.ends_with(&tail.bytes));
    }

    #[tokio::test]
    async fn endless_credit_does_not_overflow() {
        let credit = Credit::new(u32::MAX);
        for _ in 0..10 {
            credit.give(u32::MAX);
        }
        assert_eq!(credit.take(CHUNK).await, Some(CHUNK));
    }
}
