//! Lists: their parameters, and the forms of their pages.

use std::fmt::Write as _;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::kinds::{array, flag, number, text, words};
use super::operation::{JSON, Named, Operation};
use crate::domain::list::{self, Field, Kind, Operator};
use crate::domain::{ConfigurationId, DocumentId, ExecutionId};
use crate::http::list::{MAX_FILTERS, MAX_PAGE, MAX_PER_PAGE, MAX_SEARCH, MAX_TEXT};
use crate::http::problem::Code;
use crate::http::resource::AsResource;

impl Operation {
    /// A list, by its parameters and the form of its pages.
    pub fn lists<R: AsResource + 'static>(mut self, schema: &list::Schema) -> Self {
        let item = self.schema_of::<R::Resource<'static>>();
        let pages = pages(&<R::Resource<'static>>::name(), item);
        let forms = pages.iter().map(|(name, _)| Ref::from_schema_name(name.as_str()).into());
        let either = one_of(forms);
        self.schemas.extend(pages);
        parameters(self, schema).content(200, JSON, either, "A page, or with `cursor` a part.")
    }
}

/// The two forms: a page by its number, and what comes after a place.
fn pages(item: &str, schema: RefOr<Schema>) -> [Named; 2] {
    let object = |items: &RefOr<Schema>| {
        let items = array(items.clone());
        ObjectBuilder::new().schema_type(Type::Object).property("items", items).required("items")
    };
    let page = ["page", "perPage", "pageCount", "total"]
        .into_iter()
        .fold(object(&schema), |page, name| page.property(name, number(0, None)).required(name));
    let cursor = ObjectBuilder::new().schema_type(Type::String).description(Some("Null at the end."));
    let cursor = one_of([cursor.into(), nothing()]);
    let slice = object(&schema).property("next_cursor", cursor).required("next_cursor");
    [(format!("{item}Page"), page.into()), (format!("{item}Slice"), slice.into())]
}

fn one_of(schemas: impl IntoIterator<Item = RefOr<Schema>>) -> RefOr<Schema> {
    schemas.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item).into()
}

fn nothing() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Null).into()
}

/// The parameters of a list.
fn parameters(operation: Operation, schema: &list::Schema) -> Operation {
    let search = ObjectBuilder::new().schema_type(Type::String).max_length(Some(MAX_SEARCH));
    let operation = operation
        .query("page", number(1, MAX_PAGE), "Which page.")
        .query("perPage", number(1, MAX_PER_PAGE), "How many on it; 50 unless told.")
        .query("page_size", number(1, MAX_PER_PAGE), "Another name of `perPage`.")
        .query("limit", number(1, MAX_PER_PAGE), "Another name of `perPage`.")
        .query("include_total", flag(), "Changes nothing: a page always has the total.")
        .query("cursor", text(), "In place of `page`: empty for the beginning, then `next_cursor` of each answer.")
        .query("sort", sort(schema), "Up to three keys, `-` before one for the other direction.")
        .query("q", search.into(), "At most eight words; each must be found in some searched text.")
        .refuses(&[Code::InvalidCursor]);
    let operation = of_filters(operation, schema);
    let operation = match schema.statuses {
        [] => operation,
        statuses => operation.query("status", array(words(statuses)), "Any of these."),
    };
    schema.parameters.iter().fold(operation, |operation, (name, field)| match field.kind() {
        Kind::Flag => operation.query(name, flag(), format!("`{field}` is this.")),
        _ => operation.query(name, array(value(*field, schema)), format!("`{field}` is one of these.")),
    })
}

fn of_filters(mut operation: Operation, schema: &list::Schema) -> Operation {
    if schema.filters.is_empty() {
        return operation;
    }
    let forms = schema.filters.iter().flat_map(|&field| filters(field, schema)).collect::<Vec<_>>();
    let name = format!("{}_filters", schema.name);
    let filters = ArrayBuilder::new().items(one_of(forms)).max_items(Some(MAX_FILTERS));
    operation.schemas.push((name.clone(), filters.into()));
    let filters = Ref::from_schema_name(name).into();
    operation.query_of_json("filters", filters, "Conditions, as JSON of at most 8 KiB.").query(
        "joinOperator",
        words(&["and", "or"]),
        "Whether all filters must hold, or one.",
    )
}

