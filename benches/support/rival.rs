//! Other servers of event streams, asked the same over plain sockets by one thread.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::child::{Owned, poll};
use super::load::Load;
use super::nginx::{Nginx, Settings};
use super::{Bench, Outcome};

const LIMIT: Duration = Duration::from_secs(600);
/// Bytes of an event.
pub const EVENT: usize = 256;

/// durable-streams-server with its durable defaults (`--durability wal`).
pub struct DurableStreams {
    pub address: SocketAddr,
    _process: Owned,
}

impl DurableStreams {
    /// `None` where there is none: neither at `DURABLE_STREAMS_SERVER` nor on the PATH.
    pub fn start(bench: &Bench) -> Outcome<Option<Self>> {
        let program = std::env::var_os("DURABLE_STREAMS_SERVER").unwrap_or("durable-streams-server".into());
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(&program);
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string(), "--data-dir"]);
        command.arg(bench.folder("rival")?).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = Owned::spawn(&mut command, Duration::from_secs(10)) else {
            eprintln!("  there is no {}", program.display());
            return Ok(None);
        };
        poll("the start of the rival", Duration::from_secs(20), || Ok(std::net::TcpStream::connect(address).ok()))?;
        Ok(Some(Self { address, _process: process }))
    }

    /// Readers of a new stream, to which events are written at an even rate.
    pub fn paced(&self, bench: &Bench, pace: Pace) -> Outcome<Value> {
        let path: Rc<str> = format!("/f{}", unix_now()).into();
        runtime()?.block_on(async { Connection::open(self.address, path.clone()).await?.create().await })?;
        let url = format!("http://{}{path}?offset=now&live=sse", self.address);
        paced(bench, pace, &url, (self.address, path), |event| format!("\"{event}\"\n"))
    }
}

/// Nchan, a module of nginx, which keeps messages in memory.
pub struct Nchan(Nginx);

impl Nchan {
    /// `None` where there is no nginx with this module.
    pub fn start(bench: &Bench) -> Outcome<Option<Self>> {
        let settings = Settings {
            main: "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;",
            http: "keepalive_requests 1000000;",
            server: "location ~ ^/publish/(.+)$ { nchan_publisher; nchan_channel_id $1; }\n\
                     location ~ ^/subscribe/(.+)$ { nchan_subscriber eventsource; nchan_channel_id $1;\n\
                     nchan_subscriber_first_message newest; }",
        };
        Ok(Nginx::start(bench, &settings)?.map(Self))
    }

    /// Readers of a new channel, to which messages are published at an even rate.
    pub fn paced(&self, bench: &Bench, pace: Pace) -> Outcome<Value> {
        let (address, channel) = (self.0.address, unix_now());
        let url = format!("http://{address}/subscribe/{channel}");
        paced(bench, pace, &url, (address, format!("/publish/{channel}").into()), str::to_owned)
    }
}

/// What is written and who reads it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub readers: u64,
    /// Events a second.
    pub rate: u64,
    pub seconds: u64,
}

impl Pace {
    pub fn events(&self) -> u64 {
        self.rate * self.seconds
    }
}

/// What the readers tell. Each event is marked right before it is written, and answered before the next.
fn paced(
    bench: &Bench,
    pace: Pace,
    url: &str,
    (address, path): (SocketAddr, Rc<str>),
    body: impl Fn(&str) -> String,
) -> Outcome<Value> {
    let arguments = [("readers", pace.readers), ("last-id", pace.events())];
    let mut load = Load::start_with(bench, url, &arguments, &["--unnumbered"])?;
    load.await_ready()?;
    runtime()?.block_on(async {
        let mut writer = Connection::open(address, path).await?;
        let begin = Instant::now();
        for number in 0..pace.events() {
            tokio::time::sleep_until((begin + Duration::from_millis(number * 1000 / pace.rate)).into()).await;
            let mark = format!("t={}", unix_now());
            writer.append(body(&format!("{mark:<width$}", width = EVENT - 3)).as_bytes()).await?;
        }
        Outcome::Ok(())
    })?;
    load.finish(LIMIT)
}

pub fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// An HTTP connection to one stream.
pub struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    path: Rc<str>,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr, path: Rc<str>) -> Outcome<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, address, path, answer: Vec::new() })
    }

    pub async fn create(&mut self) -> Outcome {
        self.request("PUT", b"").await
    }

    pub async fn append(&mut self, event: &[u8]) -> Outcome {
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
        while !is_whole(answer) {
            if socket.read_buf(answer).await? == 0 {
                return Err("the rival hung up".into());
            }
        }
        let answer = String::from_utf8_lossy(answer);
        if answer.starts_with("HTTP/1.1 2") { Ok(()) } else { Err(format!("{method} {path}: {answer}").into()) }
    }
}

/// The head and as many bytes as it says.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.split_once("content-length:").and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
    answer.len() >= end + 4 + length.unwrap_or(0)
}

pub fn unix_now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}
