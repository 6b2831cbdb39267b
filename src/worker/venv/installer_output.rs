//! What is printed while the installer is fetched, for every build that waits for it.
//!
//! Invariant: a listener gets the last line that was sent before it subscribed, then every later one in order. The
//! fetch is started once for all builds, often before any of them listens; without the last line a build that
//! subscribes during a long download would show nothing at all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::event::payload::console::Pipe;

pub type InstallerLine = (Pipe, Arc<str>);

/// Lines that are kept for a listener that is slow.
const BUFFERED_LINES: usize = 1000;

#[derive(Debug)]
pub struct InstallerOutput {
    /// Locked while a line is sent and while a listener subscribes: no line is both the last one and a later one.
    last: Mutex<Option<InstallerLine>>,
    sender: Sender<InstallerLine>,
}

impl Default for InstallerOutput {
    fn default() -> Self {
        Self { last: Mutex::default(), sender: Sender::new(BUFFERED_LINES) }
    }
}

impl InstallerOutput {
    pub fn send(&self, pipe: Pipe, line: &str) {
        let line: InstallerLine = (pipe, line.into());
        let mut last = self.last();
        *last = Some(line.clone());
        // Sending without a listener is fine.
        let _ = self.sender.send(line);
    }

    /// The attempt to fetch the installer is over, so its last line is of no more interest.
    pub fn finish(&self) {
        *self.last() = None;
    }

    pub fn listen(&self) -> InstallerLines {
        let last = self.last();
        InstallerLines { last: last.clone(), lines: self.sender.subscribe() }
    }

    fn last(&self) -> MutexGuard<'_, Option<InstallerLine>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct InstallerLines {
    last: Option<InstallerLine>,
    lines: Receiver<InstallerLine>,
}

impl InstallerLines {
    /// The next line; `None` when there will be no more. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<InstallerLine> {
        if let Some(last) = self.last.take() {
            return Some(last);
        }
        loop {
            match self.lines.recv().await {
                Ok(line) => return Some(line),
                // A listener that lagged skips the lines it missed.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn next(lines: &mut InstallerLines) -> Option<String> {
        lines.next().now_or_never().flatten().map(|(_, text)| text.to_string())
    }

    #[test]
    fn a_late_listener_gets_the_last_line_and_then_every_later_one_once() {
        let output = InstallerOutput::default();
        let mut early = output.listen();
        output.send(Pipe::Stdout, "first");
        output.send(Pipe::Stderr, "second");
        let mut late = output.listen();
        output.send(Pipe::Stdout, "third");
        assert_eq!(
            [next(&mut early), next(&mut early), next(&mut early)].map(Option::unwrap),
            ["first", "second", "third"]
        );
        assert_eq!([next(&mut late), next(&mut late)].map(Option::unwrap), ["second", "third"]);
        assert_eq!((next(&mut early), next(&mut late)), (None, None));
    }

    #[test]
    fn a_finished_attempt_leaves_no_line_for_a_later_listener() {
        let output = InstallerOutput::default();
        let mut slow = output.listen();
        output.send(Pipe::Stdout, "line");
        output.finish();
        assert_eq!(next(&mut output.listen()), None);
        assert_eq!(next(&mut slow).as_deref(), Some("line"), "a listener of this attempt loses nothing");
    }
}
