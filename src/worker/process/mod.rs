//! Child processes: started in a session of their own, read line by line, and ended without a trace.
//!
//! Invariants:
//! - a child sees the environment it is given and no descriptor but its three standard ones;
//! - it is read only as fast as its reader takes the lines, and no line makes memory grow without bound;
//! - whatever descends from it or carries its marker is gone before its outcome is reported, also when the [`Process`] is
//!   dropped instead of awaited; and when the service dies, its launcher ends it.
//!
//! Needs Linux 5.9 or newer, for process descriptors and `close_range`, and `/proc`.

pub mod spec;
pub mod lines;
pub mod reader;
pub mod report;
mod spawn;
pub mod adoption;
pub mod table;
pub mod kill;
pub mod launcher;
pub mod child;
pub mod launch;
pub mod session;
pub mod capture;

pub use adoption::adopt_orphans;
pub use capture::{CaptureError, Captured, capture, capture_aloud};
pub use child::SpawnError;
pub use kill::{KillReport, Killer, kill_marked, survivors};
pub use launch::{ChildMeters, Launcher};
pub use lines::{LINE_LIMIT, Line, LineSplitter, pieces};
pub use reader::LineBatch;
pub use report::{Exit, Usage};
pub use session::{Outcome, Process};
pub use spec::{ChildSpec, Marker, ResourceLimits};
pub use table::count_in;
