//! How much of the machine all guests together may have. Tasks wait for room; instances are told that there is none.

use std::sync::Arc;

use aegis_wire::runtime::RuntimeError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room that there is.
#[derive(Debug, Clone)]
pub struct Capacity {
    memory: Arc<Semaphore>,
    guests: Arc<Semaphore>,
    memory_mib: u32,
    most_guests: u32,
}

/// Room that was taken, until it is dropped.
#[derive(Debug)]
pub struct Room {
    _memory: OwnedSemaphorePermit,
    _guest: OwnedSemaphorePermit,
}

impl Capacity {
    /// Room for so much memory and so many guests.
    pub fn new(memory_mib: u32, guests: u32) -> Self {
        Self {
            memory: Arc::new(Semaphore::new(memory_mib as usize)),
            guests: Arc::new(Semaphore::new(guests as usize)),
            memory_mib,
            most_guests: guests,
        }
    }

    /// Refuses what there will never be room for.
    pub fn check(&self, memory_mib: u32) -> Result<(), RuntimeError> {
        if memory_mib > self.memory_mib {
            return Err(RuntimeError::invalid(format!(
                "{memory_mib} MiB of memory are asked for; all guests together may have {} MiB",
                self.memory_mib
            ))
            .hint("ask for less, or raise limits.memory in aegisd.yaml"));
        }
        Ok(())
    }

    /// Takes room if there is some now.
    pub fn take(&self, memory_mib: u32) -> Result<Room, RuntimeError> {
        self.check(memory_mib)?;
        let guest = self.guests.clone().try_acquire_owned().ok();
        let memory =
            guest.is_some().then(|| self.memory.clone().try_acquire_many_owned(memory_mib).ok()).flatten();
        match (memory, guest) {
            (Some(memory), Some(guest)) => Ok(Room { _memory: memory, _guest: guest }),
            (_, None) => Err(full(format!("{} guests run already", self.most_guests))),
            (None, _) => Err(full(format!(
                "{memory_mib} MiB of memory aren't free: {} of {} MiB are in use",
                self.memory_mib as usize - self.memory.available_permits(),
                self.memory_mib
            ))),
        }
    }

    /// Waits for room. Whoever asked first gets it first.
    pub async fn wait(&self, memory_mib: u32) -> Result<Room, RuntimeError> {
        self.check(memory_mib)?;
        let closed = |_| RuntimeError::internal("aegisd is stopping");
        let memory = self.memory.clone().acquire_many_owned(memory_mib).await.map_err(closed)?;
        let guest = self.guests.clone().acquire_owned().await.map_err(closed)?;
        Ok(Room { _memory: memory, _guest: guest })
    }
}

fn full(message: String) -> RuntimeError {
    RuntimeError::new(409, "no_room", message)
        .hint("stop an instance (`aegis instance list`), or raise limits in aegisd.yaml")
}

/// Three quarters of this machine's memory, in MiB.
pub fn default_memory_mib() -> u32 {
    let info = rustix::system::sysinfo();
    let bytes = u64::from(info.mem_unit) * info.totalram as u64;
    u32::try_from(bytes / (1024 * 1024) / 4 * 3).unwrap_or(u32::MAX).max(512)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn instances_are_refused_and_tasks_wait() {
        let capacity = Capacity::new(1000, 2);
        assert_eq!(capacity.take(1001).unwrap_err().status, 422);
        let first = capacity.take(600).unwrap();
        let error = capacity.take(600).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (409, "no_room"));
        assert!(error.message.contains("600 of 1000"), "{error}");
        let waiting = tokio::spawn({
            let capacity = capacity.clone();
            async move { capacity.wait(600).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap().unwrap();
        let _two = (capacity.take(1).unwrap(), capacity.take(1).unwrap());
        assert!(capacity.take(1).unwrap_err().message.contains("2 guests"));
    }
}
