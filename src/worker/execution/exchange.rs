//! One exchange with a model: what it says while it says it, and what came of it.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use super::event_writer::EventWriter;
use crate::domain::progress::StepKey;
use crate::llm::{Call, ErrorKind, Part, ProviderError, Reply, Usage};

/// What is said is told at most this often.
const TOLD_EVERY: Duration = Duration::from_millis(50);
/// Or when it is this much, in bytes.
const TOLD_AT: usize = 256 << 10;

/// Why a running step is to stop; none as long as it is not.
pub type StopWatch = watch::Receiver<Option<ErrorKind>>;

pub struct Outcome {
    pub result: Result<Reply, Failure>,
    /// What the provider has said last.
    pub usage: Option<Usage>,
    pub latency: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    Provider(ProviderError),
    Stopped(ErrorKind),
}

/// Goes through a call. One that is stopped is dropped: its connection is closed.
pub async fn exchange(mut call: Call, writer: &EventWriter, of: &StepKey, mut stop: StopWatch) -> Outcome {
    let begun = Instant::now();
    let (mut usage, mut said) = (None, Said::new(begun));
    let result = loop {
        let part = tokio::select! {
            biased;
            kind = stopped(&mut stop) => break Err(Failure::Stopped(kind)),
            part = call.next() => part,
        };
        match part {
            Some(Ok(Part::Delta(text))) => {
                if let Some(text) = said.more(&text, Instant::now()) {
                    writer.post_text(of, text).await;
                }
            }
            Some(Ok(Part::Usage(so_far))) => usage = Some(so_far),
            Some(Ok(Part::Reply(reply))) => break Ok(reply),
            Some(Err(error)) => break Err(Failure::Provider(error)),
            None => {
                let reason = "the call ended without a reply".to_owned();
                break Err(Failure::Provider(ProviderError::Malformed { reason }));
            }
        }
    };
    if let Some(rest) = said.remaining() {
        writer.post_text(of, rest).await;
    }
    let usage = result.as_ref().map_or(usage, |reply| reply.usage.or(usage));
    Outcome { result, usage, latency: begun.elapsed() }
}

/// Returns when it is to stop, which may be never.
pub async fn stopped(stop: &mut StopWatch) -> ErrorKind {
    match stop.wait_for(Option::is_some).await {
        Ok(kind) => kind.expect("waited until it is some"),
        Err(_) => std::future::pending().await,
    }
}

/// Many small pieces made into few.
struct Said {
    text: String,
    told: Instant,
}

impl Said {
    fn new(now: Instant) -> Self {
        Self { text: String::new(), told: now }
    }

    /// What is to be told now, if it is time.
    fn more(&mut self, text: &str, now: Instant) -> Option<String> {
        self.text.push_str(text);
        let is_time = now.duration_since(self.told) >= TOLD_EVERY || self.text.len() >= TOLD_AT;
        is_time.then(|| {
            self.told = now;
            std::mem::take(&mut self.text)
        })
    }

    fn remaining(self) -> Option<String> {
        (!self.text.is_empty()).then_some(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_told_together_and_nothing_is_left_out() {
        let begun = Instant::now();
        let mut said = Said::new(begun);
        let mut told = Vec::new();
        for at in 0..1_000 {
            told.extend(said.more("ab", begun + Duration::from_millis(at)));
        }
        assert_eq!(told.len(), 19, "at most twenty a second");
        told.extend(said.remaining());
        assert_eq!(told.concat(), "ab".repeat(1_000));
    }

    #[test]
    fn much_is_not_kept_back() {
        let begun = Instant::now();
        let mut said = Said::new(begun);
        assert_eq!(said.more("a", begun), None);
        assert_eq!(said.more(&"b".repeat(TOLD_AT), begun).map(|text| text.len()), Some(TOLD_AT + 1));
        assert_eq!(said.remaining(), None);
    }
}
