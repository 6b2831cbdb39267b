//! Which events a reader wants. Filtering changes what is sent, never where the reader stands.

use std::borrow::Cow;

use memchr::memmem::Finder;
use serde::Deserialize;

use super::problem::Problem;
use crate::domain::StreamKind;
use crate::domain::text::printable;
use crate::event::codec::raw_type;
use crate::event::payload::console::{CONSOLE_LINE, Level, Scope};

/// Each is looked for in each event.
const MAX_TYPES: usize = 100;
/// Bytes of a text that is looked for.
pub const MAX_TEXT: usize = 500;

/// What a request says, in its words.
#[derive(Debug, Default)]
pub struct Asked {
    pub types: Option<String>,
    pub scope: Option<String>,
    pub level: Option<String>,
    pub contains: Option<String>,
}

/// All conditions must hold; the terminal event of a stream passes every filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    types: Vec<String>,
    scope: Option<Scope>,
    level: Option<Level>,
    text: Option<Finder<'static>>,
}

impl Filter {
    pub fn parse(Asked { types, scope, level, contains }: Asked) -> Result<Option<Self>, Problem> {
        let filter = Self {
            types: types.map(parse_types).transpose()?.unwrap_or_default(),
            scope: scope.map(parse_scope).transpose()?,
            level: level.map(parse_level).transpose()?,
            text: contains.map(parse_text).transpose()?,
        };
        let idle = filter.types.is_empty() && filter.scope.is_none() && filter.level.is_none() && filter.text.is_none();
        Ok((!idle).then_some(filter))
    }

    /// Whether it reads whole texts, which takes longer than to look at labels.
    pub fn searches(&self) -> bool {
        self.text.is_some()
    }

    pub fn passes(&self, kind: StreamKind, line: &[u8]) -> bool {
        let name = raw_type(line);
        if kind.is_terminal(name) {
            return true;
        }
        self.type_passes(name) && self.scope_and_level_pass(name, line) && self.text_passes(name, line)
    }

    fn type_passes(&self, name: &[u8]) -> bool {
        self.types.is_empty()
            || self.types.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix.as_bytes()),
                None => name == pattern.as_bytes(),
            })
    }

    /// Console lines carry a scope and a level; other events belong to the scope that their type begins
    /// with, and have no level.
    fn scope_and_level_pass(&self, name: &[u8], line: &[u8]) -> bool {
        if self.scope.is_none() && self.level.is_none() {
            return true;
        }
        if name != CONSOLE_LINE.as_bytes() {
            return self.scope.is_none_or(|scope| name.starts_with(scope.as_str().as_bytes()));
        }
        // An engine's own, in a shape of its own: shown rather than hidden.
        let Ok(Console { payload }) = serde_json::from_slice::<Console<Labels>>(line) else { return true };
        self.scope.is_none_or(|scope| payload.scope.as_deref() == Some(scope.as_str()))
            && self.level.is_none_or(|level| rank(payload.level.as_deref()) >= rank(Some(level.as_str())))
    }

    /// Only console lines have a text. It is taken as a terminal shows it, whatever its case, and read once from its
    /// beginning to its end, whatever is looked for.
    fn text_passes(&self, name: &[u8], line: &[u8]) -> bool {
        let Some(wanted) = &self.text else { return true };
        if name != CONSOLE_LINE.as_bytes() {
            return false;
        }
        let Ok(Console { payload }) = serde_json::from_slice::<Console<Message>>(line) else { return false };
        wanted.find(folded(&payload.message).as_bytes()).is_some()
    }
}

fn parse_types(text: String) -> Result<Vec<String>, Problem> {
    let types: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    match types.len() {
        0..=MAX_TYPES => Ok(types),
        _ => Err(Problem::invalid_query("types", "at most 100 types")),
    }
}

fn parse_scope(text: String) -> Result<Scope, Problem> {
    Scope::parse(&text).ok_or_else(|| Problem::invalid_query("scope", "build or run"))
}

fn parse_level(text: String) -> Result<Level, Problem> {
    Level::parse(&text).ok_or_else(|| Problem::invalid_query("level", "debug, info, warn or error"))
}

