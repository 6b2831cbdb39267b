//! Threads and locks of the log.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A poisoned lock is taken over: no holder leaves its data half changed, and other logs must not fail with one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

/// Does the same for each of many files, where most of the time is spent waiting for the disk; the first error, if any.
pub(super) fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> io::Result<()> + Sync) -> io::Result<()> {
    const THREADS: usize = 8;
    // All of them, even after an error.
    let all = |part: &[T]| {
        let mut outcome = Ok(());
        for item in part {
            let done = work(item);
            outcome = outcome.and(done);
        }
        outcome
    };
    if items.len() < 2 * THREADS {
        return all(items);
    }
    std::thread::scope(|scope| {
        let part = |items| scope.spawn(move || all(items));
        let threads: Vec<_> = items.chunks(items.len().div_ceil(THREADS)).map(part).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, io::Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread of the log panicked")))
        };
        threads.into_iter().map(join).fold(Ok(()), Result::and)
    })
}
