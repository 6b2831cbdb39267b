//! The service as a client of a benchmark asks it: one connection, and an error for every response that is no success.

use std::io::BufRead as _;
use std::net::SocketAddr;

use ade_test_support::http::{Connection, Request};
use serde_json::Value;

use super::Outcome;

pub struct Client {
    connection: Connection,
    key: Option<String>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Outcome<Self> {
        Ok(Self { connection: Connection::open(address)?, key: None })
    }

    /// Shows this key with each request.
    pub fn with_key(self, key: Option<String>) -> Self {
        Self { key, ..self }
    }

    fn signed(&self, request: Request) -> Request {
        match &self.key {
            Some(key) => request.header("Authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    pub fn get(&mut self, path: &str) -> Outcome<Value> {
        self.send(Request::get(path))
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        self.send(Request::post(path).json(body))
    }

    /// Uploads a file as a form's `file`.
    pub fn upload(&mut self, path: &str, name: &str, content: &str) -> Outcome<Value> {
        self.send(Request::post(path).form(&[("file", Some(name), content.as_bytes())]))
    }

    /// Reads the response and drops it; the length of its body.
    pub fn download(&mut self, path: &str) -> Outcome<u64> {
        let request = self.signed(Request::get(path));
        let mut incoming = self.connection.open_response(&request)?;
        let (status, mut bytes) = (incoming.head.status, 0);
        loop {
            let count = incoming.fill_buf()?.len();
            if count == 0 {
                break;
            }
            incoming.consume(count);
            bytes += count as u64;
        }
        if (200..300).contains(&status) { Ok(bytes) } else { Err(format!("GET {path}: {status}").into()) }
    }

    fn send(&mut self, request: Request) -> Outcome<Value> {
        let request = self.signed(request);
        let response = self.connection.send(&request)?;
        match response.status() {
            200..300 => Ok(response.json()),
            _ => Err(format!("{request:?}: {response}").into()),
        }
    }
}
