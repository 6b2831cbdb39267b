//! Start positions. Every spelling a client may use becomes one number: the last sequence it already has.

/// The position given lies beyond the end of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the position {asked} is ahead of the stream, whose last sequence is {last}")]
pub struct SequenceAhead {
    pub asked: u64,
    pub last: u64,
}

/// What a client said about where to begin. The default is the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// First event is the next one.
    pub after: Option<u64>,
    /// First event is this one.
    pub from: Option<u64>,
    /// `Last-Event-ID`, as header or query: what the client has seen.
    pub cursor: Option<u64>,
    /// The last `n` events; for a first visit only, so a cursor makes it void.
    pub tail: Option<u64>,
}

impl Start {
    pub fn after(sequence: u64) -> Self {
        Self { after: Some(sequence), ..Self::default() }
    }

    /// The sequence after which delivery begins, given the last sequence of the stream.
    ///
    /// The furthest position wins: a browser that reconnects repeats its old query and adds a newer header.
    pub fn resolve(self, last: u64) -> Result<u64, SequenceAhead> {
        let explicit = [self.after, self.from.map(|n| n.saturating_sub(1)), self.cursor];
        let furthest = explicit.into_iter().flatten().max();
        let tail = self.tail.filter(|_| self.cursor.is_none()).map(|n| last.saturating_sub(n));
        let after = furthest.max(tail).unwrap_or(0);
        if after > last { Err(SequenceAhead { asked: after, last }) } else { Ok(after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_one_position() {
        let start = |after, from, cursor, tail| Start { after, from, cursor, tail }.resolve(10);
        assert_eq!(start(None, None, None, None), Ok(0));
        assert_eq!(start(Some(3), None, None, None), Ok(3));
        assert_eq!(start(None, Some(3), None, None), Ok(2));
        assert_eq!(start(None, Some(0), None, None), Ok(0));
        assert_eq!(start(None, None, Some(4), None), Ok(4));
        assert_eq!(start(None, None, None, Some(4)), Ok(6));
        assert_eq!(start(None, None, None, Some(99)), Ok(0));
        assert_eq!(start(Some(3), Some(8), Some(5), None), Ok(7), "the furthest wins");
        assert_eq!(start(None, None, Some(2), Some(4)), Ok(2), "a cursor makes tail void");
        assert_eq!(start(Some(10), None, None, None), Ok(10));
        assert_eq!(start(None, Some(11), None, None), Ok(10));
    }

    #[test]
    fn a_position_beyond_the_end_is_refused() {
        assert_eq!(Start::after(11).resolve(10), Err(SequenceAhead { asked: 11, last: 10 }));
    }
}
