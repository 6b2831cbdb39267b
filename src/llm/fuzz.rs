//! What servers of language models send.

use super::body::{Body, Ending, Event};
use super::http::{Signal, WireFormat as _};
use super::text::Joiner;
use super::{anthropic, fault, openai};
use crate::fuzzing::first_byte;

const LIMIT: usize = 64 << 10;

/// How the bytes are cut changes nothing; counts are bounded, and no text is longer than what it came in.
pub fn provider_streams(bytes: &[u8]) {
    let (how, bytes) = first_byte(bytes);
    let _ = fault::of_answer(400 + (how as u16), None, bytes);
    let (events, ending) = read(bytes, usize::MAX);
    // What is no UTF-8 grows to three bytes for each.
    if bytes.len() * 3 <= LIMIT {
        assert_eq!(read(bytes, how / 2 + 1), (events.clone(), ending.clone()));
    }
    let (mut openai, mut anthropic) = (openai::Fold::default(), anthropic::Fold::default());
    let (mut joiner, mut length) = (Joiner::default(), 0);
    for Event { name, data } in events.into_iter().chain(ending) {
        let said = if how % 2 == 0 { openai.apply(&name, &data) } else { anthropic.apply(&name, &data) };
        for signal in said.unwrap_or_default() {
            if let Signal::Text(text) = signal {
                length += joiner.join(text).len();
            }
        }
    }
    length += joiner.finish().len();
    assert!(length <= bytes.len() * 3, "{length} of {}", bytes.len());
    for usage in [openai.usage(), anthropic.usage()].into_iter().flatten() {
        let counts = [usage.input, usage.output, usage.cache_read, usage.cache_write];
        assert!(counts.iter().all(|count| *count <= 1_000_000_000), "{usage:?}");
    }
    let _ = (openai.stop(), anthropic.stop());
}

/// The events, and the one that the end completes.
fn read(bytes: &[u8], size: usize) -> (Vec<Event>, Option<Event>) {
    let (mut body, mut events) = (Body::new(LIMIT), Vec::new());
    for chunk in bytes.chunks(size) {
        match body.feed(chunk) {
            Ok(more) => events.extend(more),
            Err(_) => return (events, None),
        }
    }
    let ending = body.finish().map(|ending| match ending {
        Ending::Event(event) => event,
        Ending::Document(data) => Event { name: String::new(), data },
    });
    (events, ending)
}
