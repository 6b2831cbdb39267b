//! The same questions put to durable-streams-server 0.1.5, over HTTP, with its durable defaults (`--durability wal`).
//!
//! `cargo install durable-streams --version 0.1.5`, then `cargo bench --bench rival -- [--quick]`, after
//! `cargo build --release --example sse_load`. The program is looked for in `DURABLE_STREAMS_SERVER`, else on the
//! PATH; where there is none nothing is measured.

mod support;

use std::cell::RefCell;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use hdrhistogram::Histogram;
use memchr::memmem;
use support::child::{Owned, poll};
use support::load::{Load, number};
use support::report::histogram;
use support::{Bench, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

const LIMIT: Duration = Duration::from_secs(600);
const EVENT: usize = 256;

fn main() -> ExitCode {
    support::run("rival", |bench| {
        let program = std::env::var_os("DURABLE_STREAMS_SERVER").unwrap_or("durable-streams-server".into());
        match Rival::start(bench, &program)? {
            Some(rival) => measure(bench, &rival),
            None => {
                eprintln!("  there is no {}", program.display());
                Ok(())
            }
        }
    })
}

fn measure(bench: &mut Bench, rival: &Rival) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (streams, in_flight) in [(100, 64), (100, 1), (1, 1)] {
        let name = format!("{streams} stream{}, {in_flight} in flight", if streams == 1 { "" } else { "s" });
        for _ in 0..if bench.wants(&name) { bench.runs(5) } else { 0 } {
            let phases = bench.pick((1000, 5000), (200, 800));
            let load = LocalSet::new().block_on(&runtime, appends(rival.address, streams, in_flight, phases))?;
            bench.report.add(&name, "events/s", load.in_time as f64 / phases.1 as f64 * 1e3);
            bench.report.add_latency(&name, &load.latency);
        }
    }
    let name = "1000 readers, 50 events/s";
    for _ in 0..if bench.wants(name) { bench.runs(3) } else { 0 } {
        let result = fanout(bench, rival, &runtime)?;
        for quantile in ["p50", "p99"] {
            let latency = number(&result, &format!("/latency_us/{quantile}"))? / 1000.0;
            bench.report.add(&format!("{name}, {quantile}"), "ms", latency);
        }
    }
    Ok(())
}

struct Rival {
    address: SocketAddr,
    _process: Owned,
}

impl Rival {
    fn start(bench: &Bench, program: &OsString) -> Outcome<Option<Self>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string(), "--data-dir"]);
        command.arg(bench.folder("rival")?).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = Owned::spawn(&mut command, Duration::from_secs(10)) else { return Ok(None) };
        let connect = || Ok(std::net::TcpStream::connect(address).ok());
        poll("the start of the rival", Duration::from_secs(20), connect)?;
        Ok(Some(Self { address, _process: process }))
    }
}

/// What producers have measured.
struct Appends {
    /// Acknowledged within the measured time.
    in_time: u64,
    /// Of those that were begun within it, also when they ended later.
    latency: Histogram<u64>,
}

/// One connection for each event in flight; each waits for its last append. The phases are milliseconds.
async fn appends(address: SocketAddr, streams: usize, in_flight: usize, phases: (u64, u64)) -> Outcome<Appends> {
    let prefix = format!("a{}", unix_now());
    let mut connections = Vec::new();
    for stream in 0..streams {
        let path: Rc<str> = format!("/{prefix}-{stream}").into();
        for number in 0..in_flight {
            let mut connection = Connection::open(address, path.clone()).await?;
            if number == 0 {
                connection.create().await?;
            }
            connections.push(connection);
        }
    }
    let begin = Instant::now() + Duration::from_millis(phases.0);
    let end = begin + Duration::from_millis(phases.1);
    let body: Arc<[u8]> = vec![b'x'; EVENT].into();
    let load = Rc::new(RefCell::new(Appends { in_time: 0, latency: histogram() }));
    let tasks = connections.into_iter().map(|mut connection| {
        let (body, load) = (body.clone(), load.clone());
        tokio::task::spawn_local(async move {
            let mut asked = Instant::now();
            while asked < end {
                connection.append(&body).await.map_err(|error| error.to_string())?;
                let (answered, mut load) = (Instant::now(), load.borrow_mut());
                load.in_time += u64::from(answered >= begin && answered < end);
                if asked >= begin {
                    load.latency.saturating_record((answered - asked).as_micros() as u64);
                }
                asked = answered;
            }
            Ok::<_, String>(())
        })
    });
    for ended in join_all(tasks.collect::<Vec<_>>()).await {
        ended??;
    }
    Ok(load.replace(Appends { in_time: 0, latency: histogram() }))
}

fn fanout(bench: &Bench, rival: &Rival, runtime: &tokio::runtime::Runtime) -> Outcome<serde_json::Value> {
    const RATE: u64 = 50;
    let seconds = bench.pick(20, 4);
    let path: Rc<str> = format!("/f{}", unix_now()).into();
    let mut writer = runtime.block_on(async {
        let mut writer = Connection::open(rival.address, path.clone()).await?;
        writer.create().await?;
        Outcome::Ok(writer)
    })?;
    let url = format!("http://{}{path}?offset=now&live=sse", rival.address);
    let arguments = [("readers", 1000), ("last-id", RATE * seconds)];
    let mut load = Load::start_with(bench, &url, &arguments, &["--unnumbered"])?;
    load.await_ready()?;
    runtime.block_on(async {
        let begin = Instant::now();
        for number in 0..RATE * seconds {
            tokio::time::sleep_until((begin + Duration::from_millis(number * 1000 / RATE)).into()).await;
            let event = format!("\"t={}{}\"\n", unix_now(), " ".repeat(EVENT - 24));
            writer.append(event.as_bytes()).await?;
        }
        Outcome::Ok(())
    })?;
    load.finish(LIMIT)
}

/// An HTTP connection to one stream.
struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    path: Rc<str>,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr, path: Rc<str>) -> Outcome<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, address, path, answer: Vec::new() })
    }

    async fn create(&mut self) -> Outcome {
        self.request("PUT", b"").await
    }

    async fn append(&mut self, event: &[u8]) -> Outcome {
        self.request("POST", event).await
    }

    async fn request(&mut self, method: &str, body: &[u8]) -> Outcome {
        let Self { socket, address, path, answer } = self;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(&[head.as_bytes(), body].concat()).await?;
        answer.clear();
        // Neither answer has a body.
        while memmem::find(answer, b"\r\n\r\n").is_none() {
            if socket.read_buf(answer).await? == 0 {
                return Err("the rival hung up".into());
            }
        }
        let answer = String::from_utf8_lossy(answer);
        if answer.starts_with("HTTP/1.1 2") { Ok(()) } else { Err(format!("{method} {path}: {answer}").into()) }
    }
}

fn unix_now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}
