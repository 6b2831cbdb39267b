//! What is said to the servers and what they answer: the parts of JetStream's interface that a journal needs.

use serde::{Deserialize, Serialize};

use super::answer::ApiError;
use super::options::{ClusterOptions, REPLICAS};

pub(super) const STREAM_NOT_FOUND: u32 = 10059;
/// A server that is in no cluster.
pub(super) const NO_REPLICAS: u32 = 10074;
pub(super) const NO_MESSAGE: u32 = 10037;

/// The header by which a publish is refused unless the stream ends there.
pub(super) const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
/// The header by which a publish is refused unless this stream takes the subject.
pub(super) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// The sequence of a message that was read directly.
pub(super) const SEQUENCE: &str = "Nats-Sequence";

/// An answer, or the error in its place.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) error: Option<ApiError>,
    #[serde(flatten)]
    pub(super) content: Option<T>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct StreamInfo {
    pub(super) config: StreamConfig,
    /// When it was made.
    pub(super) created: String,
    pub(super) state: StreamState,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct StreamState {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
}

/// How a stream is kept. What is not named here changes nothing about what a round can rely on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamConfig {
    name: String,
    #[serde(default)]
    subjects: Vec<String>,
    storage: String,
    num_replicas: usize,
    retention: String,
    discard: String,
    #[serde(default)]
    max_age: i64,
    #[serde(default = "unlimited")]
    max_msgs: i64,
    #[serde(default = "unlimited")]
    max_msgs_per_subject: i64,
    #[serde(default = "unlimited")]
    max_msg_size: i64,
    #[serde(default)]
    allow_direct: bool,
    #[serde(default)]
    no_ack: bool,
    #[serde(default)]
    sealed: bool,
    #[serde(default)]
    deny_purge: bool,
    #[serde(default)]
    allow_msg_ttl: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    persist_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mirror: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sources: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject_transform: Option<serde_json::Value>,
}

fn unlimited() -> i64 {
    -1
}

impl StreamConfig {
    /// What a new stream is made with: three copies on disks, and nothing that takes a message away by itself.
    pub(super) fn of(options: &ClusterOptions) -> Self {
        let name = options.stream();
        Self {
            subjects: vec![name.clone()],
            name,
            storage: "file".to_owned(),
            num_replicas: REPLICAS,
            retention: "limits".to_owned(),
            discard: "new".to_owned(),
            max_age: 0,
            max_msgs: -1,
            max_msgs_per_subject: -1,
            max_msg_size: -1,
            allow_direct: true,
            no_ack: false,
            sealed: false,
            deny_purge: false,
            allow_msg_ttl: false,
            persist_mode: None,
            mirror: None,
            sources: None,
            subject_transform: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What of this stream, which is there, a journal cannot rely on; in words.
    pub(super) fn unfit(&self) -> Vec<String> {
        let wrong = |is_wrong: bool, what: String| is_wrong.then_some(what);
        let is_default_mode = self.persist_mode.as_deref().is_none_or(|mode| mode.is_empty() || mode == "default");
        let found = [
            wrong(self.subjects != [self.name.clone()], format!("its subjects are {:?}", self.subjects)),
            wrong(self.storage != "file", format!("its storage is {}", self.storage)),
            wrong(self.num_replicas < REPLICAS, format!("it has {} replicas of {REPLICAS}", self.num_replicas)),
            wrong(self.retention != "limits", format!("its retention is {}", self.retention)),
            wrong(self.discard != "new", format!("it discards {} messages when it is full", self.discard)),
            wrong(self.max_age != 0, "it has a max_age, after which messages are gone".to_owned()),
            wrong(self.max_msgs != -1, format!("it takes at most {} messages", self.max_msgs)),
            wrong(
                self.max_msgs_per_subject != -1,
                format!("it keeps at most {} messages of a subject", self.max_msgs_per_subject),
            ),
            wrong(
                self.max_msg_size != -1 && self.max_msg_size < 2 * super::options::ROUND_BYTES as i64,
                format!("it takes messages of at most {} bytes", self.max_msg_size),
            ),
            wrong(!self.allow_direct, "it does not allow direct reads".to_owned()),
            wrong(self.no_ack, "it does not acknowledge".to_owned()),
            wrong(self.sealed, "it is sealed".to_owned()),
            wrong(self.deny_purge, "it cannot be purged".to_owned()),
            wrong(self.allow_msg_ttl, "its messages may have a time to live".to_owned()),
            wrong(!is_default_mode, format!("its persist_mode is {:?}", self.persist_mode)),
            wrong(self.mirror.is_some(), "it is a mirror".to_owned()),
            wrong(self.sources.is_some(), "it has sources".to_owned()),
            wrong(self.subject_transform.is_some(), "it transforms subjects".to_owned()),
        ];
        found.into_iter().flatten().collect()
    }
}

/// What is asked for one message.
#[derive(Serialize)]
pub(super) struct LastOf<'a> {
    pub(super) last_by_subj: &'a str,
}

/// What is asked for the first message from one on.
#[derive(Serialize)]
pub(super) struct NextOf<'a> {
    pub(super) seq: u64,
    pub(super) next_by_subj: &'a str,
}

#[derive(Deserialize)]
pub(super) struct OneMessage {
    pub(super) message: StoredMessage,
}

#[derive(Deserialize)]
pub(super) struct StoredMessage {
    pub(super) seq: u64,
    /// In base64.
    #[serde(default)]
    pub(super) data: String,
}

/// What is asked for messages in a row.
#[derive(Serialize)]
pub(super) struct Batch {
    pub(super) seq: u64,
    pub(super) batch: u64,
    pub(super) max_bytes: u64,
}

