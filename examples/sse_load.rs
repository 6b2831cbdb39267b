//! Load on one event stream, and proof that every reader got all of it.
//!
//! ```text
//! cargo run --release --example sse_load -- --url http://127.0.0.1:8000/api/v1/runs/run_.../events/stream --readers 400
//! ```
//!
//! Opens many readers of one SSE address and checks for each that its ids run from the first to the last without gap
//! or repeat, and that the stream ends. Tells deliveries per second and the time from a `t=<nanoseconds since 1970>`
//! mark inside the data to its arrival. Some of the readers can be made stalled (they never read), slow (they pause
//! after every read) or forgetful (they hang up after so many events and come back with `Last-Event-ID`).
//! With `--hold` nothing is read at all after the heads: it tells what that many open streams cost the server.
//!
//! One thread, plain sockets and a scan for line ends, so that the driver takes little of the machine it measures.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use hdrhistogram::Histogram;
use memchr::{memchr_iter, memmem};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

#[derive(Debug, Parser)]
struct Options {
    /// Address of the stream, http://host:port/path.
    #[arg(long)]
    url: String,
    /// Readers that are checked.
    #[arg(long, default_value_t = 100)]
    readers: usize,
    /// Further readers that take the head and then never read.
    #[arg(long, default_value_t = 0)]
    stalled: usize,
    /// So many of the checked readers pause after every read.
    #[arg(long, default_value_t = 0)]
    slow: usize,
    #[arg(long, default_value_t = 50)]
    slow_pause_ms: u64,
    /// Checked readers hang up after so many events and resume behind the last; 0: never.
    #[arg(long, default_value_t = 0)]
    reconnect_every: u64,
    /// The first id that is expected.
    #[arg(long, default_value_t = 1)]
    first_id: u64,
    /// The last id that is expected; 0: whatever the stream ends with, if it is the same for all.
    #[arg(long, default_value_t = 0)]
    last_id: u64,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
    /// A further request header, `Name: value`.
    #[arg(long)]
    header: Vec<String>,
    /// Bytes that a reader takes at once.
    #[arg(long, default_value_t = 16384)]
    buffer: usize,
    /// Receive buffer of stalled readers' sockets; 0: the system's default.
    #[arg(long, default_value_t = 0)]
    receive_buffer: usize,
    /// Written when every reader has its head, so that a script can start the producer.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Hold the open streams for so many seconds, tell the server's memory, and leave.
    #[arg(long, default_value_t = 0)]
    hold: u64,
    /// Process of the server, to tell its memory.
    #[arg(long)]
    server_pid: Option<u32>,
    /// For servers whose events have no ids: every mark counts as an event, and a reader leaves after `last_id` of them.
    #[arg(long, requires = "last_id")]
    unnumbered: bool,
    /// The last line tells everything as one JSON object.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let complete = LocalSet::new().block_on(&runtime, drive(Rc::new(options)));
    if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether every checked reader got everything.
async fn drive(options: Rc<Options>) -> bool {
    let Some(target) = Target::parse(&options) else {
        eprintln!("the url must be http://host:port/path");
        return false;
    };
    let (target, tally) = (Rc::new(target), Rc::new(RefCell::new(Tally::new())));
    let before = Memory::of(options.server_pid);
    let opened = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..options.readers + options.stalled {
        let (options, target, tally) = (options.clone(), target.clone(), tally.clone());
        tasks.push(tokio::task::spawn_local(async move {
            match number < options.readers && options.hold == 0 {
                true => check(number, &options, &target, &tally).await,
                false => stall(&options, &target, &tally).await,
            }
        }));
        if number % 256 == 255 {
            // Lets the accept queue of the server drain.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let deadline = opened + Duration::from_secs(options.timeout);
    await_heads(&tally, tasks.len(), deadline).await;
    println!("opened {} streams in {} ms", tally.borrow().heads, opened.elapsed().as_millis());
    announce(options.ready_file.as_deref());
    if options.hold > 0 {
        tokio::time::sleep(Duration::from_secs(options.hold)).await;
        tell_memory(&before, options.server_pid, tally.borrow().heads);
        return tally.borrow().failures.is_empty();
    }
    for task in tasks.into_iter().take(options.readers) {
        let left = deadline.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left, task).await.is_err() {
            break;
        }
    }
    tell_memory(&before, options.server_pid, tally.borrow().heads);
    tally.borrow_mut().tell(&options)
}

async fn await_heads(tally: &RefCell<Tally>, expected: usize, deadline: Instant) {
    while tally.borrow().heads + tally.borrow().failures.len() < expected && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn announce(ready_file: Option<&Path>) {
    if let Some(Err(error)) = ready_file.map(|path| std::fs::write(path, "ready\n")) {
        eprintln!("ready file: {error}");
    }
}

/// What all readers have seen together.
struct Tally {
    /// Readers that have their first response head.
    heads: usize,
    deliveries: u64,
    bytes: u64,
    reconnects: u64,
    gaps: u64,
    repeats: u64,
    /// Last id of each reader whose stream ended.
    ends: Vec<u64>,
    failures: Vec<String>,
    first: Option<Instant>,
    last: Option<Instant>,
    /// When the last event came, in nanoseconds since 1970.
    last_unix: u64,
    /// Microseconds.
    latency: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are sound");
        Self {
            heads: 0,
            deliveries: 0,
            bytes: 0,
            reconnects: 0,
            gaps: 0,
            repeats: 0,
            ends: Vec::new(),
            failures: Vec::new(),
            first: None,
            last: None,
            last_unix: 0,
            latency,
        }
    }

    /// Adds what one read brought.
    fn add(&mut self, batch: &mut Batch, bytes: usize) {
        self.bytes += bytes as u64;
        if batch.events == 0 {
            return;
        }
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.last_unix = unix_now();
        self.deliveries += std::mem::take(&mut batch.events);
        self.gaps += std::mem::take(&mut batch.gaps);
        self.repeats += std::mem::take(&mut batch.repeats);
        for microseconds in batch.latencies.drain(..) {
            self.latency.saturating_record(microseconds);
        }
    }

    fn tell(&mut self, options: &Options) -> bool {
        let seconds = self.first.zip(self.last).map_or(0.0, |(first, last)| (last - first).as_secs_f64()).max(1e-9);
        let last_id = if options.last_id > 0 { options.last_id } else { self.ends.iter().copied().max().unwrap_or(0) };
        let whole = self.ends.iter().filter(|&&end| end == last_id).count();
        let complete = whole == options.readers && self.gaps == 0 && self.repeats == 0 && self.failures.is_empty();
        println!("readers {} whole {whole} gaps {} repeats {}", options.readers, self.gaps, self.repeats);
        println!("last id {last_id} reconnects {} failures {}", self.reconnects, self.failures.len());
        self.failures.iter().take(5).for_each(|failure| println!("  {failure}"));
        let rate = self.deliveries as f64 / seconds;
        println!("deliveries {} in {seconds:.3} s: {rate:.0} /s", self.deliveries);
        println!("bytes {} ({:.1} MB/s)", self.bytes, self.bytes as f64 / 1e6 / seconds);
        if !self.latency.is_empty() {
            let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|q| self.latency.value_at_quantile(q));
            println!("latency us p50 {p50} p90 {p90} p99 {p99} p99.9 {p999} max {}", self.latency.max());
        }
        println!("{}", if complete { "complete" } else { "INCOMPLETE" });
        if options.json {
            println!("{}", self.summary(complete, whole, last_id, seconds));
        }
        complete
    }

    fn summary(&self, complete: bool, whole: usize, last_id: u64, seconds: f64) -> serde_json::Value {
        let latency = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)]
            .map(|(name, quantile)| (name.to_owned(), self.latency.value_at_quantile(quantile).into()));
        serde_json::json!({
            "complete": complete, "whole": whole, "gaps": self.gaps, "repeats": self.repeats, "last_id": last_id,
            "reconnects": self.reconnects, "failures": self.failures.len(), "deliveries": self.deliveries,
            "seconds": seconds, "deliveries_per_second": self.deliveries as f64 / seconds, "bytes": self.bytes,
            "last_unix_ns": self.last_unix, "marks": self.latency.len(),
            "latency_us": serde_json::Map::from_iter(latency),
        })
    }
}

