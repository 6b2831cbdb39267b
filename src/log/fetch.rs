//! Logs of the archive, brought to the disk to be read.
//!
//! Laws: an object is fetched once however many wait for it. The threads are few and their own, so a store that is stuck
//! holds up those who want what is in it, and nobody else; what is on the disk is checked by another thread than those that
//! wait for the store. Who waits, waits for a bounded time; the fetch goes on, and the next reader finds what it brought.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use super::cache::{Cache, Found};
use super::disk::DiskFile;
use super::pointer::{Pointer, checksum};
use super::threads::{lock, spawn};
use crate::domain::StreamKey;
use crate::objects::{ObjectError, PatientStore};

/// Objects that are fetched at the same time.
const FETCHERS: usize = 3;
/// Objects that may wait for their turn.
const MOST_QUEUED: usize = 256;
/// Readers that may wait for one object.
const MOST_WAITING: usize = 10_000;

/// How long a stop waits for fetches to give up: a share that hangs never does.
const LEAVE: Duration = Duration::from_secs(2);

/// Why an archived log is not there to be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Damaged(String),
}

pub(super) type Fetched = Result<Arc<dyn DiskFile>, FetchError>;

/// Somebody who waits, or has gone.
struct Waiter {
    waits: Weak<()>,
    tell: Box<dyn FnOnce(Fetched) + Send>,
}

impl Waiter {
    fn is_gone(&self) -> bool {
        self.waits.strong_count() == 0
    }
}

/// One object that somebody wants to read.
#[derive(Clone)]
struct Job {
    key: StreamKey,
    name: String,
    pointer: Box<Pointer>,
}

pub(super) struct Fetcher {
    shared: Arc<Shared>,
    /// Ends when the last thread has; none once it was waited for.
    ended: Mutex<Option<Receiver<()>>>,
}

struct Shared {
    source: Arc<PatientStore>,
    cache: Arc<Cache>,
    waiting: Mutex<HashMap<String, Vec<Waiter>>>,
    stopping: AtomicBool,
    /// What is on the disk and is to be checked; none once this stops.
    local: Mutex<Option<SyncSender<Job>>>,
    remote: Mutex<Option<SyncSender<Job>>>,
}

impl Fetcher {
    pub(super) fn start(source: Arc<PatientStore>, cache: Arc<Cache>) -> io::Result<Self> {
        let (local, to_check) = sync_channel(MOST_QUEUED);
        let (remote, to_fetch) = sync_channel(MOST_QUEUED);
        let shared = Arc::new(Shared {
            source,
            cache,
            waiting: Mutex::default(),
            stopping: AtomicBool::new(false),
            local: Mutex::new(Some(local)),
            remote: Mutex::new(Some(remote)),
        });
        let (running, ended) = channel();
        let fetcher = Self { shared, ended: Mutex::new(Some(ended)) };
        fetcher.spawn("log-check", to_check, (1, &running), Shared::check)?;
        fetcher.spawn("log-fetch", to_fetch, (FETCHERS, &running), Shared::fetch)?;
        Ok(fetcher)
    }

    fn spawn(
        &self,
        name: &str,
        jobs: Receiver<Job>,
        (count, running): (usize, &Sender<()>),
        work: fn(&Shared, Job),
    ) -> io::Result<()> {
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..count {
            let (shared, jobs, running) = (self.shared.clone(), jobs.clone(), running.clone());
            let next = move || lock(&jobs).recv();
            spawn(name, move || {
                let _running = running;
                while let Ok(job) = next() {
                    work(&shared, job);
                }
            })?;
        }
        Ok(())
    }

    /// The file that is there and was checked, without asking anyone.
    pub(super) fn at_hand(&self, key: StreamKey, pointer: &Pointer) -> Option<Arc<dyn DiskFile>> {
        match self.shared.cache.find(&pointer.cache_name(key)) {
            Found::Checked(file) => Some(file),
            Found::Unchecked(_) | Found::Nothing => None,
        }
    }

    /// `tell` is called once the object is there, or why it is not; by another thread, or at once. One that nobody waits for
    /// any more when its turn comes is not fetched: nobody holds `waits`.
    pub(super) fn bring(
        &self,
        key: StreamKey,
        pointer: Pointer,
        waits: &Arc<()>,
        tell: impl FnOnce(Fetched) + Send + 'static,
    ) {
        let job = Job { key, name: pointer.cache_name(key), pointer: Box::new(pointer) };
        let waiter = Waiter { waits: Arc::downgrade(waits), tell: Box::new(tell) };
        let mut waiting = lock(&self.shared.waiting);
        match waiting.get_mut(&job.name) {
            Some(others) if others.len() >= MOST_WAITING => {
                drop(waiting);
                (waiter.tell)(Err(busy()));
            }
            Some(others) => others.push(waiter),
            None => {
                waiting.insert(job.name.clone(), vec![waiter]);
                drop(waiting);
                self.shared.queue(&self.shared.local, job);
            }
        }
    }

