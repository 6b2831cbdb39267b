//! A string that a regular expression matches. Pure.
//!
//! Lookaround and back references are beyond it. What comes out is short, and is checked by the caller.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Repetitions are taken this often beyond their least, when a string is too short.
const EXTRA: u32 = 256;
const LONGEST: usize = 10_000;
/// Characters that read well, in this order.
const PLEASANT: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

/// A match of at least `min` and at most `max` characters; other numbers give other matches, if there are any.
pub fn matching(pattern: &str, min: usize, max: usize, number: usize) -> Result<String, String> {
    let hir = regex_syntax::parse(pattern).map_err(|_| format!("the pattern {pattern} is beyond it"))?;
    let is_anchored = hir.properties().look_set_suffix().contains(Look::End);
    for extra in 0..=EXTRA {
        let mut text = String::new();
        let count = Count { extra, number };
        count.write(&hir, &mut text).ok_or_else(|| format!("the pattern {pattern} is beyond it"))?;
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

struct Count {
    extra: u32,
    number: usize,
}

impl Count {
    fn write(&self, hir: &Hir, text: &mut String) -> Option<()> {
        if text.len() > LONGEST {
            return None;
        }
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => text.push(self.pick(class)?),
            HirKind::Repetition(repetition) => self.repeat(repetition, text)?,
            HirKind::Capture(capture) => self.write(&capture.sub, text)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.write(part, text))?,
            HirKind::Alternation(parts) => self.write(&parts[self.number % parts.len()], text)?,
        }
        Some(())
    }

    fn repeat(&self, repetition: &Repetition, text: &mut String) -> Option<()> {
        let most = repetition.max.unwrap_or(u32::MAX);
        let times = repetition.min.saturating_add(self.extra).min(most);
        (0..times).try_for_each(|_| self.write(&repetition.sub, text))
    }

    fn pick(&self, class: &Class) -> Option<char> {
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
            Class::Bytes(class) => {
                class.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
            }
        };
        let is_in = |character: &char| ranges.iter().any(|(from, to)| (from..=to).contains(&character));
        let pleasant: Vec<char> = PLEASANT.chars().filter(is_in).collect();
        if pleasant.is_empty() {
            ranges.first().map(|(from, _)| *from)
        } else {
            Some(pleasant[self.number % pleasant.len()])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_beyond_it_is_said() {
        assert!(matching("^(?=.*\\d).+$", 0, 10, 0).unwrap_err().contains("beyond"));
    }
}
