//! What the journal holds when the service starts, brought into the logs it belongs to.
//!
//! Law: replaying is harmless as often as it is done: a record says which bytes stand where, and they stand there
//! still. Only a cut makes older bytes wrong, so a cut is a record too and trims what came before it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, DiskFile, Mode, read_full, read_range};
use super::record::{PAGE, Record, RoundHeader, next_page, parse_body, parse_segment_header};
use super::threads::in_parallel;
use crate::files::is_absent;

/// What was found in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayReport {
    pub rounds: u64,
    /// Logs that were written and synced.
    pub logs: u64,
    pub bytes: u64,
    /// Logs that do not exist any more.
    pub gone: u64,
    /// Logs in whose place something else is: a link, a pipe, a folder.
    pub refused: u64,
    /// Logs that are shorter than where the record belongs: something other than this service has cut them.
    pub gaps: u64,
}

/// Bytes of a segment that belong at this offset of a log.
struct Piece {
    segment: usize,
    at: u64,
    offset: u64,
    size: u64,
}

type Plan = BTreeMap<String, Vec<Piece>>;

/// Writes and syncs everything; the records may be voided after that. Also says the segments' epochs.
pub(super) fn replay(
    disk: &dyn Disk,
    root: &Path,
    segments: &[Arc<dyn DiskFile>; 2],
) -> io::Result<(ReplayReport, [Option<u64>; 2])> {
    let epochs = [epoch_of(&*segments[0])?, epoch_of(&*segments[1])?];
    let mut report = ReplayReport::default();
    let mut plan = Plan::new();
    let order = if epochs[0] <= epochs[1] { [0, 1] } else { [1, 0] };
    for index in order {
        if let Some(epoch) = epochs[index] {
            report.rounds += collect(&mut plan, index, &*segments[index], epoch)?;
        }
    }
    apply(&plan, disk, root, segments, &mut report)?;
    Ok((report, epochs))
}

fn epoch_of(segment: &dyn DiskFile) -> io::Result<Option<u64>> {
    let mut header = [0; 20];
    let size = read_full(segment, &mut header, 0)?;
    Ok(if size == header.len() { parse_segment_header(&header) } else { None })
}

/// Reads the rounds of a segment until the first that does not count.
fn collect(plan: &mut Plan, segment: usize, file: &dyn DiskFile, epoch: u64) -> io::Result<u64> {
    let size = file.size()?;
    let mut rounds = 0;
    let mut position = PAGE;
    while let Some(body) = read_round(file, position, size, epoch)? {
        let start = position + RoundHeader::SIZE;
        let Some(records) = parse_body(&body) else { break };
        for record in records {
            add(plan, segment, start, record);
        }
        rounds += 1;
        position = next_page(start + body.len() as u64);
    }
    Ok(rounds)
}

fn read_round(file: &dyn DiskFile, position: u64, size: u64, epoch: u64) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; RoundHeader::SIZE as usize];
    if read_full(file, &mut header, position)? < header.len() {
        return Ok(None);
    }
    let Some(header) = RoundHeader::parse(header, epoch) else { return Ok(None) };
    let start = position + RoundHeader::SIZE;
    if start + header.body_size > size {
        return Ok(None);
    }
    let body = read_range(file, start, start + header.body_size)?;
    Ok(header.covers(&body).then_some(body))
}

fn add(plan: &mut Plan, segment: usize, start: u64, record: Record<'_>) {
    match record {
        Record::Bytes { path, offset, at, size } => {
            let piece = Piece { segment, at: start + at as u64, offset, size: size as u64 };
            plan.entry(path.to_owned()).or_default().push(piece);
        }
        Record::Cut { path, length } => {
            let pieces = plan.entry(path.to_owned()).or_default();
            pieces.retain(|piece| piece.offset < length);
            pieces.iter_mut().for_each(|piece| piece.size = piece.size.min(length - piece.offset));
        }
    }
}

fn apply(
    plan: &Plan,
    disk: &dyn Disk,
    root: &Path,
    segments: &[Arc<dyn DiskFile>; 2],
    report: &mut ReplayReport,
) -> io::Result<()> {
    let [logs, bytes, gone, refused, gaps] = [const { AtomicU64::new(0) }; 5];
    let entries: Vec<_> = plan.iter().filter(|(_, pieces)| !pieces.is_empty()).collect();
    in_parallel(&entries, |(path, pieces)| {
        let restored = restore(disk, root, path, pieces, segments)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        match restored {
            Restored::Whole(size) => {
                logs.fetch_add(1, Ordering::Relaxed);
                bytes.fetch_add(size, Ordering::Relaxed);
            }
            Restored::Gone => drop(gone.fetch_add(1, Ordering::Relaxed)),
            Restored::Refused => {
                tracing::error!(log = %path, "something else is in the place of this log; what it ended with is lost");
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Restored::Gap => drop(gaps.fetch_add(1, Ordering::Relaxed)),
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
    Gap,
}

fn restore(
    disk: &dyn Disk,
    root: &Path,
    path: &str,
    pieces: &[Piece],
    segments: &[Arc<dyn DiskFile>; 2],
) -> io::Result<Restored> {
    let path = Path::new(path);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not the path of a log"));
    }
    let file = match disk.open(&root.join(path), Mode::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Restored::Gone),
        Err(error) if is_absent(&error) => return Ok(Restored::Refused),
        opened => opened?,
    };
    let (mut size, mut written, mut gap) = (file.size()?, 0, false);
    for piece in pieces {
        gap = gap || piece.offset > size;
        if gap {
            break;
        }
        let bytes = read_range(&*segments[piece.segment], piece.at, piece.at + piece.size)?;
        file.write_all_at(&bytes, piece.offset)?;
        size = size.max(piece.offset + piece.size);
        written += piece.size;
    }
    file.sync_data()?;
    Ok(if gap { Restored::Gap } else { Restored::Whole(written) })
}