/// Up to which message to purge, that one excluded.
#[derive(Serialize)]
pub(super) struct PurgeBelow {
    pub(super) seq: u64,
}

#[derive(Deserialize)]
pub(super) struct Purged {
    #[serde(default)]
    pub(super) success: bool,
}

/// How a follower is given the messages of a stream: what it asks for, in their order, and nothing is kept about it
/// when it has gone.
#[derive(Serialize)]
pub(super) struct CreateConsumer<'a> {
    pub(super) stream_name: &'a str,
    pub(super) config: ConsumerConfig<'a>,
}

#[derive(Serialize)]
pub(super) struct ConsumerConfig<'a> {
    pub(super) name: &'a str,
    pub(super) deliver_policy: &'a str,
    pub(super) opt_start_seq: u64,
    pub(super) ack_policy: &'a str,
    pub(super) max_deliver: u32,
    pub(super) mem_storage: bool,
    pub(super) num_replicas: u32,
    /// In nanoseconds.
    pub(super) inactive_threshold: u64,
}

impl<'a> CreateConsumer<'a> {
    pub(super) fn new(stream: &'a str, name: &'a str, from: u64) -> Self {
        let config = ConsumerConfig {
            name,
            deliver_policy: "by_start_sequence",
            opt_start_seq: from.max(1),
            ack_policy: "none",
            max_deliver: 1,
            mem_storage: true,
            num_replicas: 1,
            inactive_threshold: 30_000_000_000,
        };
        Self { stream_name: stream, config }
    }
}

/// The next messages, as they come; times in nanoseconds.
#[derive(Serialize)]
pub(super) struct Pull {
    pub(super) batch: u32,
    pub(super) max_bytes: u64,
    pub(super) expires: u64,
    pub(super) idle_heartbeat: u64,
}

/// The sequence in the stream of a message that a consumer has delivered, by the subject that it would be acknowledged to:
/// `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<of the consumer>.<time>.<pending>`, or with a domain and an account
/// in front of the stream.
pub(super) fn delivered_sequence(subject: &str) -> Option<u64> {
    let parts: Vec<_> = subject.strip_prefix("$JS.ACK.")?.split('.').collect();
    let at = match parts.len() {
        7 => 3,
        9.. => 5,
        _ => return None,
    };
    parts[at].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ClusterOptions {
        ClusterOptions::new(vec![], "c", "n")
    }

    #[test]
    fn a_delivered_message_says_where_it_stands_in_its_stream() {
        assert_eq!(delivered_sequence("$JS.ACK.ade-c-j-n.c1.1.4711.3.1700000000000000000.0"), Some(4711));
        assert_eq!(delivered_sequence("$JS.ACK.hub.ACC.ade-c-j-n.c1.1.4711.3.1700000000000000000.0.x"), Some(4711));
        for other in ["", "$JS.ACK.a.b.c", "_INBOX.x", "$JS.ACK.s.c.1.x.3.1.0"] {
            assert_eq!(delivered_sequence(other), None, "{other}");
        }
    }

    #[test]
    fn a_stream_is_fit_as_it_is_made_and_told_what_it_lacks() {
        let made = StreamConfig::of(&options());
        assert_eq!(made.unfit(), [""; 0]);
        let text = serde_json::to_value(&made).unwrap();
        for (key, value, word) in [
            ("num_replicas", serde_json::json!(1), "1 replicas"),
            ("storage", serde_json::json!("memory"), "memory"),
            ("retention", serde_json::json!("workqueue"), "workqueue"),
            ("discard", serde_json::json!("old"), "discards old"),
            ("max_age", serde_json::json!(1), "max_age"),
            ("max_msgs", serde_json::json!(10), "at most 10"),
            ("persist_mode", serde_json::json!("async"), "async"),
            ("mirror", serde_json::json!({ "name": "x" }), "mirror"),
            ("sources", serde_json::json!([]), "sources"),
            ("subjects", serde_json::json!(["a.>"]), "subjects"),
        ] {
            let mut other = text.clone();
            other[key] = value;
            let other: StreamConfig = serde_json::from_value(other).unwrap();
            let unfit = other.unfit();
            assert!(unfit.len() == 1 && unfit[0].contains(word), "{key}: {unfit:?}");
        }
    }

    #[test]
    fn an_answer_of_a_server_is_read() {
        let text = r#"{"type":"io.nats.jetstream.api.v1.stream_info_response","total":0,"config":{"name":"s","subjects":["s"],
            "retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,
            "max_msg_size":-1,"discard":"new","storage":"file","num_replicas":3,"duplicate_window":120000000000,
            "compression":"none","allow_direct":true,"mirror_direct":false,"sealed":false,"deny_delete":false,
            "deny_purge":false,"allow_rollup_hdrs":false,"consumer_limits":{},"allow_msg_ttl":false,"metadata":{}},
            "created":"2026-11-27T22:07:49.068694379Z","state":{"messages":2,"bytes":9,"first_seq":3,"last_seq":4}}"#;
        let read: Envelope<StreamInfo> = serde_json::from_str(text).unwrap();
        let info = read.content.unwrap();
        assert!(read.error.is_none() && info.config.unfit().is_empty());
        assert_eq!((info.state.first_seq, info.state.last_seq), (3, 4));
        let text = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"},"total":0}"#;
        let read: Envelope<StreamInfo> = serde_json::from_str(text).unwrap();
        assert!(read.content.is_none() && read.error.unwrap().err_code == STREAM_NOT_FOUND);
    }
}
