//! Workbooks (`.xlsx` and its kin), as far as one must look into them without an engine: the names of their sheets.
//!
//! Invariant: of a file, only what tells of its sheets is inflated, each part up to a limit; entities that a document
//! defines for itself are not expanded, and no time or memory grows with what a header claims.
//!
//! Everything here blocks on the disk.

mod relations;
mod sheets;
mod xml;

pub use sheets::{Sheet, SheetsError, Visibility, sheets};
