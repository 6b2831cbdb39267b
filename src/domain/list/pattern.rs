//! Patterns of `iLike`: `%` any text, `_` any one character, `\` takes the next character as it is.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Piece {
    AnyText,
    AnyCharacter,
    /// ASCII letters are lower case.
    Character(char),
}

/// A pattern without case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// One without `%` may stand anywhere in the text.
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            pieces.push(match character {
                '%' => Piece::AnyText,
                '_' => Piece::AnyCharacter,
                // One at the very end stands for itself.
                '\\' => literal(characters.next().unwrap_or('\\')),
                other => literal(other),
            });
        }
        if pieces.contains(&Piece::AnyText) { Self(pieces) } else { Self::around(pieces) }
    }

    /// Texts that contain this one, whatever its characters.
    pub fn containing(text: &str) -> Self {
        Self::around(text.chars().map(literal).collect())
    }

    fn around(pieces: Vec<Piece>) -> Self {
        Self([vec![Piece::AnyText], pieces, vec![Piece::AnyText]].concat())
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// As an SQL `LIKE` pattern whose escape is `\`, for texts in lower case.
    pub fn to_like(&self) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::AnyText => text.push('%'),
                Piece::AnyCharacter => text.push('_'),
                Piece::Character(special @ ('%' | '_' | '\\')) => text.extend(['\\', *special]),
                Piece::Character(plain) => text.push(*plain),
            }
        }
        text
    }
}

fn literal(character: char) -> Piece {
    Piece::Character(character.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_written_back_so_that_every_database_reads_it_alike() {
        for (text, like) in [
            ("Fail", "%fail%"),
            ("%Fail", "%fail"),
            ("a_b", "%a_b%"),
            (r"a\_b", r"%a\_b%"),
            (r"100\%", r"%100\%%"),
            (r"end\", r"%end\\%"),
            (r"\Q", "%q%"),
            ("ÄÖ", "%ÄÖ%"),
            ("", "%%"),
        ] {
            assert_eq!(Pattern::parse(text).to_like(), like, "{text}");
        }
        assert_eq!(Pattern::containing("50%_").to_like(), r"%50\%\_%");
    }
}
