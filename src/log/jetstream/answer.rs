//! What an answer of the stream means for a round, and what its last message says where there was no answer.
//!
//! Law: a round counts as stored when the stream has said so, or when it has been read there. Everything else — a refusal,
//! silence, a connection that broke, a stream without a leader — says nothing, since the message may be stored all the same
//! or be stored later: then the last message of the stream decides. It can be trusted because every publish names the
//! sequence that it follows: of a round that is published twice at most one is stored.

use serde::Deserialize;

/// The error by which the server says that the stream does not end where the publisher thinks.
const WRONG_LAST_SEQUENCE: u32 = 10071;
/// The same, before the message has come to the stream; seen without any other writer, so it means no more than "again".
const WRONG_LAST_SEQUENCE_IN_PROCESS: u32 = 10164;

/// What came back for a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Stored under this sequence.
    Stored(u64),
    /// Not this time; why, for people.
    Refused { code: u32, why: String },
    /// Nothing, or nothing that can be understood.
    Silence(String),
}

#[derive(Deserialize)]
struct Ack {
    seq: Option<u64>,
    error: Option<ApiError>,
}

/// An error of the server's interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    pub(super) code: u32,
    #[serde(default)]
    pub(super) err_code: u32,
    #[serde(default)]
    pub(super) description: String,
}

impl Answer {
    pub(super) fn parse(payload: &[u8]) -> Self {
        match serde_json::from_slice(payload) {
            Ok(Ack { error: Some(error), .. }) => Self::Refused { code: error.err_code, why: error.description },
            Ok(Ack { seq: Some(sequence), .. }) if sequence > 0 => Self::Stored(sequence),
            _ => Self::Silence("an answer that is no acknowledgement".to_owned()),
        }
    }

    /// Whether it says that this round, which follows `expected`, is stored.
    pub(super) fn stores_behind(&self, expected: u64) -> bool {
        *self == Self::Stored(expected + 1)
    }

    /// Two writers, or one that has lost count: seen in passing, and the last message says which.
    pub(super) fn is_wrong_sequence(&self) -> bool {
        matches!(self, Self::Refused { code: WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_IN_PROCESS, .. })
    }

    /// For people who ask why nothing is stored.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Stored(sequence) => format!("the stream stored it as {sequence}"),
            Self::Refused { code, why } => format!("the stream refused it: {why} ({code})"),
            Self::Silence(why) => why.clone(),
        }
    }
}

/// The last message of the stream, as it matters to a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Last {
    /// 0 if there has never been one.
    pub(super) sequence: u64,
    /// Of the round in it; none if it is none.
    pub(super) epoch: Option<u64>,
    /// It is the round in question, byte for byte.
    pub(super) is_same: bool,
}

/// What became of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Stored,
    /// It is not there: publish it again.
    Again,
    /// The stream ends before what it has acknowledged. A member that has lost its leadership answers so; ask again.
    Behind,
    /// A later process has taken the journal over.
    Fenced {
        epoch: u64,
    },
    /// Something that is no process of this service has written.
    Foreign,
}

/// Of a round of this epoch, published behind `expected`.
pub(super) fn verdict(epoch: u64, expected: u64, last: Last) -> Verdict {
    match last.epoch {
        _ if last.sequence < expected => Verdict::Behind,
        _ if last.sequence == expected => Verdict::Again,
        // Epochs are given out by fences, each stored behind the one before: this one is this process's alone.
        Some(found) if found == epoch && last.is_same && last.sequence == expected + 1 => Verdict::Stored,
        Some(found) if found > epoch => Verdict::Fenced { epoch: found },
        _ => Verdict::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_a_server_are_understood() {
        let stored = br#"{"stream":"s","seq":7}"#;
        assert!(Answer::parse(stored).stores_behind(6));
        assert!(!Answer::parse(stored).stores_behind(7), "another message than the one that was expected");
        for (code, is_wrong) in [(10071, true), (10164, true), (10077, false)] {
            let text =
                format!(r#"{{"error":{{"code":400,"err_code":{code},"description":"no"}},"stream":"s","seq":0}}"#);
            let answer = Answer::parse(text.as_bytes());
            assert_eq!(answer, Answer::Refused { code, why: "no".to_owned() });
            assert_eq!(answer.is_wrong_sequence(), is_wrong);
        }
        for text in [&b""[..], b"{}", b"+OK", br#"{"seq":0}"#, br#"{"seq":"7"}"#] {
            assert!(matches!(Answer::parse(text), Answer::Silence(_)));
        }
    }

    #[test]
    fn only_the_same_round_in_its_place_counts_as_stored() {
        let last = |sequence, epoch, is_same| Last { sequence, epoch, is_same };
        for (found, expected) in [
            (last(11, Some(3), true), Verdict::Stored),
            (last(10, Some(3), false), Verdict::Again),
            (last(10, Some(2), false), Verdict::Again),
            (last(9, Some(3), false), Verdict::Behind),
            (last(11, Some(4), false), Verdict::Fenced { epoch: 4 }),
            (last(12, Some(4), false), Verdict::Fenced { epoch: 4 }),
            (last(11, Some(3), false), Verdict::Foreign),
            (last(12, Some(3), true), Verdict::Foreign),
            (last(11, Some(2), false), Verdict::Foreign),
            (last(11, None, false), Verdict::Foreign),
        ] {
            assert_eq!(verdict(3, 10, found), expected, "{found:?}");
        }
        assert_eq!(verdict(1, 0, Last::default()), Verdict::Again);
    }
}
