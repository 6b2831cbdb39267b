//! Finished logs: replay to one reader, download beside nginx, and the last page of a long one; and the same of a
//! compressed one.
//!
//! `cargo bench --bench replay -- [--quick]`, after `cargo build --release --example sse_load`. nginx is left out
//! where there is none.

mod support;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ade::domain::EventId;
use ade::domain::run::{Run, RunState};
use ade::domain::status::RunStatus;
use ade::domain::work::Work as _;
use ade::event::{Draft, Identity, Source, codec};
use ade::log::{LogOptions, LogRoot, RealDisk};
use ade::stream::sequencer::Sequencer;
use serde_json::json;
use support::http::Client;
use support::load::{Load, number};
use support::nginx::{Nginx, Settings};
use support::records::Records;
use support::service::{SIGN_IN, Service};
use support::{Bench, Outcome};

const LIMIT: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    support::run("replay", measure)
}

fn measure(bench: &mut Bench) -> Outcome {
    let data = bench.folder("data")?;
    let (short, long) = (bench.pick(1_000_000, 100_000), bench.pick(10_000_000, 300_000));
    let mut library = Library::open(&data)?;
    let runs = [library.add(short, &|_| "x".repeat(105))?, library.add(long, &|_| "x".repeat(105))?];
    let small = [library.add(1000, &|_| "x".repeat(105))?, library.add(100_000, &|_| "x".repeat(105))?];
    let packed = library.add(short, &varied)?;
    library.close()?;
    compress(bench, &data, &packed, short)?;
    let settings: Vec<_> = bench.options.sign_in.then_some(SIGN_IN).into_iter().collect();
    let service = Service::start(&data, &settings)?;
    for _ in 0..if bench.wants("replay") { bench.runs(5) } else { 0 } {
        let url = service.stream_url(&runs[0].id.to_string())?;
        let arguments = [("readers", 1), ("buffer", 256 << 10), ("last-id", short)];
        let result = Load::start(bench, &url, &arguments)?.finish(LIMIT)?;
        bench.report.add(&format!("replay of {short} events"), "events/s", number(&result, "/deliveries_per_second")?);
    }
    if bench.wants("download") {
        downloads(bench, &service, &data, &[&small[0], &small[1], &runs[0]])?;
    }
    for (run, events) in [(&runs[0], short), (&runs[1], long)] {
        if bench.wants("page") {
            pages(bench, &service, run, &format!("{events} events"))?;
        }
    }
    if bench.wants("compressed") {
        compressed(bench, &service, &packed, short)?;
    }
    Ok(())
}

/// Text that is not all alike, so that it takes some work to decompress.
fn varied(number: u64) -> String {
    let words = (1..=7).map(|word| format!("{:014x} ", (number * word).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8));
    words.collect()
}

fn compress(bench: &mut Bench, data: &Path, run: &Run, events: u64) -> Outcome {
    let (root, _) = LogRoot::open(data, Arc::new(RealDisk::default()), LogOptions::default())?;
    let begin = Instant::now();
    let shrunk = root.compress(run.stream_key(), &|| false)?;
    let seconds = begin.elapsed().as_secs_f64();
    root.close();
    bench.report.add(&format!("compressing {events} events"), "MB/s", shrunk.before as f64 / 1e6 / seconds);
    bench.report.add("how often smaller", "times", shrunk.before as f64 / shrunk.after as f64);
    Ok(())
}

fn compressed(bench: &mut Bench, service: &Service, run: &Run, events: u64) -> Outcome {
    let length = run.last_sequence;
    for _ in 0..bench.runs(5) {
        let url = service.stream_url(&run.id.to_string())?;
        let arguments = [("readers", 1), ("buffer", 256 << 10), ("last-id", length)];
        let result = Load::start(bench, &url, &arguments)?.finish(LIMIT)?;
        bench.report.add("replay, compressed", "events/s", number(&result, "/deliveries_per_second")?);
        let mut client = service.client()?;
        let begin = Instant::now();
        let bytes = client.download(&format!("/api/v1/runs/{}/events/download", run.id))?;
        bench.report.add("download, compressed", "MB/s", bytes as f64 / 1e6 / begin.elapsed().as_secs_f64());
    }
    pages(bench, service, run, &format!("{events} events, compressed"))
}

