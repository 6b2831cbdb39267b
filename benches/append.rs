//! The stream layer on real files, in this process: durable events a second, and the time of one append.
//!
//! `cargo bench --bench append -- [--quick]`. Streams and their producers have threads of their own, as in the service.
//! With `--only cluster`: beside the same on the disk, in turns, with a journal that three NATS servers of this machine
//! keep, which are installed for it.

mod support;

use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Arbiter;
use ade::domain::{ConfigurationId, RunId, StreamKey, WorkspaceId};
use ade::event::{Draft, Identity, Source};
use ade::log::{ClusterOptions, LogOptions, LogRoot, RealDisk};
use ade::stream::{self, MetersByKind, StreamHandle, StreamOptions};
use ade_test_support::nats::{self, Nats};
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use serde_json::json;
use support::report::histogram;
use support::{Bench, Outcome};
use tokio::sync::oneshot;

/// Length of an event's payload; its line has about 360 bytes more.
const PAYLOAD: usize = 256;

fn main() -> ExitCode {
    support::run("append", |bench| {
        raw_disk(bench)?;
        let system = actix::System::new();
        system.block_on(measure(bench))
    })
}

async fn measure(bench: &mut Bench) -> Outcome {
    let threads = Threads::start();
    if bench.options.only.as_deref() == Some("cluster") {
        return in_cluster(bench, &threads).await;
    }
    for (streams, in_flight) in [(100, 64), (100, 1)] {
        let name = format!("{streams} streams, {in_flight} in flight");
        for _ in 0..if bench.wants(&name) { bench.runs(5) } else { 0 } {
            all_alike(bench, &threads, (streams, in_flight), &Keeper::Disk, &name).await?;
        }
    }
    for others in [0, 10, 100] {
        let name = format!("one closed loop, {others} other streams active");
        for _ in 0..if bench.wants(&name) { bench.runs(5) } else { 0 } {
            one_among(bench, &threads, others, &Keeper::Disk, &name).await?;
        }
    }
    Ok(())
}

/// Who keeps the journal.
enum Keeper {
    Disk,
    Cluster(Nats),
}

impl Keeper {
    fn name(&self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Cluster(_) => "cluster",
        }
    }
}

/// The same on the disk and in a cluster, in turns.
async fn in_cluster(bench: &mut Bench, threads: &Threads) -> Outcome {
    if !nats::is_there() {
        return Err("there are no servers to measure with".into());
    }
    let keepers = [Keeper::Disk, Keeper::Cluster(Nats::start())];
    for _ in 0..bench.runs(5) {
        for keeper in &keepers {
            let by = keeper.name();
            for load in [(100, 64), (100, 1)] {
                let name = format!("{by}: {} streams, {} in flight", load.0, load.1);
                all_alike(bench, threads, load, keeper, &name).await?;
            }
            for others in [0, 10, 100] {
                one_among(bench, threads, others, keeper, &format!("{by}: one closed loop, {others} others")).await?;
            }
        }
    }
    Ok(())
}

/// So many streams, with so many appends of each in flight.
async fn all_alike(
    bench: &mut Bench,
    threads: &Threads,
    (streams, in_flight): (usize, usize),
    keeper: &Keeper,
    name: &str,
) -> Outcome {
    let site = Site::open(bench, threads, streams, keeper).await?;
    let load = site.load(threads, &site.streams, in_flight, phases(bench)).await?;
    site.close(load.appended).await?;
    bench.report.add(name, "events/s", load.rate);
    bench.report.add_latency(name, &load.latency);
    Ok(())
}

/// One stream whose every append waits for the last, beside others that do the same.
async fn one_among(bench: &mut Bench, threads: &Threads, others: usize, keeper: &Keeper, name: &str) -> Outcome {
    let site = Site::open(bench, threads, others + 1, keeper).await?;
    let (probed, beside) = site.streams.split_at(1);
    let phases = phases(bench);
    let (probe, noise) =
        futures_util::future::join(site.load(threads, probed, 1, phases), site.load(threads, beside, 1, phases)).await;
    let (probe, noise) = (probe?, noise?);
    site.close(probe.appended + noise.appended).await?;
    bench.report.add(name, "events/s", probe.rate);
    bench.report.add_latency(name, &probe.latency);
    Ok(())
}

/// A node of its own for each data directory.
async fn open_root(folder: PathBuf, keeper: &Keeper) -> Outcome<LogRoot> {
    let cluster = match keeper {
        Keeper::Disk => None,
        Keeper::Cluster(nats) => Some(ClusterOptions::new(nats.servers(), "bench", &RunId::generate().to_string())),
    };
    let opened = tokio::task::spawn_blocking(move || {
        let (disk, options) = (Arc::new(RealDisk::default()), LogOptions::default());
        match cluster {
            None => LogRoot::open(&folder, disk, options),
            Some(cluster) => LogRoot::open_in_cluster(&folder, disk, options, &cluster),
        }
    });
    Ok(opened.await??.0)
}

/// What the disk takes at best: one write and one sync for each event.
fn raw_disk(bench: &mut Bench) -> Outcome {
    let name = "the disk alone, write and fdatasync";
    for _ in 0..if bench.wants(name) { bench.runs(5) } else { 0 } {
        let path = bench.fresh_path("raw");
        let mut file = File::create(&path)?;
        let (mut latency, end) =
            (histogram(), Instant::now() + bench.pick(Duration::from_secs(3), Duration::from_millis(300)));
        while Instant::now() < end {
            let begin = Instant::now();
            file.write_all(&[b'x'; PAYLOAD])?;
            file.sync_data()?;
            latency.saturating_record(begin.elapsed().as_micros() as u64);
        }
        std::fs::remove_file(path)?;
        bench.report.add_latency(name, &latency);
    }
    Ok(())
}

