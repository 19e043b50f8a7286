//! Signatures of what hosts send, checked many at once: one costs as much as a whole round trip without any, and of
//! those that wait at the same moment each costs a third of that.

use aegis_wire::{
    PublicKey, Unverified,
    envelope::{Attested, OpenError, verify_all},
};
use tokio::sync::{mpsc, oneshot};

use crate::session::End;

/// How many are checked at once: more saves little and lets the first of them wait.
const BATCH: usize = 256;

/// Where sessions hand in what they have to know about.
#[derive(Debug)]
pub(crate) struct Verifier(mpsc::UnboundedSender<Job>);

struct Job {
    envelope: Unverified,
    key: PublicKey,
    answer: oneshot::Sender<Result<Attested, OpenError>>,
}

impl Verifier {
    /// Begins. It ends when it is dropped.
    pub fn start() -> Self {
        // Each session has one envelope here at most, so there are never more than sessions.
        let (jobs, waiting) = mpsc::unbounded_channel();
        tokio::spawn(work(waiting));
        Self(jobs)
    }

    /// Checks the signature, and nothing else.
    pub fn check(
        &self,
        envelope: Unverified,
        key: PublicKey,
    ) -> impl Future<Output = Result<Attested, End>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        // Nobody takes it: the answer never comes, which is noticed below.
        let _ = self.0.send(Job { envelope, key, answer });
        async move {
            let ended = |_| End::Failed("nobody checks signatures any more".to_owned());
            answered.await.map_err(ended)?.map_err(End::Envelope)
        }
    }
}

async fn work(mut waiting: mpsc::UnboundedReceiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut jobs, BATCH).await > 0 {
        gather(&mut waiting, &mut jobs).await;
        let (answers, envelopes): (Vec<_>, Vec<_>) =
            jobs.drain(..).map(|job| (job.answer, (job.envelope, job.key))).unzip();
        for (answer, result) in answers.into_iter().zip(verify_all(envelopes)) {
            // A session that has ended doesn't want to know.
            let _ = answer.send(result);
        }
    }
}

/// Lets sessions that are about to hand something in do so: those that were woken by the same burst. Where there is
/// nothing else to do, this takes no time.
async fn gather(waiting: &mut mpsc::UnboundedReceiver<Job>, jobs: &mut Vec<Job>) {
    while jobs.len() < BATCH {
        let before = jobs.len();
        tokio::task::yield_now().await;
        while jobs.len() < BATCH
            && let Ok(job) = waiting.try_recv()
        {
            jobs.push(job);
        }
        if jobs.len() == before {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use aegis_core::session::Outbound;
    use aegis_wire::{
        SigningKey,
        edge::Event,
        envelope::{Route, seal},
    };
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn of_many_at_once_each_gets_its_own_answer() {
        let verifier = Verifier::start();
        let key = |number: u8| SigningKey::from_seed(&[number; 32]);
        let sealed = |number: u8| {
            let route = Route { sender: "n", stream: "s" };
            let event = Event::Ack { sequence: u64::from(number) };
            seal(&key(number), route, &mut Outbound::default(), 0, &event).unwrap().into()
        };
        // Every third is checked with a key that isn't its own; there are more than one batch.
        let answers = (0..200_u8).map(|number| {
            let signer = if number % 3 == 0 { key(250) } else { key(number) };
            verifier.check(sealed(number), signer.public())
        });
        for (number, answer) in join_all(answers).await.into_iter().enumerate() {
            match answer {
                Ok(_) => assert_ne!(number % 3, 0),
                Err(End::Envelope(OpenError::BadSignature)) => assert_eq!(number % 3, 0),
                Err(other) => panic!("{other}"),
            }
        }
        assert!(verifier.check(sealed(1), key(1).public()).await.is_ok());
    }
}
