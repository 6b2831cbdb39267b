//! Schemas of parameters.

use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Ref, Schema, SchemaFormat, SchemaType, Type,
};

pub fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

/// A text of so many characters.
pub fn text_of(least: usize, most: usize) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(least)).max_length(Some(most)).into()
}

pub fn anything() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
}

/// At least one of these.
pub fn any_of(schemas: impl IntoIterator<Item = RefOr<Schema>>) -> RefOr<Schema> {
    schemas.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).into()
}

/// Anything but null.
pub fn something() -> RefOr<Schema> {
    let types = [Type::Object, Type::Array, Type::String, Type::Number, Type::Boolean];
    ObjectBuilder::new().schema_type(SchemaType::Array(types.into())).into()
}

/// A type that the document has anyway.
pub fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// So many characters, none of them a control character.
pub fn label<const MOST: usize>() -> RefOr<Schema> {
    a_label(Type::String.into(), MOST)
}

/// As [`label`], or null.
pub fn optional_label<const MOST: usize>() -> RefOr<Schema> {
    a_label(SchemaType::Array(vec![Type::String, Type::Null]), MOST)
}

fn a_label(types: SchemaType, most: usize) -> RefOr<Schema> {
    let label = ObjectBuilder::new().schema_type(types).min_length(Some(1)).max_length(Some(most));
    label.pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$")).into()
}

/// Free text of so many characters: lines, but no other control characters.
pub fn remark<const MOST: usize>() -> RefOr<Schema> {
    let types = SchemaType::Array(vec![Type::String, Type::Null]);
    let remark = ObjectBuilder::new().schema_type(types).max_length(Some(MOST));
    remark.pattern(Some(r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$")).into()
}

/// A day, such as 2026-01-31.
pub fn day() -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Date);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
}

pub fn words(words: &[&str]) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).into()
}

/// In a query, where a name alone is true.
pub fn flag() -> RefOr<Schema> {
    let types = SchemaType::Array(vec![Type::Boolean, Type::Integer, Type::String]);
    let forms = [json!(true), json!(false), json!(1), json!(0), json!("")];
    ObjectBuilder::new().schema_type(types).enum_values(Some(forms)).into()
}

/// A whole number of 64 bits, both ends included.
pub fn number(least: u64, most: impl Into<Option<u64>>) -> RefOr<Schema> {
    let most = most.into().unwrap_or(u64::MAX);
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most)).into()
}

pub fn array(items: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(items).into()
}
