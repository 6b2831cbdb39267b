//! A server that speaks chat completions, and says what it was told.
#![allow(dead_code, reason = "two test programs share this, and neither uses all of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// What every whole reply is said to have taken.
pub const INPUT_TOKENS: u64 = 100;
pub const OUTPUT_TOKENS: u64 = 50;

/// What becomes of one call.
#[derive(Debug, Clone)]
pub enum Turn {
    Says(String),
    /// The beginning of a reply that the limit of tokens has cut off.
    Cut(String),
    /// A stream of events, as it is.
    Streams(String),
    /// A refusal with this message.
    Complains(&'static str),
    /// The status, the headers and a message.
    Refuses(&'static str, &'static str),
    /// Silence, until the client is gone.
    Hangs,
}

/// Serves until the test program ends. Every call gets the next turn; the last one stays.
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    told: Mutex<Told>,
    news: Condvar,
}

#[derive(Default)]
struct Told {
    turns: Vec<Turn>,
    heard: Vec<Value>,
    left: usize,
}

impl ModelServer {
    pub fn saying(turns: Vec<Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { told: Mutex::new(Told { turns, ..Told::default() }), ..State::default() });
        let serving = state.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let state = serving.clone();
                // Clients leave without a word.
                std::thread::spawn(move || drop(state.serve(socket)));
            }
        });
        Self { address, state }
    }

    /// With `ADE_OPENAI_BASE_URL` this, steps of the provider `openai` are answered here.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The bodies of all calls so far.
    pub fn heard(&self) -> Vec<Value> {
        self.state.told.lock().unwrap().heard.clone()
    }

    /// Waits until so many calls have come.
    pub fn await_calls(&self, count: usize) {
        self.state.wait("calls", |told| told.heard.len() >= count);
    }

    /// Waits until so many clients have left a call that hangs.
    pub fn await_left(&self, count: usize) {
        self.state.wait("clients that leave", |told| told.left >= count);
    }
}

/// The user's part of what a call has asked.
pub fn user_text(body: &Value) -> String {
    let messages = body["messages"].as_array().unwrap();
    messages.iter().rfind(|message| message["role"] == "user").unwrap()["content"].as_str().unwrap().to_owned()
}

impl State {
    fn wait(&self, what: &str, is_so: impl Fn(&Told) -> bool) {
        let told = self.told.lock().unwrap();
        let (told, late) = self.news.wait_timeout_while(told, PATIENCE, |told| !is_so(told)).unwrap();
        assert!(!late.timed_out(), "waited in vain for {what}: {} calls, {} left", told.heard.len(), told.left);
    }

    fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(socket.try_clone()?);
        while let Some(body) = request(&mut reader)? {
            let turn = {
                let mut told = self.told.lock().unwrap();
                told.heard.push(body);
                if told.turns.len() > 1 { told.turns.remove(0) } else { told.turns[0].clone() }
            };
            self.news.notify_all();
            match turn {
                Turn::Says(text) => socket.write_all(&stream(&text, "stop"))?,
                Turn::Cut(text) => socket.write_all(&stream(&text, "length"))?,
                Turn::Streams(body) => {
                    socket.write_all(&answer("200 OK", "Content-Type: text/event-stream\r\n", &body))?
                }
                Turn::Complains(message) => {
                    let body = json!({"error": {"message": message, "type": "invalid_request_error"}}).to_string();
                    socket.write_all(&answer("400 Bad Request", "Content-Type: application/json\r\n", &body))?;
                }
                Turn::Refuses(status, headers) => socket.write_all(&refusal(status, headers))?,
                Turn::Hangs => {
                    let _ = reader.read(&mut [0]);
                    self.told.lock().unwrap().left += 1;
                    self.news.notify_all();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn request(reader: &mut impl BufRead) -> io::Result<Option<Value>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        match line.strip_prefix("content-length: ") {
            Some(value) => length = value.parse().map_err(io::Error::other)?,
            None if line.is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    serde_json::from_slice(&body).map(Some).map_err(io::Error::other)
}

fn stream(text: &str, finish: &str) -> Vec<u8> {
    let pieces: Vec<String> =
        text.chars().collect::<Vec<_>>().chunks(32_768).map(|piece| piece.iter().collect()).collect();
    let deltas = pieces
        .iter()
        .map(|piece| json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]}));
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}});
    let mut body: String = deltas.chain([end, usage]).map(|chunk| format!("data: {chunk}\n\n")).collect();
    body.push_str("data: [DONE]\n\n");
    answer("200 OK", "Content-Type: text/event-stream\r\n", &body)
}

fn refusal(status: &str, headers: &str) -> Vec<u8> {
    let body = json!({"error": {"message": "not now", "type": "refused", "code": "refused"}}).to_string();
    answer(status, &format!("Content-Type: application/json\r\n{headers}"), &body)
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
