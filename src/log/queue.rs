//! A bounded queue between the callers and one thread, or a few.
//!
//! Not a channel of a library, because of three things: it is closed while its senders live (a root is closed while
//! writers are open, and they must then be refused), everything that waits is taken in one step (a round), and a large
//! bound costs nothing until it is used (a bounded crossbeam channel allocates all its slots at once).

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    filled: Condvar,
    emptied: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let state = Mutex::new(State { items: VecDeque::new(), closed: false });
        Self { state, capacity, filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Waits while the queue is full. A closed queue gives the item back.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        while state.items.len() >= self.capacity && !state.closed {
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Everything that waits, at least one; none once the queue is closed and empty.
    pub(super) fn drain(&self) -> Option<VecDeque<T>> {
        let mut state = self.wait_filled();
        let items = std::mem::take(&mut state.items);
        drop(state);
        self.emptied.notify_all();
        (!items.is_empty()).then_some(items)
    }

    /// The next one; none once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let item = self.wait_filled().items.pop_front();
        self.emptied.notify_one();
        item
    }

    /// Accepts no more; what waits is still served.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Closes and drops what waits: for a thread that stops before its work is done.
    pub(super) fn abandon(&self) {
        self.close();
        let abandoned = std::mem::take(&mut self.lock().items);
        drop(abandoned);
    }

    fn wait_filled(&self) -> MutexGuard<'_, State<T>> {
        let waits = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        self.filled.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
