//! Whether a client reads what it is sent.
//!
//! The kernel tells by the client's receive window: the place in the connection up to which it takes bytes moves on by
//! what it reads, and stands still when it does not. What it tells may be late and is never asked for on the way of
//! bytes that nobody waits for, so this is a guess that orders writes and decides nothing else.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::{Duration, Instant};

/// After so many bytes a client is looked at again: one of which nothing is known, and one that reads.
const LOOK_AFTER: (usize, usize) = (4 << 10, 64 << 10);
/// A client that has been given much and has read little for so long is no longer one that reads.
const TRUSTED: Duration = Duration::from_millis(50);

/// What is known of a client.
#[derive(Debug, Default)]
pub struct Evidence {
    reads: bool,
    /// Since when it has been given much and has not been seen to read it.
    doubted: Option<Instant>,
    /// Where the stream begins, in the bytes of the connection.
    begin: Option<u64>,
    /// Up to where it took bytes when it was last looked at. What was seen before the first had arrived says nothing.
    took_up_to: Option<u64>,
    /// Bytes since then.
    given: usize,
    /// The largest that its window was.
    largest: u64,
}

impl Evidence {
    /// The client behind the socket, on which the stream begins.
    pub fn of(socket: BorrowedFd<'_>) -> Self {
        Self { begin: Window::of(socket).map(|window| window.sent), ..Self::default() }
    }

    pub fn reads(&self) -> bool {
        self.reads
    }

    /// The socket has taken so many bytes.
    pub fn took(&mut self, socket: BorrowedFd<'_>, bytes: usize) {
        if self.is_due(bytes) {
            self.look(Window::of(socket), Instant::now());
        }
    }

    /// Counts what has been given; whether it is time to look. The first look is what later ones are compared with.
    fn is_due(&mut self, bytes: usize) -> bool {
        self.given = self.given.saturating_add(bytes);
        self.took_up_to.is_none() || self.given >= if self.reads { LOOK_AFTER.1 } else { LOOK_AFTER.0 }
    }

    /// A client reads if its window has moved by nearly as much as it was given meanwhile. Without reading it moves by
    /// less than half of that, but for the times when the kernel makes it larger: it does so for whoever gets the first
    /// segments, so then nothing is known. What was given a moment ago may not have been read yet, so one that reads is
    /// trusted for a while.
    fn look(&mut self, seen: Option<Window>, now: Instant) {
        let seen = seen.filter(|seen| self.begin.is_some_and(|begin| seen.arrived > begin));
        let is_larger = seen.is_some_and(|seen| seen.size > self.largest);
        self.largest = seen.map_or(self.largest, |seen| seen.size.max(self.largest));
        let takes_up_to = seen.map(|seen| seen.arrived + seen.size);
        if !is_larger {
            let moved = takes_up_to.zip(self.took_up_to).map(|(now, before)| now.saturating_sub(before));
            let has_read = moved.is_some_and(|moved| moved >= self.given as u64 / 4 * 3);
            if self.reads && !has_read && now.duration_since(*self.doubted.get_or_insert(now)) < TRUSTED {
                // The next look compares with all that was given since it was last seen to read.
                return;
            }
            (self.reads, self.doubted) = (has_read, None);
        }
        (self.took_up_to, self.given) = (takes_up_to, 0);
    }
}

/// Places in the bytes of a connection, counted from its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    sent: u64,
    arrived: u64,
    /// How much more the other side is ready to take.
    size: u64,
}

impl Window {
    /// `None` when the kernel does not tell.
    fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        // SAFETY: a structure of numbers, for all of which zero is a value.
        let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
        let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
        // SAFETY: the socket is open, and the kernel writes at most `length` bytes into `info`.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut info).cast(),
                &raw mut length,
            )
        };
        // Older kernels know fewer members, and the window is one of the last.
        let is_whole = length as usize >= std::mem::offset_of!(libc::tcp_info, tcpi_snd_wnd) + size_of::<u32>();
        let (sent, arrived) = (info.tcpi_bytes_sent, info.tcpi_bytes_acked);
        (outcome == 0 && is_whole).then(|| Self { sent, arrived, size: u64::from(info.tcpi_snd_wnd) })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    const PIECE: usize = 4 << 10;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nodelay(true).unwrap();
        (server, client)
    }

    fn window(arrived: u64, size: u64) -> Window {
        Window { sent: arrived, arrived, size }
    }

    /// What streams begin with: a comment or nothing, and then events of this size.
    const BEGINNINGS: [&[usize]; 6] = [&[], &[3], &[300; 8], &[3, 1300, 1300], &[3, 200, 3], &[3, 3, PIECE]];

    /// Gives the client pieces, and says whether it is known to read at the end.
    fn is_found_reading(beginning: &[usize], pieces: usize, reads: bool) -> bool {
        let (mut server, mut client) = pair();
        let mut evidence = Evidence::of(server.as_fd());
        for size in beginning.iter().copied().chain(std::iter::repeat_n(PIECE, pieces)) {
            server.write_all(&vec![b'x'; size]).unwrap();
            if reads {
                client.read_exact(&mut vec![0; size]).unwrap();
            }
            evidence.took(server.as_fd(), size);
        }
        evidence.reads()
    }

    #[test]
    fn one_that_reads_is_known_after_a_few_pieces() {
        for beginning in BEGINNINGS {
            for pieces in [8, 16, 64] {
                assert!(is_found_reading(beginning, pieces, true), "{beginning:?} and {pieces} pieces");
            }
        }
    }

    #[test]
    fn one_that_does_not_read_never_is() {
        for beginning in BEGINNINGS {
            for pieces in 1..=14 {
                assert!(!is_found_reading(beginning, pieces, false), "{beginning:?} and {pieces} pieces");
            }
        }
    }

    #[test]
    fn one_that_stops_reading_is_found_out() {
        let begin = Instant::now();
        let mut evidence = Evidence {
            reads: true,
            begin: Some(0),
            took_up_to: Some(1 << 20),
            largest: 16 << 10,
            ..Evidence::default()
        };
        assert!(!evidence.is_due(32 << 10) && evidence.is_due(32 << 10));
        // It may not have had the time.
        evidence.look(Some(window(1 << 20, 16 << 10)), begin);
        assert!(evidence.reads && evidence.is_due(1));
        evidence.look(Some(window(1 << 20, 16 << 10)), begin + TRUSTED);
        assert!(!evidence.reads);
    }

    #[test]
    fn a_window_that_the_first_bytes_open_is_no_evidence_however_late_they_are_acknowledged() {
        let mut evidence = Evidence { begin: Some(200), ..Evidence::default() };
        for (arrived, size) in [(200, 65_536), (4_296, 104_448), (8_392, 101_376), (12_488, 98_304)] {
            evidence.is_due(PIECE);
            evidence.look(Some(window(arrived, size)), Instant::now());
            assert!(!evidence.reads, "{arrived}");
        }
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_no_evidence() {
        let mut evidence = Evidence::default();
        for _ in 0..3 {
            assert!(evidence.is_due(PIECE));
            evidence.look(None, Instant::now());
        }
        assert!(!evidence.reads);
    }
}
