//! What JSON says, as it is written.
//!
//! A parser keeps a number as 64 bits, the last of two equal keys, and nothing of how deep it had to go. Law: what would
//! be stored otherwise than it was sent is found here first, with its place ([`check`]); so is what some parsers cannot
//! read at all, in text that is passed on as it is ([`check_readable`]).

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::IgnoredAny;

/// Arrays and objects within each other. Many parsers give up at 128, and an answer wraps what it carries.
pub const MAX_DEPTH: usize = 100;

/// Why JSON would not be kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Such as `content.rows[3].price`; empty for the whole.
    pub path: String,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error("{0}")]
    Syntax(String),
    #[error("the number {0} cannot be kept exactly; send it as a string")]
    Number(String),
    #[error("the key is given twice")]
    DuplicateKey,
    #[error("the text holds half of a surrogate pair")]
    Surrogate,
    #[error("the text holds a NUL character, which no database keeps")]
    Nul,
    #[error("arrays and objects are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// The place behind the string that begins at `at`.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(step) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += step;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

/// The first place where a parser would keep something else than what is written.
pub fn check(json: &[u8]) -> Result<(), Fault> {
    let whole = |kind| Fault { path: String::new(), kind };
    let text = std::str::from_utf8(json).map_err(|error| whole(FaultKind::Syntax(error.to_string())))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| whole(FaultKind::Syntax(error.to_string())))?;
    Walk::over(text, Demand::Exact)
}

/// The first place where some parser fails: half of a surrogate pair, a number that no `f64` can hold, too many levels.
/// The JSON is known to be well formed.
pub fn check_readable(json: &str) -> Result<(), Fault> {
    Walk::over(json, Demand::Readable)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// A parser keeps what is written.
    Exact,
    /// A parser can read it.
    Readable,
}

/// Goes through JSON that is known to be well formed, without recursion.
struct Walk<'a> {
    text: &'a str,
    demand: Demand,
    at: usize,
    levels: Vec<Level<'a>>,
}

enum Level<'a> {
    Array { index: usize },
    Object { key: Cow<'a, str>, seen: HashSet<Cow<'a, str>>, is_key_next: bool },
}

impl<'a> Walk<'a> {
    fn over(text: &'a str, demand: Demand) -> Result<(), Fault> {
        let mut walk = Self { text, demand, at: 0, levels: Vec::new() };
        walk.run().map_err(|kind| Fault { path: walk.path(), kind })
    }

    fn run(&mut self) -> Result<(), FaultKind> {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'{' => self.open(Level::Object { key: "".into(), seen: HashSet::new(), is_key_next: true })?,
                b'[' => self.open(Level::Array { index: 0 })?,
                b'}' | b']' => {
                    self.levels.pop();
                    self.at += 1;
                }
                b',' => self.next_member(),
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn open(&mut self, level: Level<'a>) -> Result<(), FaultKind> {
        if self.levels.len() == MAX_DEPTH {
            return Err(FaultKind::TooDeep);
        }
        self.levels.push(level);
        self.at += 1;
        Ok(())
    }

    fn next_member(&mut self) {
        match self.levels.last_mut() {
            Some(Level::Array { index }) => *index += 1,
            Some(Level::Object { is_key_next, .. }) => *is_key_next = true,
            None => {}
        }
        self.at += 1;
    }

    fn string(&mut self) -> Result<(), FaultKind> {
        let end = end_of_string(self.text.as_bytes(), self.at);
        let token = &self.text[self.at..end];
        self.at = end;
        let text: Result<Cow<'a, str>, _> = match token.contains('\\') {
            true => serde_json::from_str::<String>(token).map(Cow::Owned),
            false => Ok(Cow::Borrowed(&token[1..token.len() - 1])),
        };
        // Well formed as it is, nothing else can be wrong with it.
        let text = text.map_err(|_| FaultKind::Surrogate)?;
        if let Some(Level::Object { key, seen, is_key_next }) = self.levels.last_mut()
            && std::mem::take(is_key_next)
        {
            *key = text.clone();
            if self.demand == Demand::Exact && !seen.insert(text.clone()) {
                return Err(FaultKind::DuplicateKey);
            }
        }
        if self.demand == Demand::Exact && text.contains('\0') { Err(FaultKind::Nul) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), FaultKind> {
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let token = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        self.at += token.len();
        let fits = match self.demand {
            Demand::Exact => is_kept(token),
            Demand::Readable => token.parse::<f64>().is_ok_and(f64::is_finite),
        };
        if fits { Ok(()) } else { Err(FaultKind::Number(super::text::clipped(token, 60))) }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.levels {
            match level {
                Level::Array { index } => path.push_str(&format!("[{index}]")),
                Level::Object { key, .. } => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(key);
                }
            }
        }
        path
    }
}

