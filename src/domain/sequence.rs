//! Start positions. Every spelling a client may use becomes one number: the last sequence it already has.

/// The position given lies beyond the end of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the position {asked} is ahead of the stream, whose last sequence is {last}")]
pub struct SequenceAhead {
    pub asked: u64,
    pub last: u64,
}

/// The position given lies before what is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the events behind the position {asked} are gone up to {first}, which is the first")]
pub struct SequenceExpired {
    pub asked: u64,
    pub first: u64,
}

/// The position given is not one of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPosition {
    #[error(transparent)]
    Ahead(#[from] SequenceAhead),
    #[error(transparent)]
    Expired(#[from] SequenceExpired),
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

    /// The furthest event that the caller says to have; 0 if it says nothing of that.
    pub fn claimed(&self) -> u64 {
        let explicit = [self.after, self.from.map(|n| n.saturating_sub(1)), self.cursor];
        explicit.into_iter().flatten().max().unwrap_or(0)
    }

    /// The sequence after which delivery begins, given the first and the last sequence of the stream.
    ///
    /// The furthest position wins: a browser that reconnects repeats its old query and adds a newer header. Who says
    /// nothing gets all that is still there; who says where it was is told when that is gone.
    pub fn resolve(self, first: u64, last: u64) -> Result<u64, NoPosition> {
        let explicit = [self.after, self.from.map(|n| n.saturating_sub(1)), self.cursor];
        let furthest = explicit.into_iter().flatten().max();
        let oldest = first.saturating_sub(1);
        let tail = self.tail.filter(|_| self.cursor.is_none()).map(|n| last.saturating_sub(n).max(oldest));
        match furthest.max(tail).unwrap_or(oldest) {
            asked if asked > last => Err(SequenceAhead { asked, last }.into()),
            asked if asked < oldest => Err(SequenceExpired { asked, first }.into()),
            after => Ok(after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_one_position() {
        let start = |after, from, cursor, tail| Start { after, from, cursor, tail }.resolve(1, 10);
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
        let ahead = SequenceAhead { asked: 11, last: 10 };
        assert_eq!(Start::after(11).resolve(1, 10), Err(NoPosition::Ahead(ahead)));
    }

    #[test]
    fn what_is_gone_is_told_to_who_asks_for_it() {
        let start = |after, tail| Start { after, tail, ..Start::default() }.resolve(6, 10);
        assert_eq!(start(None, None), Ok(5), "all that is there");
        assert_eq!((start(Some(5), None), start(Some(8), None)), (Ok(5), Ok(8)));
        assert_eq!((start(None, Some(99)), start(None, Some(2))), (Ok(5), Ok(8)));
        for asked in [0, 4] {
            assert_eq!(start(Some(asked), None), Err(SequenceExpired { asked, first: 6 }.into()));
        }
        assert_eq!(Start::default().resolve(6, 5), Ok(5), "nothing is there now");
    }
}
