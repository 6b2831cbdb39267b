//! Where a reader of several streams stands: `<id>:<sequence>,<id>:<sequence>...`, as one id of its events.

use std::collections::HashMap;

use super::query::digits;
use crate::domain::StreamId;

/// The last sequence that a reader has of each stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions(HashMap<StreamId, u64>);

impl Positions {
    /// Reads the text form; of a stream that is named twice the furthest position counts.
    pub fn parse(text: &str) -> Option<Self> {
        let mut positions = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (id, sequence) = part.split_once(':')?;
            positions.advance(StreamId::parse(id)?, digits(sequence)?);
        }
        Some(positions)
    }

    pub fn of(&self, id: StreamId) -> Option<u64> {
        self.0.get(&id).copied()
    }

    /// Each stream's furthest of both.
    pub fn furthest(mut self, other: Self) -> Self {
        other.0.into_iter().for_each(|(id, sequence)| self.advance(id, sequence));
        self
    }

    fn advance(&mut self, id: StreamId, sequence: u64) {
        let known = self.0.entry(id).or_default();
        *known = sequence.max(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BuildId, RunId, WorkspaceId};

    #[test]
    fn every_stream_has_its_own_position_and_the_furthest_counts() {
        let (run, build, feed) = (RunId::generate(), BuildId::generate(), WorkspaceId::generate());
        let read = Positions::parse(&format!("{run}:12, {build}:0,{feed}:7,{run}:3")).unwrap();
        let of = |id| read.of(id);
        assert_eq!((of(StreamId::from(run)), of(StreamId::from(build))), (Some(12), Some(0)));
        assert_eq!((of(StreamId::from(feed)), of(StreamId::from(RunId::generate()))), (Some(7), None));
        let later = Positions::parse(&format!("{run}:11,{feed}:9")).unwrap();
        let both = read.clone().furthest(later);
        assert_eq!((both.of(StreamId::from(run)), both.of(StreamId::from(feed))), (Some(12), Some(9)));
        assert_eq!(Positions::parse(""), Some(Positions::default()));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let run = RunId::generate();
        for text in
            ["12", "run_1:2", ":1", &format!("{run}"), &format!("{run}:"), &format!("{run}:-1"), &format!("{run}:1;2")]
        {
            assert_eq!(Positions::parse(text), None, "{text}");
        }
    }
}