/// The spellings of a field.
fn spellings(field: Field) -> Vec<String> {
    let snake = field.as_str();
    let mut parts = snake.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    let camel = parts.fold(first, |mut camel, part| {
        let (head, tail) = part.split_at(1);
        let _ = write!(camel, "{}{tail}", head.to_ascii_uppercase());
        camel
    });
    if camel == snake { vec![camel] } else { vec![snake.to_owned(), camel] }
}

fn sort(schema: &list::Schema) -> RefOr<Schema> {
    let names: Vec<_> = schema.sorts.iter().flat_map(|field| spellings(*field)).collect();
    let key = format!("-?({})", names.join("|"));
    let pattern = format!(r"^[\s,]*({key}(\s*,[\s,]*{key}){{0,2}}[\s,]*)?$");
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
}

/// What may be asked of a field: one form for the operators that take the same.
fn filters(field: Field, schema: &list::Schema) -> Vec<RefOr<Schema>> {
    use Operator::{Between, Eq, Gt, Gte, ILike, In, IsEmpty, IsNotEmpty, Lt, Lte, Ne, NotILike, NotIn};
    let value = value(field, schema);
    let list = |least: usize, most: Option<usize>| {
        ArrayBuilder::new().items(value.clone()).min_items(Some(least)).max_items(most)
    };
    let forms: [(&[Operator], Option<RefOr<Schema>>); 5] = [
        (&[Eq, Ne, Lt, Lte, Gt, Gte], Some(value.clone())),
        (&[In, NotIn], Some(list(1, None).into())),
        (&[Between], Some(list(2, Some(2)).into())),
        (&[ILike, NotILike], Some(pattern())),
        (&[IsEmpty, IsNotEmpty], None),
    ];
    let fitting = |operators: &[Operator]| -> Vec<&'static str> {
        let own = field.kind().operators();
        operators.iter().filter(|operator| own.contains(operator)).map(|operator| operator.as_str()).collect()
    };
    let forms = forms.into_iter().map(|(operators, value)| (fitting(operators), value));
    forms
        .filter(|(operators, _)| !operators.is_empty())
        .map(|(operators, value)| form(field, &operators, value))
        .collect()
}

fn form(field: Field, operators: &[&str], value: Option<RefOr<Schema>>) -> RefOr<Schema> {
    let spellings = spellings(field);
    let id = words(&spellings.iter().map(String::as_str).collect::<Vec<_>>());
    let form = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("id", id)
        .required("id")
        .property("operator", words(operators))
        .required("operator");
    let form = match value {
        Some(value) => form.property("value", value).required("value"),
        None => form.property("value", nothing()),
    };
    form.additional_properties(Some(AdditionalProperties::FreeForm(false))).into()
}

fn pattern() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[^\u0000]*$")).into()
}

/// A value of a field, as `filters` have it.
fn value(field: Field, schema: &list::Schema) -> RefOr<Schema> {
    let name = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX_TEXT));
    match field.kind() {
        Kind::Word => words(schema.statuses),
        Kind::Id => match field {
            Field::ConfigurationId => ConfigurationId::schema(),
            Field::ExecutionId => ExecutionId::schema(),
            _ => DocumentId::schema(),
        },
        Kind::Text => name.pattern(Some(r"^[^\u0000]+$")).into(),
        Kind::Time => time(),
        Kind::Flag => ObjectBuilder::new().schema_type(Type::Boolean).into(),
    }
}

/// RFC 3339; other forms of ISO 8601 are taken too.
fn time() -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_may_be_spelled_in_two_ways() {
        assert_eq!(spellings(Field::CreatedAt), ["created_at", "createdAt"]);
        assert_eq!(spellings(Field::InputDocumentId), ["input_document_id", "inputDocumentId"]);
        assert_eq!(spellings(Field::Status), ["status"]);
    }
}
