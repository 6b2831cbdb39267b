//! Replay: brings the rounds of a journal into the logs that they belong to, when the service starts.
//!
//! Law: a replay can be repeated any number of times, because a record says which bytes stand at which offset. Only a cut
//! makes older bytes wrong, so a cut is a record too, and trims the records before it. Onto a disk that is taken for lost
//! nothing is written over: a log that stands there comes from a backup, whose offsets need not be those of the records.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, DiskFile, Mode, ReadAt, compressed_path, read_range};
use super::record::{Record, parse_body};
use super::threads::in_parallel;
use crate::files::is_absent;

/// What was found in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayReport {
    pub rounds: u64,
    /// Logs that were written and synced.
    pub logs: u64,
    pub bytes: u64,
    /// Logs that no longer exist.
    pub gone: u64,
    /// Logs in whose place there is something else: a link, a pipe, a directory, or, where the disk was taken for lost, a log
    /// that the records do not continue.
    pub refused: u64,
    /// Logs that are shorter than where the record belongs: something other than this service has cut them.
    pub gaps: u64,
}

/// Bytes of a source (a file of the journal) that belong at this offset of a log.
struct Piece {
    source: usize,
    at: u64,
    offset: u64,
    size: u64,
}

type Plan = BTreeMap<String, Vec<Piece>>;

/// The rounds of a journal, in their order, on the way into the logs.
#[derive(Default)]
pub(super) struct Replay {
    plan: Plan,
    rounds: u64,
    logs: Absent,
}

/// What it means that a log is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Absent {
    /// Its name was durable before the first record of it, so it has been deleted since.
    #[default]
    Deleted,
    /// The disk is a new one: the log is made again.
    Lost,
}

impl Replay {
    /// Onto a disk that has lost its logs.
    pub(super) fn of_lost_logs() -> Self {
        Self { logs: Absent::Lost, ..Self::default() }
    }

    /// Adds the body of a round that begins at `start` of a source; false if it is not made of whole records.
    pub(super) fn add(&mut self, source: usize, start: u64, body: &[u8]) -> bool {
        let Some(records) = parse_body(body) else { return false };
        records.into_iter().for_each(|record| add(&mut self.plan, source, start, record));
        self.rounds += 1;
        true
    }

    /// Writes and syncs everything; the records may be voided after that.
    pub(super) fn apply(self, disk: &dyn Disk, root: &Path, sources: &[&dyn ReadAt]) -> io::Result<ReplayReport> {
        let mut report = ReplayReport { rounds: self.rounds, ..ReplayReport::default() };
        apply(&self.plan, self.logs, disk, root, sources, &mut report)?;
        Ok(report)
    }
}

fn add(plan: &mut Plan, source: usize, start: u64, record: Record<'_>) {
    match record {
        Record::Bytes { path, offset, at, size } => {
            let piece = Piece { source, at: start + at as u64, offset, size: size as u64 };
            plan.entry(path.to_owned()).or_default().push(piece);
        }
        Record::Cut { path, length } => {
            let pieces = plan.entry(path.to_owned()).or_default();
            pieces.retain(|piece| piece.offset < length);
            pieces.iter_mut().for_each(|piece| piece.size = piece.size.min(length - piece.offset));
        }
        Record::Fence { .. } | Record::Adopted { .. } => {}
    }
}

