//! Token counts as servers report them, piece by piece. Pure.

use super::Usage;

/// The counts reported so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
}

impl Counts {
    /// A new count replaces an earlier one; one that is left out stays. Counts only go up within a call: a zero means that
    /// the count is not known yet, or no longer.
    pub fn take(&mut self, reported: Self) {
        let newer = |known: &mut Option<u64>, reported: Option<u64>| {
            *known = reported.filter(|reported| *reported > 0).or(*known).or(reported)
        };
        newer(&mut self.input, reported.input);
        newer(&mut self.output, reported.output);
        newer(&mut self.cache_read, reported.cache_read);
        newer(&mut self.cache_write, reported.cache_write);
    }

    /// None as long as one side of the call is not known. A call of no tokens at all was not counted.
    pub fn usage(&self) -> Option<Usage> {
        let usage = Usage {
            input: self.input?,
            output: self.output?,
            cache_read: self.cache_read.unwrap_or_default(),
            cache_write: self.cache_write.unwrap_or_default(),
        };
        (usage != Usage::default()).then_some(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_later_counts_unless_it_says_nothing() {
        let mut counts = Counts::default();
        let reported = |input, output| Counts { input, output, ..Counts::default() };
        for (input, output, expected) in [
            (None, None, None),
            (Some(0), None, None),
            (None, Some(0), None),
            (Some(25), None, Some((25, 0))),
            (Some(0), Some(3), Some((25, 3))),
            (Some(26), Some(0), Some((26, 3))),
            (None, Some(2), Some((26, 2))),
        ] {
            counts.take(reported(input, output));
            assert_eq!(counts.usage().map(|usage| (usage.input, usage.output)), expected);
        }
    }
}