    /// What is under way is given up, and threads that do not come back from their store are left. Blocks for a moment.
    pub(super) fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        lock(&self.shared.local).take();
        lock(&self.shared.remote).take();
        if let Some(ended) = lock(&self.ended).take() {
            let _ = ended.recv_timeout(LEAVE);
        }
        // Those whose turn has not come.
        let waiting = std::mem::take(&mut *lock(&self.shared.waiting));
        waiting.into_values().flatten().for_each(|waiter| (waiter.tell)(Err(stopping())));
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.stop();
    }
}

fn busy() -> FetchError {
    FetchError::Unavailable("too many archived logs are wanted at once".into())
}

fn stopping() -> FetchError {
    FetchError::Unavailable("the service is stopping".into())
}

impl Shared {
    fn queue(&self, jobs: &Mutex<Option<SyncSender<Job>>>, job: Job) {
        let name = job.name.clone();
        let sent = lock(jobs).as_ref().map(|jobs| jobs.try_send(job));
        match sent {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => self.answer(&name, &Err(busy())),
            Some(Err(TrySendError::Disconnected(_))) | None => self.answer(&name, &Err(stopping())),
        }
    }

    fn answer(&self, name: &str, fetched: &Fetched) {
        let waiters = lock(&self.waiting).remove(name).unwrap_or_default();
        waiters.into_iter().for_each(|waiter| (waiter.tell)(fetched.clone()));
    }

    /// A panic is an answer too: who waits must not wait for ever, nor must the next one.
    fn answering(&self, name: &str, work: impl FnOnce() -> Option<Fetched>) {
        let done = catch_unwind(AssertUnwindSafe(work));
        let done = done.unwrap_or_else(|_| Some(Err(FetchError::Unavailable("the fetch has panicked".into()))));
        if let Some(fetched) = done {
            self.answer(name, &fetched);
        }
    }

    fn check(&self, job: Job) {
        let name = job.name.clone();
        self.answering(&name, || match self.cache.find(&job.name) {
            Found::Checked(file) => Some(Ok(file)),
            Found::Unchecked(file) if self.is_whole(&file, &job.pointer) => {
                self.cache.approve(&job.name);
                Some(Ok(file))
            }
            found => {
                if matches!(found, Found::Unchecked(_)) {
                    self.cache.remove(&job.name);
                }
                self.queue(&self.remote, job);
                None
            }
        });
    }

    fn is_whole(&self, file: &Arc<dyn DiskFile>, pointer: &Pointer) -> bool {
        let sum = checksum(file, &|| self.stopping.load(Ordering::Relaxed));
        sum.is_ok_and(|sum| sum.as_ref() == Some(&pointer.sha256))
    }

    fn fetch(&self, job: Job) {
        if self.is_forsaken(&job.name) {
            return;
        }
        self.answering(&job.name, || {
            let room = self.cache.reserve(job.pointer.object_bytes).map_err(of_cache);
            let fetched = room.and_then(|_room| self.download(&job));
            if fetched.is_err() {
                self.cache.give_up(&job.name);
            }
            Some(fetched)
        });
    }

    /// Whether everyone who has waited was gone before its turn came.
    fn is_forsaken(&self, name: &str) -> bool {
        let mut waiting = lock(&self.waiting);
        let forsaken = waiting.get(name).is_none_or(|waiters| waiters.iter().all(Waiter::is_gone));
        if forsaken {
            waiting.remove(name);
        }
        forsaken
    }

    fn download(&self, job: &Job) -> Fetched {
        let file = self.cache.begin(&job.name).map_err(of_cache)?;
        self.receive(&job.pointer, &*file)?;
        let is_wanted = || self.cache.is_pointed_at(job.key, &job.pointer);
        self.cache.keep(&job.name, &*file, is_wanted).map_err(of_cache)
    }

    /// Fills a file with what was archived.
    fn receive(&self, pointer: &Pointer, file: &dyn DiskFile) -> Result<(), FetchError> {
        let (mut size, object) = (0, &pointer.object);
        let mut write = |piece: &[u8]| {
            let at = size;
            size += piece.len() as u64;
            file.write_all_at(piece, at)
        };
        match self.source.receive(pointer.expected(), &mut write, &|| self.stopping.load(Ordering::Relaxed)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(FetchError::Damaged(format!("object {object} is not what was archived"))),
            Err(ObjectError::NotFound) => Err(FetchError::Damaged(format!("object {object} is gone"))),
            Err(ObjectError::Local(error)) => Err(of_cache(error)),
            Err(ObjectError::Stopped) => Err(stopping()),
            Err(error @ (ObjectError::Unavailable(_) | ObjectError::Refused(_))) => {
                Err(FetchError::Unavailable(error.to_string()))
            }
        }
    }
}

fn of_cache(error: io::Error) -> FetchError {
    FetchError::Unavailable(format!("the cache of the archive: {error}"))
}
