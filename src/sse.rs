//! Server-sent events out of bytes, as the WHATWG reads them.
//!
//! Invariant: the events do not depend on how the bytes were split. What is held is one line and one event, and both
//! together are bounded.

use memchr::memchr2;

/// One dispatched event, or a block that only moves the position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// The id that this block itself carries.
    pub id: Option<String>,
    /// Empty when the block names no event.
    pub name: String,
    /// The data lines, joined; none when the block has no data line.
    pub data: Option<String>,
}

/// An event is larger than the parser accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The state between two pieces of a stream.
#[derive(Debug)]
pub struct Parser {
    line: Vec<u8>,
    frame: Frame,
    /// The last byte was a carriage return: a line feed right after it belongs to the same line ending.
    after_return: bool,
    /// A byte order mark is skipped at the very start only.
    at_start: bool,
    retry_ms: Option<u64>,
    limit: usize,
}

impl Parser {
    /// A parser that holds at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let (line, frame) = (Vec::new(), Frame::default());
        Self { line, frame, after_return: false, at_start: true, retry_ms: None, limit }
    }

    /// The events that these bytes complete. An event is complete at its empty line, and never before.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Frame>, TooLong> {
        let mut frames = Vec::new();
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.hold(bytes)?;
                break;
            };
            self.hold(&bytes[..end])?;
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            frames.extend(self.end_line());
        }
        Ok(frames)
    }

    /// The event that the end of the stream completes: a server may leave out its empty line.
    pub fn finish(&mut self) -> Option<Frame> {
        self.end_line().or_else(|| self.dispatch())
    }

    /// How long the server asks to wait before reconnecting, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + self.frame.size() + bytes.len() > self.limit {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = std::mem::take(&mut self.line);
        let mut text = &*String::from_utf8_lossy(&line);
        if std::mem::take(&mut self.at_start) {
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
        }
        if text.is_empty() {
            return self.dispatch();
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        self.field(field, value.strip_prefix(' ').unwrap_or(value));
        None
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.frame.name),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            "retry" => self.retry_ms = value.parse().ok().or(self.retry_ms),
            "data" => match &mut self.frame.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            // A comment is a field without a name; unknown fields are to be ignored.
            _ => {}
        }
    }

    /// A block with neither id nor data is no event, and its name is dropped.
    fn dispatch(&mut self) -> Option<Frame> {
        let frame = std::mem::take(&mut self.frame);
        (frame.id.is_some() || frame.data.is_some()).then_some(frame)
    }
}

impl Frame {
    fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.name.len() + length(&self.id) + length(&self.data)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> Vec<(String, String)> {
        let events = Parser::new(1 << 20).feed(bytes).unwrap();
        events.into_iter().map(|frame| (frame.name, frame.data.unwrap_or_default())).collect()
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
            assert_eq!(events[0].data.as_deref(), Some("grün"));
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

    const STREAM: &str = "retry: 1500\n\n: hello\n\nid: 1\nevent: ade.event\ndata: {\"a\":\"\u{e9}\"}\n\n: beat\n\n\
                          id: 9\n\nevent: stream.draining\ndata\n\nid:10\ndata: one\ndata:two\nunknown: x\n\n";

    fn frame(id: Option<&str>, name: &str, data: Option<&str>) -> Frame {
        Frame { id: id.map(str::to_owned), name: name.to_owned(), data: data.map(str::to_owned) }
    }

    fn expected() -> Vec<Frame> {
        vec![
            frame(Some("1"), "ade.event", Some("{\"a\":\"\u{e9}\"}")),
            frame(Some("9"), "", None),
            frame(None, "stream.draining", Some("")),
            frame(Some("10"), "", Some("one\ntwo")),
        ]
    }

    #[test]
    fn a_stream_may_be_cut_anywhere_and_lines_may_end_in_any_way() {
        for ending in ["\n", "\r\n", "\r"] {
            let bytes = STREAM.replace('\n', ending).into_bytes();
            for at in 0..=bytes.len() {
                let mut parser = Parser::new(1 << 20);
                let mut frames = parser.feed(&bytes[..at]).unwrap();
                frames.extend(parser.feed(&bytes[at..]).unwrap());
                assert_eq!(frames, expected(), "{ending:?} cut at {at}");
            }
            let mut parser = Parser::new(1 << 20);
            let frames: Vec<_> = bytes.iter().flat_map(|byte| parser.feed(&[*byte]).unwrap()).collect();
            assert_eq!((frames, parser.retry_ms()), (expected(), Some(1500)));
        }
    }

    #[test]
    fn a_block_without_its_blank_line_is_not_an_event() {
        assert_eq!(Parser::new(1 << 20).feed(b"id: 1\ndata: x\n"), Ok(vec![]));
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_start_only() {
        let mut parser = Parser::new(1 << 20);
        assert_eq!(parser.feed("\u{feff}data: x\n\n".as_bytes()), Ok(vec![frame(None, "", Some("x"))]));
        assert_eq!(parser.feed("\u{feff}data: x\n\n".as_bytes()), Ok(vec![]));
    }

    #[test]
    fn an_id_that_is_never_dispatched_is_bounded_too() {
        let mut parser = Parser::new(20);
        assert_eq!(parser.feed(b"id: 123456789\n"), Ok(vec![]));
        assert_eq!(parser.feed(b"event: 12345678\n"), Err(TooLong));
    }

    #[test]
    fn the_end_of_the_stream_ends_its_last_event() {
        let mut parser = Parser::new(100);
        assert_eq!(parser.feed(b"id: 7\ndata: a"), Ok(vec![]));
        assert_eq!(parser.finish(), Some(frame(Some("7"), "", Some("a"))));
        assert_eq!(parser.finish(), None);
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
