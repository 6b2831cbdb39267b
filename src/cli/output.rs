//! What a command writes to its user.
//!
//! Law: a write that fails is the failure of the command, however well its work went. The work itself is not stopped by
//! it, unless writing is all that is left of it. A reader that has gone away (`ade tail ... | head`) is told nothing.

use std::io::{self, Write};
use std::sync::OnceLock;

use super::exit::Exit;

/// The first write that has failed; nothing is written to standard output after it.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Writes a line to standard output.
pub fn say(line: &str) {
    write(|out| writeln!(out, "{line}"));
}

/// Writes text to standard output that does not end a line.
pub fn prompt(text: &str) {
    write(|out| write!(out, "{text}"));
}

/// Writes a line to standard error.
pub fn complain(line: &str) {
    note(writeln!(io::stderr().lock(), "{line}"));
}

/// Takes in how a write went that somebody else has made.
pub fn note(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        let _ = FAILURE.set(error);
    }
}

/// Whether there is no use in saying anything more.
pub fn has_failed() -> bool {
    FAILURE.get().is_some()
}

/// How a command ends that would end like this, with regard to what it has written.
pub fn judge(exit: Exit) -> Exit {
    write(|_| Ok(()));
    let Some(error) = FAILURE.get() else { return exit };
    if error.kind() != io::ErrorKind::BrokenPipe {
        // Standard error may be what has failed.
        let _ = writeln!(io::stderr().lock(), "error: the output cannot be written: {error}");
    }
    match exit {
        Exit::Succeeded | Exit::Waiting if error.kind() == io::ErrorKind::BrokenPipe => Exit::BrokenPipe,
        Exit::Succeeded | Exit::Waiting => Exit::Failed,
        failed => failed,
    }
}

fn write(how: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) {
    if has_failed() {
        return;
    }
    let mut out = io::stdout().lock();
    note(how(&mut out).and_then(|()| out.flush()));
}
