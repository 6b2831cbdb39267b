//! Bytes to lines, in bounded memory.
//!
//! Invariant: how the bytes are cut into chunks never changes the lines. A line is what stands before a `\n`; of text
//! that is overwritten by `\r` only the last state is a line. A line over [`LINE_LIMIT`] goes on in further lines, and
//! so does one that is longer than that in JSON ([`Line::pieces`]).
//! One that begins like a JSON object may be an event and is kept whole up to [`EVENT_LIMIT`]; beyond that only
//! its beginning is kept.

/// The longest piece of text in one `console.line`, as JSON. The whole event stays below 64 KiB, which is as much as
/// some readers take of a line.
pub const LINE_LIMIT: usize = 63 * 1024;
/// The longest line that can be an event.
pub const EVENT_LIMIT: usize = 1024 * 1024;

/// A line without its end; invalid UTF-8 has been replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    pub text: String,
    /// The line goes on in the next one.
    pub continued: bool,
    /// The rest of the line was dropped.
    pub truncated: bool,
}

impl Line {
    /// The text in pieces of at most [`LINE_LIMIT`] bytes of JSON, each with whether it goes on in the next.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, bool)> {
        pieces(&self.text, LINE_LIMIT).map(|(text, more)| (text, more || self.continued))
    }
}

/// The text in pieces of at most `limit` bytes of JSON, each with whether another follows; one piece for an empty text.
pub fn pieces(text: &str, limit: usize) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (piece, more) = split_in_json(rest.take()?, limit);
        rest = (!more.is_empty()).then_some(more);
        Some((piece, rest.is_some()))
    })
}

/// What fits, at least one character of it, and the rest.
fn split_in_json(text: &str, limit: usize) -> (&str, &str) {
    if text.len() * LONGEST_ESCAPE <= limit {
        return (text, "");
    }
    let mut length = 0;
    let end = text.char_indices().find(|&(at, character)| {
        length += json_length(character);
        at > 0 && length > limit
    });
    end.map_or((text, ""), |(at, _)| text.split_at(at))
}

const LONGEST_ESCAPE: usize = 6;

/// Bytes of a character in an event's JSON.
fn json_length(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => LONGEST_ESCAPE,
        _ => character.len_utf8(),
    }
}

/// Splits what it is fed; one per pipe or file.
#[derive(Debug)]
pub struct LineSplitter {
    event_lines: bool,
    held: Vec<u8>,
    state: State,
    /// A `\r` stands at the end of what is held: an end of line if `\n` follows, else all before it is overwritten.
    pending_return: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `held` is the beginning of a line.
    Whole,
    /// `held` continues a line of which pieces have been given out.
    Continuing,
    /// Everything up to the next `\n` is dropped.
    Dropping,
}

impl LineSplitter {
    /// With `event_lines`, a line that begins with `{` may be as long as an event.
    pub fn new(event_lines: bool) -> Self {
        Self { event_lines, held: Vec::new(), state: State::Whole, pending_return: false }
    }

