//! A dialogue about the input that an execution is waiting for. Pure: lines in, prompts and an answer out.

use serde_json::{Map, Value, json};

use super::typed::{self, keys, yes_or_no};
use crate::domain::progress::{Pending, PendingKind};
use crate::domain::question::{AnswerType, Question};
use crate::domain::text::printable;
use crate::workflow::Fault;

/// What is asked, and how far the answer has come.
#[derive(Debug)]
pub struct Dialogue {
    pending: Pending,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The questions that are left, by their places, and what is answered.
    Questions {
        left: Vec<usize>,
        answers: Map<String, Value>,
    },
    Decision,
    Comment {
        accepted: bool,
    },
}

/// What follows a line.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Show the next prompt.
    Ask,
    /// Say what was wrong, and show the same prompt again.
    Again(String),
    /// Send this, as the body of an answer or of a decision.
    Send(Value),
}

/// The identity of one request for input: a step may ask again.
pub fn key(pending: &Pending) -> String {
    let document = pending.document.as_ref().map(|document| format!("{}/{}", document.document_id, document.version));
    let clarification = pending.clarification_id.map(|id| id.to_string());
    clarification.or(document).unwrap_or_else(|| name(pending))
}

/// `plan`, or `plan R-1` for an item.
pub fn name(pending: &Pending) -> String {
    let item = pending.item.as_ref().map(|item| format!(" {item}"));
    printable(&format!("{}{}", pending.step_id, item.unwrap_or_default()))
}

impl Dialogue {
    pub fn new(pending: Pending) -> Self {
        let stage = match pending.kind {
            PendingKind::Clarification => {
                let left = (0..questions(&pending).len()).collect();
                Stage::Questions { left, answers: Map::new() }
            }
            PendingKind::Acceptance => Stage::Decision,
        };
        Self { pending, stage }
    }

    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// What is asked now, in lines.
    pub fn prompt(&self) -> Vec<String> {
        match &self.stage {
            Stage::Questions { left, .. } => match left.first() {
                Some(&at) => question_lines(&questions(&self.pending)[at], at + 1, questions(&self.pending).len()),
                None => Vec::new(),
            },
            Stage::Decision => {
                let document = self.pending.document.as_ref();
                let what = document.map(|d| format!("{} version {}", d.document_type, d.version)).unwrap_or_default();
                vec![format!("Is {} of {} accepted? (yes or no)", printable(&what), name(&self.pending))]
            }
            Stage::Comment { accepted: true } => vec!["A comment? (optional)".to_owned()],
            Stage::Comment { accepted: false } => vec!["Why not? (optional; passed on to the next attempt)".to_owned()],
        }
    }

    pub fn take(&mut self, line: &str) -> Next {
        match &mut self.stage {
            Stage::Questions { left, answers } => {
                let Some(question) = left.first().map(|&at| &questions(&self.pending)[at]) else { return self.sent() };
                match typed::answer(question, line) {
                    Err(why) => return Next::Again(why),
                    Ok(None) => drop(answers.remove(&question.id)),
                    Ok(Some(value)) => drop(answers.insert(question.id.clone(), value)),
                }
                left.remove(0);
                if left.is_empty() { self.sent() } else { Next::Ask }
            }
            Stage::Decision => match yes_or_no(line) {
                Some(accepted) => {
                    self.stage = Stage::Comment { accepted };
                    Next::Ask
                }
                None => Next::Again("yes or no is expected".to_owned()),
            },
            Stage::Comment { accepted } => {
                let comment = (!line.trim().is_empty()).then(|| line.trim());
                Next::Send(json!({"accepted": *accepted, "comment": comment, "item": self.pending.item}))
            }
        }
    }

    /// Asks again for what the service refused; for everything, if it does not say what.
    pub fn refused(&mut self, faults: &[Fault]) {
        let Stage::Questions { left, .. } = &mut self.stage else {
            self.stage = Stage::Decision;
            return;
        };
        let all = questions(&self.pending);
        let is_faulty =
            |question: &Question| faults.iter().any(|fault| fault.path == format!("answers.{}", question.id));
        *left = (0..all.len()).filter(|&at| is_faulty(&all[at])).collect();
        if left.is_empty() {
            *left = (0..all.len()).collect();
        }
    }

    fn sent(&self) -> Next {
        let Stage::Questions { answers, .. } = &self.stage else { return Next::Ask };
        let Pending { item, clarification_id, .. } = &self.pending;
        Next::Send(json!({"answers": answers, "item": item, "clarification_id": clarification_id}))
    }
}

pub fn questions(pending: &Pending) -> &[Question] {
    pending.questions.as_deref().unwrap_or_default()
}

