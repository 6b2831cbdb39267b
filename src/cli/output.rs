//! Standard output and standard error of a command.
//!
//! Invariant: a write that fails is the failure of the command, however well its work went. The work itself is not stopped by
//! it, unless writing is all that is left to do. When the reader has gone (`ade tail ... | head`), nothing is reported.

use std::io::{self, Write};
use std::sync::OnceLock;

use super::exit::Exit;

/// The first write that failed; nothing is written to standard output after it.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Writes a line to standard output.
pub fn print_line(line: &str) {
    write(|out| writeln!(out, "{line}"));
}

/// Writes text to standard output, without ending the line.
pub fn prompt(text: &str) {
    write(|out| write!(out, "{text}"));
}

/// Writes a line to standard error.
pub fn print_error(line: &str) {
    note(writeln!(io::stderr().lock(), "{line}"));
}

/// Records the outcome of a write that was made elsewhere.
pub fn note(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        let _ = FAILURE.set(error);
    }
}

/// Whether writing anything more is pointless.
pub fn has_failed() -> bool {
    FAILURE.get().is_some()
}

/// The exit of a command that would end like this, given how its writes went.
pub fn judge(exit: Exit) -> Exit {
    write(|_| Ok(()));
    let Some(error) = FAILURE.get() else { return exit };
    if error.kind() != io::ErrorKind::BrokenPipe {
        // Standard error may be what has failed.
        let _ = writeln!(io::stderr().lock(), "error: cannot write the output: {error}");
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
