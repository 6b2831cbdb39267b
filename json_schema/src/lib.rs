//! JSON Schema 2020-12. Checks documents ([`Check`]), and writes one that satisfies a schema ([`satisfying`]): what a
//! language model would be asked for, without one.
//!
//! Invariants: the same schema and filling give the same document; a schema is untrusted, so time, size and depth are
//! bounded whatever it says; what is returned has been checked by a validator. Pure.

mod check;
mod document;
mod number;
mod pattern;
mod shape;
mod work;

pub use check::{Check, Fault};
pub use document::satisfying;

/// What a document is filled with where its schema leaves a choice.
pub trait Filling {
    /// A text for a place in a document; `path` has the names and numbers of its members from the outside in.
    fn text(&self, path: &[String]) -> String;

    /// A number that depends on the filling and on `of`.
    fn number(&self, of: &str) -> u64;

    /// A UUID for a place in a document.
    fn uuid(&self, path: &[String]) -> String;
}
