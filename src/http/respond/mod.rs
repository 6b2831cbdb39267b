//! Answers as bytes on a connection, one file per form.

pub mod sse;
pub mod many;
pub mod ndjson;
pub mod page;
pub mod disposition;
pub mod content;
pub mod tagged;
pub mod file;
pub mod sendfile;
