//! What one operation takes and answers.

use std::collections::BTreeMap;

use actix_web::http::Method;
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Ref, Schema, SchemaType, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Required, Response};

use super::kinds::{array, text};
use crate::domain::idempotency::MAX_LENGTH;
use crate::domain::principal::Role;
use crate::http::forward::is_listed;
use crate::http::limits::UNLIMITED;
use crate::http::problem::Code;

pub const JSON: &str = "application/json";

/// The media type of files that have types of their own.
pub const ANY: &str = "*/*";

/// A schema under its name.
pub type Named = (String, RefOr<Schema>);

/// An operation, before it is part of a document.
#[derive(Clone)]
pub struct Operation {
    pub(super) method: Method,
    /// As the document has it.
    pub(super) path: String,
    pub(super) tag: &'static str,
    pub(super) id: String,
    pub(super) summary: String,
    pub(super) notes: Option<String>,
    pub(super) deprecated: bool,
    /// None for everybody.
    pub(super) role: Option<Role>,
    /// Whether a caller may be there where none is needed.
    pub(super) may_know_its_caller: bool,
    /// Whether problems are pages for those who prefer HTML.
    pub(super) shows_pages: bool,
    /// Whether a ticket for the stream is enough.
    pub(super) is_open_to_tickets: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) answers: BTreeMap<u16, Response>,
    pub(super) codes: Vec<Code>,
    pub(super) schemas: Vec<Named>,
}

impl Operation {
    pub(super) fn new(method: Method, path: &str, tag: &'static str) -> Self {
        let codes = refused_by_all(&method, path);
        Self {
            method,
            path: without_patterns(path),
            tag,
            id: String::new(),
            summary: String::new(),
            notes: None,
            deprecated: false,
            role: None,
            may_know_its_caller: false,
            shows_pages: false,
            is_open_to_tickets: false,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            codes,
            schemas: Vec::new(),
        }
    }

    /// The name that clients call it by, and what it does in one sentence.
    pub fn named(self, id: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { id: id.into(), summary: summary.into(), ..self }
    }

    /// What one sentence does not hold, in Markdown.
    pub fn notes(self, notes: impl Into<String>) -> Self {
        Self { notes: Some(notes.into()), ..self }
    }

    pub fn needs(self, role: Role) -> Self {
        Self { role: Some(role), ..self }.refuses(&[
            Code::SignInRequired,
            Code::CredentialsRefused,
            Code::RoleRequired,
            Code::CsrfTokenRequired,
            Code::TicketElsewhere,
        ])
    }

    pub(super) fn may_know_its_caller(self) -> Self {
        Self { may_know_its_caller: true, ..self }
    }

    pub(super) fn takes_tickets(self) -> Self {
        Self { is_open_to_tickets: true, ..self }
    }

    pub(super) fn shows_pages(self) -> Self {
        Self { shows_pages: true, ..self }
    }

    /// Beside those that its arguments tell.
    pub fn refuses(mut self, codes: &[Code]) -> Self {
        codes.iter().for_each(|code| {
            if !self.codes.contains(code) {
                self.codes.push(*code);
            }
        });
        self
    }

