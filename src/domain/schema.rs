//! JSON Schemas of texts that have a form of their own.
//!
//! Law: the schema of a type stands where its JSON form stands, so that one is not changed without the other.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// One of these words.
pub fn words(words: &'static [&'static str]) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).into()
}

/// A text that matches all of the pattern.
pub fn text(pattern: impl std::fmt::Display) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{pattern}$"))).into()
}

/// An id, in its one spelling.
pub fn id(prefix: &str) -> RefOr<Schema> {
    text(format_args!("{prefix}[0-7][0-9A-HJKMNP-TV-Z]{{25}}"))
}
