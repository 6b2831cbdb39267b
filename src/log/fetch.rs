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
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::cache::{Cache, Found};
use super::disk::DiskFile;
use super::pointer::{Pointer, checksum, hex};
use super::source::Source;
use super::threads::{lock, spawn};
use crate::domain::StreamKey;
use crate::objects::ObjectError;

/// Objects that are fetched at the same time.
const FETCHERS: usize = 3;
/// Objects that may wait for their turn.
const MOST_QUEUED: usize = 256;
/// Readers that may wait for one object.
const MOST_WAITING: usize = 10_000;
/// A fetch that is slower than this is given up, after a minute at the least.
const SLOWEST: u64 = 64 << 10;
const AT_LEAST: Duration = Duration::from_secs(60);

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
type Waiter = Box<dyn FnOnce(Fetched) + Send>;

/// One object that somebody wants to read.
#[derive(Clone)]
struct Job {
    name: String,
    pointer: Box<Pointer>,
}

pub(super) struct Fetcher {
    shared: Arc<Shared>,
    /// Ends when the last thread has; none once it was waited for.
    ended: Mutex<Option<Receiver<()>>>,
}

struct Shared {
    source: Arc<Source>,
    cache: Arc<Cache>,
    waiting: Mutex<HashMap<String, Vec<Waiter>>>,
    stopping: AtomicBool,
    /// What is on the disk and is to be checked; none once this stops.
    local: Mutex<Option<SyncSender<Job>>>,
    remote: Mutex<Option<SyncSender<Job>>>,
}

impl Fetcher {
    pub(super) fn start(source: Arc<Source>, cache: Arc<Cache>) -> io::Result<Self> {
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

    /// `waiter` is told once the object is there, or why it is not; by another thread, or at once.
    pub(super) fn bring(&self, key: StreamKey, pointer: Pointer, waiter: impl FnOnce(Fetched) + Send + 'static) {
        let job = Job { name: pointer.cache_name(key), pointer: Box::new(pointer) };
        let mut waiting = lock(&self.shared.waiting);
        match waiting.get_mut(&job.name) {
            Some(others) if others.len() >= MOST_WAITING => {
                drop(waiting);
                waiter(Err(busy()));
            }
            Some(others) => others.push(Box::new(waiter)),
            None => {
                waiting.insert(job.name.clone(), vec![Box::new(waiter)]);
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
        waiting.into_values().flatten().for_each(|waiter| waiter(Err(stopping())));
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
        waiters.into_iter().for_each(|waiter| waiter(fetched.clone()));
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
        self.answering(&job.name, || {
            self.cache.make_room(job.pointer.object_bytes);
            let fetched = self.download(&job);
            if fetched.is_err() {
                self.cache.give_up(&job.name);
            }
            Some(fetched)
        });
    }

    fn download(&self, job: &Job) -> Fetched {
        let file = self.cache.begin(&job.name).map_err(of_cache)?;
        if self.receive(&job.pointer, &*file)? != job.pointer.sha256 {
            return Err(FetchError::Damaged(format!("object {} is not what was archived", job.pointer.object)));
        }
        self.cache.keep(&job.name, &*file).map_err(of_cache)
    }

    /// Fills a file, and gives the checksum of what has come; more than there should be is not taken.
    fn receive(&self, pointer: &Pointer, file: &dyn DiskFile) -> Result<String, FetchError> {
        let (mut hasher, mut size, bytes) = (Sha256::new(), 0, pointer.object_bytes);
        let mut write = |piece: &[u8]| {
            let at = size;
            size += piece.len() as u64;
            if size > bytes {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            hasher.update(piece);
            file.write_all_at(piece, at)
        };
        let deadline = Instant::now() + AT_LEAST + Duration::from_secs(bytes / SLOWEST);
        let stop = || self.stopping.load(Ordering::Relaxed) || Instant::now() > deadline;
        match self.source.get(&pointer.object, &mut write, &stop) {
            Ok(()) => Ok(hex(hasher)),
            Err(ObjectError::NotFound) => Err(FetchError::Damaged(format!("object {} is gone", pointer.object))),
            Err(ObjectError::Local(_)) if size > bytes => {
                Err(FetchError::Damaged(format!("object {} is larger than what was archived", pointer.object)))
            }
            Err(ObjectError::Local(error)) => Err(of_cache(error)),
            Err(error) => Err(FetchError::Unavailable(error.to_string())),
        }
    }
}

fn of_cache(error: io::Error) -> FetchError {
    FetchError::Unavailable(format!("the cache of the archive: {error}"))
}
