//! The audit log: who has changed what, when, and from where.
//!
//! Laws. An entry is on the disk before the answer to its request leaves. Entries are numbered from 1 without holes, in the
//! order in which they were written; nothing changes one, and nothing deletes one but the operator. While entries cannot
//! be written, nothing is changed: requests that would are refused before they do anything.
//!
//! The files are `audit/entries-<first sequence>.ndjson` in the data directory, a new one whenever the last is large.

mod entry;
mod files;
mod log;

pub use entry::{Actor, Entry, Page, Record};
pub use log::{AuditError, AuditLog};
