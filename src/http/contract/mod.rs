//! The contract of the interface: an OpenAPI 3.1 document, made of what the routes are mounted with.
//!
//! Law: a route is mounted by [`Routes`] alone, which takes its handler together with its description, so there is none
//! that the document does not have. What the types of a handler's arguments say (ids of the path, the caller's role, the
//! form of the body) is not said again: [`Describe`] reads it from them.

mod kinds;
mod operation;
mod lists;
mod describe;
mod routes;
mod problems;
mod events;
mod document;
mod page;

pub use describe::{Describe, Segment, Segments};
pub use document::{Document, SharedDocument, document, text as document_text};
pub use events::Reads;
pub use kinds::{
    any_of, anything, array, day, flag, label, number, optional_label, reference, remark, something, text, words,
};
pub use operation::{ANY, Operation};
pub use page::{STYLE, page};
pub use routes::Routes;
