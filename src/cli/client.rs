//! A client of the service's own HTTP interface.

use std::time::Duration;

use actix_web::http::header;
use awc::error::PayloadError;
use awc::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::LocalBoxStream;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::domain::text::printable;
use crate::workflow::Fault;

const BODY_MAX: usize = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no answer from {url}: {reason}")]
    Transport { url: String, reason: String },
    #[error("{code}: {detail} ({status}){}", listed(faults))]
    Refused { status: u16, code: String, detail: String, faults: Vec<Fault> },
    #[error("unexpected answer from {url}: {reason}")]
    Answer { url: String, reason: String },
}

impl ClientError {
    /// Whether the service refused with this status.
    pub fn has_status(&self, expected: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == expected)
    }

    /// A retry may help: the service is away, stopping or busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Answer { .. } => false,
        }
    }
}

/// A file to send.
pub struct Upload<'a> {
    pub name: &'a str,
    pub content_type: &'a str,
    pub content: &'a [u8],
}

/// A live body: each piece as it arrives.
pub type Pieces = LocalBoxStream<'static, Result<Bytes, PayloadError>>;

/// Talks to one service.
#[derive(Clone)]
pub struct ApiClient {
    base_url: String,
    http: awc::Client,
}

impl ApiClient {
    /// Shows the key with each request, if there is one.
    pub fn new(base_url: &str, key: Option<&SecretString>) -> Self {
        // Requests have no time limit: a stream is open as long as its run lasts.
        let connector = awc::Connector::new().timeout(CONNECT_TIMEOUT);
        let mut http = awc::Client::builder().connector(connector).disable_timeout();
        if let Some(key) = key {
            http = http.bearer_auth(key.expose_secret());
        }
        Self { base_url: base_url.trim_end_matches('/').to_owned(), http: http.finish() }
    }

    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        let body = self.bytes(path).await?;
        self.json(path, &body)
    }

    /// The whole body of an answer.
    pub async fn bytes(&self, path: &str) -> Result<Bytes, ClientError> {
        let answer = self.http.get(self.url(path)).send().await;
        self.accepted(path, answer).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        let answer = self.http.post(self.url(path)).send_json(body).await;
        let body = self.accepted(path, answer).await?;
        self.json(path, &body)
    }

    /// A change, if the resource still has that tag.
    pub async fn put(&self, path: &str, etag: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self.http.put(self.url(path)).insert_header((header::IF_MATCH, etag));
        let answer = request.send_json(body).await;
        let body = self.accepted(path, answer).await?;
        self.json(path, &body)
    }

    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        let answer = self.http.delete(self.url(path)).send().await;
        self.accepted(path, answer).await.map(drop)
    }

    /// The workspace of that slug, id or name.
    pub async fn workspace(&self, name: &str) -> Result<Option<Value>, ClientError> {
        let wanted = |item: &Value| ["slug", "id", "name"].iter().any(|key| item[key] == name);
        self.find("/api/v1/workspaces", wanted).await
    }

    /// Sends a form with text fields and one `file`.
    pub async fn upload(&self, path: &str, fields: &[(&str, &str)], file: &Upload<'_>) -> Result<Value, ClientError> {
        let boundary = format!("ade-{}", ulid::Ulid::generate());
        let request = self.http.post(self.url(path));
        let request =
            request.insert_header((header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}")));
        let answer = request.send_body(form(&boundary, fields, file)).await;
        let body = self.accepted(path, answer).await?;
        self.json(path, &body)
    }

    /// Opens an event stream behind `last_id`; none when there is nothing more to come (204).
    pub async fn stream(&self, path: &str, last_id: Option<u64>) -> Result<Option<Pieces>, ClientError> {
        let mut request = self.http.get(self.url(path)).insert_header((header::ACCEPT, "text/event-stream"));
        if let Some(id) = last_id {
            request = request.insert_header(("Last-Event-ID", id.to_string()));
        }
        let answer = request.send().await.map_err(|error| self.transport(path, error))?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.boxed_local())),
            StatusCode::NO_CONTENT => Ok(None),
            _ => self.accepted(path, Ok(answer)).await.and_then(|_| Err(self.unexpected(path, "not an event stream"))),
        }
    }

    /// The first item on any page of a list for which `wanted` holds.
    pub async fn find(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Option<Value>, ClientError> {
        let mut page = 1;
        loop {
            let list = match page {
                1 => self.get(path).await?,
                page => self.get(&format!("{path}?page={page}")).await?,
            };
            let items = list["items"].as_array().ok_or_else(|| self.unexpected(path, "a list without items"))?;
            if let Some(item) = items.iter().find(|item| wanted(item)) {
                return Ok(Some(item.clone()));
            }
            if items.is_empty() || page >= list["pageCount"].as_u64().unwrap_or(1) {
                return Ok(None);
            }
            page += 1;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    async fn accepted<S>(
        &self,
        path: &str,
        answer: Result<awc::ClientResponse<S>, awc::error::SendRequestError>,
    ) -> Result<Bytes, ClientError>
    where
        S: futures_util::Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let mut answer = answer.map_err(|error| self.transport(path, error))?;
        let body = answer.body().limit(BODY_MAX).await.map_err(|error| self.transport(path, error))?;
        if answer.status().is_success() { Ok(body) } else { Err(refusal(answer.status(), &body)) }
    }

    fn json(&self, path: &str, body: &[u8]) -> Result<Value, ClientError> {
        serde_json::from_slice(body).map_err(|error| self.unexpected(path, &error.to_string()))
    }

    fn transport(&self, path: &str, error: impl std::fmt::Display) -> ClientError {
        ClientError::Transport { url: self.url(path), reason: error.to_string() }
    }

    fn unexpected(&self, path: &str, reason: &str) -> ClientError {
        ClientError::Answer { url: self.url(path), reason: reason.to_owned() }
    }
}

/// The error of a problem document; of any other body, its status.
fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |member: &str| problem[member].as_str().map(str::to_owned);
    ClientError::Refused {
        status: status.as_u16(),
        code: text("code").unwrap_or_else(|| "refused".to_owned()),
        detail: text("detail").unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason").to_owned()),
        faults: problem["errors"].as_array().into_iter().flatten().filter_map(fault).collect(),
    }
}

