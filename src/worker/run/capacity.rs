//! How many engines run at once. Whoever waits longest is next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// The running slots of a service.
#[derive(Debug, Clone)]
pub struct Capacity {
    slots: Arc<Semaphore>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<u64>,
}

/// A slot; it is free again when this is dropped.
#[derive(Debug)]
pub struct Slot(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// Why there is no slot at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    Taken,
    Closed,
}

/// No slot will be given any more: the service is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// A place in the queue; it is given up when this is dropped.
#[derive(Debug)]
pub struct Place {
    capacity: Capacity,
    number: u64,
}

impl Capacity {
    pub fn new(slots: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(slots)), queue: Arc::default() }
    }

    /// A slot, when one is free and nobody waits for it.
    pub fn try_take(&self) -> Result<Slot, Unavailable> {
        self.slots.clone().try_acquire_owned().map(Slot).map_err(|error| match error {
            TryAcquireError::NoPermits => Unavailable::Taken,
            TryAcquireError::Closed => Unavailable::Closed,
        })
    }

    /// Goes to the end of the queue.
    pub fn queue(&self) -> Place {
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push_back(number);
        Place { capacity: self.clone(), number }
    }

    /// Gives out no more slots: whoever waits is told, whoever has one keeps it.
    pub fn close(&self) {
        self.slots.close();
    }

    pub fn is_closed(&self) -> bool {
        self.slots.is_closed()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Place {
    /// From 1, the next to be served.
    pub fn position(&self) -> u64 {
        let queue = self.capacity.lock();
        queue.waiting.iter().take_while(|&&number| number != self.number).count() as u64 + 1
    }

    /// Waits for the slot. The semaphore serves in the order of first polls, which is that of the queue
    /// as long as every place is polled soon after it is taken.
    pub async fn take(&self) -> Result<Slot, Closed> {
        self.capacity.slots.clone().acquire_owned().await.map(Slot).map_err(|_| Closed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.capacity.lock().waiting.retain(|&number| number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_are_given_in_turn_and_come_back() {
        let capacity = Capacity::new(1);
        let slot = capacity.try_take().unwrap();
        assert_eq!(capacity.try_take().unwrap_err(), Unavailable::Taken);
        let (first, second) = (capacity.queue(), capacity.queue());
        assert_eq!((first.position(), second.position()), (1, 2));
        drop(slot);
        let slot = first.take().await.unwrap();
        drop(first);
        assert_eq!(second.position(), 1);
        capacity.close();
        assert_eq!(second.take().await.unwrap_err(), Closed, "who waits is told");
        drop(slot);
    }
}
