//! Where a message is looked for before it is taken for lost.
//!
//! Law: what one server says is missing or damaged is so only when the leader of the stream, and every server that is named
//! and can be reached, have nothing better. A server answers a direct read from its own disk, which may be the damaged one.

use std::time::{Duration, Instant};

use super::super::record::RoundHeader;
use super::link::{Link, LinkError, Stored};
use super::options::ClusterOptions;

/// For a leader to answer, which there may not be for some seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);
/// A server that has just been started may not be up to date: what is not there is asked for again.
const TRIES: usize = 3;

pub(super) struct Sources<'a> {
    leader: &'a Link,
    options: &'a ClusterOptions,
    /// Connected when they are needed for the first time, each to one server.
    each: Option<Vec<Link>>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(leader: &'a Link, options: &'a ClusterOptions) -> Self {
        Self { leader, options, each: None }
    }

    /// The first message from this one on that anybody has whole; one that nobody has whole as it is. An error if the
    /// leader does not answer, for then nothing is known to be missing.
    pub(super) fn first(&mut self, from: u64) -> Result<Option<Stored>, LinkError> {
        let mut best = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            best = better(best, self.of_leader(from)?);
            if !is_found(&best, from) {
                // A server that cannot be reached has nothing to say; the leader has answered.
                let found: Vec<_> = self.each().iter().filter_map(|link| link.read(from).ok()).collect();
                best = found.into_iter().map(|messages| messages.into_iter().next()).fold(best, better);
            }
            if is_found(&best, from) {
                break;
            }
        }
        // Then not everybody was heard.
        let is_asked = self.leader.stop().is_asked();
        if is_asked { Err(LinkError::Unreachable("the start is to end".to_owned())) } else { Ok(best) }
    }

    pub(super) fn leader(&self) -> &Link {
        self.leader
    }

    fn of_leader(&self, from: u64) -> Result<Option<Stored>, LinkError> {
        let begun = Instant::now();
        loop {
            match self.leader.next(from) {
                Err(_) if begun.elapsed() < PATIENCE && !self.leader.stop().is_asked() => std::thread::sleep(PAUSE),
                answer => return answer,
            }
        }
    }

    fn each(&mut self) -> &[Link] {
        let (options, stop) = (self.options, self.leader.stop());
        self.each.get_or_insert_with(|| {
            let alone = |server: &String| ClusterOptions { servers: vec![server.clone()], ..options.clone() };
            options.servers.iter().filter_map(|server| Link::connect(&alone(server), stop).ok()).collect()
        })
    }
}

/// The earlier one; of two copies the whole one.
fn better(one: Option<Stored>, other: Option<Stored>) -> Option<Stored> {
    let rank = |message: &Stored| (message.sequence, !is_whole(&message.payload));
    [one, other].into_iter().flatten().min_by_key(rank)
}

fn is_found(best: &Option<Stored>, from: u64) -> bool {
    best.as_ref().is_some_and(|message| message.sequence == from && is_whole(&message.payload))
}

/// Whether it is a round as it was made.
pub(super) fn is_whole(payload: &[u8]) -> bool {
    let Some((header, body)) = payload.split_first_chunk() else { return false };
    let header = RoundHeader::epoch_of(header).and_then(|epoch| RoundHeader::parse(*header, epoch));
    header.is_some_and(|header| header.body_size == body.len() as u64 && header.covers(body))
}

#[cfg(test)]
mod tests {
    use super::super::super::record::Round;
    use super::*;

    #[test]
    fn the_earlier_message_counts_and_of_two_copies_the_whole_one() {
        let mut round = Round::new();
        round.push_fence(1, "a");
        let payload = bytes::Bytes::copy_from_slice(round.seal(1));
        let whole = |sequence| Stored { sequence, payload: payload.clone() };
        let damaged = |sequence| Stored { sequence, payload: b"x".as_slice().into() };
        assert!(is_found(&better(Some(damaged(3)), Some(whole(3))), 3));
        assert!(is_found(&better(Some(whole(3)), Some(damaged(3))), 3));
        assert!(is_found(&better(Some(whole(4)), Some(whole(3))), 3));
        assert!(!is_found(&better(None, Some(damaged(3))), 3));
        assert!(!is_found(&better(Some(whole(4)), None), 3));
    }
}
