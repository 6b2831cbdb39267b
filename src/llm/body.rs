//! The body of an answer: events, or one document where the server does not stream. Pure.
//!
//! Invariant: the first character decides, whatever the content type: no event starts as an object or a list does. What is
//! held is bounded.

use crate::sse::{Frame, Parser, TooLong};

/// An event with data; events without are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Empty when the event has no name.
    pub name: String,
    pub data: String,
}

impl Event {
    fn of(frame: Frame) -> Option<Self> {
        frame.data.map(|data| Self { name: frame.name, data })
    }
}

pub struct Body {
    form: Form,
    limit: usize,
}

enum Form {
    /// Only white space so far.
    Unknown,
    Events(Parser),
    Document(Vec<u8>),
}

impl Body {
    /// A body that holds at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { form: Form::Unknown, limit }
    }

    /// The events that these bytes complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        match &mut self.form {
            Form::Unknown => {
                let Some(start) = bytes.iter().position(|byte| !is_before(*byte)) else { return Ok(Vec::new()) };
                self.form = match bytes[start] {
                    b'{' | b'[' => Form::Document(Vec::new()),
                    _ => Form::Events(Parser::new(self.limit)),
                };
                self.feed(&bytes[start..])
            }
            Form::Events(parser) => Ok(parser.feed(bytes)?.into_iter().filter_map(Event::of).collect()),
            Form::Document(document) if document.len() + bytes.len() > self.limit => Err(TooLong),
            Form::Document(document) => {
                document.extend_from_slice(bytes);
                Ok(Vec::new())
            }
        }
    }

    /// What its end completes: an event without its empty line, or the document.
    pub fn finish(&mut self) -> Option<Ending> {
        match std::mem::replace(&mut self.form, Form::Unknown) {
            Form::Unknown => None,
            Form::Events(mut parser) => parser.finish().and_then(Event::of).map(Ending::Event),
            Form::Document(document) => Some(Ending::Document(String::from_utf8_lossy(&document).into_owned())),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    Event(Event),
    Document(String),
}

/// White space, and the bytes of a byte order mark.
fn is_before(byte: u8) -> bool {
    byte.is_ascii_whitespace() || [0xEF, 0xBB, 0xBF].contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body gives, however it is split.
    fn read(text: &str) -> (Vec<String>, Option<Ending>) {
        let whole = |size: usize| {
            let mut body = Body::new(100);
            let events: Vec<_> = text.as_bytes().chunks(size).flat_map(|bytes| body.feed(bytes).unwrap()).collect();
            (events.into_iter().map(|event| event.data).collect::<Vec<_>>(), body.finish())
        };
        assert_eq!(whole(1), whole(1_000), "{text}");
        whole(1)
    }

    #[test]
    fn the_first_character_tells_the_form() {
        let event = |data: &str| Some(Ending::Event(Event { name: String::new(), data: data.to_owned() }));
        for (text, events, ending) in [
            ("", vec![], None),
            (" \r\n\u{feff}\n", vec![], None),
            ("data: a\n\n", vec!["a"], None),
            ("\u{feff}\n\ndata: a\n\ndata: {", vec!["a"], event("{")),
            (": comment\n\ndata: a\ndata", vec![], event("a\n")),
            ("data: a\n\n: comment", vec!["a"], None),
            ("\u{feff} {\"a\":\n\n1}", vec![], Some(Ending::Document("{\"a\":\n\n1}".to_owned()))),
            ("[1]", vec![], Some(Ending::Document("[1]".to_owned()))),
        ] {
            assert_eq!(read(text), (events.into_iter().map(str::to_owned).collect(), ending), "{text:?}");
        }
    }

    #[test]
    fn either_form_is_bounded() {
        for text in ["{", "data: "] {
            let mut body = Body::new(100);
            assert_eq!(body.feed(text.as_bytes()), Ok(vec![]));
            assert_eq!(body.feed(&[b'x'; 100]), Err(TooLong));
        }
        let mut body = Body::new(100);
        for _ in 0..1_000 {
            assert_eq!(body.feed(b"  \n"), Ok(vec![]));
        }
    }
}
