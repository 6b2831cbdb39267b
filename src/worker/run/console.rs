//! `console.line` events of an engine that are too long for one line, split as its plain lines are.

use serde_json::value::RawValue;

use super::rewrite::RawObject;
use crate::worker::process::{LINE_LIMIT, pieces};

/// What an event may grow by when it is written: of two bytes become six.
const GROWTH: usize = 3;

/// The payload as it is, or one for each piece of its message. Whatever else it carries comes with each of them, unless
/// that is most of the event: then it stays whole.
pub fn in_pieces(payload: Box<RawValue>) -> Vec<Box<RawValue>> {
    if payload.get().len() * GROWTH <= LINE_LIMIT {
        return vec![payload];
    }
    match split(payload.get()) {
        Some(pieces) if pieces.len() > 1 => pieces,
        _ => vec![payload],
    }
}

fn split(payload: &str) -> Option<Vec<Box<RawValue>>> {
    let (mut last, mut others) = (RawObject::parse(payload)?, RawObject::parse(payload)?);
    let message: String = last.read("message")?;
    others.set("continued", &true);
    others.set("message", &"");
    let room = LINE_LIMIT.checked_sub(others.to_raw().get().len()).filter(|room| *room > LINE_LIMIT / 2)?;
    let piece = |(text, more): (&str, bool)| {
        let object = if more { &mut others } else { &mut last };
        object.set("message", &text);
        object.to_raw()
    };
    Some(pieces(&message, room).map(piece).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn split_up(payload: &Value) -> Vec<Value> {
        let payload = RawValue::from_string(payload.to_string()).unwrap();
        in_pieces(payload).iter().map(|piece| serde_json::from_str(piece.get()).unwrap()).collect()
    }

    #[test]
    fn a_long_message_comes_in_pieces_with_all_that_belongs_to_it() {
        let message = "\u{e9}\"".repeat(LINE_LIMIT);
        let payload = json!({"level": "error", "message": message, "details": {"a": 1}, "logger": "x"});
        let pieces = split_up(&payload);
        assert!(pieces.len() > 3);
        let text: String = pieces.iter().map(|piece| piece["message"].as_str().unwrap()).collect();
        assert!(text == message);
        for (number, piece) in pieces.iter().enumerate() {
            assert!(piece.to_string().len() <= LINE_LIMIT);
            assert_eq!((&piece["level"], &piece["details"]), (&json!("error"), &json!({"a": 1})));
            assert_eq!(piece.get("continued"), (number + 1 < pieces.len()).then_some(&json!(true)));
        }
    }

    #[test]
    fn what_fits_or_cannot_be_split_stays_as_it_is() {
        let text = "x".repeat(LINE_LIMIT / 2);
        for payload in [
            json!({"message": "short"}),
            json!({"message": text, "level": "info"}),
            json!({"message": text, "details": text}),
            json!({"message": [text, text, text]}),
            json!({"details": [text, text, text]}),
        ] {
            assert_eq!(split_up(&payload), [payload]);
        }
    }
}