    /// Appends to `out` every line, or piece of an overlong one, that `bytes` completes.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<Line>) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (text, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.is_fresh() && text.len() <= LINE_LIMIT && memchr::memchr(b'\r', text).is_none() {
                out.push(line(text));
                continue;
            }
            self.feed(text, out);
            self.end_line(out);
        }
        self.feed(bytes, out);
    }

    /// The input is over: an unfinished last line is a line too.
    pub fn finish(&mut self, out: &mut Vec<Line>) {
        if !self.held.is_empty() {
            self.end_line(out);
        }
        *self = Self::new(self.event_lines);
    }

    /// Bytes of a line that has not ended yet.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn is_fresh(&self) -> bool {
        self.held.is_empty() && self.state == State::Whole && !self.pending_return
    }

    /// Takes text without `\n`.
    fn feed(&mut self, text: &[u8], out: &mut Vec<Line>) {
        let mut parts = text.split(|&byte| byte == b'\r').peekable();
        while let Some(part) = parts.next() {
            if !part.is_empty() {
                self.append(part, out);
            }
            self.pending_return |= parts.peek().is_some();
        }
    }

    fn append(&mut self, mut text: &[u8], out: &mut Vec<Line>) {
        if std::mem::take(&mut self.pending_return) {
            self.overwrite(out);
        }
        while self.state != State::Dropping {
            let room = self.limit(text) - self.held.len();
            let (fits, more) = text.split_at(room.min(text.len()));
            self.held.extend_from_slice(fits);
            if more.is_empty() {
                return;
            }
            self.overflow(out);
            text = more;
        }
    }

    fn limit(&self, text: &[u8]) -> usize {
        let first = self.held.first().or(text.first());
        let event = self.event_lines && self.state == State::Whole && first == Some(&b'{');
        if event { EVENT_LIMIT } else { LINE_LIMIT }
    }

    /// `held` is full and the line goes on.
    fn overflow(&mut self, out: &mut Vec<Line>) {
        let cut = boundary(&self.held, LINE_LIMIT);
        if self.held.len() > LINE_LIMIT {
            out.push(Line { truncated: true, ..line(&self.held[..cut]) });
            self.held = Vec::new();
            self.state = State::Dropping;
        } else {
            out.push(Line { continued: true, ..line(&self.held[..cut]) });
            self.held.drain(..cut);
            self.state = State::Continuing;
        }
    }

    /// A `\r` was followed by more text. Pieces that were given out cannot be taken back, so that line ends here.
    fn overwrite(&mut self, out: &mut Vec<Line>) {
        match self.state {
            State::Whole => self.held.clear(),
            State::Continuing => self.end_line(out),
            State::Dropping => {}
        }
    }

    fn end_line(&mut self, out: &mut Vec<Line>) {
        if self.state != State::Dropping {
            out.push(line(&self.held));
        }
        self.held.clear();
        // A single long line must not keep its memory for the rest of a long output.
        self.held.shrink_to(LINE_LIMIT);
        self.state = State::Whole;
        self.pending_return = false;
    }
}

fn line(text: &[u8]) -> Line {
    Line { text: String::from_utf8_lossy(text).into_owned(), continued: false, truncated: false }
}

