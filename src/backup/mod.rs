//! Backups of a data directory, made while a service is at work in it, and the way back.
//!
//! Laws. What is restored is what a crash could have left at some moment after the backup was begun, so a start of the
//! service recovers it by the rules for that. Every event that was acknowledged before the backup was begun is in it, and
//! no stream has a hole. A backup has its name only when it is whole, and is read only if every byte of it is as it was.
//!
//! Recovery takes for granted that feeds know nothing that logs do not, and that rows are never ahead of logs; an execution
//! takes for granted that the documents that its log names are in the database. So the order is ([`make`]):
//!
//! 1. it is noted how far each feed has come, then how far the log of each piece of work that has not ended;
//! 2. the database is copied, at one moment: SQLite's as a file, the rows of PostgreSQL into such a file;
//! 3. the logs of what the copy has are copied: whole where the row has ended, else up to what was noted or to where the row
//!    stands, whichever is further. Both were there when the database was copied, and so was all that they speak of;
//! 4. feeds are copied up to what was noted. Origins that have gone on in them since are entered in the copy's outbox
//!    again, so that the next start delivers what is missing.
//!
//! Environments, caches and tools are left out: they are made again when they are needed.

mod copy;
mod manifest;
mod marks;
mod staged;
mod make;
mod notes;
mod restore;

pub use make::{BackupError, Source, make};
pub use manifest::Manifest;
pub use restore::{RestoreError, Rows, Target, UNFINISHED, collect, restore};
pub use staged::Staged;