/// The question, what may be said, and what is meant by saying nothing.
pub fn question_lines(question: &Question, number: usize, of: usize) -> Vec<String> {
    let form = match question.answer_type {
        AnswerType::FreeText => None,
        AnswerType::SingleChoice => Some("one of these"),
        AnswerType::MultiChoice => Some("any of these, separated by commas"),
        AnswerType::YesNo => Some("yes or no"),
        AnswerType::Number => Some("a number"),
        AnswerType::Date => Some("a date, as 2026-01-31"),
        AnswerType::Uuid => Some("a UUID"),
        AnswerType::JsonObject => Some("a JSON object"),
    };
    let need = if question.required { "required" } else { "optional" };
    let terms: Vec<_> = form.into_iter().chain([need]).collect();
    let default = match &question.default {
        Value::Null => String::new(),
        default => format!(" [{}]", printable(&typed::shown(default))),
    };
    let head = format!("({number}/{of}) {} ({}){default}", printable(&question.text), terms.join("; "));
    let choices = question.choices.as_deref().unwrap_or_default();
    let choice = |(key, label): (String, &str)| format!("  {}) {}", printable(&key), printable(label));
    let labels = choices.iter().map(|choice| choice.label.as_str());
    std::iter::once(head).chain(keys(choices).into_iter().zip(labels).map(choice)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Asks for a text, for one of two choices, and, if one likes, for a number.
    pub fn clarification() -> Pending {
        let question = |id: &str, answer_type: &str, required: bool, more: Value| {
            let mut question = json!({
                "id": id, "text": format!("{id}?"), "intent": "To know", "priority": "must", "answer_type": answer_type,
                "required": required,
            });
            question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            question
        };
        let choices = json!({"choices": [{"value": "s", "label": "Soon"}, {"value": "l", "label": "Later"}]});
        serde_json::from_value(json!({
            "step_id": "requirements", "item": null, "kind": "clarification", "deadline": null, "document": null,
            "accepted_by": null, "clarification_id": "clar_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "questions": [
                question("Q_1", "free_text", true, json!({})),
                question("Q_2", "single_choice", true, choices),
                question("Q_3", "number", false, json!({"default": 3})),
            ],
        }))
        .unwrap()
    }

    fn acceptance() -> Pending {
        serde_json::from_value(json!({
            "step_id": "plan", "item": "R-1", "kind": "acceptance", "deadline": null, "accepted_by": [],
            "clarification_id": null, "questions": null,
            "document": {"document_id": "doc_01ARZ3NDEKTSV4RRFFQ69G5FAV", "document_type": "plan", "version": 2},
        }))
        .unwrap()
    }

    #[test]
    fn questions_are_asked_one_by_one_until_all_have_answers() {
        let mut dialogue = Dialogue::new(clarification());
        assert_eq!(dialogue.prompt(), ["(1/3) Q_1? (required)"]);
        assert_eq!(dialogue.take(""), Next::Again("an answer is required".to_owned()));
        assert_eq!(dialogue.take("us"), Next::Ask);
        assert_eq!(dialogue.prompt(), ["(2/3) Q_2? (one of these; required)", "  1) Soon", "  2) Later"]);
        assert!(matches!(dialogue.take("3"), Next::Again(_)));
        assert_eq!(dialogue.take("2"), Next::Ask);
        assert_eq!(dialogue.prompt(), ["(3/3) Q_3? (a number; optional) [3]"]);
        let expected = json!({
            "answers": {"Q_1": "us", "Q_2": "l", "Q_3": 3}, "item": null,
            "clarification_id": "clar_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        });
        assert_eq!(dialogue.take(""), Next::Send(expected));
    }

    #[test]
    fn what_the_service_does_not_take_is_asked_again() {
        let mut dialogue = Dialogue::new(clarification());
        ["us", "1", "4"].iter().for_each(|line| drop(dialogue.take(line)));
        dialogue.refused(&[Fault::new("answer_type", "answers.Q_2", "no")]);
        assert_eq!(dialogue.prompt()[0], "(2/3) Q_2? (one of these; required)");
        let Next::Send(body) = dialogue.take("later") else { panic!("it was the only one") };
        assert_eq!(body["answers"], json!({"Q_1": "us", "Q_2": "l", "Q_3": 4}));
        dialogue.refused(&[]);
        assert_eq!(dialogue.prompt(), ["(1/3) Q_1? (required)"]);
    }

    #[test]
    fn a_document_is_accepted_or_not_with_a_comment() {
        let mut dialogue = Dialogue::new(acceptance());
        assert_eq!(dialogue.prompt(), ["Is plan version 2 of plan R-1 accepted? (yes or no)"]);
        assert!(matches!(dialogue.take("perhaps"), Next::Again(_)));
        assert_eq!(dialogue.take("no"), Next::Ask);
        let expected = json!({"accepted": false, "comment": "too long", "item": "R-1"});
        assert_eq!(dialogue.take(" too long "), Next::Send(expected));
        dialogue.refused(&[]);
        assert_eq!(dialogue.take("y"), Next::Ask);
        assert_eq!(dialogue.take(""), Next::Send(json!({"accepted": true, "comment": null, "item": "R-1"})));
    }

    #[test]
    fn what_asks_again_is_something_else() {
        let (mut again, mut next) = (clarification(), acceptance());
        again.clarification_id = Some("clar_01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap());
        next.document.as_mut().unwrap().version = 3;
        assert_ne!(key(&clarification()), key(&again));
        assert_ne!(key(&acceptance()), key(&next));
    }
}
