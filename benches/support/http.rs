//! A client that takes little of the machine it measures: one connection, plain reads.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::Outcome;

const PATIENCE: Duration = Duration::from_secs(120);
const BUFFER: usize = 256 << 10;

pub struct Client {
    address: SocketAddr,
    connection: BufReader<TcpStream>,
}

/// How long the body is, as the head says.
enum Length {
    Bytes(u64),
    Chunked,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Outcome<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self { address, connection: BufReader::with_capacity(BUFFER, socket) })
    }

    pub fn get(&mut self, path: &str) -> Outcome<Value> {
        self.send("GET", path, "application/json", b"")
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        self.send("POST", path, "application/json", body.to_string().as_bytes())
    }

    /// Uploads a file as a form's `file`.
    pub fn upload(&mut self, path: &str, name: &str, content: &str) -> Outcome<Value> {
        let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
        let body = format!("--cut\r\n{head}\r\nContent-Type: text/csv\r\n\r\n{content}\r\n--cut--\r\n");
        self.send("POST", path, "multipart/form-data; boundary=cut", body.as_bytes())
    }

    /// Reads the answer and drops it; its length.
    pub fn download(&mut self, path: &str) -> Outcome<u64> {
        let mut bytes = 0;
        self.exchange("GET", path, "application/json", b"", |piece| bytes += piece.len() as u64)?;
        Ok(bytes)
    }

    fn send(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Outcome<Value> {
        let mut answer = Vec::new();
        self.exchange(method, path, content_type, body, |piece| answer.extend_from_slice(piece))?;
        Ok(serde_json::from_slice(&answer)?)
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Outcome {
        let (address, length) = (self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.connection.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let (status, length) = self.head()?;
        if !(200..300).contains(&status) {
            let mut answer = Vec::new();
            self.body(length, |piece| answer.extend_from_slice(piece))?;
            return Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(self.body(length, &mut sink)?)
    }

    fn head(&mut self) -> Outcome<(u16, Length)> {
        let (mut line, mut length) = (String::new(), Length::Bytes(0));
        self.connection.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("not an answer")?;
        loop {
            line.clear();
            self.connection.read_line(&mut line)?;
            let lower = line.trim_end().to_ascii_lowercase();
            match lower.split_once(": ") {
                Some(("content-length", value)) => length = Length::Bytes(value.parse()?),
                Some(("transfer-encoding", "chunked")) => length = Length::Chunked,
                None => return Ok((status, length)),
                _ => {}
            }
        }
    }

    fn body(&mut self, length: Length, mut sink: impl FnMut(&[u8])) -> io::Result<()> {
        if let Length::Bytes(bytes) = length {
            return self.take(bytes, &mut sink);
        }
        let mut line = String::new();
        loop {
            line.clear();
            self.connection.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            self.take(size, &mut sink)?;
            self.connection.read_exact(&mut [0; 2])?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn take(&mut self, mut left: u64, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            let piece = self.connection.fill_buf()?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let length = left.min(piece.len() as u64) as usize;
            sink(&piece[..length]);
            self.connection.consume(length);
            left -= length as u64;
        }
        Ok(())
    }
}
