//! What installers say: how serious a line is, and which of their last lines is the reason of a failure.

use std::collections::VecDeque;

use crate::event::payload::build::Phase;
use crate::event::payload::console::{Level, Pipe};

/// How lines begin that tell of an error.
const ERRORS: &[&str] = &["error:", "ERROR:", "fatal:", "×"];
/// Of a line that is kept for an error.
const KEPT: usize = 2000;
/// Of a reason, in characters.
const REASON: usize = 600;
/// A reason may go on for this many lines.
const MORE: usize = 6;

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    Installer,
    /// A package that was installed, when it is tried.
    Package,
}

impl Speaker {
    /// Who speaks while a phase's own work is done.
    pub fn of(phase: Phase) -> Self {
        match phase {
            Phase::VerifyImports | Phase::CollectMetadata => Self::Package,
            _ => Self::Installer,
        }
    }
}

/// Installers write their progress to stderr, so there the pipe says nothing.
pub fn level(speaker: Speaker, pipe: Pipe, line: &str) -> Level {
    let line = line.trim_start();
    let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    match pipe {
        Pipe::Stdout => Level::Info,
        Pipe::Stderr if begins(ERRORS) => Level::Error,
        Pipe::Stderr if begins(&["warning:", "WARNING:", "DEPRECATION:"]) => Level::Warn,
        Pipe::Stderr if speaker == Speaker::Package => pipe.default_level(),
        Pipe::Stderr => Level::Info,
    }
}

/// The beginning of a line that may be long.
pub fn kept(line: &str) -> String {
    cut(line, KEPT)
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The last thing that is called an error, with the lines that go on with it; else whatever was said last.
pub fn reason(lines: &VecDeque<String>) -> Option<String> {
    let Some(at) = lines.iter().rposition(|line| error_of(line).is_some()) else {
        let last = lines.iter().rfind(|line| !line.trim().is_empty())?;
        return Some(cut(last.trim(), REASON));
    };
    let first = lines.get(at).and_then(|line| error_of(line))?.trim();
    let goes_on = |line: &&String| line.starts_with([' ', '\t', '╰', '│']);
    let rest = lines.iter().skip(at + 1).take_while(goes_on).take(MORE);
    let rest = rest.map(|line| line.trim_start_matches([' ', '\t', '╰', '─', '▶', '│', '├']).trim());
    let words: Vec<&str> = std::iter::once(first).chain(rest).filter(|text| !text.is_empty()).collect();
    Some(cut(&words.join(" "), REASON)).filter(|reason| !reason.is_empty())
}

/// What is called an error in a line.
fn error_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ERRORS.iter().find_map(|word| line.strip_prefix(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_is_no_warning() {
        let cases = [
            (Speaker::Installer, " + openpyxl==3.1.5", Level::Info),
            (Speaker::Installer, "warning: Failed to hardlink files", Level::Warn),
            (Speaker::Installer, "  WARNING: Retrying", Level::Warn),
            (Speaker::Installer, "error: Failed to fetch", Level::Error),
            (Speaker::Installer, "  × No solution found", Level::Error),
            (Speaker::of(Phase::CreateVenv), "Using CPython 3.11.7", Level::Info),
            (Speaker::of(Phase::VerifyImports), "Traceback (most recent call last):", Level::Warn),
        ];
        for (speaker, line, expected) in cases {
            assert_eq!(level(speaker, Pipe::Stderr, line), expected, "{line}");
            assert_eq!(level(speaker, Pipe::Stdout, line), Level::Info);
        }
    }

    fn reason_of(text: &str) -> Option<String> {
        reason(&text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn the_reason_is_what_the_installer_calls_an_error() {
        let uv = "Resolved 3 packages\n  × No solution found when resolving dependencies:\n  ╰─▶ Because ade-engine==99\n\
                  \x20     was not found, your requirements are unsatisfiable.";
        let told = "No solution found when resolving dependencies: Because ade-engine==99 was not found, your \
                    requirements are unsatisfiable.";
        assert_eq!(reason_of(uv).as_deref(), Some(told));
        let caused = "error: Failed to fetch: `https://x`\n  Caused by: dns error";
        assert_eq!(reason_of(caused).as_deref(), Some("Failed to fetch: `https://x` Caused by: dns error"));
        let pip = "ERROR: Could not find a version\nERROR: No matching distribution found for x\n\n[notice] pip";
        assert_eq!(reason_of(pip).as_deref(), Some("No matching distribution found for x"));
        let python = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'y'\n\n";
        assert_eq!(reason_of(python).as_deref(), Some("ModuleNotFoundError: No module named 'y'"));
        assert_eq!((reason_of("\n \n"), reason_of("error:")), (None, None));
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(kept(&"ä".repeat(KEPT + 1)).chars().count(), KEPT + 1);
        assert!(reason_of(&format!("error: {}", "x".repeat(100_000))).unwrap().len() < 700);
    }
}
