//! Which copies go, when there are more bytes of them than there may be: those that were used longest ago. Pure.

use std::collections::BTreeSet;
use std::time::SystemTime;

/// The copies that may have to go: of very many, those that were used longest ago.
pub struct Candidates {
    limit: u64,
    most: usize,
    bytes: u64,
    oldest: BTreeSet<(SystemTime, String, u64)>,
}

impl Candidates {
    /// So many bytes may stay; of the files, so many are remembered.
    pub fn new(limit: u64, most: usize) -> Self {
        Self { limit, most, bytes: 0, oldest: BTreeSet::new() }
    }

    /// There is a copy.
    pub fn note(&mut self, path: String, bytes: u64, used: SystemTime) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.oldest.insert((used, path, bytes));
        if self.oldest.len() > self.most {
            self.oldest.pop_last();
        }
    }

    /// Those that are to go, the first ones first; and whether that is enough. So many bytes have to go in any case.
    pub fn due(self, shortage: u64) -> (Vec<String>, bool) {
        let limit = self.limit.min(self.bytes.saturating_sub(shortage));
        let (mut left, mut due) = (self.bytes, Vec::new());
        for (_, path, bytes) in self.oldest {
            if left <= limit {
                break;
            }
            left -= bytes;
            due.push(path);
        }
        (due, left <= limit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn due(limit: u64, most: usize, copies: &[(&str, u64, u64)]) -> (Vec<String>, bool) {
        let mut candidates = Candidates::new(limit, most);
        for &(path, bytes, used) in copies {
            candidates.note(path.to_owned(), bytes, SystemTime::UNIX_EPOCH + Duration::from_secs(used));
        }
        candidates.due(0)
    }

    #[test]
    fn what_was_used_longest_ago_goes_until_the_rest_may_stay() {
        let copies = [("a", 40, 3), ("b", 40, 1), ("c", 40, 2), ("d", 40, 4)];
        for (limit, expected) in [(160, &[][..]), (159, &["b"]), (80, &["b", "c"]), (0, &["b", "c", "a", "d"])] {
            assert_eq!(due(limit, 9, &copies), (expected.iter().map(|&path| path.to_owned()).collect(), true));
        }
    }

    #[test]
    fn a_disk_that_is_full_takes_more_away_than_the_limit() {
        let mut candidates = Candidates::new(100, 9);
        for (name, used) in [("a", 3), ("b", 1), ("c", 2)] {
            candidates.note(name.into(), 20, SystemTime::UNIX_EPOCH + Duration::from_secs(used));
        }
        assert_eq!(candidates.due(30), (vec!["b".to_owned(), "c".to_owned()], true));
    }

    #[test]
    fn of_very_many_copies_those_used_longest_ago_are_remembered_and_more_are_left_to_the_next_round() {
        let copies = [("a", 40, 3), ("b", 40, 1), ("c", 40, 2), ("d", 40, 4)];
        assert_eq!(due(20, 2, &copies), (vec!["b".to_owned(), "c".to_owned()], false));
    }
}
