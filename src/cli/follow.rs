//! Follows the events of a run, a build, an execution or a workspace to their end, across broken connections.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::Instant;

use super::client::{ApiClient, ClientError, Pieces, percent_encoded};
use crate::backoff::Backoff;
use crate::domain::{ExecutionId, StreamId, StreamKind};
use crate::sse::{Frame, Parser, TooLong};

/// How long a service may be away before the follower gives up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// Between two attempts to connect, unless the server asks for something else.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(5) };
/// Larger than any event: a line of a log has at most 16 MiB.
const EVENT_BYTES: usize = 32 << 20;

/// What can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(StreamId);

impl Target {
    pub fn parse(id: &str) -> Option<Self> {
        StreamId::parse(id).map(Self)
    }

    pub fn of_execution(id: ExecutionId) -> Self {
        Self(StreamId::from(id))
    }

    pub fn id(&self) -> String {
        self.0.to_string()
    }

    pub fn kind(&self) -> StreamKind {
        self.0.kind()
    }

    /// The path of the resource.
    pub fn path(&self) -> String {
        format!("/api/v1/{}/{}", self.kind().facts().collection, self.0)
    }
}

/// An event as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    pub line: String,
    pub event: Value,
}

impl Received {
    pub fn kind(&self) -> &str {
        self.event["type"].as_str().unwrap_or_default()
    }
}

/// Reads one stream; after a broken connection it continues behind the last event.
pub struct Follower {
    client: ApiClient,
    path: String,
    /// A feed has none.
    terminal: Option<&'static str>,
    last_id: Option<u64>,
    live: Option<(Pieces, Parser)>,
    ready: VecDeque<Frame>,
    /// The deadline for a new connection, while there is none.
    deadline: Option<Instant>,
    backoff: Backoff,
    /// Attempts to connect that failed, the break of the last connection included.
    failures: u32,
    ended: bool,
}

impl Follower {
    /// Starts behind `after`; `types` is a list of patterns separated by commas.
    pub fn new(client: ApiClient, target: &Target, after: Option<u64>, types: Option<&str>) -> Self {
        let filter = types.map(|types| format!("?types={}", percent_encoded(types))).unwrap_or_default();
        Self {
            client,
            path: format!("{}/events/stream{filter}", target.path()),
            terminal: target.kind().terminal_type(),
            last_id: after,
            live: None,
            ready: VecDeque::new(),
            deadline: None,
            backoff: BACKOFF,
            failures: 0,
            ended: false,
        }
    }

    /// The next event; none behind the terminal one. Cancel-safe: no event is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        while !self.ended {
            if let Some(frame) = self.ready.pop_front() {
                match self.take(frame)? {
                    Some(received) => return Ok(Some(received)),
                    None => continue,
                }
            }
            match &mut self.live {
                Some((pieces, parser)) => match pieces.next().await {
                    Some(Ok(bytes)) => {
                        let frames = parser.feed(&bytes).map_err(|TooLong| too_long(&self.path))?;
                        self.ready.extend(frames);
                    }
                    // Cut off, or closed before the terminal event: come back.
                    Some(Err(_)) | None => self.disconnected(),
                },
                None => self.connect().await?,
            }
        }
        Ok(None)
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Received>, ClientError> {
        let id = frame.id.as_deref().and_then(|id| id.parse::<u64>().ok());
        let repeated = id.is_some_and(|id| self.last_id.is_some_and(|last| id <= last));
        self.last_id = id.or(self.last_id);
        let (Some(line), Some(_), false) = (frame.data, id, repeated) else { return Ok(None) };
        let event: Value = serde_json::from_str(&line)
            .map_err(|error| ClientError::Answer { url: self.path.clone(), reason: error.to_string() })?;
        let received = Received { line, event };
        self.ended = self.terminal.is_some_and(|terminal| received.kind() == terminal);
        Ok(Some(received))
    }

    fn disconnected(&mut self) {
        if let Some((_, parser)) = self.live.take() {
            let asked = parser.retry_ms().map(Duration::from_millis);
            self.backoff.first = asked.unwrap_or(BACKOFF.first);
        }
        self.failures = 1;
        self.deadline.get_or_insert_with(|| Instant::now() + GIVE_UP_AFTER);
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if self.failures > 0 {
            tokio::time::sleep(self.backoff.pause(self.failures)).await;
        }
        match self.client.stream(&self.path, self.last_id).await {
            Ok(Some(pieces)) => {
                self.live = Some((pieces, Parser::new(EVENT_BYTES)));
                self.deadline = None;
                self.failures = 0;
            }
            Ok(None) => self.ended = true,
            Err(error) => self.failed(error)?,
        }
        Ok(())
    }

    /// A permanent refusal is an error, and so is a service that stays away.
    fn failed(&mut self, error: ClientError) -> Result<(), ClientError> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + GIVE_UP_AFTER);
        self.failures += 1;
        if error.is_passing() && Instant::now() < deadline { Ok(()) } else { Err(error) }
    }
}

fn too_long(path: &str) -> ClientError {
    let reason = format!("an event is larger than {} MiB", EVENT_BYTES >> 20);
    ClientError::Answer { url: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::fixture::{RUN, Script};

    fn five_events() -> [(&'static str, Value); 5] {
        ["run.queued", "build.completed", "run.started", "console.line", "run.completed"].map(|kind| (kind, json!({})))
    }

    async fn sequences(follower: &mut Follower) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Some(received) = follower.next().await.unwrap() {
            seen.push(received.event["sequence"].as_u64().unwrap());
        }
        seen
    }

    fn follower(url: &str, id: &str, after: Option<u64>, types: Option<&str>) -> Follower {
        Follower::new(ApiClient::new(url, None), &Target::parse(id).unwrap(), after, types)
    }

    #[actix_web::test]
    async fn a_cut_stream_is_taken_up_without_gap_or_repeat() {
        let script = Script::new(&five_events(), 2);
        let url = script.serve();
        assert_eq!(sequences(&mut follower(&url, RUN, None, None)).await, [1, 2, 3, 4, 5]);
        let positions: Vec<_> = script.asked("GET stream").iter().map(|r| r.trim().to_owned()).collect();
        assert_eq!(positions, ["GET stream 0", "GET stream 2", "GET stream 4"]);
    }

    #[actix_web::test]
    async fn a_position_and_a_filter_are_passed_on() {
        let script = Script::new(&five_events(), 9);
        let url = script.serve();
        assert_eq!(sequences(&mut follower(&url, RUN, Some(3), Some("run.*,a b"))).await, [4, 5]);
        assert_eq!(script.asked("GET stream"), ["GET stream 3 types=run.*,a%20b"]);
        assert_eq!(sequences(&mut follower(&url, RUN, Some(5), None)).await, [0; 0], "nothing is left");
    }

    #[actix_web::test]
    async fn what_waiting_cannot_cure_is_an_error_at_once() {
        let url = Script::new(&[], 1).serve();
        let error = follower(&url, "build_01ARZ3NDEKTSV4RRFFQ69G5FAV", None, None).next().await.unwrap_err();
        assert_eq!(error.to_string(), "not_found: no such thing (404)");
    }

    #[test]
    fn only_what_has_events_can_be_followed() {
        let execution = "exec_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(Target::parse(execution).unwrap().path(), format!("/api/v1/executions/{execution}"));
        assert_eq!(Target::parse(RUN).unwrap().path(), format!("/api/v1/runs/{RUN}"));
        assert_eq!(Target::parse("doc_01ARZ3NDEKTSV4RRFFQ69G5FAV"), None);
        assert_eq!(Target::parse("../secret"), None);
    }
}
