//! A short command, run to its end for what it says.

use std::collections::VecDeque;
use std::time::Duration;

use super::{ChildSpec, Exit, Launcher, Line, Process, SpawnError};
use crate::event::payload::console::Pipe;

/// How many lines are kept, the last ones.
const LINES: usize = 200;

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    pub exit: Exit,
    pub stdout: VecDeque<String>,
    pub stderr: VecDeque<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("{program} took longer than {limit:?}")]
    Timeout { program: String, limit: Duration },
}

/// Runs a command for at most `limit`; what is left of it after that is killed.
pub async fn capture(launcher: &Launcher, spec: &ChildSpec, limit: Duration) -> Result<Captured, CaptureError> {
    capture_aloud(launcher, spec, limit, |_, _| ()).await
}

/// As [`capture`], for one who wants each line at once; a very long one in pieces.
pub async fn capture_aloud(
    launcher: &Launcher,
    spec: &ChildSpec,
    limit: Duration,
    mut on_line: impl FnMut(Pipe, &str),
) -> Result<Captured, CaptureError> {
    let mut process = Process::spawn(launcher, spec).await?;
    let mut captured = Captured { exit: Exit::default(), stdout: VecDeque::new(), stderr: VecDeque::new() };
    let reading = async {
        while let Some((pipe, batch)) = process.next().await {
            batch.lines.iter().flat_map(Line::pieces).for_each(|(text, _)| on_line(pipe, text));
            let kept = if pipe == Pipe::Stdout { &mut captured.stdout } else { &mut captured.stderr };
            kept.extend(batch.lines.into_iter().map(|line| line.text));
            kept.drain(..kept.len().saturating_sub(LINES));
        }
    };
    let in_time = tokio::time::timeout(limit, reading).await.is_ok();
    if !in_time {
        process.killer().kill().await;
        let program = spec.program.display().to_string();
        return Err(CaptureError::Timeout { program, limit });
    }
    captured.exit = process.outcome().await.exit;
    Ok(captured)
}