/// Whether the number has the same value when it is written again.
fn is_kept(token: &str) -> bool {
    if token.parse::<u64>().is_ok() || token.parse::<i64>().is_ok() {
        return true;
    }
    // Of two decimals that stand for one `f64` only that one is kept which is written for it.
    let written = token.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(|number| number.to_string());
    written.is_some_and(|written| Decimal::of(token) == Decimal::of(&written))
}

/// A decimal number by its value: `0.10` and `1e-1` are equal.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Without zeros at either end.
    digits: String,
    /// Of the last digit.
    exponent: i128,
}

impl Decimal {
    fn of(token: &str) -> Option<Self> {
        let (negative, token) = token.strip_prefix('-').map_or((false, token), |rest| (true, rest));
        let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let zeros = digits.len() - digits.trim_end_matches('0').len();
        let exponent: i128 = exponent.parse().ok()?;
        let exponent = exponent.checked_sub(fraction.len() as i128)?.checked_add(zeros as i128)?;
        Some(Self { negative, digits: significant.to_owned(), exponent })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn fault(json: &str) -> Option<(String, FaultKind)> {
        check(json.as_bytes()).err().map(|fault| (fault.path, fault.kind))
    }

    #[test]
    fn a_number_that_would_change_is_found_with_its_place() {
        for kept in [
            "0",
            "-0",
            "1.10",
            "1e2",
            "-1E+2",
            "0.30000000000000004",
            "18446744073709551615",
            "-9223372036854775808",
            "1e23",
            "100000000000000000000000",
            "5e-324",
            "0e999999999999",
            "0.000",
            "1.7976931348623157e308",
        ] {
            assert_eq!(fault(kept), None, "{kept}");
        }
        for changed in [
            "993662517056908.25",
            "12345678901234567890123",
            "0.100000000000000000000000000001",
            "3.141592653589793238",
            "1e-400",
            "18446744073709551617",
        ] {
            let json = format!(r#"{{"a":[1,{{"b c":{changed}}}]}}"#);
            assert_eq!(fault(&json), Some(("a[1].b c".into(), FaultKind::Number(changed.into()))), "{changed}");
        }
        assert!(matches!(fault("1e400"), Some((_, FaultKind::Number(_) | FaultKind::Syntax(_)))));
    }

    #[test]
    fn a_key_given_twice_is_found_however_it_is_spelled() {
        assert_eq!(fault(r#"{"a":{"x":1,"y":{"x":2}},"x":3}"#), None);
        assert_eq!(fault(r#"{"a":[{"x":1,"\u0078":2}]}"#), Some(("a[0].x".into(), FaultKind::DuplicateKey)));
        assert_eq!(fault(r#"[{"":1,"":2}]"#), Some(("[0].".into(), FaultKind::DuplicateKey)));
    }

    #[test]
    fn half_a_pair_and_too_many_levels_are_found() {
        assert_eq!(fault(r#"{"t":"\ud83d\ude00"}"#), None);
        assert_eq!(fault(r#"{"t":["\ud83d"]}"#), Some(("t[0]".into(), FaultKind::Surrogate)));
        assert_eq!(fault(r#"{"t":["a\u0000"]}"#), Some(("t[0]".into(), FaultKind::Nul)));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(fault(&nested(MAX_DEPTH)), None);
        assert_eq!(fault(&nested(MAX_DEPTH + 1)).unwrap().1, FaultKind::TooDeep);
        assert_eq!(fault(&format!(r#"["{}\"{}"]"#, "[".repeat(500), "{".repeat(500))), None);
    }

    #[test]
    fn what_some_parser_cannot_read_is_found_and_nothing_else() {
        let fault = |json: &str| check_readable(json).err().map(|fault| (fault.path, fault.kind));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for readable in [
            r#"{"k":[18446744073709551617,1e-400,"\u0000\ud83d\ude00"],"k":0.1000000000000000000001}"#,
            &nested(MAX_DEPTH),
        ] {
            assert_eq!(fault(readable), None, "{readable}");
        }
        assert_eq!(fault(r#"{"t":["\ud83d"]}"#), Some(("t[0]".into(), FaultKind::Surrogate)));
        assert_eq!(fault(r#"{"t":{"\uDC00":1}}"#), Some(("t.".into(), FaultKind::Surrogate)));
        assert_eq!(fault(r#"{"n":[1,-1E400]}"#), Some(("n[1]".into(), FaultKind::Number("-1E400".into()))));
        assert_eq!(fault(&nested(100_000)).unwrap().1, FaultKind::TooDeep);
    }

    #[test]
    fn what_is_no_json_is_said() {
        for json in ["", "{", "[1,]", "nul", "\"\u{1}\""] {
            assert!(matches!(fault(json), Some((path, FaultKind::Syntax(_))) if path.is_empty()), "{json}");
        }
        assert!(matches!(check(b"\"\xff\"").unwrap_err().kind, FaultKind::Syntax(_)));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[^\0]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map("[^\0]*", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_parser_has_written_is_kept(value in value()) {
            prop_assert_eq!(check(value.to_string().as_bytes()), Ok(()));
        }
    }
}
