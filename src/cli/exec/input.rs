//! Lines of standard input, read without blocking other work.

use std::io::{BufRead, BufReader, Read};
use std::thread;

use tokio::sync::mpsc;

type Source = Box<dyn Read + Send>;

/// Read on a blocking thread of its own, started when the first line is needed, so that a command without questions
/// consumes no input.
pub struct Input {
    source: Option<Source>,
    lines: Option<mpsc::Receiver<String>>,
}

impl Input {
    pub fn standard() -> Self {
        Self::of(std::io::stdin())
    }

    fn of(source: impl Read + Send + 'static) -> Self {
        Self { source: Some(Box::new(source)), lines: None }
    }

    /// The next line; none when there are no more. Cancel-safe: no line is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<String> {
        if let Some(source) = self.source.take() {
            let (sender, lines) = mpsc::channel(1);
            thread::spawn(move || forward(source, &sender));
            self.lines = Some(lines);
        }
        self.lines.as_mut()?.recv().await
    }
}

fn forward(source: Source, lines: &mpsc::Sender<String>) {
    let mut source = BufReader::new(source);
    loop {
        let mut line = Vec::new();
        let is_read = source.read_until(b'\n', &mut line).is_ok_and(|length| length > 0);
        if !is_read || lines.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn lines_come_one_by_one_and_then_no_more() {
        let mut input = Input::of(&b"one\n\xff\n\nlast"[..]);
        let mut seen = Vec::new();
        while let Some(line) = input.next().await {
            seen.push(line);
        }
        assert_eq!(seen, ["one\n", "\u{fffd}\n", "\n", "last"]);
        assert_eq!(input.next().await, None);
    }
}
