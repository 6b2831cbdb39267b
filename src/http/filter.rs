//! Which events a reader wants. Filtering changes what is sent, never where the reader stands.

use std::borrow::Cow;

use serde::Deserialize;

use super::problem::Problem;
use crate::domain::StreamKind;
use crate::event::codec::raw_type;
use crate::event::payload::console::{Level, Scope};

/// Each is looked for in each event.
const MAX_TYPES: usize = 100;

/// All conditions must hold; the terminal event of a stream passes every filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    types: Vec<String>,
    scope: Option<Scope>,
    level: Option<Level>,
}

impl Filter {
    pub fn parse(types: Option<String>, scope: Option<String>, level: Option<String>) -> Result<Option<Self>, Problem> {
        let types = types
            .map(|text| text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect());
        if types.as_ref().is_some_and(|types: &Vec<String>| types.len() > MAX_TYPES) {
            return Err(Problem::invalid_query("types", "at most 100 types"));
        }
        let scope = scope
            .map(|text| Scope::parse(&text).ok_or_else(|| Problem::invalid_query("scope", "build or run")))
            .transpose()?;
        let level = level
            .map(|text| {
                Level::parse(&text).ok_or_else(|| Problem::invalid_query("level", "debug, info, warn or error"))
            })
            .transpose()?;
        let filter = Self { types: types.unwrap_or_default(), scope, level };
        let idle = filter.types.is_empty() && filter.scope.is_none() && filter.level.is_none();
        Ok((!idle).then_some(filter))
    }

    pub fn passes(&self, kind: StreamKind, line: &[u8]) -> bool {
        let name = raw_type(line);
        if kind.is_terminal(name) {
            return true;
        }
        self.type_passes(name) && self.scope_and_level_pass(name, line)
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
        if name != b"console.line" {
            return self.scope.is_none_or(|scope| name.starts_with(scope.as_str().as_bytes()));
        }
        // An engine's own, in a shape of its own: shown rather than hidden.
        let Ok(Console { payload }) = serde_json::from_slice(line) else { return true };
        self.scope.is_none_or(|scope| payload.scope.as_deref() == Some(scope.as_str()))
            && self.level.is_none_or(|level| rank(payload.level.as_deref()) >= rank(Some(level.as_str())))
    }
}

#[derive(Deserialize)]
struct Console<'a> {
    #[serde(borrow)]
    payload: Labels<'a>,
}

#[derive(Deserialize)]
struct Labels<'a> {
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
    #[serde(borrow)]
    level: Option<Cow<'a, str>>,
}

/// A level that is not known, an engine's own, is shown rather than hidden.
fn rank(level: Option<&str>) -> usize {
    level.and_then(Level::parse).map_or(usize::MAX, |level| level as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(types: &str, scope: &str, level: &str, line: &str) -> bool {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let filter = Filter::parse(some(types), some(scope), some(level)).unwrap().unwrap();
        filter.passes(StreamKind::RUN, line.as_bytes())
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
        let of = |count: usize| Filter::parse(Some(vec!["run.*"; count].join(",")), None, None);
        assert!(of(MAX_TYPES).is_ok() && of(MAX_TYPES + 1).is_err());
    }

    #[test]
    fn the_end_passes_every_filter() {
        assert!(passes("console.line", "build", "error", r#"{"type":"run.completed","payload":{}}"#));
        assert!(!passes("console.line", "", "", r#"{"type":"build.completed","payload":{}}"#));
    }
}
