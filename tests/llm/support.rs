//! A server that does with each connection what it was told, and the two dialects that it speaks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ade::llm::{
    Call, Context, Endpoint, Fixed, Limits, Message, Options, Part, Provider, ProviderError, ProviderName, Providers,
    Reply, Request,
};
use futures_util::StreamExt as _;
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub const KEY: &str = "sk-very-secret";
/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is done with a connection, once its request is there.
#[derive(Clone)]
pub enum Act {
    Send(Vec<u8>),
    /// The same again and again, until the client is gone.
    SendForEver(Vec<u8>),
    /// Silence, until the client is gone.
    Hold,
}

#[derive(Clone)]
pub struct Seen {
    pub head: String,
    pub body: Value,
}

/// Every connection gets the next script; the last one stays. At its end the connection is closed.
pub struct Mock {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    gone: Arc<Semaphore>,
}

impl Mock {
    pub async fn start(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mock = Self { address, seen: Arc::default(), gone: Arc::new(Semaphore::new(0)) };
        let (seen, gone) = (mock.seen.clone(), mock.gone.clone());
        actix_rt::spawn(async move {
            let mut scripts = scripts.into_iter().peekable();
            while let Ok((socket, _)) = listener.accept().await {
                let script = scripts.next().unwrap();
                if scripts.peek().is_none() {
                    scripts = vec![script.clone()].into_iter().peekable();
                }
                actix_rt::spawn(serve(socket, script, seen.clone(), gone.clone()));
            }
        });
        mock
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until the server has seen a client leave.
    pub async fn client_has_gone(&self) {
        tokio::time::timeout(PATIENCE, self.gone.acquire()).await.expect("the client stays").unwrap().forget();
    }
}

pub async fn serve<S>(mut socket: S, script: Vec<Act>, seen: Arc<Mutex<Vec<Seen>>>, gone: Arc<Semaphore>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(request) = received(&mut socket).await else { return };
    seen.lock().unwrap().push(request);
    for act in script {
        let is_there = match act {
            Act::Send(bytes) => socket.write_all(&bytes).await.is_ok() && socket.flush().await.is_ok(),
            Act::SendForEver(bytes) => {
                while socket.write_all(&bytes).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                false
            }
            // The request was read whole: what ends the reading is the client's leaving.
            Act::Hold => socket.read(&mut [0; 16]).await.is_ok_and(|count| count > 0),
        };
        if !is_there {
            gone.add_permits(1);
            return;
        }
    }
    let _ = socket.shutdown().await;
}

async fn received<S: AsyncRead + Unpin>(socket: &mut S) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse::<usize>().ok()?;
        if body.len() >= length {
            let body = serde_json::from_str(body).unwrap();
            return Some(Seen { head, body });
        }
    }
}

/// A whole answer with a body of known length.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Act {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    Act::Send(format!("{head}{body}").into_bytes())
}

/// The head of a streamed answer.
pub fn head() -> Act {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    Act::Send(head.as_bytes().to_vec())
}

/// One chunk of a streamed answer.
pub fn chunk(text: &str) -> Act {
    Act::Send(chunk_bytes(text.as_bytes()))
}

pub fn chunk_bytes(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub fn last_chunk() -> Act {
    Act::Send(b"0\r\n\r\n".to_vec())
}

/// A streamed answer, in chunks of so many bytes.
pub fn streamed(text: &str, size: usize) -> Vec<Act> {
    let chunks = text.as_bytes().chunks(size).map(|bytes| Act::Send(chunk_bytes(bytes)));
    [head()].into_iter().chain(chunks).chain([last_chunk()]).collect()
}

/// How one of the providers speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dialect {
    Anthropic,
    OpenAi,
}

pub const DIALECTS: [Dialect; 2] = [Dialect::Anthropic, Dialect::OpenAi];