fn parse_text(text: String) -> Result<Finder<'static>, Problem> {
    match text.len() {
        1..=MAX_TEXT => Ok(Finder::new(&folded(&text)).into_owned()),
        _ => Err(Problem::invalid_query("contains", "1 to 500 bytes")),
    }
}

fn folded(text: &str) -> String {
    printable(text).to_lowercase()
}

#[derive(Deserialize)]
struct Console<P> {
    payload: P,
}

#[derive(Deserialize)]
struct Labels<'a> {
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
    #[serde(borrow)]
    level: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// A level that is not known, an engine's own, is shown rather than hidden.
fn rank(level: Option<&str>) -> usize {
    level.and_then(Level::parse).map_or(usize::MAX, |level| level as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn passes(types: &str, scope: &str, level: &str, line: &str) -> bool {
        let asked = Asked { types: some(types), scope: some(scope), level: some(level), contains: None };
        Filter::parse(asked).unwrap().unwrap().passes(StreamKind::RUN, line.as_bytes())
    }

    fn contains(text: &str, line: &str) -> bool {
        let asked = Asked { contains: Some(text.to_owned()), ..Asked::default() };
        Filter::parse(asked).unwrap().unwrap().passes(StreamKind::RUN, line.as_bytes())
    }

    const WARNING: &str = r#"{"type":"console.line","payload":{"scope":"build","level":"warn","message":"x"}}"#;

    #[test]
    fn types_match_whole_or_by_prefix() {
        assert!(passes("run.*,console.line", "", "", WARNING));
        assert!(!passes("run.*", "", "", WARNING));
        assert!(passes("build.phase.*", "", "", r#"{"type":"build.phase.started","payload":{}}"#));
        assert!(!passes("build.phase", "", "", r#"{"type":"build.phase.started","payload":{}}"#));
    }

    #[test]
    fn scope_and_level_speak_of_console_lines() {
        assert!(passes("", "build", "warn", WARNING));
        assert!(!passes("", "run", "", WARNING));
        assert!(!passes("", "", "error", WARNING));
        assert!(passes("", "", "error", r#"{"type":"run.started","payload":{}}"#));
        assert!(!passes("", "build", "", r#"{"type":"run.started","payload":{}}"#));
        assert!(passes("", "run", "error", r#"{"type":"console.line","payload":{"level":3}}"#));
    }

    #[test]
    fn how_many_types_are_asked_for_is_bounded() {
        let of =
            |count: usize| Filter::parse(Asked { types: Some(vec!["run.*"; count].join(",")), ..Asked::default() });
        assert!(of(MAX_TYPES).is_ok() && of(MAX_TYPES + 1).is_err());
    }

    #[test]
    fn a_text_is_looked_for_in_console_lines_as_they_are_shown() {
        let line = |message: &str| {
            format!(r#"{{"type":"console.line","payload":{{"message":{}}}}}"#, serde_json::Value::from(message))
        };
        assert!(contains("needle", &line("a NEEDLE in it")) && contains("NEEDLE", &line("needle")));
        assert!(contains("ÄÖ \"x\"", &line("äö \"x\"")), "escaped in the log, and not ASCII");
        assert!(contains("one word", &line("\u{1b}[1mone\u{1b}[0m word")) && !contains("[1m", &line("\u{1b}[1mone")));
        assert!(!contains("message", &line("x")) && !contains("needle", &line("needl e")));
        assert!(!contains("x", r#"{"type":"run.note","payload":{"message":"x"}}"#), "no console line");
        assert!(!contains("3", r#"{"type":"console.line","payload":{"message":3}}"#), "no text");
        assert!(contains("x", r#"{"type":"run.completed","payload":{}}"#), "the end passes");
    }

    #[test]
    fn a_text_that_is_looked_for_is_bounded() {
        let of = |length: usize| Filter::parse(Asked { contains: Some("x".repeat(length)), ..Asked::default() });
        assert!(of(1).is_ok() && of(MAX_TEXT).is_ok() && of(0).is_err() && of(MAX_TEXT + 1).is_err());
    }

    #[test]
    fn the_end_passes_every_filter() {
        assert!(passes("console.line", "build", "error", r#"{"type":"run.completed","payload":{}}"#));
        assert!(!passes("console.line", "", "", r#"{"type":"build.completed","payload":{}}"#));
    }
}
