//! Server-sent events out of bytes, as the WHATWG reads them.
//!
//! Law: the events do not depend on how the bytes were split. What is held is one line and one event, and both
//! together are bounded.

/// One event, with the newline behind its last line of data taken off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Empty when the event has no name.
    pub name: String,
    pub data: String,
}

/// An event is larger than the parser was told to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Holds what is not yet an event.
pub struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    at_start: bool,
    limit: usize,
}

impl Parser {
    /// A parser that holds at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), event: Event::default(), has_data: false, after_return: false, at_start: true, limit }
    }

    /// The events that these bytes complete. An event is complete at its empty line, and never before.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                self.hold(bytes)?;
                break;
            };
            self.hold(&bytes[..end])?;
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    /// The event that the end of the stream completes: a server may leave out its empty line.
    pub fn finish(&mut self) -> Option<Event> {
        self.end_line().or_else(|| self.dispatch())
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + self.event.name.len() + self.event.data.len() + bytes.len() > self.limit {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let mut text = &*String::from_utf8_lossy(&line);
        if std::mem::take(&mut self.at_start) {
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
        }
        if text.is_empty() {
            return self.dispatch();
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        self.take(field, value.strip_prefix(' ').unwrap_or(value));
        None
    }

    /// A comment is a field without a name. `id` and `retry` are for those who come back.
    fn take(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }

    /// An event without data is none, and its name is forgotten.
    fn dispatch(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> Vec<(String, String)> {
        let events = Parser::new(1 << 20).feed(bytes).unwrap();
        events.into_iter().map(|event| (event.name, event.data)).collect()
    }

    fn pair(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn events_of_every_spelling_are_read() {
        for (text, expected) in [
            ("data: a\n\n", vec![pair("", "a")]),
            ("data:a\n\n", vec![pair("", "a")]),
            ("data:  a\n\n", vec![pair("", " a")]),
            ("event: x\ndata: a\n\n", vec![pair("x", "a")]),
            ("event: x\r\ndata: a\r\n\r\n", vec![pair("x", "a")]),
            ("event: x\rdata: a\r\r", vec![pair("x", "a")]),
            ("\u{feff}data: a\n\n", vec![pair("", "a")]),
            ("data: a\ndata: b\ndata\n\n", vec![pair("", "a\nb\n")]),
            (": comment\n\ndata: a\n: other\nid: 7\nretry: 3\nunknown: x\n\n", vec![pair("", "a")]),
            ("event: x\n\ndata: a\n\n", vec![pair("", "a")]),
            ("data\n\n", vec![pair("", "")]),
            ("data: a\n\ndata: b\n\n", vec![pair("", "a"), pair("", "b")]),
            ("data: never finished\n", vec![]),
            ("data: {\"a\":\"b: c\"}\n\n", vec![pair("", "{\"a\":\"b: c\"}")]),
        ] {
            assert_eq!(whole(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_character_may_be_split_and_nonsense_is_replaced() {
        let text = "data: grün\n\n".as_bytes();
        for at in 0..text.len() {
            let mut parser = Parser::new(100);
            let mut events = parser.feed(&text[..at]).unwrap();
            events.extend(parser.feed(&text[at..]).unwrap());
            assert_eq!(events[0].data, "grün");
        }
        assert_eq!(whole(b"data: \xff\n\n"), [pair("", "\u{fffd}")]);
    }

    #[test]
    fn what_is_held_is_bounded() {
        assert_eq!(Parser::new(10).feed(b"data: 12345"), Err(TooLong));
        let mut parser = Parser::new(20);
        assert_eq!(parser.feed(b"data: 1234567890\n"), Ok(vec![]));
        assert_eq!(parser.feed(b"data: 1234567890\n"), Err(TooLong));
        let mut parser = Parser::new(20);
        for _ in 0..1_000 {
            parser.feed(b"data: 12345\n\n: comment\n\n").unwrap();
        }
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        let line = prop_oneof![
            4 => "data: ?[a-zäß{}: ]{0,8}",
            2 => "event: ?[a-z_]{0,6}",
            1 => ":[a-z ]{0,6}",
            3 => Just(String::new()),
            1 => "[a-z:]{0,6}",
        ];
        let noise = prop_oneof![9 => Just(vec![]), 1 => proptest::collection::vec(any::<u8>(), 0..4)];
        proptest::collection::vec((line, end, noise), 0..30).prop_map(|lines| {
            let bytes =
                |(line, end, noise): (String, &str, Vec<u8>)| [line.as_bytes(), &noise, end.as_bytes()].concat();
            lines.into_iter().flat_map(bytes).collect()
        })
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_events(bytes in stream(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20)) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut parser = Parser::new(1 << 20);
            let mut events = Vec::new();
            for pair in cuts.windows(2) {
                events.extend(parser.feed(&bytes[pair[0]..pair[1]]).unwrap());
            }
            let mut one_by_one = Parser::new(1 << 20);
            let singly: Vec<_> = bytes.iter().flat_map(|byte| one_by_one.feed(&[*byte]).unwrap()).collect();
            prop_assert_eq!(&events, &Parser::new(1 << 20).feed(&bytes).unwrap());
            prop_assert_eq!(events, singly);
        }
    }
}
