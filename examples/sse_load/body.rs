//! Bodies without their chunks.

/// A chunked or plain body, undone piece by piece without copying.
pub struct Body {
    state: Chunk,
}

enum Chunk {
    Plain,
    Size { length: u64, in_extension: bool },
    Data { left: u64 },
    LineEnd,
    Trailer,
    Done,
}

impl Body {
    pub fn new(chunked: bool) -> Self {
        Self { state: if chunked { Chunk::Size { length: 0, in_extension: false } } else { Chunk::Plain } }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.state, Chunk::Done)
    }

    pub fn decode(&mut self, mut bytes: &[u8], mut piece: impl FnMut(&[u8])) {
        while let Some(&first) = bytes.first() {
            let mut used = 1;
            self.state = match self.state {
                Chunk::Plain => return piece(bytes),
                Chunk::Data { left } => {
                    used = left.min(bytes.len() as u64) as usize;
                    piece(&bytes[..used]);
                    match left - used as u64 {
                        0 => Chunk::LineEnd,
                        left => Chunk::Data { left },
                    }
                }
                Chunk::Size { length: 0, .. } if first == b'\n' => Chunk::Trailer,
                Chunk::Size { length, .. } if first == b'\n' => Chunk::Data { left: length },
                Chunk::Size { length, in_extension } => match (first as char).to_digit(16) {
                    Some(digit) if !in_extension => {
                        Chunk::Size { length: length * 16 + u64::from(digit), in_extension: false }
                    }
                    _ => Chunk::Size { length, in_extension: true },
                },
                Chunk::LineEnd if first == b'\n' => Chunk::Size { length: 0, in_extension: false },
                Chunk::LineEnd => Chunk::LineEnd,
                Chunk::Trailer | Chunk::Done => Chunk::Done,
            };
            bytes = &bytes[used..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_undone_wherever_they_are_cut() {
        let text = b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n";
        for at in 0..text.len() {
            let (mut body, mut seen) = (Body::new(true), Vec::new());
            for piece in [&text[..at], &text[at..]] {
                body.decode(piece, |bytes| seen.extend_from_slice(bytes));
            }
            assert_eq!((seen.as_slice(), body.is_done()), (b"hello world".as_slice(), true), "cut at {at}");
        }
    }
}
