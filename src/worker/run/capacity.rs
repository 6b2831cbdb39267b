//! How many engines run at once. Whoever waits longest is next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    pub fn try_take(&self) -> Option<Slot> {
        self.slots.clone().try_acquire_owned().ok().map(Slot)
    }

    /// From here on nobody gets a slot, those who wait for one included.
    pub fn close(&self) {
        self.slots.close();
    }

    pub fn is_closed(&self) -> bool {
        self.slots.is_closed()
    }

    /// Goes to the end of the queue.
    pub fn queue(&self) -> Place {
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push_back(number);
        Place { capacity: self.clone(), number }
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

    /// Waits for the slot; none when no more are given. The semaphore serves in the order of first polls, which is that of the queue
    /// as long as every place is polled soon after it is taken.
    pub async fn take(&self) -> Option<Slot> {
        self.capacity.slots.clone().acquire_owned().await.ok().map(Slot)
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
        assert!(capacity.try_take().is_none());
        let (first, second) = (capacity.queue(), capacity.queue());
        assert_eq!((first.position(), second.position()), (1, 2));
        drop(slot);
        let slot = first.take().await.unwrap();
        drop(first);
        assert_eq!(second.position(), 1);
        drop(slot);
        second.take().await.unwrap();
    }

    #[tokio::test]
    async fn once_closed_it_gives_nothing_to_those_who_wait_or_come() {
        let capacity = Capacity::new(1);
        let slot = capacity.try_take().unwrap();
        let place = capacity.queue();
        let mut waiting = std::pin::pin!(place.take());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        capacity.close();
        assert!(waiting.await.is_none());
        drop(slot);
        assert!(capacity.try_take().is_none() && capacity.queue().take().await.is_none());
    }
}
