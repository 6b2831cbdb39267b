//! Configuration packages as directories: in and out of zip files, copied, digested, made from a template, edited file by
//! file.
//!
//! Invariants. A package is its plain files; version control, virtual environments, caches and build products beside
//! them are no part of it, in whichever way it is read. A directory appears whole and durable or not at all. What comes
//! in a zip file is refused before it can leave the directory, and counted as it is unpacked, whatever its header says.
//!
//! Everything here blocks on the disk.

mod tree;
mod digest;
mod staging;
mod copy;
mod check;
mod archive;
mod template;
mod locks;
mod path;
mod listing;
mod edit;
mod inspect;
mod stored;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

pub use archive::{ExportError, ImportError, ImportReport, Limits, export_zip, import_zip, stage_zip};
pub use check::{InvalidPackage, check_package};
pub use copy::{copy_package, stage_copy};
pub use digest::{content_digest, file_digest};
pub use edit::{
    EditError, MAX_FILE, Written, make_directory, move_file, open_for_reading, remove_directory, remove_file,
    write_file,
};
pub use inspect::{Issue, inspect_package};
pub use listing::{EntryContent, PackageEntry, PackageListing, list_package};
pub use locks::PackageLocks;
pub use path::{InvalidPath, PackagePath};
pub use staging::{STAGING, Staging};
pub use stored::{TreeState, UnpackError, pack_tree, stage_tree, unpack_tree};
pub use template::{Template, TemplateError, templates, write_template};
pub use tree::TreeError;
