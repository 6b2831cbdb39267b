//! JSON objects of which only the requested members are parsed.
//!
//! Invariant: a member that is not requested does not matter, whatever is in it. One that is null, or of another type than
//! the requested one, is absent.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::Text;

/// More tokens than any call takes: what is beyond is no count, and sums of counts stay within bounds.
const MOST: f64 = 1e9;

pub struct Members<'a>(HashMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// Why it is none, otherwise.
    pub fn parse(json: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).map(Self)
    }

    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get()).filter(|value| *value != "null")
    }

    fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    pub fn members(&self, name: &str) -> Option<Self> {
        self.read(name).map(Self)
    }

    /// The elements of a list, as they are written.
    pub fn list(&self, name: &str) -> Vec<&'a str> {
        self.read::<Vec<&RawValue>>(name).unwrap_or_default().into_iter().map(RawValue::get).collect()
    }

    /// A text that is not empty.
    pub fn text(&self, name: &str) -> Option<Text> {
        self.read(name).filter(|text: &Text| !text.is_empty())
    }

    /// As [`Self::text`], of those that have no halves of surrogate pairs.
    pub fn word(&self, name: &str) -> Option<String> {
        self.read(name).filter(|word: &String| !word.trim().is_empty())
    }

    /// A whole number from 0, also as `7.0` or `"7"`.
    pub fn count(&self, name: &str) -> Option<u64> {
        let json = self.raw(name)?;
        let number: f64 =
            json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json).parse().ok()?;
        ((0.0..=MOST).contains(&number) && number.fract() == 0.0).then_some(number as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_another_type_is_absent() {
        let json = r#"{"a": null, "b": [1], "c": {"d": "e"}, "f": "", "g": "x", "h": "\ud83d", "\u0069": 7}"#;
        let members = Members::parse(json).unwrap();
        assert_eq!((members.raw("a"), members.raw("b"), members.raw("z")), (None, Some("[1]"), None));
        assert_eq!((members.list("b"), members.list("c"), members.list("a")), (vec!["1"], vec![], vec![]));
        assert_eq!(members.members("c").and_then(|inner| inner.word("d")).as_deref(), Some("e"));
        assert!(members.members("b").is_none() && members.text("b").is_none() && members.text("f").is_none());
        assert_eq!((members.word("g").as_deref(), members.word("h")), (Some("x"), None));
        assert!(members.text("h").is_some());
        assert_eq!(members.count("i"), Some(7), "names may be escaped");
        for json in ["", "7", "[]", "null", "{"] {
            assert!(Members::parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn counts_are_whole_and_bounded() {
        for (json, expected) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("\"7\"", Some(7)),
            ("1e3", Some(1_000)),
            ("-0", Some(0)),
            ("-1", None),
            ("7.5", None),
            ("\"NaN\"", None),
            ("\"inf\"", None),
            ("\"\"", None),
            ("\"", None),
            ("1e300", None),
            ("9223372036854775807", None),
            ("true", None),
            ("null", None),
        ] {
            let json = format!(r#"{{"n": {json}}}"#);
            assert_eq!(Members::parse(&json).ok().and_then(|members| members.count("n")), expected, "{json}");
        }
    }
}
