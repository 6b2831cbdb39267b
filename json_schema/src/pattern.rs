//! A string that a regular expression matches. Pure.
//!
//! Lookaround and back references are not supported. The result is short, and is checked by the caller.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::work::Work;

/// Repetitions are taken this often beyond their least, when a string is too short.
const EXTRA: u32 = 256;
const LONGEST: usize = 10_000;
/// What it takes to read one character of a pattern.
const PARSED: usize = 20;
/// Characters that read well, in this order.
const PLEASANT: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

/// A match of at least `min` and at most `max` characters; other numbers give other matches, if there are any.
pub fn matching(pattern: &str, min: usize, max: usize, number: usize, work: &Work) -> Result<String, String> {
    work.spend(pattern.len().saturating_mul(PARSED))?;
    let hir = regex_syntax::parse(pattern).map_err(|_| format!("unsupported pattern {pattern}"))?;
    let is_anchored = hir.properties().look_set_suffix().contains(Look::End);
    for extra in 0..=EXTRA {
        let mut text = String::new();
        let count = Count { extra, number, work };
        count.write(&hir, &mut text)?.ok_or_else(|| format!("unsupported pattern {pattern}"))?;
        let mut length = text.chars().count();
        if !is_anchored && length < min && extra == EXTRA {
            text.push_str(&"x".repeat(min - length));
            length = min;
        }
        if (min..=max).contains(&length) {
            return Ok(text);
        }
    }
    Err(format!("no match of the pattern {pattern} with {min} to {max} characters was found"))
}

struct Count<'a> {
    extra: u32,
    number: usize,
    work: &'a Work,
}

impl Count<'_> {
    /// None of what is beyond it; an error when there was too much to do.
    fn write(&self, hir: &Hir, text: &mut String) -> Result<Option<()>, String> {
        self.work.spend(1)?;
        if text.len() > LONGEST {
            return Ok(None);
        }
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(literal) => text.push_str(literal),
                Err(_) => return Ok(None),
            },
            HirKind::Class(class) => match self.pick(class)? {
                Some(character) => text.push(character),
                None => return Ok(None),
            },
            HirKind::Repetition(repetition) => return self.repeat(repetition, text),
            HirKind::Capture(capture) => return self.write(&capture.sub, text),
            HirKind::Concat(parts) => return self.all(parts.iter(), text),
            HirKind::Alternation(parts) => return self.write(&parts[self.number % parts.len()], text),
        }
        Ok(Some(()))
    }

    fn all<'h>(&self, mut parts: impl Iterator<Item = &'h Hir>, text: &mut String) -> Result<Option<()>, String> {
        let stopped =
            parts.find_map(|part| self.write(part, text).map(|done| done.is_none().then_some(())).transpose());
        stopped.transpose().map(|stopped| stopped.is_none().then_some(()))
    }

    fn repeat(&self, repetition: &Repetition, text: &mut String) -> Result<Option<()>, String> {
        let most = repetition.max.unwrap_or(u32::MAX);
        let times = repetition.min.saturating_add(self.extra).min(most);
        self.all((0..times).map(|_| &*repetition.sub), text)
    }

    fn pick(&self, class: &Class) -> Result<Option<char>, String> {
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
            Class::Bytes(class) => {
                class.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
            }
        };
        self.work.spend(PLEASANT.len() + ranges.len())?;
        let is_in = |character: &char| ranges.iter().any(|(from, to)| (from..=to).contains(&character));
        let pleasant: Vec<char> = PLEASANT.chars().filter(is_in).collect();
        Ok(match pleasant.as_slice() {
            [] => ranges.first().map(|(from, _)| *from),
            pleasant => Some(pleasant[self.number % pleasant.len()]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(pattern: &str, min: usize, max: usize, number: usize) -> Result<String, String> {
        super::matching(pattern, min, max, number, &Work::new())
    }

    #[test]
    fn a_match_matches() {
        for pattern in [
            "^[a-z][a-z0-9_-]{0,63}$",
            "^[A-Z]{3}-\\d{4}$",
            "^(red|green|blue)$",
            "^v\\d+\\.\\d+(\\.\\d+)?$",
            "colou?r",
            "^\\S+@\\S+\\.[a-z]{2,}$",
            "^#[0-9a-fA-F]{6}$",
            "^$",
            "^[^a-z]+$",
            "\\p{Lu}x",
        ] {
            for number in 0..4 {
                let text = matching(pattern, 0, 100, number).unwrap();
                let schema = serde_json::json!({"pattern": pattern});
                assert!(jsonschema::is_valid(&schema, &serde_json::json!(text)), "{pattern}: {text:?}");
            }
        }
    }

    #[test]
    fn lengths_are_kept() {
        assert_eq!(matching("^[a-z]+$", 5, 9, 0), Ok("aaaaa".to_owned()));
        assert_eq!(matching("abc", 5, 9, 0), Ok("abcxx".to_owned()));
        assert!(matching("^abc$", 5, 9, 0).is_err());
        assert!(matching("^a{10}$", 0, 9, 0).is_err());
        assert!(matching("^a{1000}{1000}$", 0, 9, 0).is_err());
    }

    #[test]
    fn repetitions_of_nothing_end() {
        for pattern in ["^((((a{0}){1000}){1000}){1000}){1000}$", "^(((\\b){1000}){1000}){1000}$"] {
            assert!(matching(pattern, 5, 9, 0).is_err());
        }
    }

    #[test]
    fn an_unsupported_pattern_is_reported() {
        assert!(matching("^(?=.*\\d).+$", 0, 10, 0).unwrap_err().contains("unsupported"));
    }
}
