//! The lines of a task that direct the builtin provider. Pure.

use std::time::Duration;

use super::mark::MARK;
use super::questions::{AnswerType, Question};
use crate::llm::error::ErrorKind;
use crate::llm::{ProviderError, REPLY_BYTES, Wait};

/// A set has no more.
const QUESTIONS: usize = 12;

/// What a task wants of its provider.
#[derive(Debug, Default, PartialEq)]
pub struct Directives {
    pub questions: Vec<Question>,
    pub delay: Duration,
    pub fence: bool,
    faults: Vec<(u32, Fault)>,
    odd: Vec<(u32, Odd)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Nothing but this comes.
    Error(ProviderError),
    /// The reply starts, and breaks off.
    Cut,
}

/// An unusable reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    Broken,
    Invalid,
    Truncated,
    Refusal,
    Questions,
    Large,
}

impl Directives {
    /// Every line that starts with the mark; an unknown one is an error.
    pub fn parse(task: &str) -> Result<Self, String> {
        let mut directives = Self::default();
        for line in task.lines().filter_map(|line| line.trim().strip_prefix(MARK)) {
            directives.take(line.trim()).ok_or_else(|| format!("unknown directive {:?}", line.trim()))?;
        }
        Ok(directives)
    }

    /// What goes wrong with this call, counted from 1: lines one after the other, each for its number of calls.
    pub fn fault(&self, call: u32) -> Option<Fault> {
        turn(&self.faults, call).cloned()
    }

    /// What is wrong with the reply to this attempt of the step.
    pub fn odd(&self, attempt: u32) -> Option<Odd> {
        turn(&self.odd, attempt).copied()
    }

    fn take(&mut self, line: &str) -> Option<()> {
        if let Some(question) = line.strip_prefix("ask") {
            self.questions.push(question_of(question)?);
            return (self.questions.len() <= QUESTIONS).then_some(());
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["fence"] => self.fence = true,
            ["delay", ms] => self.delay = milliseconds(ms)?,
            ["fail", kind, ref rest @ ..] => {
                let (times, after) = times_and_pause(rest)?;
                self.faults.push((times, Fault::Error(error_of(ErrorKind::parse(kind)?, after)?)));
            }
            ["cut", ref rest @ ..] => self.faults.push((times(rest)?, Fault::Cut)),
            ["reply", what, ref rest @ ..] => self.odd.push((times(rest)?, odd_of(what)?)),
            _ => return None,
        }
        Some(())
    }
}

fn turn<T>(turns: &[(u32, T)], mut number: u32) -> Option<&T> {
    for (times, what) in turns {
        if number <= *times {
            return Some(what);
        }
        number -= times;
    }
    None
}

fn times(rest: &[&str]) -> Option<u32> {
    match rest {
        [] => Some(1),
        [times] => times.parse().ok(),
        _ => None,
    }
}

fn times_and_pause(rest: &[&str]) -> Option<(u32, Option<Duration>)> {
    match rest {
        [rest @ .., "after", ms] => Some((times(rest)?, Some(milliseconds(ms)?))),
        rest => Some((times(rest)?, None)),
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

/// ` <question>`, `(<type>) <question>`, or `(<type>)? <question>`.
fn question_of(text: &str) -> Option<Question> {
    let (answer, is_required, text) = match text.strip_prefix('(') {
        None => (AnswerType::FreeText, true, text.strip_prefix(' ')?),
        Some(rest) => {
            let (answer, text) = rest.split_once(')')?;
            let optional = text.strip_prefix('?');
            (AnswerType::parse(answer)?, optional.is_none(), optional.unwrap_or(text))
        }
    };
    let text = text.trim();
    (text.trim_end_matches('?').chars().count() >= 2).then(|| Question { text: text.to_owned(), answer, is_required })
}

fn odd_of(word: &str) -> Option<Odd> {
    Some(match word {
        "broken" => Odd::Broken,
        "invalid" => Odd::Invalid,
        "truncated" => Odd::Truncated,
        "refusal" => Odd::Refusal,
        "questions" => Odd::Questions,
        "large" => Odd::Large,
        _ => return None,
    })
}

fn error_of(kind: ErrorKind, retry_after: Option<Duration>) -> Option<ProviderError> {
    let message = "as the task asked for".to_owned();
    Some(match kind {
        ErrorKind::RateLimited => ProviderError::RateLimited { retry_after, message },
        ErrorKind::Server => ProviderError::Server { status: 529, retry_after, message },
        ErrorKind::Timeout => ProviderError::Timeout { wait: Wait::Idle, limit: Duration::ZERO },
        ErrorKind::Transport => ProviderError::Transport { reason: message },
        ErrorKind::Malformed => ProviderError::Malformed { reason: message },
        ErrorKind::TooLarge => ProviderError::TooLarge { limit: REPLY_BYTES },
        ErrorKind::Refused => ProviderError::Refused { status: 400, message },
        ErrorKind::Authentication => ProviderError::Authentication { status: 401, message },
        // Nothing that a provider does.
        ErrorKind::Unanswerable | ErrorKind::Cancelled | ErrorKind::Interrupted => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_take_turns() {
        let task = "Do it.\n  builtin: fail rate_limited 2\nbuiltin: cut\nbuiltin: fail server 1 after 5\nDone.";
        let directives = Directives::parse(task).unwrap();
        let kinds: Vec<_> = (1..=5)
            .map(|call| match directives.fault(call) {
                Some(Fault::Error(error)) => error.kind().as_str(),
                Some(Fault::Cut) => "cut",
                None => "none",
            })
            .collect();
        assert_eq!(kinds, ["rate_limited", "rate_limited", "cut", "server", "none"]);
    }

    #[test]
    fn questions_have_types() {
        let question =
            |line: &str| Directives::parse(&format!("builtin: {line}")).map(|mut all| all.questions.remove(0));
        let plain = question("ask What is it?").unwrap();
        assert_eq!((plain.text.as_str(), plain.answer, plain.is_required), ("What is it?", AnswerType::FreeText, true));
        let number = question("ask(number)? How many").unwrap();
        assert_eq!((number.answer, number.is_required), (AnswerType::Number, false));
        let choice = question("ask(multi_choice: a b, c) Which?").unwrap();
        assert_eq!(choice.answer, AnswerType::MultiChoice(vec!["a b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        for line in [
            "",
            "explode",
            "ask",
            "ask ",
            "ask ?",
            "asking price?",
            "ask(colour) Which?",
            "ask(single_choice:) Which?",
            "ask(number How many?",
            "fail",
            "fail often",
            "fail cancelled",
            "fail server many",
            "fail server 1 2",
            "fail server 1 after soon",
            "delay",
            "delay 5s",
            "cut 1 2",
            "reply",
            "reply loud",
            "fence off",
        ] {
            assert!(Directives::parse(&format!("builtin: {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn a_set_has_at_most_twelve_questions() {
        assert!(Directives::parse(&"builtin: ask Why?\n".repeat(12)).is_ok());
        assert!(Directives::parse(&"builtin: ask Why?\n".repeat(13)).is_err());
    }

    #[test]
    fn a_task_without_directives_has_none() {
        assert_eq!(Directives::parse("Write about builtin: things\nand more"), Ok(Directives::default()));
    }
}
