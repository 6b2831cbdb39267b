//! Text as JSON can carry it, and made whole.
//!
//! Invariant: JSON may escape halves of surrogate pairs, and servers split texts between them. Halves that meet are joined,
//! over any number of pieces; a half that stays alone becomes U+FFFD. Everything else is as it came.

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A string of JSON: UTF-8 in which halves of surrogate pairs may stand alone (WTF-8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Both, one behind the other.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `serde_json` checks for lone halves only where text is asked for.
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Text;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
        Ok(Text(bytes.to_vec()))
    }
}

/// Joins the pieces of a text.
#[derive(Debug, Default)]
pub struct Joiner {
    /// The first half of a pair, at the end of what has come.
    first_half: Option<u16>,
}

impl Joiner {
    /// The next piece, with what was kept back of the one before.
    pub fn join(&mut self, piece: Text) -> String {
        let is_plain = self.first_half.is_none() && !piece.0.windows(2).any(is_half);
        if is_plain {
            return lossy(piece.0);
        }
        let mut joined = String::new();
        let mut rest = &piece.0[..];
        while !rest.is_empty() {
            let (text, halves) = rest.split_at(rest.windows(2).position(is_half).unwrap_or(rest.len()));
            if !text.is_empty() {
                self.end(&mut joined);
                joined.push_str(&String::from_utf8_lossy(text));
            }
            let (half, behind) = halves.split_at(halves.len().min(3));
            if let [_, high, low] = *half {
                self.add(0xD000 | u16::from(high & 0x3F) << 6 | u16::from(low & 0x3F), &mut joined);
            }
            rest = behind;
        }
        joined
    }

    /// What was kept back when nothing more comes.
    pub fn finish(&mut self) -> String {
        let mut rest = String::new();
        self.end(&mut rest);
        rest
    }

    fn add(&mut self, half: u16, joined: &mut String) {
        let pair = self.first_half.map(|first| char::decode_utf16([first, half]).next());
        match pair {
            Some(Some(Ok(character))) => {
                self.first_half = None;
                joined.push(character);
            }
            _ => {
                self.end(joined);
                match half {
                    0xD800..=0xDBFF => self.first_half = Some(half),
                    _ => joined.push(char::REPLACEMENT_CHARACTER),
                }
            }
        }
    }

    /// Nothing will complete the first half.
    fn end(&mut self, joined: &mut String) {
        if self.first_half.take().is_some() {
            joined.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// The first byte of half a pair. No character does: `ED` is followed by at most `9F` in UTF-8.
fn is_half(bytes: &[u8]) -> bool {
    bytes[0] == 0xED && bytes[1] >= 0xA0
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(json: &str) -> Text {
        serde_json::from_str(&format!("\"{json}\"")).unwrap()
    }

    #[test]
    fn only_strings_are_texts() {
        for json in ["7", "null", "true", "[65]", "{}"] {
            assert!(serde_json::from_str::<Text>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn pieces_join_to_what_the_units_say(units in proptest::collection::vec(any::<u16>(), 0..30), cuts in proptest::collection::vec(any::<bool>(), 30)) {
            let expected = String::from_utf16_lossy(&units);
            let (mut joiner, mut joined, mut piece) = (Joiner::default(), String::new(), String::new());
            for (unit, is_cut) in units.iter().zip(cuts) {
                piece.push_str(&format!("\\u{unit:04x}"));
                if is_cut {
                    joined.push_str(&joiner.join(text(&std::mem::take(&mut piece))));
                }
            }
            joined.push_str(&joiner.join(text(&piece)));
            joined.push_str(&joiner.finish());
            prop_assert_eq!(joined, expected);
        }
    }
}
