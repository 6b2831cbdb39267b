//! Follows the events of a run, a build, an execution or a workspace to their end, across broken connections.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::Instant;

use super::client::{ApiClient, ClientError, Pieces, percent_encoded};
use super::events::{Frame, SseParser};
use crate::domain::{ExecutionId, StreamId, StreamKind};

/// How long a service may be away before the follower gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(StreamId);

impl Target {
    pub fn parse(id: &str) -> Option<Self> {
        StreamId::parse(id).map(Self)
    }

    pub fn of_execution(id: ExecutionId) -> Self {
        Self(StreamId::Execution(id))
    }

    pub fn id(&self) -> String {
        self.0.to_string()
    }

    pub fn kind(&self) -> StreamKind {
        self.0.kind()
    }

    /// The path of the resource.
    pub fn path(&self) -> String {
        match self.0 {
            StreamId::Run(id) => format!("/api/v1/runs/{id}"),
            StreamId::Build(id) => format!("/api/v1/builds/{id}"),
            StreamId::Execution(id) => format!("/api/v1/executions/{id}"),
            StreamId::Feed(id) => format!("/api/v1/workspaces/{id}"),
        }
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

/// Reads one stream; a broken connection is taken up behind the last event.
pub struct Follower {
    client: ApiClient,
    path: String,
    /// A feed has none.
    terminal: Option<&'static str>,
    last_id: Option<u64>,
    live: Option<(Pieces, SseParser)>,
    ready: VecDeque<Frame>,
    /// No later than this must something arrive, while there is no connection.
    patience_ends: Option<Instant>,
    pause: Duration,
    ended: bool,
}

impl Follower {
    /// Begins behind `after`; `types` is a list of patterns separated by commas.
    pub fn new(client: ApiClient, target: &Target, after: Option<u64>, types: Option<&str>) -> Self {
        let filter = types.map(|types| format!("?types={}", percent_encoded(types))).unwrap_or_default();
        Self {
            client,
            path: format!("{}/events/stream{filter}", target.path()),
            terminal: target.kind().terminal_type(),
            last_id: after,
            live: None,
            ready: VecDeque::new(),
            patience_ends: None,
            pause: PAUSE,
            ended: false,
        }
    }

    /// The next event; none behind the terminal one. To be dropped at any time without losing an event.
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
                    Some(Ok(bytes)) => self.ready.extend(parser.push(&bytes)),
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
            self.pause = asked.unwrap_or(PAUSE).min(PAUSE_MAX);
        }
        self.patience_ends.get_or_insert_with(|| Instant::now() + PATIENCE);
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if self.patience_ends.is_some() {
            tokio::time::sleep(self.pause).await;
        }
        match self.client.stream(&self.path, self.last_id).await {
            Ok(Some(pieces)) => {
                self.live = Some((pieces, SseParser::default()));
                self.patience_ends = None;
            }
            Ok(None) => self.ended = true,
            Err(error) => self.failed(error)?,
        }
        Ok(())
    }

    /// A refusal that waiting cannot cure ends the following, and so does a service that stays away.
    fn failed(&mut self, error: ClientError) -> Result<(), ClientError> {
        let ends = *self.patience_ends.get_or_insert_with(|| Instant::now() + PATIENCE);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        if error.is_passing() && Instant::now() < ends { Ok(()) } else { Err(error) }
    }
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
        Follower::new(ApiClient::new(url), &Target::parse(id).unwrap(), after, types)
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
