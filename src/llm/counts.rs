//! Tokens as servers tell them, piece by piece. Pure.

use super::Usage;

/// What has been told so far of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
}

impl Counts {
    /// What is told replaces what was told before, and what is left out stays. Counts only go up within a call: a zero
    /// stands for what is not known yet, or not known any more.
    pub fn take(&mut self, told: Self) {
        let newer =
            |known: &mut Option<u64>, told: Option<u64>| *known = told.filter(|told| *told > 0).or(*known).or(told);
        newer(&mut self.input, told.input);
        newer(&mut self.output, told.output);
        newer(&mut self.cache_read, told.cache_read);
        newer(&mut self.cache_write, told.cache_write);
    }

    /// None as long as one side of the call is not known. A call of no tokens at all is none that anybody has counted.
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
        let told = |input, output| Counts { input, output, ..Counts::default() };
        for (input, output, expected) in [
            (None, None, None),
            (Some(0), None, None),
            (None, Some(0), None),
            (Some(25), None, Some((25, 0))),
            (Some(0), Some(3), Some((25, 3))),
            (Some(26), Some(0), Some((26, 3))),
            (None, Some(2), Some((26, 2))),
        ] {
            counts.take(told(input, output));
            assert_eq!(counts.usage().map(|usage| (usage.input, usage.output)), expected);
        }
    }
}
