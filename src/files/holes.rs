//! The parts of a file that were written. Between them are holes, which read as zeros, take no room, and can be larger
//! than any disk.

use std::fs::File;
use std::io;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// The first part that was written at an offset or after it; none if there is only a hole. A file system that does not
/// know holes has one part, the whole file.
pub fn written_from(file: &File, offset: u64) -> io::Result<Option<Range<u64>>> {
    let seek = |from: u64, whence| match libc::off_t::try_from(from) {
        Ok(from) => lseek(file, from, whence).map(|at| at as u64),
        Err(_) => Err(Errno::ENXIO),
    };
    match seek(offset, Whence::SeekData) {
        Err(Errno::ENXIO) => Ok(None),
        Err(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS) => {
            let size = file.metadata()?.len();
            Ok((offset < size).then_some(offset..size))
        }
        start => {
            let start = start?;
            Ok(Some(start..seek(start, Whence::SeekHole)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_was_written_is_found_and_holes_are_stepped_over() {
        const MIB: u64 = 1 << 20;
        let file = tempfile::tempfile().unwrap();
        assert_eq!(written_from(&file, 0).unwrap(), None);
        file.write_all_at(b"x", 0).unwrap();
        file.write_all_at(b"y", 8 * MIB).unwrap();
        file.set_len(64 * MIB).unwrap();
        let first = written_from(&file, 0).unwrap().unwrap();
        assert!(first.start == 0 && first.end >= 1 && first.end < 8 * MIB, "{first:?}");
        let second = written_from(&file, first.end).unwrap().unwrap();
        assert!(second.contains(&(8 * MIB)) && second.end < 64 * MIB, "{second:?}");
        assert_eq!(written_from(&file, second.end).unwrap(), None);
        assert_eq!(written_from(&file, u64::MAX).unwrap(), None);
    }
}
