//! Server-sent events, incrementally: bytes in, frames out, however the bytes were cut.

use memchr::memchr2;

/// One dispatched event, or a block that only moves the position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// The id that this block itself carries.
    pub id: Option<String>,
    /// Empty when the block names no event.
    pub event: String,
    /// The data lines, joined; none when the block has no data line.
    pub data: Option<String>,
}

/// The state between two pieces of a stream.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    frame: Frame,
    /// The last line ended in a carriage return: a line feed right after it belongs to that end.
    after_return: bool,
    /// A byte order mark is skipped at the very start only.
    started: bool,
    retry_ms: Option<u64>,
}

impl SseParser {
    /// The frames that `bytes` complete.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.line.extend_from_slice(bytes);
                break;
            };
            self.line.extend_from_slice(&bytes[..end]);
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            frames.extend(self.end_line());
        }
        frames
    }

    /// How long the server asks to wait before coming back, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = std::mem::take(&mut self.line);
        let line = if std::mem::replace(&mut self.started, true) { &line[..] } else { without_mark(&line) };
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return (frame.id.is_some() || frame.data.is_some()).then_some(frame);
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        self.field(field, value.strip_prefix(' ').unwrap_or(value));
        None
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => self.frame.event = value.to_owned(),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            "retry" => self.retry_ms = value.parse().ok().or(self.retry_ms),
            "data" => match &mut self.frame.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            // A comment has no name; an unknown field is to be ignored.
            _ => {}
        }
    }
}

fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 1500\n\n: hello\n\nid: 1\nevent: ade.event\ndata: {\"a\":\"\u{e9}\"}\n\n: beat\n\n\
                          id: 9\n\nevent: stream.draining\ndata\n\nid:10\ndata: one\ndata:two\nunknown: x\n\n";

    fn frame(id: Option<&str>, event: &str, data: Option<&str>) -> Frame {
        Frame { id: id.map(str::to_owned), event: event.to_owned(), data: data.map(str::to_owned) }
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
                let mut parser = SseParser::default();
                let mut frames = parser.push(&bytes[..at]);
                frames.extend(parser.push(&bytes[at..]));
                assert_eq!(frames, expected(), "{ending:?} cut at {at}");
            }
            let mut parser = SseParser::default();
            let frames: Vec<_> = bytes.iter().flat_map(|byte| parser.push(&[*byte])).collect();
            assert_eq!((frames, parser.retry_ms()), (expected(), Some(1500)));
        }
    }

    #[test]
    fn a_block_without_its_blank_line_is_not_an_event() {
        assert_eq!(SseParser::default().push(b"id: 1\ndata: x\n"), []);
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_start_only() {
        let mut parser = SseParser::default();
        assert_eq!(parser.push("\u{feff}data: x\n\n".as_bytes()), [frame(None, "", Some("x"))]);
        assert_eq!(parser.push("\u{feff}data: x\n\n".as_bytes()), []);
    }
}