fn fault(error: &Value) -> Option<Fault> {
    let text = |member: &str| error[member].as_str();
    Some(Fault::new(text("code")?, text("path").or(text("field")).unwrap_or_default(), text("message")?))
}

/// Each on a line of its own, below the message.
fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {}", printable(&fault.to_string()))).collect()
}

/// A value for a query, or a segment of a path.
pub fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b',' => encoded.push(byte.into()),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
        encoded
    })
}

fn form(boundary: &str, fields: &[(&str, &str)], file: &Upload<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(file.content.len() + 1024);
    for (name, value) in fields {
        let part = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    // Quotes and line breaks would end the header.
    let name = file.name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let head = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: {}\r\n\r\n",
        file.content_type
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file.content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_lists_everything_that_is_wrong() {
        let problem = json!({
            "code": "invalid_workflow", "detail": "2 faults", "errors": [
                {"path": "steps[0].role", "message": "no such role", "code": "unknown_role"},
                {"field": "answers.Q_1", "message": "an answer is required", "code": "answer_missing"},
            ],
        });
        let error = refusal(StatusCode::UNPROCESSABLE_ENTITY, problem.to_string().as_bytes());
        let expected = "invalid_workflow: 2 faults (422)\n  steps[0].role: no such role (unknown_role)\n  \
                        answers.Q_1: an answer is required (answer_missing)";
        assert_eq!(error.to_string(), expected);
        assert!(error.has_status(422) && !error.is_passing());
        let bare = refusal(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(bare.to_string(), "refused: Bad Gateway (502)");
    }
}
