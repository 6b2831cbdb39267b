//! Texts that others have written, kept within bounds.

/// At most `bytes` of a text; one that is cut ends with an ellipsis.
pub fn clipped(text: &str, bytes: usize) -> String {
    const ELLIPSIS: &str = "\u{2026}";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let kept = text.floor_char_boundary(bytes.saturating_sub(ELLIPSIS.len()));
    format!("{}{ELLIPSIS}", &text[..kept])
}

/// Bytes that a text takes in JSON, quotes included.
pub fn json_length(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 2
}

/// Without escape sequences and other controls: what a child wrote must not steer the terminal.
pub fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            // A sequence ends with its first byte from `@` to `~`, the `[` of the introducer aside.
            '\u{1b}' => {
                let introduced = characters.next() == Some('[');
                if introduced {
                    characters.by_ref().find(|character| ('@'..='~').contains(character));
                }
            }
            '\t' => plain.push(' '),
            control if control.is_control() => {}
            other => plain.push(other),
        }
    }
    plain
}

/// A word that programs compare, such as an error's code: a letter, then letters, digits, `_`, `-` or `.`, at most 64.
pub fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    text.len() <= 64 && bytes.next().is_some_and(|first| first.is_ascii_alphabetic()) && bytes.all(plain)
}

/// Keeps the first ones whose lengths fit into so many bytes; gives the number of the others.
pub fn keep_fitting<T>(items: &mut Vec<T>, bytes: usize, length: impl Fn(&T) -> usize) -> u64 {
    let mut room = bytes;
    let fitting = items.iter().take_while(|item| match room.checked_sub(length(item)) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
    let kept = fitting.count();
    let left_out = (items.len() - kept) as u64;
    items.truncate(kept);
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(clipped("short", 5), "short");
        assert_eq!(clipped("longer", 5), "lo\u{2026}");
        assert_eq!(clipped("\u{e4}\u{e4}\u{e4}\u{e4}", 6), "\u{e4}\u{2026}");
    }

    #[test]
    fn a_childs_line_cannot_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[31mred\u{1b}[0m\u{7}\tx\u{1b}[2J"), "red x");
        assert_eq!(printable("cut \u{1b}["), "cut ");
    }

    #[test]
    fn a_length_is_measured_as_json_is_written() {
        for text in ["plain", "\"\\", "\n\u{1}", "M\u{e4}rz \u{1f600}"] {
            assert!(json_length(text) >= serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
    }

    #[test]
    fn an_identifier_is_one_plain_word() {
        for word in ["hook_error", "E1001", "no-tables.found", &"x".repeat(64)] {
            assert!(is_identifier(word), "{word}");
        }
        for other in ["", "1x", "_x", "two words", "x\n", "\u{e4}", &"x".repeat(65)] {
            assert!(!is_identifier(other), "{other}");
        }
    }
}
