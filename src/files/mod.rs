//! Files in directories that other programs may write: an engine, a build backend, a configuration, an import.
//!
//! Invariants. Everything is opened below a directory that is already open, one name at a time, and no name on the way
//! may be a symbolic link; so whatever is put in place of a directory, nothing outside of it is read or written. Only
//! regular files are opened, without blocking. Content is replaced by a rename, never written through a name that was
//! there before. Walking and removing take a bounded number of steps, a constant number of descriptors and no
//! recursion, however deep a tree is and whatever its names are.
//!
//! The directory that everything begins at ([`Dir::root`]) is named by the operator, who may have reached it by links.
//! Everything here blocks on the disk.

mod dir;
mod disk;
mod holes;
mod location;
mod walk;
mod owners;
mod trash;

pub use dir::{Dir, Kind, NotPlain, PROBE, STUCK, is_absent};
pub use disk::free_bytes;
pub use holes::written_from;
pub use location::Location;
pub use owners::{GROUP_AND_OTHERS, OTHERS};
pub use trash::{Emptied, TRASH, discard, empty_trash, remove_tree, remove_within};
pub use walk::{Entry, Listing, Walked, list, walk};
