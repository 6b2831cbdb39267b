//! HTTP/1.1 over a plain socket, so that a test decides about every byte, and nothing is hidden from it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;

use serde_json::Value;

use crate::TIMEOUT;

/// Looks at a response that has been read to its end.
pub type Observer = fn(&Request, &Response);

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Every response of this program is looked at from now on.
pub fn observe(observer: Observer) {
    OBSERVER.get_or_init(|| observer);
}

/// Large, so that a benchmark that reads with this takes little of the machine that it measures.
const BUFFER: usize = 256 << 10;

#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: impl Into<String>) -> Self {
        Self::new("POST", target)
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name))
    }

    pub fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }

    pub fn with_query(&self, query: &str) -> Self {
        Self { target: format!("{}?{query}", self.target), ..self.clone() }
    }

    /// A multipart form of parts: name, file name, content.
    pub fn form(self, parts: &[(&str, Option<&str>, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (name, file, content) in parts {
            let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
            write!(body, "--frontier\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n").unwrap();
            if !file.is_empty() {
                body.extend_from_slice(b"Content-Type: text/csv\r\n");
            }
            body.extend_from_slice(b"\r\n");
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--frontier--\r\n");
        self.body("multipart/form-data; boundary=frontier", body)
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn target(&self) -> &str {
        &self.target
    }

    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text += &format!("Host: {address}\r\n");
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || self.method == "POST" {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text += "\r\n";
        [text.as_bytes(), &self.body].concat()
    }

    /// Sends it and hangs up.
    pub fn abandon(&self, address: SocketAddr) -> io::Result<()> {
        let mut socket = TcpStream::connect(address)?;
        socket.write_all(&self.bytes(address))?;
        socket.shutdown(std::net::Shutdown::Both)
    }

    /// Sends on a connection of its own and reads the head of the response.
    pub fn open(&self, address: SocketAddr) -> io::Result<Incoming> {
        exchange(BufReader::new(connect(address)?), self, address)
    }

    /// Sends on a connection of its own and reads the whole response.
    pub fn send(&self, address: SocketAddr) -> io::Result<Response> {
        self.open(address)?.read_all()
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A connection that is kept for several requests, one after the other.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, reader: BufReader::with_capacity(BUFFER, connect(address)?) })
    }

    /// Sends and reads the head of the response. The body has to be read to its end before the next request.
    pub fn open_response(&mut self, request: &Request) -> io::Result<Incoming<&mut BufReader<TcpStream>>> {
        exchange(&mut self.reader, request, self.address)
    }

    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        self.open_response(request)?.read_all()
    }
}

/// The responses to requests that are sent one after the other on one connection.
pub fn in_turn(requests: &[Request], address: SocketAddr) -> io::Result<Vec<Response>> {
    let mut connection = Connection::open(address)?;
    requests.iter().map(|request| connection.send(request)).collect()
}

/// The socket below a buffered reader.
trait Socket: BufRead {
    fn socket(&mut self) -> &mut TcpStream;
}

impl Socket for BufReader<TcpStream> {
    fn socket(&mut self) -> &mut TcpStream {
        self.get_mut()
    }
}

impl Socket for &mut BufReader<TcpStream> {
    fn socket(&mut self) -> &mut TcpStream {
        self.get_mut()
    }
}

fn exchange<R: Socket>(mut reader: R, request: &Request, address: SocketAddr) -> io::Result<Incoming<R>> {
    // A server that refuses early may close before it has read everything.
    let sent = reader.socket().write_all(&request.bytes(address));
    let head = Head::read(&mut reader).or_else(|error| sent.and(Err(error)))?;
    let framing = head.framing(&request.method);
    let observed = OBSERVER.get().map(|observer| (*observer, request.clone()));
    Ok(Incoming { head, reader, framing, observed })
}

#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let status_line = line(reader)?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = line(reader)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Self { status, headers })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn framing(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status, 204 | 304) {
            return Framing::Length(0);
        }
        match self.header("transfer-encoding") {
            Some("chunked") => Framing::Chunked { left: 0, started: false },
            _ => match self.header("content-length") {
                Some(length) => Framing::Length(length.parse().unwrap()),
                None => Framing::ToTheEnd,
            },
        }
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[derive(Debug)]
enum Framing {
    Length(u64),
    /// Bytes left of this chunk, and whether there was one.
    Chunked {
        left: u64,
        started: bool,
    },
    ToTheEnd,
}

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct Incoming<R = BufReader<TcpStream>> {
    pub head: Head,
    reader: R,
    framing: Framing,
    observed: Option<(Observer, Request)>,
}

impl<R: BufRead> Incoming<R> {
    pub fn read_all(mut self) -> io::Result<Response> {
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        let response = Response { head: self.head, body };
        if let Some((observer, request)) = &self.observed {
            observer(request, &response);
        }
        Ok(response)
    }

    /// Reads the head of the next chunk when one has been read to its end.
    fn next_chunk(&mut self) -> io::Result<()> {
        let Framing::Chunked { left: left @ 0, started } = &mut self.framing else { return Ok(()) };
        if std::mem::replace(started, true) {
            line(&mut self.reader)?;
        }
        *left = u64::from_str_radix(&line(&mut self.reader)?, 16).map_err(io::Error::other)?;
        if *left == 0 {
            line(&mut self.reader)?;
            self.framing = Framing::Length(0);
        }
        Ok(())
    }
}

impl<R: BufRead> BufRead for Incoming<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.next_chunk()?;
        let left = match self.framing {
            Framing::ToTheEnd => return self.reader.fill_buf(),
            Framing::Length(0) => return Ok(&[]),
            Framing::Length(left) | Framing::Chunked { left, .. } => left,
        };
        match self.reader.fill_buf()? {
            [] => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => Ok(&bytes[..bytes.len().min(left as usize)]),
        }
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        if let Framing::Length(left) | Framing::Chunked { left, .. } = &mut self.framing {
            *left -= count as u64;
        }
    }
}

impl<R: BufRead> Read for Incoming<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[derive(Debug, Clone)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Response {
    pub fn status(&self) -> u16 {
        self.head.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// As [`Response::json`]; null for a body that is no JSON.
    pub fn json_or_null(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The response itself, if its status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status() == status, "expected {status}: {self}");
        self
    }

    /// The problem document, if its status and code are these.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        let problem = self.clone().expect(status).json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self}");
        assert_eq!(problem["code"], code, "{self}");
        problem
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}\n{}", self.status(), self.head.headers, String::from_utf8_lossy(&self.body))
    }
}
