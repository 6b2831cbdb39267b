//! A request for the stream, and the head of its answer.

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::options::Options;

/// Where to connect and what to ask.
pub struct Target {
    authority: String,
    path: String,
    headers: String,
}

impl Target {
    pub fn parse(options: &Options) -> Option<Self> {
        let rest = options.url.strip_prefix("http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let headers = options.header.iter().map(|header| format!("{header}\r\n")).collect();
        Some(Self { authority: authority.to_owned(), path: format!("/{path}"), headers })
    }

    pub async fn connect(&self, last_id: Option<u64>) -> std::io::Result<TcpStream> {
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
pub struct Head {
    pub status: u16,
    pub chunked: bool,
    pub rest: Vec<u8>,
}

impl Head {
    pub async fn read(socket: &mut TcpStream) -> std::io::Result<Self> {
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