impl Dialect {
    pub fn begin(self) -> &'static str {
        match self {
            Self::Anthropic => concat!(
                "event: message_start\n",
                r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude-haiku-4-5","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":3,"cache_read_input_tokens":7,"output_tokens":1}}}"#,
                "\n\nevent: content_block_start\n",
                r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                "\n\n",
            ),
            Self::OpenAi => concat!(
                r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4.1","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}"#,
                "\n\n",
            ),
        }
    }

    pub fn delta(self, text: &str) -> String {
        let text = Value::from(text);
        match self {
            Self::Anthropic => format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\n\n"
            ),
            Self::OpenAi => format!(
                "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
            ),
        }
    }

    /// The end, with the provider's word for why.
    pub fn end(self, why: &str) -> String {
        match self {
            Self::Anthropic => format!(
                "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\nevent: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{why}\",\"stop_sequence\":null}},\"usage\":{{\"output_tokens\":15}}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
            ),
            Self::OpenAi => format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{why}\"}}],\"usage\":null}}\n\ndata: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":32,\"completion_tokens\":15,\"total_tokens\":47,\"prompt_tokens_details\":{{\"cached_tokens\":7,\"audio_tokens\":0}}}}}}\n\ndata: [DONE]\n\n"
            ),
        }
    }

    pub fn done(self) -> &'static str {
        match self {
            Self::Anthropic => "end_turn",
            Self::OpenAi => "stop",
        }
    }

    /// A whole stream.
    pub fn stream(self, texts: &[&str]) -> String {
        let deltas: String = texts.iter().map(|text| self.delta(text)).collect();
        format!("{}{deltas}{}", self.begin(), self.end(self.done()))
    }

    pub fn refusal(self, kind: &str, message: &str) -> String {
        let error = serde_json::json!({"type": kind, "message": message, "code": kind});
        match self {
            Self::Anthropic => serde_json::json!({"type": "error", "error": error, "request_id": "req_1"}).to_string(),
            Self::OpenAi => serde_json::json!({ "error": error }).to_string(),
        }
    }

    /// A provider that calls the mock.
    pub fn provider(self, address: &str, limits: Limits) -> Arc<dyn Provider> {
        let endpoint =
            |path: &str| Endpoint { base_url: format!("{address}{path}"), key: Some(SecretString::from(KEY)) };
        let (default, anthropic, openai) = match self {
            Self::Anthropic => (ProviderName::Anthropic, endpoint(""), endpoint("/unused")),
            Self::OpenAi => (ProviderName::OpenAi, endpoint("/unused"), endpoint("/v1")),
        };
        let options =
            Options { default, anthropic, openai, openai_parameters: Fixed::default(), limits, ca_file: None };
        Providers::new(options).unwrap().get(None).unwrap()
    }
}

pub fn limits() -> Limits {
    Limits { total: PATIENCE, idle: PATIENCE, ..Limits::default() }
}

pub fn request() -> Request {
    Request {
        system: "You write reports.".to_owned(),
        messages: vec![Message::user("Write one: \u{201c}grün\u{201d}.")],
        model: "a-model".to_owned(),
        max_tokens: 1_024,
        temperature: Some(0.5),
        timeout: None,
        context: Context::default(),
    }
}

/// Everything that a call brings.
pub async fn heard(call: Call) -> (Vec<Part>, Option<ProviderError>) {
    let parts: Vec<_> = tokio::time::timeout(PATIENCE * 2, call.collect()).await.expect("the call hangs");
    let error = parts.iter().find_map(|part: &Result<Part, ProviderError>| part.as_ref().err().cloned());
    (parts.into_iter().filter_map(Result::ok).collect(), error)
}

/// One call to a mock with one script.
pub async fn outcome(dialect: Dialect, script: Vec<Act>, limits: Limits) -> Result<Reply, ProviderError> {
    let mock = Mock::start(vec![script]).await;
    let (parts, error) = heard(dialect.provider(&mock.address, limits).call(request())).await;
    match (parts.into_iter().next_back(), error) {
        (_, Some(error)) => Err(error),
        (Some(Part::Reply(reply)), None) => Ok(reply),
        (last, None) => panic!("a call without an end: {last:?}"),
    }
}