    /// The schemas of the segments of the path, in its order.
    pub(super) fn segments(mut self, schemas: Vec<RefOr<Schema>>) -> Self {
        let names = self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned);
        let parameter = |(name, schema): (String, _)| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
            parameter.required(Required::True).schema(Some(schema)).build()
        };
        self.parameters.extend(names.collect::<Vec<_>>().into_iter().zip(schemas).map(parameter));
        self
    }

    pub fn query(self, name: &str, schema: RefOr<Schema>, what: impl Into<String>) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::False);
        self.parameter(parameter.description(Some(what)).schema(Some(schema)).build()).refuses(&[Code::InvalidQuery])
    }

    /// A parameter that has to be given.
    pub fn query_needed(self, name: &str, schema: RefOr<Schema>, what: &str) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::True);
        self.parameter(parameter.description(Some(what)).schema(Some(schema)).build()).refuses(&[Code::InvalidQuery])
    }

    /// A parameter whose value is JSON.
    pub(super) fn query_of_json(self, name: &str, schema: RefOr<Schema>, what: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::False);
        self.parameter(parameter.description(Some(what)).content(JSON, content).build()).refuses(&[Code::InvalidQuery])
    }

    /// An id in the query.
    pub fn query_id<T: ToSchema>(mut self, name: &str, what: &str) -> Self {
        let schema = self.schema_of::<T>();
        self.query(name, schema, what).refuses(&[Code::InvalidId, Code::NotFound])
    }

    pub fn header(self, name: &str, schema: RefOr<Schema>, required: bool, what: &str) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).description(Some(what));
        let required = if required { Required::True } else { Required::False };
        self.parameter(parameter.required(required).schema(Some(schema)).build())
    }

    pub(super) fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// A body that is needed.
    pub fn takes<T: ToSchema>(mut self) -> Self {
        let schema = self.schema_of::<T>();
        self.body_of(JSON, schema, Required::True)
    }

    /// A body that may be left out.
    pub fn may_take<T: ToSchema>(mut self) -> Self {
        let schema = self.schema_of::<T>();
        self.body_of(JSON, schema, Required::False)
    }

    /// A form of one file, and texts beside it: the name of each, its form, and whether it is needed.
    pub fn takes_form(self, file: &str, texts: &[(&str, RefOr<Schema>, bool)]) -> Self {
        let file = ObjectBuilder::new().schema_type(Type::String).description(Some(file));
        let file = file.content_media_type("application/octet-stream");
        let form = ObjectBuilder::new().schema_type(Type::Object).property("file", file).required("file");
        let form = texts.iter().fold(form, |form, (name, schema, is_needed)| {
            let form = form.property(*name, schema.clone());
            if *is_needed { form.required(*name) } else { form }
        });
        let form = form.additional_properties(Some(AdditionalProperties::FreeForm(false)));
        self.body_of("multipart/form-data", form.into(), Required::True)
    }

    /// A body of any bytes.
    pub fn takes_bytes(self, what: &str) -> Self {
        let bytes = ObjectBuilder::new().schema_type(Type::String).description(Some(what));
        let bytes = bytes.content_media_type("application/octet-stream");
        self.body_of("application/octet-stream", bytes.into(), Required::True)
    }

    fn body_of(self, media_type: &str, schema: RefOr<Schema>, required: Required) -> Self {
        let body = self.body.clone().map_or_else(RequestBodyBuilder::new, RequestBodyBuilder::from);
        let content = ContentBuilder::new().schema(Some(schema)).build();
        Self { body: Some(body.content(media_type, content).required(Some(required)).build()), ..self }
    }

    /// JSON of this type.
    pub fn answers<T: ToSchema>(mut self, status: u16, what: &str) -> Self {
        let schema = self.schema_of::<T>();
        self.content(status, JSON, schema, what)
    }

    /// As [`Operation::answers`], a list that is always whole.
    pub fn answers_all<T: ToSchema>(mut self, what: &str) -> Self {
        let schema = array(self.schema_of::<T>());
        self.content(200, JSON, schema, what)
    }

    /// 201, with the resource and where it is.
    pub fn creates<T: ToSchema>(self, what: &str) -> Self {
        self.answers::<T>(201, what).tells(201, "Location", text(), "The path of what was created.")
    }

    pub fn empty(mut self, status: u16, what: &str) -> Self {
        self.answers.entry(status).or_insert_with(|| Response::new(what));
        self
    }

    pub fn content(mut self, status: u16, media_type: &str, schema: RefOr<Schema>, what: &str) -> Self {
        let answer = self.answers.entry(status).or_insert_with(|| Response::new(what));
        answer.content.insert(media_type.to_owned(), ContentBuilder::new().schema(Some(schema)).build().into());
        self
    }

    /// Lines or frames, each with an item of this form (what OpenAPI 3.2 calls `itemSchema`).
    pub fn items(mut self, status: u16, media_type: &str, item: RefOr<Schema>, what: &str) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let item = Extensions::from_iter([("x-item-schema", serde_json::json!(item))]);
        let content = ContentBuilder::new().schema(Some(text)).extensions(Some(item)).build();
        let answer = self.answers.entry(status).or_insert_with(|| Response::new(what));
        answer.content.insert(media_type.to_owned(), content.into());
        self
    }

    /// A header of an answer.
    pub fn tells(mut self, status: u16, name: &str, schema: RefOr<Schema>, what: &str) -> Self {
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(what)).build();
        if let Some(answer) = self.answers.get_mut(&status) {
            answer.headers.insert(name.to_owned(), header.into());
        }
        self
    }

    /// The answer of that status has an `ETag`.
    pub fn tagged(self, status: u16) -> Self {
        self.tells(status, "ETag", text(), "The version of the resource.")
    }

    /// The answer has an `ETag`, and conditions are obeyed.
    pub fn conditional(self) -> Self {
        self.tagged(200)
            .header("If-None-Match", text(), false, "Answers 304 when the resource still has one of these `ETag`s.")
            .header("If-Match", text(), false, "Answers 412 when the resource has none of these `ETag`s.")
            .empty(304, "The client has the present version.")
            .refuses(&[Code::PreconditionFailed])
    }

    /// A change of a version that has to be named.
    pub fn of_version(self) -> Self {
        self.header(
            "If-Match",
            text(),
            true,
            "The `ETag` of the version that is to be changed, what of it stands before the dot, or `*` for any.",
        )
        .refuses(&[Code::PreconditionRequired, Code::PreconditionFailed])
    }

    /// A create that may be sent twice under one key.
    pub fn repeatable(self) -> Self {
        self.header("Idempotency-Key", key(), false, "Under one key something is created once, for 24 hours.").tells(
            201,
            "Idempotency-Replayed",
            text(),
            "`true` when it had been created before.",
        )
    }

    /// Bytes with their length, an `ETag` and ranges.
    pub fn sends_file(self, media_type: &str, what: &str) -> Self {
        // Of a file of any type nothing can be said, as it may be JSON.
        let (kind, told) =
            if media_type == ANY { (SchemaType::AnyValue, "") } else { (Type::String.into(), media_type) };
        let bytes = || ObjectBuilder::new().schema_type(kind.clone()).content_media_type(told);
        self.content(200, media_type, bytes().into(), what)
            .content(206, media_type, bytes().into(), "The part that `Range` asks for.")
            .tells(206, "Content-Range", text(), "Which part, and of how many bytes.")
            .tells(200, "Content-Disposition", text(), "The name of the file.")
            .header("Range", text(), false, "One range of bytes.")
            .header("If-Range", text(), false, "Only when the file still has this `ETag`; else all of it.")
            .conditional()
            .refuses(&[Code::RangeNotSatisfiable])
    }

    /// A reference to the schema, which the document will have.
    pub fn schema_of<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        Ref::from_schema_name(T::name()).into()
    }

    /// Its name, and what it does.
    pub fn name(&self) -> (&str, &str) {
        (&self.id, &self.summary)
    }

    pub fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The schemas that it refers to, and those that they refer to.
    pub fn schemas(&self) -> &[Named] {
        &self.schemas
    }

    /// The same under another path, for clients that know it by that.
    pub(super) fn alias_of(self, first: &str) -> Self {
        Self { id: format!("{}_alias", self.id), summary: format!("As `{first}`."), deprecated: true, ..self }
    }
}

/// What a request is refused for before its handler runs.
fn refused_by_all(method: &Method, path: &str) -> Vec<Code> {
    let mut codes = vec![Code::BadRequest, Code::HostNotAllowed, Code::OriginNotAllowed, Code::Internal];
    if !path.starts_with(UNLIMITED) {
        codes.push(Code::RateLimited);
    }
    // It may be another node's to answer.
    if is_listed(method, &without_patterns(path)) {
        codes.extend([Code::NodeUnreachable, Code::OwnerChanged]);
    }
    // It would be a change that the audit log does not have.
    if !method.is_safe() {
        codes.push(Code::LogUnavailable);
    }
    codes
}

fn key() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(MAX_LENGTH)).pattern(Some("^[!-~]+$")).into()
}

/// Patterns of segments are the router's business.
fn without_patterns(path: &str) -> String {
    let mut plain = String::new();
    let mut is_pattern = false;
    for character in path.chars() {
        match character {
            ':' => is_pattern = true,
            '}' => is_pattern = false,
            _ => {}
        }
        if !is_pattern {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_documented_without_its_patterns() {
        assert_eq!(without_patterns("/runs/{run}/outputs/{path:.*}"), "/runs/{run}/outputs/{path}");
    }
}
