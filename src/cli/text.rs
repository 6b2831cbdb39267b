//! Text for a terminal. Pure.

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

/// `1.2 s`, `3 m 04 s`.
pub fn seconds(milliseconds: u64) -> String {
    match milliseconds {
        0..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        _ => format!("{} m {:02} s", milliseconds / 60_000, milliseconds % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_line_cannot_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[31mred\u{1b}[0m\u{7}\tx\u{1b}[2J"), "red x");
        assert_eq!(printable("cut \u{1b}["), "cut ");
    }
}
