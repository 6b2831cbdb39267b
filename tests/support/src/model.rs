//! A server that speaks chat completions and replies as scripted.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::TIMEOUT;
use crate::server::{receive, serve};

/// The usage that every complete reply reports.
pub const INPUT_TOKENS: u64 = 100;
pub const OUTPUT_TOKENS: u64 = 50;

/// How one call is handled.
#[derive(Debug, Clone)]
pub enum Turn {
    Says(String),
    /// The start of a reply, cut off by the token limit.
    Cut(String),
    /// A stream of events, sent as it is.
    Streams(String),
    /// A refusal with this message.
    Complains(&'static str),
    /// The status, the headers and a message.
    Refuses(&'static str, &'static str),
    /// No reply, until the client disconnects.
    Hangs,
}

/// Serves until the test program ends. Each call takes the next turn; the last turn repeats.
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    script: Mutex<Script>,
    changed: Condvar,
}

#[derive(Default)]
struct Script {
    turns: Vec<Turn>,
    requests: Vec<Value>,
    disconnects: usize,
}

impl ModelServer {
    pub fn scripted(turns: Vec<Turn>) -> Self {
        let script = Mutex::new(Script { turns, ..Script::default() });
        let state = Arc::new(State { script, ..State::default() });
        let serving = state.clone();
        let address = serve(move |socket| serving.serve(socket));
        Self { address, state }
    }

    /// With `ADE_OPENAI_BASE_URL` this, steps of the provider `openai` are answered here.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The bodies of all calls so far.
    pub fn requests(&self) -> Vec<Value> {
        self.state.script.lock().unwrap().requests.clone()
    }

    /// Waits until this many calls have arrived.
    pub fn await_calls(&self, count: usize) {
        self.state.wait("calls", |script| script.requests.len() >= count);
    }

    /// Waits until this many clients have given up a call that hangs.
    pub fn await_disconnects(&self, count: usize) {
        self.state.wait("clients that disconnect", |script| script.disconnects >= count);
    }
}

/// The text of a call's last user message.
pub fn user_text(body: &Value) -> String {
    let messages = body["messages"].as_array().unwrap();
    messages.iter().rfind(|message| message["role"] == "user").unwrap()["content"].as_str().unwrap().to_owned()
}

impl State {
    fn wait(&self, what: &str, holds: impl Fn(&Script) -> bool) {
        let script = self.script.lock().unwrap();
        let (script, timeout) = self.changed.wait_timeout_while(script, TIMEOUT, |script| !holds(script)).unwrap();
        assert!(
            !timeout.timed_out(),
            "timed out waiting for {what}: {} calls, {} disconnects",
            script.requests.len(),
            script.disconnects
        );
    }

    fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(socket.try_clone()?);
        while let Some(request) = receive(&mut reader)? {
            let body = serde_json::from_slice(&request.body).map_err(io::Error::other)?;
            let turn = {
                let mut script = self.script.lock().unwrap();
                script.requests.push(body);
                if script.turns.len() > 1 { script.turns.remove(0) } else { script.turns[0].clone() }
            };
            self.changed.notify_all();
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
                    self.script.lock().unwrap().disconnects += 1;
                    self.changed.notify_all();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
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