/// Warm-up and measured time.
type Phases = (Duration, Duration);

fn phases(bench: &Bench) -> Phases {
    bench.pick(
        (Duration::from_secs(1), Duration::from_secs(5)),
        (Duration::from_millis(200), Duration::from_millis(800)),
    )
}

struct Threads {
    streams: Vec<Arbiter>,
    producers: Vec<Arbiter>,
}

impl Threads {
    fn start() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let start = || (0..cores).map(|_| Arbiter::new()).collect();
        Self { streams: start(), producers: start() }
    }
}

/// Fresh logs, each with its stream.
struct Site {
    root: LogRoot,
    streams: Vec<StreamHandle>,
    folder: PathBuf,
}

/// What producers have measured.
struct Load {
    /// With the warm-up.
    appended: u64,
    rate: f64,
    latency: Histogram<u64>,
}

impl Site {
    async fn open(bench: &Bench, threads: &Threads, count: usize, keeper: &Keeper) -> Outcome<Self> {
        let folder = bench.fresh_path("logs");
        std::fs::create_dir(&folder)?;
        let root = open_root(folder.clone(), keeper).await?;
        let options = StreamOptions {
            heartbeat: Duration::from_secs(15),
            max_subscribers: 1,
            meters: MetersByKind::default(),
            replicas: None,
        };
        let (workspace_id, configuration_id) = (WorkspaceId::generate(), ConfigurationId::generate());
        let mut streams = Vec::new();
        for number in 0..count {
            let identity = Identity::new(StreamKey::of(workspace_id, RunId::generate()), configuration_id);
            let arbiter = threads.streams[number % threads.streams.len()].handle();
            streams.push(stream::open(root.clone(), identity, None, options.clone(), arbiter).await?);
        }
        Ok(Self { root, streams, folder })
    }

    /// Producers on every stream, `in_flight` a stream, each of which waits for its last append.
    async fn load(
        &self,
        threads: &Threads,
        streams: &[StreamHandle],
        in_flight: usize,
        phases: Phases,
    ) -> Outcome<Load> {
        let begin = Instant::now() + phases.0;
        let end = begin + phases.1;
        let mut shares = Vec::new();
        for (number, thread) in threads.producers.iter().enumerate() {
            let own = streams.iter().skip(number).step_by(threads.producers.len()).cloned().collect();
            let (told, share) = oneshot::channel();
            thread.spawn_fn(move || {
                actix::spawn(async move {
                    let _ = told.send(produce(own, in_flight, begin, end).await);
                });
            });
            shares.push(share);
        }
        let mut load = Load { appended: 0, rate: 0.0, latency: histogram() };
        for share in shares {
            let Share { appended, in_time, latency } = share.await??;
            load.appended += appended;
            load.rate += in_time as f64 / phases.1.as_secs_f64();
            load.latency.add(latency)?;
        }
        Ok(load)
    }

    /// Every append that was acknowledged is in a log, and nothing else is.
    async fn close(self, appended: u64) -> Outcome {
        let stored: u64 = self.streams.iter().map(|stream| stream.tail().sequence).sum();
        if stored != appended {
            return Err(format!("{stored} events are stored, {appended} were acknowledged").into());
        }
        let Self { root, streams, folder } = self;
        drop(streams);
        tokio::task::spawn_blocking(move || root.close()).await?;
        Ok(std::fs::remove_dir_all(folder)?)
    }
}

/// What the producers of one thread have measured.
struct Share {
    appended: u64,
    /// Acknowledged within the measured time.
    in_time: u64,
    /// Of those that were begun within it, also when they ended later.
    latency: Histogram<u64>,
}

async fn produce(
    streams: Vec<StreamHandle>,
    in_flight: usize,
    begin: Instant,
    end: Instant,
) -> Result<Share, stream::AppendError> {
    let share = Rc::new(RefCell::new(Share { appended: 0, in_time: 0, latency: histogram() }));
    let drafts: Arc<[Draft]> = Arc::from([draft()]);
    let one = |stream: StreamHandle| {
        let (share, drafts) = (share.clone(), drafts.clone());
        async move {
            loop {
                let asked = Instant::now();
                if asked >= end {
                    return Ok(());
                }
                stream.append(drafts.clone()).await?;
                let (answered, mut share) = (Instant::now(), share.borrow_mut());
                share.appended += 1;
                share.in_time += u64::from(answered >= begin && answered < end);
                if asked >= begin {
                    share.latency.saturating_record((answered - asked).as_micros() as u64);
                }
            }
        }
    };
    let tasks = streams.into_iter().flat_map(|stream| std::iter::repeat_n(stream, in_flight)).map(one);
    let tasks: Vec<_> = tasks.map(actix::spawn).collect();
    for ended in join_all(tasks).await {
        ended.expect("a producer does not panic")?;
    }
    Ok(share.replace(Share { appended: 0, in_time: 0, latency: histogram() }))
}

fn draft() -> Draft {
    let frame = json!({"text": ""}).to_string().len();
    Draft::new("run.row", Source::Engine, &json!({"text": "x".repeat(PAYLOAD - frame)}))
}
