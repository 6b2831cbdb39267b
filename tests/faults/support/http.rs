//! HTTP as plain as it gets: a connection for each request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No answer takes longer than this; streams are as long as their work.
const SILENCE: Duration = Duration::from_secs(60);

pub struct Response {
    pub status: u16,
    pub body: Body,
}

/// The rest of the connection, without the marks of its chunks.
pub struct Body {
    reader: BufReader<TcpStream>,
    kind: Kind,
}

enum Kind {
    /// Bytes left.
    Sized(u64),
    /// Bytes left of this chunk.
    Chunked(u64),
    Ended,
}

/// Why there was no answer, or no end of it.
pub type Outcome<T> = std::io::Result<T>;

pub fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)], content: &[u8]) -> Outcome<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", content.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(content)?;
    answer(BufReader::new(stream))
}

/// A form with one file and text fields.
pub fn form(fields: &[(&str, &str)], file_name: &str, content: &[u8]) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "a-line-that-no-test-sends";
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

fn answer(mut reader: BufReader<TcpStream>) -> Outcome<Response> {
    let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let first = line(&mut reader)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let mut kind = Kind::Ended;
    loop {
        let header = line(&mut reader)?.to_ascii_lowercase();
        match header.split_once(": ") {
            None => break,
            Some(("content-length", size)) => kind = Kind::Sized(size.parse().map_err(|_| broken())?),
            Some(("transfer-encoding", "chunked")) => kind = Kind::Chunked(0),
            Some(_) => {}
        }
    }
    Ok(Response { status, body: Body { reader, kind } })
}

fn line(reader: &mut impl BufRead) -> Outcome<String> {
    let mut text = String::new();
    if reader.read_line(&mut text)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text.trim_end().to_owned())
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> Outcome<usize> {
        if let Kind::Chunked(0) = self.kind {
            self.next_chunk()?;
        }
        let (Kind::Sized(left) | Kind::Chunked(left)) = &mut self.kind else { return Ok(0) };
        let wanted = buffer.len().min(*left as usize);
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        *left -= read as u64;
        if let Kind::Chunked(0) = self.kind {
            line(&mut self.reader)?;
        }
        Ok(read)
    }
}

impl Body {
    fn next_chunk(&mut self) -> Outcome<()> {
        let size = line(&mut self.reader)?;
        let size = u64::from_str_radix(&size, 16).map_err(std::io::Error::other)?;
        self.kind = if size == 0 { Kind::Ended } else { Kind::Chunked(size) };
        Ok(())
    }
}

impl Response {
    pub fn json(mut self) -> Value {
        let mut body = Vec::new();
        self.body.read_to_end(&mut body).expect("an answer comes whole");
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }
}
