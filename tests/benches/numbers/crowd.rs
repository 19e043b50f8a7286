//! Many clients of one server at once: they join, and then answer rounds all together.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

/// How many connect at once.
const AT_ONCE: usize = 64;
/// All must have joined within this time, and all must have answered a round.
const WITHIN: Duration = Duration::from_mins(2);

/// Counts to a number that is waited for.
#[derive(Default)]
struct Count {
    now: AtomicUsize,
    more: Notify,
}

impl Count {
    fn add(&self) {
        self.now.fetch_add(1, Ordering::AcqRel);
        self.more.notify_one();
    }

    async fn reaches(&self, goal: usize) {
        while self.now.load(Ordering::Acquire) < goal {
            self.more.notified().await;
        }
    }
}

/// What one client of the crowd needs of it.
pub struct Member {
    pub index: usize,
    entrance: Arc<Semaphore>,
    round: watch::Receiver<u64>,
    joined: Arc<Count>,
    answered: Arc<Count>,
}

impl Member {
    /// Waits until it may connect; it holds up others until what this gives is dropped.
    pub async fn enter(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.entrance).acquire_owned().await.expect("the entrance is never closed")
    }

    /// It is connected.
    pub fn joined(&self) {
        self.joined.add();
    }

    /// Waits for the next round. False: there is none any more.
    pub async fn next_round(&mut self) -> bool {
        self.round.changed().await.is_ok()
    }

    /// The server has answered it in this round.
    pub fn answered(&self) {
        self.answered.add();
    }
}

/// Clients that are connected. They leave when this is dropped.
pub struct Crowd {
    size: usize,
    round: watch::Sender<u64>,
    answered: Arc<Count>,
    /// How long it took until all had joined.
    pub joining: Duration,
    members: JoinSet<()>,
}

impl Crowd {
    /// Lets `size` clients join. A client that ends, ends the run.
    pub async fn gather<F, Fut, E>(size: usize, member: F) -> Self
    where
        F: Fn(Member) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let (round, rounds) = watch::channel(0);
        let (joined, answered) = (Arc::<Count>::default(), Arc::<Count>::default());
        let entrance = Arc::new(Semaphore::new(AT_ONCE));
        let mut members = JoinSet::new();
        let start = Instant::now();
        for index in 0..size {
            let living = member(Member {
                index,
                entrance: Arc::clone(&entrance),
                round: rounds.clone(),
                joined: Arc::clone(&joined),
                answered: Arc::clone(&answered),
            });
            members.spawn(async move {
                if let Err(error) = living.await {
                    panic!("client {index}: {error}");
                }
            });
        }
        let mut crowd = Self { size, round, answered, joining: Duration::ZERO, members };
        crowd.wait(&joined, size).await;
        crowd.joining = start.elapsed();
        crowd
    }

    /// Waits for a count, as long as no client ends.
    async fn wait(&mut self, count: &Count, goal: usize) {
        let all = timeout(WITHIN, count.reaches(goal));
        tokio::select! {
            reached = all => reached.expect("all clients are served in time"),
            ended = self.members.join_next() => panic!("a client has ended: {ended:?}"),
        }
    }

    /// One message of each client, and the server's answer to each.
    pub async fn round(&mut self) {
        let answered = Arc::clone(&self.answered);
        let before = answered.now.load(Ordering::Acquire);
        self.round.send_modify(|round| *round += 1);
        self.wait(&answered, before + self.size).await;
    }
}