/// The last place at or before `limit` that is not inside a UTF-8 sequence.
fn boundary(text: &[u8], limit: usize) -> usize {
    let end = limit.min(text.len());
    for back in 1..=3.min(end) {
        let byte = text[end - back];
        if byte & 0b1100_0000 == 0b1000_0000 {
            continue;
        }
        let length = match byte {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        return if length > back { end - back } else { end };
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> Vec<Line> {
        let mut splitter = LineSplitter::new(true);
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, &mut out);
        }
        splitter.finish(&mut out);
        out
    }

    fn texts(input: &[u8]) -> Vec<String> {
        split(&[input]).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_end_where_the_output_says() {
        for (input, expected) in [
            (&b""[..], &[][..]),
            (b"a\nb\n", &["a", "b"]),
            (b"a\n\nb", &["a", "", "b"]),
            (b"a\r\nb\r\n", &["a", "b"]),
            (b"10%\r20%\r100%\n", &["100%"]),
            (b"10%\r20%\r100%\r\n", &["100%"]),
            (b"10%\r20%\r", &["20%"]),
            (b"\rdone\n", &["done"]),
            (b"\r\n", &[""]),
            (b"x\r\r\n", &["x"]),
            (b"\x1b[31mred\x1b[0m\n", &["\x1b[31mred\x1b[0m"]),
            (b"\xff\xfeok\xc3\n", &["\u{fffd}\u{fffd}ok\u{fffd}"]),
            (b"nul\0kept\n", &["nul\0kept"]),
        ] {
            assert_eq!(texts(input), expected, "{input:?}");
        }
    }

    #[test]
    fn a_long_line_goes_on_in_further_lines() {
        let lines = split(&[&b"x".repeat(2 * LINE_LIMIT + 5), b"\nnext\n"]);
        let shape: Vec<_> = lines.iter().map(|line| (line.text.len(), line.continued)).collect();
        assert_eq!(shape, [(LINE_LIMIT, true), (LINE_LIMIT, true), (5, false), (4, false)]);
        let exact = split(&[&b"x".repeat(LINE_LIMIT), b"\n"]);
        assert_eq!(exact.len(), 1);
        assert!(!exact[0].continued);
    }

    #[test]
    fn a_split_never_falls_inside_a_character() {
        for shift in 0..4 {
            let text = "x".repeat(shift) + &"\u{1f600}".repeat(LINE_LIMIT / 2);
            let lines = split(&[text.as_bytes()]);
            assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<String>(), text);
        }
    }

    #[test]
    fn what_may_be_an_event_is_kept_whole_or_cut() {
        let event = format!("{{\"type\":\"x\",\"payload\":\"{}\"}}", "y".repeat(EVENT_LIMIT - 100));
        let lines = split(&[event.as_bytes(), b"\n"]);
        assert_eq!((lines.len(), &lines[0].text, lines[0].truncated), (1, &event, false));

        let mut endless = b"{".to_vec();
        endless.resize(EVENT_LIMIT + 7, b'z');
        endless.extend_from_slice(b"\nafter\n");
        let lines = split(&[&endless]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].truncated && lines[0].text.len() == LINE_LIMIT);
        assert_eq!(lines[1].text, "after");
    }

    #[test]
    fn memory_stays_bounded_on_an_endless_line() {
        for first in ["{", "x"] {
            let mut splitter = LineSplitter::new(true);
            let mut out = Vec::new();
            splitter.push(first.as_bytes(), &mut out);
            for _ in 0..200 {
                out.clear();
                splitter.push(&[b'x'; 100_000], &mut out);
                assert!(splitter.held.capacity() <= 2 * EVENT_LIMIT && out.len() <= 2, "{}", splitter.held.capacity());
            }
        }
    }

    #[test]
    fn text_that_was_given_out_is_not_overwritten() {
        let mut input = b"x".repeat(LINE_LIMIT + 3);
        input.extend_from_slice(b"\rshort\n");
        let shape: Vec<_> = split(&[&input]).iter().map(|line| (line.text.len(), line.continued)).collect();
        assert_eq!(shape, [(LINE_LIMIT, true), (3, false), (5, false)]);
    }

    #[test]
    fn pieces_of_an_overlong_line_add_up() {
        let line = Line { text: "\u{e9}".repeat(LINE_LIMIT), continued: false, truncated: false };
        let pieces: Vec<_> = line.pieces().collect();
        assert_eq!(pieces.iter().map(|(text, _)| *text).collect::<String>(), line.text);
        assert_eq!(pieces.iter().map(|(_, more)| *more).collect::<Vec<_>>(), [true, false]);
        let empty = Line::default();
        assert_eq!(empty.pieces().collect::<Vec<_>>(), [("", false)]);
    }

    #[test]
    fn a_piece_fits_as_json() {
        let mixed = "plain \u{e9}\u{1f600}\"\\\t\u{1b}\u{0}\u{85}\u{2028}".repeat(LINE_LIMIT / 20);
        for text in ["\u{0}".repeat(LINE_LIMIT), "\"".repeat(LINE_LIMIT), "\u{fffd}".repeat(LINE_LIMIT), mixed] {
            let line = Line { text, continued: true, truncated: false };
            let (mut all, mut short) = (String::new(), 0);
            for (piece, more) in line.pieces() {
                assert!(more);
                all += piece;
                let json = serde_json::to_string(piece).unwrap();
                let json = json.replace('\u{85}', r"\u0085").replace('\u{2028}', r"\u2028");
                assert!(json.len() - 2 <= LINE_LIMIT, "{}", json.len());
                short += usize::from(json.len() + 8 < LINE_LIMIT);
            }
            assert_eq!(all, line.text);
            assert!(short <= 1, "pieces are as long as they may be");
        }
    }

    /// Output with long runs, ends of every kind and bytes that are not UTF-8.
    fn output() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            4 => proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'{'), Just(0xc3), Just(0xa9), any::<u8>()], 0..20),
            2 => Just(b"\n".to_vec()),
            2 => Just(b"\r".to_vec()),
            1 => Just(b"\r\n".to_vec()),
            1 => (0..3 * LINE_LIMIT).prop_map(|length| "\u{e9}".repeat(length / 2).into_bytes()),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn any_chunking_gives_the_same_lines(input in output(), cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12)) {
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
            places.extend([0, input.len()]);
            places.sort_unstable();
            let chunks: Vec<_> = places.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
            let lines = split(&chunks);
            prop_assert!(lines == split(&[&input]));
            prop_assert!(lines.iter().all(|line| line.truncated || line.text.len() <= EVENT_LIMIT * 3));
        }
    }
}
