//! Words for documents, taken from what was asked. Pure.

use json_schema::Filling as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::mark::is_directive;
use crate::llm::Request;

/// Strings longer than this are no titles, and are not repeated.
const FACT_CHARS: usize = 160;
const FACTS: usize = 64;
const SUBJECT_CHARS: usize = 80;
/// Members whose text names a thing.
const NAMES: [&str; 5] = ["title", "name", "subject", "heading", "summary"];

/// What a document may speak of.
#[derive(Debug)]
pub struct Material {
    subject: String,
    facts: Vec<String>,
    /// Of the whole task, so that other tasks get other words.
    seed: u64,
}

impl Material {
    pub fn of(request: &Request) -> Self {
        let mut gathered = Gathered::default();
        for message in &request.messages {
            for block in fenced(&message.text).filter(|block| Some(block) != request.context.schema.as_ref()) {
                gathered.walk(None, &block);
            }
        }
        let task = request.context.task.lines().map(str::trim).find(|line| !line.is_empty() && !is_directive(line));
        let task = task.unwrap_or("untitled").trim_end_matches(['.', ':']);
        Self {
            subject: cut(gathered.title.as_deref().unwrap_or(task), SUBJECT_CHARS),
            facts: if gathered.facts.is_empty() { vec![cut(task, FACT_CHARS)] } else { gathered.facts },
            seed: hash(&format!("{}\n{}", request.system, request.context.task)),
        }
    }

    pub fn subject(&self) -> &str {
        &self.subject
    }

    fn fact(&self, of: &str) -> &str {
        let count = u64::try_from(self.facts.len()).expect("a few dozen");
        let at = usize::try_from(self.number(of) % count).expect("less than a few dozen");
        &self.facts[at]
    }
}

impl json_schema::Filling for Material {
    /// A number that depends on the task and on nothing else.
    fn number(&self, of: &str) -> u64 {
        self.seed ^ hash(of)
    }

    /// A text for a place in a document; `path` is its members' names and numbers from the outside in.
    fn text(&self, path: &[String]) -> String {
        let number = path.last().and_then(|last| last.parse::<usize>().ok()).map(|number| number + 1);
        let Some(name) = path.iter().rev().find(|part| part.parse::<usize>().is_err()) else {
            return self.subject.clone();
        };
        let suffix = number.map(|number| format!(" {number}")).unwrap_or_default();
        if NAMES[..4].contains(&name.as_str()) {
            let within = path.iter().rev().skip(1).find_map(|part| part.parse::<usize>().ok());
            let suffix = within.map_or(suffix, |number| format!(", part {}", number + 1));
            return format!("{}{suffix}", self.subject);
        }
        format!("{}{suffix}: {}", words(name), self.fact(&path.join("/")))
    }

    fn uuid(&self, path: &[String]) -> String {
        uuid(&format!("{}/{}", self.subject, path.join("/")))
    }
}

#[derive(Default)]
struct Gathered {
    title: Option<String>,
    facts: Vec<String>,
}

impl Gathered {
    fn walk(&mut self, name: Option<&str>, value: &Value) {
        match value {
            Value::String(text) => self.take(name, text),
            Value::Array(items) => items.iter().for_each(|item| self.walk(name, item)),
            Value::Object(members) => members.iter().for_each(|(name, member)| self.walk(Some(name), member)),
            _ => {}
        }
    }

    fn take(&mut self, name: Option<&str>, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() || text.chars().count() > FACT_CHARS || self.facts.len() >= FACTS {
            return;
        }
        if self.title.is_none() && name.is_some_and(|name| NAMES.contains(&name)) {
            self.title = Some(text.clone());
        }
        self.facts.push(text);
    }
}

/// The JSON values in fenced blocks.
fn fenced(text: &str) -> impl Iterator<Item = Value> {
    text.split("```").skip(1).step_by(2).filter_map(|block| {
        let body = block.strip_prefix("json").unwrap_or(block);
        serde_json::from_str(body.trim()).ok()
    })
}

/// `acceptance_criteria` as `Acceptance criteria`.
fn words(name: &str) -> String {
    let spaced = name.replace(['_', '-'], " ");
    let mut characters = spaced.trim().chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// At most so many characters, whole words if there are several.
pub fn cut(text: &str, most: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(most) else { return text.to_owned() };
    let text = &text[..end];
    let text = text.rsplit_once(' ').map_or(text, |(words, _)| words);
    text.trim_end().to_owned()
}

/// A UUID that is made of a text (version 8: of a form of one's own).
pub fn uuid(text: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::{Context, Message};

    fn material(task: &str, prompt: &str, schema: Option<Value>) -> Material {
        let request = Request {
            system: String::new(),
            messages: vec![Message::user(prompt)],
            model: String::new(),
            max_tokens: 1,
            temperature: None,
            timeout: None,
            context: Context { task: task.to_owned(), schema, ..Context::default() },
        };
        Material::of(&request)
    }

    #[test]
    fn a_document_speaks_of_its_inputs() {
        let prompt = "Do.\n```json\n{\"goals\": [\"Safe crossing\"], \"title\": \"Bridge\"}\n```\nmore ```x``` text";
        let material = material("Do.", prompt, None);
        assert_eq!(material.subject(), "Bridge");
        assert_eq!(material.text(&["title".to_owned()]), "Bridge");
        let risk = material.text(&["risks".to_owned(), "0".to_owned()]);
        assert!(risk == "Risks 1: Bridge" || risk == "Risks 1: Safe crossing", "{risk}");
    }

    #[test]
    fn a_document_reads_well() {
        let prompt = "```json\n{\"title\": \"Bridge repair\", \"goals\": [\"Safe crossing\"]}\n```";
        let schema = json!({
            "type": "object", "required": ["title", "summary", "risks"],
            "properties": {
                "title": {"type": "string"},
                "summary": {"type": "string", "minLength": 20},
                "risks": {"type": "array", "minItems": 2, "items": {
                    "type": "object", "required": ["name", "likelihood"],
                    "properties": {"name": {"type": "string"}, "likelihood": {"enum": ["low", "medium", "high"]}},
                }},
                "effort_days": {"type": "integer", "minimum": 1},
            },
        });
        let document = json_schema::satisfying(&schema, &material("Plan the work.", prompt, None), 1 << 20).unwrap();
        assert_eq!(document["title"], "Bridge repair");
        assert!(document["summary"].as_str().unwrap().starts_with("Summary: "));
        assert_eq!(document["risks"][1]["name"], "Bridge repair, part 2");
        assert_eq!(document["risks"][1]["likelihood"], "medium");
        assert!(document["effort_days"].is_i64());
    }

    #[test]
    fn without_inputs_it_speaks_of_its_task() {
        let schema = json!({"title": "of the schema"});
        let prompt = format!("```json\n{schema}\n```");
        let material = material("builtin: delay 1\n\nDescribe the bridge.\nAnd more.", &prompt, Some(schema));
        assert_eq!(material.subject(), "Describe the bridge");
        assert_eq!(material.text(&["open_points".to_owned()]), "Open points: Describe the bridge");
    }

    #[test]
    fn long_words_are_cut_where_a_word_ends() {
        assert_eq!(cut("one two three", 9), "one two");
        assert_eq!(cut("one", 9), "one");
        assert_eq!(cut("äöüäöü", 3), "äöü");
    }
}
