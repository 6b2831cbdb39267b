//! The command line.

use std::path::PathBuf;

use clap::Parser;

#[derive(Debug, Parser)]
pub struct Options {
    /// Address of the stream, http://host:port/path.
    #[arg(long)]
    pub url: String,
    /// Readers that are checked.
    #[arg(long, default_value_t = 100)]
    pub readers: usize,
    /// Further readers that take the head and then never read.
    #[arg(long, default_value_t = 0)]
    pub stalled: usize,
    /// So many of the checked readers pause after every read.
    #[arg(long, default_value_t = 0)]
    pub slow: usize,
    #[arg(long, default_value_t = 50)]
    pub slow_pause_ms: u64,
    /// Checked readers hang up after so many events and resume behind the last; 0: never.
    #[arg(long, default_value_t = 0)]
    pub reconnect_every: u64,
    /// The first id that is expected.
    #[arg(long, default_value_t = 1)]
    pub first_id: u64,
    /// The last id that is expected; 0: whatever the stream ends with, if it is the same for all.
    #[arg(long, default_value_t = 0)]
    pub last_id: u64,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 120)]
    pub timeout: u64,
    /// A further request header, `Name: value`.
    #[arg(long)]
    pub header: Vec<String>,
    /// Bytes that a reader takes at once.
    #[arg(long, default_value_t = 16384)]
    pub buffer: usize,
    /// Receive buffer of stalled readers' sockets; 0: the system's default.
    #[arg(long, default_value_t = 0)]
    pub receive_buffer: usize,
    /// Written when every reader has its head, so that a script can start the producer.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
    /// Hold the open streams for so many seconds, tell the server's memory, and leave.
    #[arg(long, default_value_t = 0)]
    pub hold: u64,
    /// Process of the server, to tell its memory.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Latencies are told a second time without those of the seconds after the first mark.
    #[arg(long, default_value_t = 0)]
    pub settle: u64,
    /// For servers whose events have no ids: every mark counts as an event, and a reader leaves after `last_id` of them.
    #[arg(long, requires = "last_id")]
    pub unnumbered: bool,
    /// The last line tells everything as one JSON object.
    #[arg(long)]
    pub json: bool,
}
