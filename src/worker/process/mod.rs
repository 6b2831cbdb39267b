//! Child processes: started in a session of their own, read line by line, and ended without a trace.
//!
//! Laws:
//! - a child sees the environment it is given and no descriptor but its three standard ones;
//! - it is read only as fast as its reader takes the lines, and no line makes memory grow without bound;
//! - whatever carries its session or its marker is gone before its outcome is told, also when the [`Process`]
//!   is dropped instead of awaited.
//!
//! Needs Linux 5.3 or newer, for process descriptors.

pub mod spec;
pub mod lines;
pub mod reader;
pub mod table;
pub mod kill;
pub mod child;
pub mod capture;

pub use capture::{CaptureError, Captured, capture};
pub use child::{Exit, Outcome, Process, SpawnError, Usage};
pub use kill::{KillReport, Killer, kill_marked, survivors};
pub use lines::{LINE_LIMIT, Line, LineSplitter, pieces};
pub use reader::LineBatch;
pub use spec::{ChildSpec, Marker, ResourceLimits};
