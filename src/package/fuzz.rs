//! Zip files that somebody calls a configuration.

use std::fs;
use std::io::Cursor;

use super::{Limits, content_digest, export_zip, import_zip};
use crate::fuzzing::scratch;

/// Small, so that they are met.
const LIMITS: Limits = Limits { zip_bytes: 64 << 10, unpacked_bytes: 256 << 10, entries: 50 };

/// An import writes into its directory and nowhere else, and no more than it may; one that fails leaves nothing. What
/// was imported is exported and imported again the same.
pub fn zip_import(bytes: &[u8]) {
    let parent = scratch();
    let (package, again) = (parent.join("package"), parent.join("again"));
    let there = || fs::read_dir(&parent).expect("it is there").count();
    match import_zip(Cursor::new(bytes), &package, LIMITS) {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(there(), 0, "{error}");
        }
        Ok(report) => {
            assert!(report.bytes <= LIMITS.unpacked_bytes && report.files + report.skipped <= LIMITS.entries);
            assert_eq!(there(), 1);
            let zip = export_zip(&package, Cursor::new(Vec::new())).expect("it can be packed").into_inner();
            let same = import_zip(Cursor::new(zip), &again, Limits::default()).expect("it can be unpacked");
            assert_eq!((same.files, same.bytes, same.skipped), (report.files, report.bytes, 0));
            assert_eq!(same.content_digest, report.content_digest);
            assert_eq!(content_digest(&package).expect("it can be read"), report.content_digest);
        }
    }
}