/// The same files from the service and from nginx, in turns.
fn downloads(bench: &mut Bench, service: &Service, data: &Path, runs: &[&Run]) -> Outcome {
    let settings = Settings {
        main: "",
        http: "keepalive_requests 1000000; sendfile on; tcp_nopush on; default_type application/x-ndjson;",
        server: &format!("root {};", data.display()),
    };
    let nginx = Nginx::start(bench, &settings)?;
    if nginx.is_none() {
        eprintln!("  there is no nginx");
    }
    for run in runs {
        let (path, name) = (run.stream_key().log_path(), format!("download, {} events", run.last_sequence));
        let length = std::fs::metadata(data.join(&path))?.len();
        for _ in 0..bench.runs(5) {
            let ours = rate(service.client()?, &format!("/api/v1/runs/{}/events/download", run.id), length)?;
            bench.report.add(&name, "MB/s", ours);
            if let Some(nginx) = &nginx {
                let theirs = rate(Client::connect(nginx.address)?, &format!("/{}", path.display()), length)?;
                bench.report.add(&format!("{name}, nginx"), "MB/s", theirs);
            }
        }
    }
    Ok(())
}

/// Of a file that is asked for again, over one connection, until the time is long enough to be measured.
fn rate(mut client: Client, path: &str, length: u64) -> Outcome<f64> {
    const ENOUGH: u64 = 500_000_000;
    let times = (ENOUGH / length).clamp(1, 1000);
    let begin = Instant::now();
    for _ in 0..times {
        let bytes = client.download(path)?;
        if bytes != length {
            return Err(format!("{bytes} of {length} bytes came").into());
        }
    }
    Ok((times * length) as f64 / 1e6 / begin.elapsed().as_secs_f64())
}

/// Pages at the end of a log and within it, over one connection.
fn pages(bench: &mut Bench, service: &Service, run: &Run, of: &str) -> Outcome {
    let events = run.last_sequence;
    let base = format!("/api/v1/runs/{}/events?format=json", run.id);
    let asked = |query: String| format!("{base}&{query}");
    let last = asked(format!("after_sequence={}", events - 1000));
    let tail = asked("tail=1000".into());
    let one = asked(format!("after_sequence={}", events - 1));
    // Anywhere: steps by a number that has no divisor in common with the length.
    let within = |number: u64| asked(format!("after_sequence={}&limit=100", number * 7_919_987 % (events - 100)));
    let cases: [(&str, &dyn Fn(u64) -> String); 4] = [
        ("last page, after_sequence", &|_| last.clone()),
        ("last page, tail=1000", &|_| tail.clone()),
        ("last event", &|_| one.clone()),
        ("100 events anywhere", &within),
    ];
    for (name, path) in cases {
        for _ in 0..bench.runs(3) {
            let latency = service.latency(bench.pick(300, 50), path)?;
            bench.report.add_latency(&format!("{name}, {of}"), &latency);
        }
    }
    Ok(())
}

/// Finished runs, put where a service finds them.
struct Library<'d> {
    data: &'d Path,
    records: Records,
}

impl<'d> Library<'d> {
    fn open(data: &'d Path) -> Outcome<Self> {
        Ok(Self { data, records: Records::open(data)? })
    }

    /// A run whose log has so many events, the last of which ends it.
    fn add(&mut self, events: u64, text: &dyn Fn(u64) -> String) -> Outcome<Run> {
        let run = self.run(events);
        let path = self.data.join(run.stream_key().log_path());
        std::fs::create_dir_all(path.parent().ok_or("a log is in a folder")?)?;
        let begin = Instant::now();
        write_log(&path, &run, events, text)?;
        eprintln!("  wrote a log of {events} events in {:.1} s", begin.elapsed().as_secs_f64());
        self.records.system.block_on(self.records.store.insert(&run, None))?;
        Ok(run)
    }

    fn run(&self, events: u64) -> Run {
        let run = self.records.run();
        let state =
            RunState { status: RunStatus::Succeeded, completed_at: Some(run.created_at), ..RunState::default() };
        Run { last_sequence: events, state, ..run }
    }

    fn close(self) -> Outcome {
        self.records.close()
    }
}

/// The lines that a stream would have written, without a stream.
fn write_log(path: &Path, run: &Run, events: u64, text: &dyn Fn(u64) -> String) -> Outcome {
    let key = run.stream_key();
    let (identity, mut sequencer) = (Identity::new(key, run.configuration_id), Sequencer::resume(key, None));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let end = Draft::new("run.completed", Source::Api, &json!({"status": "succeeded"}));
    let (mut line, fresh) = (Vec::new(), EventId::generate());
    for number in 1..=events {
        let row = Draft::new("run.row", Source::Engine, &json!({"i": 1, "text": text(number)}));
        let draft = if number == events { &end } else { &row };
        let stamp = sequencer.admit(&draft.kind, run.created_at, fresh).map_err(|_| "the log has ended already")?;
        line.clear();
        codec::encode(&mut line, &identity, stamp, draft);
        file.write_all(&line)?;
    }
    Ok(file.into_inner()?.sync_all()?)
}