/// Where to connect and what to ask.
struct Target {
    authority: String,
    path: String,
    headers: String,
}

impl Target {
    fn parse(options: &Options) -> Option<Self> {
        let rest = options.url.strip_prefix("http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let headers = options.header.iter().map(|header| format!("{header}\r\n")).collect();
        Some(Self { authority: authority.to_owned(), path: format!("/{path}"), headers })
    }

    async fn connect(&self, last_id: Option<u64>) -> std::io::Result<TcpStream> {
        let mut socket = TcpStream::connect(&self.authority).await?;
        let position = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let Self { authority, path, headers } = self;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/event-stream\r\n{headers}{position}\r\n");
        socket.write_all(request.as_bytes()).await?;
        Ok(socket)
    }
}

/// The response head, and what came with it.
struct Head {
    status: u16,
    chunked: bool,
    rest: Vec<u8>,
}

impl Head {
    async fn read(socket: &mut TcpStream) -> std::io::Result<Self> {
        let mut seen = Vec::new();
        loop {
            if let Some(end) = memmem::find(&seen, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
                let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
                let chunked = text.contains("transfer-encoding: chunked");
                return Ok(Self { status, chunked, rest: seen.split_off(end + 4) });
            }
            if socket.read_buf(&mut seen).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Reads the whole stream and checks it.
async fn check(number: usize, options: &Options, target: &Target, tally: &RefCell<Tally>) {
    let mut reader = Reader::new(number, options);
    loop {
        match reader.connection(target, tally).await {
            Ok(Leave::Ended) => break,
            Ok(Leave::HungUp) => tally.borrow_mut().reconnects += 1,
            Err(error) => {
                let failure = format!("reader {number} behind {}: {error}", reader.scan.last_id());
                tally.borrow_mut().failures.push(failure);
                return;
            }
        }
    }
    tally.borrow_mut().ends.push(reader.scan.last_id());
}

/// Why a connection is over.
enum Leave {
    Ended,
    HungUp,
}

struct Reader<'o> {
    options: &'o Options,
    pause: Option<Duration>,
    scan: Scan,
    connected: bool,
}

impl<'o> Reader<'o> {
    fn new(number: usize, options: &'o Options) -> Self {
        let pause = (number < options.slow).then(|| Duration::from_millis(options.slow_pause_ms));
        Self { options, pause, scan: Scan::new(options.first_id, options.unnumbered), connected: false }
    }

    async fn connection(&mut self, target: &Target, tally: &RefCell<Tally>) -> std::io::Result<Leave> {
        let position = self.connected.then(|| self.scan.last_id());
        let mut socket = target.connect(position).await?;
        let head = Head::read(&mut socket).await?;
        match head.status {
            200 => {}
            // Everything was there already.
            204 if self.connected => return Ok(Leave::Ended),
            other => return Err(std::io::Error::other(format!("status {other}"))),
        }
        if !std::mem::replace(&mut self.connected, true) {
            tally.borrow_mut().heads += 1;
        }
        self.scan.restart();
        let mut buffer = vec![0; self.options.buffer];
        let mut body = Body::new(head.chunked);
        let mut of_connection = self.take(&head.rest, &mut body, tally);
        while !self.has_all(&body) {
            if self.options.reconnect_every > 0 && of_connection >= self.options.reconnect_every {
                return Ok(Leave::HungUp);
            }
            if let Some(pause) = self.pause {
                tokio::time::sleep(pause).await;
            }
            match socket.read(&mut buffer).await? {
                0 if head.chunked => return Err(std::io::Error::other("cut off")),
                0 => break,
                length => of_connection += self.take(&buffer[..length], &mut body, tally),
            }
        }
        Ok(Leave::Ended)
    }

    fn has_all(&self, body: &Body) -> bool {
        body.is_done() || (self.options.unnumbered && self.scan.last_id() >= self.options.last_id)
    }

    /// The number of events that these bytes completed.
    fn take(&mut self, bytes: &[u8], body: &mut Body, tally: &RefCell<Tally>) -> u64 {
        body.decode(bytes, |piece| self.scan.push(piece));
        let events = self.scan.batch.events;
        tally.borrow_mut().add(&mut self.scan.batch, bytes.len());
        events
    }
}

/// Takes the head and nothing after it, for as long as the driver runs.
async fn stall(options: &Options, target: &Target, tally: &RefCell<Tally>) {
    let opened = async {
        let mut socket = target.connect(None).await?;
        if options.receive_buffer > 0 {
            SockRef::from(&socket).set_recv_buffer_size(options.receive_buffer)?;
        }
        let head = Head::read(&mut socket).await?;
        match head.status {
            200 => Ok(socket),
            status => Err(std::io::Error::other(format!("status {status}"))),
        }
    };
    match opened.await {
        Ok(_socket) => {
            tally.borrow_mut().heads += 1;
            std::future::pending::<()>().await;
        }
        Err(error) => tally.borrow_mut().failures.push(format!("stalled reader: {error}")),
    }
}

/// A chunked or plain body, undone piece by piece without copying.
struct Body {
    state: Chunk,
}

enum Chunk {
    Plain,
    Size { length: u64, in_extension: bool },
    Data { left: u64 },
    LineEnd,
    Trailer,
    Done,
}

impl Body {
    fn new(chunked: bool) -> Self {
        Self { state: if chunked { Chunk::Size { length: 0, in_extension: false } } else { Chunk::Plain } }
    }

    fn is_done(&self) -> bool {
        matches!(self.state, Chunk::Done)
    }

    fn decode(&mut self, mut bytes: &[u8], mut piece: impl FnMut(&[u8])) {
        while let Some(&first) = bytes.first() {
            let mut used = 1;
            self.state = match self.state {
                Chunk::Plain => return piece(bytes),
                Chunk::Data { left } => {
                    used = left.min(bytes.len() as u64) as usize;
                    piece(&bytes[..used]);
                    match left - used as u64 {
                        0 => Chunk::LineEnd,
                        left => Chunk::Data { left },
                    }
                }
                Chunk::Size { length: 0, .. } if first == b'\n' => Chunk::Trailer,
                Chunk::Size { length, .. } if first == b'\n' => Chunk::Data { left: length },
                Chunk::Size { length, in_extension } => match (first as char).to_digit(16) {
                    Some(digit) if !in_extension => {
                        Chunk::Size { length: length * 16 + u64::from(digit), in_extension: false }
                    }
                    _ => Chunk::Size { length, in_extension: true },
                },
                Chunk::LineEnd if first == b'\n' => Chunk::Size { length: 0, in_extension: false },
                Chunk::LineEnd => Chunk::LineEnd,
                Chunk::Trailer | Chunk::Done => Chunk::Done,
            };
            bytes = &bytes[used..];
        }
    }
}

/// What has been seen since the last look.
#[derive(Default)]
struct Batch {
    events: u64,
    gaps: u64,
    repeats: u64,
    latencies: Vec<u64>,
}

/// Reads the lines of a stream: `id:` must go up by one, `data:` may carry a mark.
struct Scan {
    unnumbered: bool,
    next_id: u64,
    has_data: bool,
    id_of_block: Option<u64>,
    partial: Vec<u8>,
    batch: Batch,
}

impl Scan {
    fn new(first_id: u64, unnumbered: bool) -> Self {
        let batch = Batch::default();
        Self { unnumbered, next_id: first_id, has_data: false, id_of_block: None, partial: Vec::new(), batch }
    }

    fn last_id(&self) -> u64 {
        self.next_id.saturating_sub(1)
    }

    /// A new connection: what the last one had begun is void.
    fn restart(&mut self) {
        self.partial.clear();
        self.has_data = false;
        self.id_of_block = None;
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            if self.partial.is_empty() {
                self.line(&bytes[start..end]);
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(&bytes[start..end]);
                self.line(&line);
                // Keeps the allocation.
                line.clear();
                self.partial = line;
            }
            start = end + 1;
        }
        self.partial.extend_from_slice(&bytes[start..]);
    }

    fn line(&mut self, line: &[u8]) {
        if line.is_empty() {
            return self.end_block();
        }
        if let Some(value) = line.strip_prefix(b"id:") {
            self.id_of_block = Some(digits(value.strip_prefix(b" ").unwrap_or(value)));
        } else if line.starts_with(b"data:") && self.unnumbered {
            // Several events may stand in one line.
            memmem::find_iter(line, b"t=").for_each(|at| self.count(digits(&line[at + 2..])));
        } else if line.starts_with(b"data:") {
            self.has_data = true;
            if let Some(at) = memmem::find(line, b"t=") {
                self.mark(digits(&line[at + 2..]));
            }
        }
    }

    fn count(&mut self, nanoseconds: u64) {
        self.mark(nanoseconds);
        self.next_id += 1;
        self.batch.events += 1;
    }

    fn mark(&mut self, nanoseconds: u64) {
        // Anything that is no time of this century is no mark.
        if nanoseconds > 1_000_000_000_000_000_000 {
            self.batch.latencies.push(unix_now().saturating_sub(nanoseconds) / 1000);
        }
    }

    fn end_block(&mut self) {
        let (id, has_data) = (self.id_of_block.take(), std::mem::take(&mut self.has_data));
        let (Some(id), true) = (id, has_data) else { return };
        self.batch.events += 1;
        if id < self.next_id {
            self.batch.repeats += 1;
        } else {
            self.batch.gaps += id - self.next_id;
            self.next_id = id + 1;
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

fn digits(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, byte| number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')))
}

/// What the server's process and the kernel's sockets hold, in KiB.
struct Memory {
    resident: Option<u64>,
    sockets: Option<u64>,
}

impl Memory {
    fn of(pid: Option<u32>) -> Self {
        let status = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let resident = status.as_deref().and_then(|text| number_after(text, "VmRSS:"));
        let sockstat = std::fs::read_to_string("/proc/net/sockstat").ok();
        // In pages of 4 KiB, for both ends of every connection of the machine.
        let tcp = sockstat.as_deref().and_then(|text| text.lines().find(|line| line.starts_with("TCP:")));
        Self { resident, sockets: tcp.and_then(|line| number_after(line, " mem ")).map(|pages| pages * 4) }
    }
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    text.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}

fn tell_memory(before: &Memory, pid: Option<u32>, streams: usize) {
    let after = Memory::of(pid);
    let tell = |what: &str, before: Option<u64>, after: Option<u64>| {
        if let Some((before, after)) = before.zip(after) {
            let each = after.saturating_sub(before) as f64 / streams.max(1) as f64;
            println!("{what} {before} KiB -> {after} KiB ({each:.1} KiB a stream)");
        }
    };
    tell("resident", before.resident, after.resident);
    tell("kernel tcp", before.sockets, after.sockets);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(pieces: &[&str]) -> Scan {
        let mut scan = Scan::new(1, false);
        pieces.iter().for_each(|piece| scan.push(piece.as_bytes()));
        scan
    }

    #[test]
    fn a_whole_stream_has_neither_gap_nor_repeat_wherever_it_is_cut() {
        let text = "retry: 1\n\nid: 1\ndata: a\n\n: beat\n\nid: 2\ndata: t=1700000000000000000\n\n";
        for at in 0..text.len() {
            let scan = scanned(&[&text[..at], &text[at..]]);
            let Batch { events, gaps, repeats, latencies } = &scan.batch;
            assert_eq!((*events, *gaps, *repeats, latencies.len(), scan.last_id()), (2, 0, 0, 1, 2), "cut at {at}");
        }
    }

    #[test]
    fn without_numbers_every_mark_counts() {
        let mut scan = Scan::new(1, true);
        scan.push(
            b"event: data\ndata:[\"t=1700000000000000000\",\"t=1700000000000000001\"]\n\nevent: control\ndata:{}\n\n",
        );
        assert_eq!((scan.batch.events, scan.batch.latencies.len(), scan.last_id()), (2, 2, 2));
    }

    #[test]
    fn gaps_and_repeats_are_counted() {
        let scan = scanned(&["id: 1\ndata: a\n\nid: 4\ndata: a\n\nid: 4\ndata: a\n\n"]);
        assert_eq!((scan.batch.gaps, scan.batch.repeats, scan.last_id()), (2, 1, 4));
    }

    #[test]
    fn chunks_are_undone_wherever_they_are_cut() {
        let text = b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n";
        for at in 0..text.len() {
            let (mut body, mut seen) = (Body::new(true), Vec::new());
            for piece in [&text[..at], &text[at..]] {
                body.decode(piece, |bytes| seen.extend_from_slice(bytes));
            }
            assert_eq!((seen.as_slice(), body.is_done()), (b"hello world".as_slice(), true), "cut at {at}");
        }
    }
}
