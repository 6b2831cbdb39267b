//! HTTP/1.1 over a plain socket, so that a test decides about every byte, and nothing is hidden from it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nothing that a test waits for takes longer, on a slow machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(60);

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

    /// A form of parts: name, file name, content.
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

    /// Sends on a connection of its own and reads the head of the answer.
    pub fn open(&self, address: SocketAddr) -> io::Result<Incoming> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        // A server that refuses early may close before it has read everything.
        let sent = socket.write_all(&self.bytes(address));
        let mut reader = BufReader::new(socket);
        let head = Head::read(&mut reader).or_else(|error| sent.and(Err(error)))?;
        let body = head.framing(&self.method);
        Ok(Incoming { head, reader, body })
    }
}

/// One after the other on one connection.
pub fn in_turn(requests: &[Request], address: SocketAddr) -> io::Result<Vec<Response>> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (mut reader, mut answers) = (BufReader::new(socket), Vec::new());
    for request in requests {
        reader.get_mut().write_all(&request.bytes(address))?;
        let head = Head::read(&mut reader)?;
        let framing = head.framing(&request.method);
        let (mut incoming, mut body) = (Incoming { head, reader, body: framing }, Vec::new());
        incoming.read_to_end(&mut body)?;
        answers.push(Response { head: incoming.head, body });
        reader = incoming.reader;
    }
    Ok(answers)
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
            Some("chunked") => Framing::Chunked { left: 0, begun: false },
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
    Chunked { left: u64, begun: bool },
    ToTheEnd,
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Incoming {
    pub head: Head,
    reader: BufReader<TcpStream>,
    body: Framing,
}

impl Incoming {
    pub fn read_all(mut self) -> io::Result<Response> {
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        Ok(Response { head: self.head, body })
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.body {
            Framing::ToTheEnd => self.reader.read(buffer),
            Framing::Length(0) => Ok(0),
            Framing::Length(left) => {
                let read = read_some(&mut self.reader, buffer, *left)?;
                *left -= read as u64;
                Ok(read)
            }
            Framing::Chunked { left, begun } => {
                if *left == 0 {
                    if std::mem::replace(begun, true) {
                        line(&mut self.reader)?;
                    }
                    *left = u64::from_str_radix(&line(&mut self.reader)?, 16).map_err(io::Error::other)?;
                    if *left == 0 {
                        line(&mut self.reader)?;
                        self.body = Framing::Length(0);
                        return Ok(0);
                    }
                }
                let read = read_some(&mut self.reader, buffer, *left)?;
                *left -= read as u64;
                Ok(read)
            }
        }
    }
}

fn read_some(reader: &mut impl Read, buffer: &mut [u8], left: u64) -> io::Result<usize> {
    let room = buffer.len().min(left as usize);
    match reader.read(&mut buffer[..room])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
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

    /// The answer, if its status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status() == status, "expected {status}: {self}");
        self
    }

    /// A problem of this status and code.
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