fn apply(
    plan: &Plan,
    logs_absent: Absent,
    disk: &dyn Disk,
    root: &Path,
    sources: &[&dyn ReadAt],
    report: &mut ReplayReport,
) -> io::Result<()> {
    let [logs, bytes, gone, refused, gaps] = [const { AtomicU64::new(0) }; 5];
    let entries: Vec<_> = plan.iter().filter(|(_, pieces)| !pieces.is_empty()).collect();
    in_parallel(&entries, |(path, pieces)| {
        let restored = restore(logs_absent, disk, root, path, pieces, sources)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        match restored {
            Restored::Whole(size) => {
                logs.fetch_add(1, Ordering::Relaxed);
                bytes.fetch_add(size, Ordering::Relaxed);
            }
            Restored::Gone => drop(gone.fetch_add(1, Ordering::Relaxed)),
            Restored::Refused => {
                tracing::error!(log = %path, "something else is in the place of this log; its last events are lost");
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Restored::Differs => {
                tracing::error!(log = %path, "the journal does not continue this log, which is not from this disk; it is left as it is");
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Restored::Gap => {
                tracing::error!(log = %path, "this log lacks bytes in front of those that the journal has; it ends before them");
                gaps.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    })?;
    (report.logs, report.bytes) = (logs.into_inner(), bytes.into_inner());
    (report.gone, report.refused, report.gaps) = (gone.into_inner(), refused.into_inner(), gaps.into_inner());
    Ok(())
}

enum Restored {
    Whole(u64),
    Gone,
    Refused,
    /// Another log of the same name is there.
    Differs,
    Gap,
}

fn restore(
    absent: Absent,
    disk: &dyn Disk,
    root: &Path,
    path: &str,
    pieces: &[Piece],
    sources: &[&dyn ReadAt],
) -> io::Result<Restored> {
    let path = Path::new(path);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not the path of a log"));
    }
    let file = match disk.open(&root.join(path), Mode::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match absent {
            Absent::Deleted => return Ok(Restored::Gone),
            Absent::Lost if is_compressed(disk, &root.join(path)) => return Ok(Restored::Gone),
            Absent::Lost if pieces[0].offset > 0 => return Ok(Restored::Gap),
            Absent::Lost => make(disk, root, path)?,
        },
        Err(error) if is_absent(&error) => return Ok(Restored::Refused),
        opened => opened?,
    };
    let (mut size, mut written, mut gap) = (file.size()?, 0, false);
    if absent == Absent::Lost && size > 0 && !continues(&*file, size, pieces, sources)? {
        return Ok(Restored::Differs);
    }
    for piece in pieces {
        gap = gap || piece.offset > size;
        if gap {
            break;
        }
        let bytes = read_range(sources[piece.source], piece.at, piece.at + piece.size)?;
        file.write_all_at(&bytes, piece.offset)?;
        size = size.max(piece.offset + piece.size);
        written += piece.size;
    }
    file.sync_data()?;
    Ok(if gap { Restored::Gap } else { Restored::Whole(written) })
}

/// Whether the pieces say the same as the file where both say something, and go on where it ends.
fn continues(file: &dyn DiskFile, size: u64, pieces: &[Piece], sources: &[&dyn ReadAt]) -> io::Result<bool> {
    let mut end = size;
    for piece in pieces {
        if piece.offset > end {
            return Ok(false);
        }
        let common = size.saturating_sub(piece.offset).min(piece.size);
        let there = read_range(file, piece.offset, piece.offset + common)?;
        if there != read_range(sources[piece.source], piece.at, piece.at + common)? {
            return Ok(false);
        }
        end = end.max(piece.offset + piece.size);
    }
    Ok(true)
}

fn is_compressed(disk: &dyn Disk, path: &Path) -> bool {
    disk.open(&compressed_path(path), Mode::Read).is_ok()
}

/// Makes a log anew, with the directories above it, durably.
fn make(disk: &dyn Disk, root: &Path, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    if path.file_name().is_none_or(|name| name != "events.ndjson") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not the path of a log"));
    }
    let folders: Vec<_> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    for folder in folders.iter().rev().map(|folder| root.join(folder)) {
        disk.create_dir(&folder)?;
        disk.sync_dir(folder.parent().unwrap_or(root))?;
    }
    let path = root.join(path);
    let file = disk.open(&path, Mode::Create)?;
    disk.sync_dir(path.parent().unwrap_or(root))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryDisk;
    use super::super::record::{Round, RoundHeader};
    use super::*;

    const LOG: &str = "feed/events.ndjson";

    /// What becomes of a log that holds `there`, when the journal of a disk that is taken for lost has `pieces` of it.
    fn onto(there: &[u8], pieces: &[(u64, &[u8])]) -> (Vec<u8>, ReplayReport) {
        let (disk, root) = (MemoryDisk::default(), Path::new("/data"));
        let file = disk.open(&root.join(LOG), Mode::Create).unwrap();
        file.write_all_at(there, 0).unwrap();
        let spool = disk.open(Path::new("/spool"), Mode::Create).unwrap();
        let (mut replay, mut spooled, mut round) = (Replay::of_lost_logs(), 0, Round::new());
        for (offset, bytes) in pieces {
            round.clear();
            round.push_bytes(LOG, *offset, bytes);
            let body = &round.seal(1)[RoundHeader::SIZE as usize..];
            spool.write_all_at(body, spooled).unwrap();
            assert!(replay.add(0, spooled, body));
            spooled += body.len() as u64;
        }
        let report = replay.apply(&disk, root, &[&*spool]).unwrap();
        (read_range(&*file, 0, file.size().unwrap()).unwrap(), report)
    }

    #[test]
    fn a_log_from_a_backup_is_continued_where_the_journal_says_the_same() {
        let pieces: [(u64, &[u8]); 2] = [(0, b"one\ntwo\n"), (8, b"three\n")];
        for there in [&b""[..], b"one\n", b"one\ntwo\n", b"one\ntwo\nthree\n", b"one\ntwo\nthree\nfour\n"] {
            let (content, report) = onto(there, &pieces);
            let whole = &b"one\ntwo\nthree\nfour\n"[..there.len().max(14)];
            assert_eq!((&content[..], report.logs, report.refused), (whole, 1, 0), "{}", there.escape_ascii());
        }
    }

    #[test]
    fn a_log_from_a_backup_that_the_journal_does_not_continue_is_left_alone_and_told() {
        // One file of what were segments: the journal counts from the newest.
        let there = b"one\ntwo\nthree\n";
        let cases: [&[(u64, &[u8])]; 4] = [
            &[(0, b"three\n")],
            &[(4, b"four\nfive\n")],
            &[(14, b"four\n"), (20, b"six\n")],
            &[(0, b"one\n"), (8, b"THREE\n")],
        ];
        for pieces in cases {
            let (content, report) = onto(there, pieces);
            assert_eq!((&content[..], report.logs, report.refused), (&there[..], 0, 1), "{pieces:?}");
        }
    }
}
