//! What service, launcher and child say to each other on their sockets: the service what the child may reach, the launcher
//! what becomes of it in messages of one size, and the child why it cannot become the program.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

/// How the main process ended: by itself or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Exit {
    /// From what `wait` says.
    pub(super) fn of(status: i32) -> Self {
        Self {
            code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
            signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        }
    }

    pub fn succeeded(self) -> bool {
        self.code == Some(0)
    }

    /// One number for both, as shells report it: 128 and the signal.
    pub fn status(self) -> Option<i32> {
        self.code.or(self.signal.map(|signal| 128 + signal))
    }
}

/// What the process and all its descendants have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub user_ms: u64,
    pub system_ms: u64,
    /// Of the largest one.
    pub max_resident_bytes: u64,
}

impl Usage {
    pub(super) fn of(usage: &libc::rusage) -> Self {
        let ms = |time: libc::timeval| time.tv_sec as u64 * 1000 + time.tv_usec as u64 / 1000;
        let max_resident_bytes = usage.ru_maxrss as u64 * 1024;
        Self { user_ms: ms(usage.ru_utime), system_ms: ms(usage.ru_stime), max_resident_bytes }
    }
}

/// The length, and then that many bytes.
pub(super) fn message(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// Reads a [`message`] from one who is trusted.
pub(super) fn read_message(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Why a child did not become the program, as the kernel says it.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It could not be confined.
    Isolation(io::Error),
    /// The program could not be executed.
    Program(io::Error),
}

impl Refusal {
    pub const SIZE: usize = 2 * size_of::<libc::c_int>();

    /// Of the number of an error. Neither allocates nor locks.
    pub fn encode(is_isolation: bool, errno: libc::c_int) -> [u8; Self::SIZE] {
        let mut message = [0; Self::SIZE];
        let (first, second) = message.split_at_mut(size_of::<libc::c_int>());
        first.copy_from_slice(&libc::c_int::from(is_isolation).to_ne_bytes());
        second.copy_from_slice(&errno.to_ne_bytes());
        message
    }

    pub fn decode(message: [u8; Self::SIZE]) -> Self {
        let (words, _) = message.as_chunks::<4>();
        let error = io::Error::from_raw_os_error(libc::c_int::from_ne_bytes(words[1]));
        if libc::c_int::from_ne_bytes(words[0]) == 0 { Self::Program(error) } else { Self::Isolation(error) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The child's number; it waits until the service lets it begin.
    Started(i32),
    /// The child has ended, with what `wait` says.
    Ended(i32),
    /// Nothing descends from the launcher any more.
    Used(Usage),
}

impl Report {
    pub const SIZE: usize = 32;

    pub fn encode(self) -> [u8; Self::SIZE] {
        let words = match self {
            Self::Started(pid) => [1, pid as u64, 0, 0],
            Self::Ended(status) => [2, status as u64, 0, 0],
            Self::Used(usage) => [3, usage.user_ms, usage.system_ms, usage.max_resident_bytes],
        };
        let mut message = [0; Self::SIZE];
        for (place, word) in message.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        message
    }

    pub fn decode(message: &[u8; Self::SIZE]) -> Option<Self> {
        let (words, _) = message.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        match word(0) {
            1 => Some(Self::Started(word(1) as i32)),
            2 => Some(Self::Ended(word(1) as i32)),
            3 => Some(Self::Used(Usage { user_ms: word(1), system_ms: word(2), max_resident_bytes: word(3) })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let usage = Usage { user_ms: 1, system_ms: u64::MAX, max_resident_bytes: 1 << 40 };
        for report in [Report::Started(4_194_304), Report::Ended(0), Report::Ended(9 | 0x80), Report::Used(usage)] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        assert_eq!(Report::decode(&[0; Report::SIZE]), None);
    }

    #[test]
    fn a_message_is_read_as_a_whole_and_a_refusal_keeps_its_reason() {
        let sent = [message(b"one"), message(b"")].concat();
        let mut from = sent.as_slice();
        assert_eq!((read_message(&mut from).unwrap(), read_message(&mut from).unwrap()), (b"one".to_vec(), Vec::new()));
        assert!(read_message(&mut from).is_err());
        let decoded = |is_isolation| Refusal::decode(Refusal::encode(is_isolation, libc::EACCES));
        assert!(matches!(decoded(true), Refusal::Isolation(error) if error.raw_os_error() == Some(libc::EACCES)));
        assert!(matches!(decoded(false), Refusal::Program(error) if error.raw_os_error() == Some(libc::EACCES)));
    }

    #[test]
    fn a_status_is_a_code_or_a_signal() {
        assert_eq!(Exit::of(7 << 8), Exit { code: Some(7), signal: None });
        assert_eq!(Exit::of(libc::SIGSEGV | 0x80), Exit { code: None, signal: Some(libc::SIGSEGV) });
    }
}
