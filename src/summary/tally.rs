//! Counting by names that an engine chooses.
//!
//! Invariant: what is kept takes no more JSON than the room it was given, whatever comes. What finds no room is counted
//! all the same, so that a summary can say how much it leaves out.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::text::json_length;

/// Of names that found no room, so many are distinguished.
const COUNTED: usize = 1 << 16;
/// Bytes of JSON that a single name may take.
const LONGEST: usize = 2048;
/// Bytes of JSON around a name and its number.
const AROUND: usize = 24;

/// Bytes of JSON that may still be kept.
#[derive(Debug, Clone)]
pub struct Room(usize);

impl Room {
    pub fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Takes room for a name and `more` bytes around it, if there is enough.
    fn take(&mut self, name: &str, more: usize) -> bool {
        let length = json_length(name);
        let fits = length <= LONGEST && length + more <= self.0;
        self.0 -= if fits { length + more } else { 0 };
        fits
    }
}

/// A number for each name.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    by_name: BTreeMap<String, u64>,
    others: u64,
}

impl Tally {
    pub fn add(&mut self, name: &str, count: u64, room: &mut Room) {
        if let Some(sum) = self.by_name.get_mut(name) {
            *sum = sum.saturating_add(count);
        } else if room.take(name, AROUND) {
            self.by_name.insert(name.to_owned(), count);
        } else {
            self.others = self.others.saturating_add(count);
        }
    }

    pub fn by_name(&self) -> &BTreeMap<String, u64> {
        &self.by_name
    }

    /// What was counted for names that found no room.
    pub fn others(&self) -> u64 {
        self.others
    }
}

/// An entry for each key, in the order of the keys.
#[derive(Debug)]
pub struct Entries<K, V, Rest = ()> {
    kept: BTreeMap<K, V>,
    beyond: Beyond<Rest>,
}

impl<K, V, Rest> Default for Entries<K, V, Rest> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), beyond: Beyond::default() }
    }
}

impl<K: Ord + Hash, V: Default, Rest: Default> Entries<K, V, Rest> {
    /// The entry of a key; one that finds no room is noted as left out, with what little is kept of those.
    pub fn entry(&mut self, key: K, name: &str, bytes: usize, room: &mut Room) -> Result<&mut V, Option<&mut Rest>> {
        if !self.kept.contains_key(&key) && !room.take(name, bytes) {
            return Err(self.beyond.note(&key));
        }
        Ok(self.kept.entry(key).or_default())
    }

    pub fn kept(&self) -> &BTreeMap<K, V> {
        &self.kept
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.kept.values_mut()
    }

    pub fn left_out(&self) -> &Beyond<Rest> {
        &self.beyond
    }
}

/// Things that are distinguished and not kept.
#[derive(Debug)]
pub struct Beyond<Rest = ()>(HashMap<u64, Rest>);

impl<Rest> Default for Beyond<Rest> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<Rest: Default> Beyond<Rest> {
    /// `None` for one that there is no room to distinguish from the others.
    pub fn note(&mut self, key: &impl Hash) -> Option<&mut Rest> {
        // The same everywhere, since a fold is.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        if self.0.len() >= COUNTED && !self.0.contains_key(&hash) {
            return None;
        }
        Some(self.0.entry(hash).or_default())
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rest> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_stays_in_its_room_and_counts_the_rest() {
        let (mut tally, mut room) = (Tally::default(), Room::new(1000));
        for n in 0..500 {
            tally.add(&format!("code_{n}"), 2, &mut room);
        }
        tally.add("code_0", u64::MAX, &mut room);
        tally.add(&"x".repeat(LONGEST), 1, &mut Room::new(1 << 20));
        let json = serde_json::to_string(tally.by_name()).unwrap();
        assert!(json.len() <= 1000 && !tally.by_name().is_empty(), "{}", json.len());
        assert_eq!(tally.by_name()["code_0"], u64::MAX, "a sum does not overflow");
        assert_eq!(tally.others(), 2 * (500 - tally.by_name().len() as u64) + 1);
    }

    #[test]
    fn what_finds_no_room_is_told_apart_up_to_a_limit() {
        let (mut entries, mut room) = (Entries::<String, u64>::default(), Room::new(100));
        for n in (0..1000).chain(0..1000) {
            let name = format!("n{n}");
            if let Ok(value) = entries.entry(name.clone(), &name, 10, &mut room) {
                *value += 1;
            }
        }
        assert_eq!(entries.kept().len() + entries.left_out().count(), 1000);
        assert!(entries.kept().values().all(|seen| *seen == 2));
        let mut beyond = Beyond::<()>::default();
        let noted = (0..2 * COUNTED).filter(|n| beyond.note(n).is_some()).count();
        assert_eq!((noted, beyond.count()), (COUNTED, COUNTED));
    }
}
