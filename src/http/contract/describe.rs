//! What the arguments of a handler say about its operation.

use actix_multipart::Multipart;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::kinds::text;
use super::operation::Operation;
use crate::domain::access::Holder;
use crate::domain::principal::Role;
use crate::domain::{BuildId, CallId, ConfigurationId, DocumentId, ExecutionId, KeyId, RunId, WorkspaceId};
use crate::http::auth::{Admin, KeyHolder, Operator, Overseer, StreamReader, Viewer};
use crate::http::call::Call;
use crate::http::input::Json;
use crate::http::problem::Code;
use crate::http::query::NoQuery;

/// An argument of a handler, or all of them.
#[diagnostic::on_unimplemented(
    message = "the contract does not know what an argument of type `{Self}` means",
    note = "say it in `src/http/contract/describe.rs`"
)]
pub trait Describe {
    fn describe(operation: Operation) -> Operation;
}

/// Says nothing about the operation.
impl Describe for HttpRequest {
    fn describe(operation: Operation) -> Operation {
        operation
    }
}

/// Says nothing about the operation.
impl<T: ?Sized> Describe for web::Data<T> {
    fn describe(operation: Operation) -> Operation {
        operation
    }
}

macro_rules! roles {
    ($($role:ident),*) => {$(
        impl Describe for $role {
            fn describe(operation: Operation) -> Operation {
                operation.needs(Role::$role).refuses(&[Code::DatabaseUnavailable])
            }
        }
    )*};
}

roles!(Viewer, Operator, Admin);

/// Whoever is let in, by key or session.
impl Describe for KeyHolder {
    fn describe(operation: Operation) -> Operation {
        Viewer::describe(operation)
    }
}

/// A viewer whose key is for all workspaces.
impl Describe for Overseer {
    fn describe(operation: Operation) -> Operation {
        Viewer::describe(operation).refuses(&[Code::AllWorkspacesRequired])
    }
}

/// A viewer, or who has a ticket for the stream.
impl Describe for StreamReader {
    fn describe(operation: Operation) -> Operation {
        Viewer::describe(operation).takes_tickets()
    }
}

/// A caller may be there, and need not.
impl<T> Describe for Option<T> {
    fn describe(operation: Operation) -> Operation {
        operation.may_know_its_caller()
    }
}

/// The operation tells itself what becomes of a caller that is refused.
impl<T, E> Describe for Result<T, E> {
    fn describe(operation: Operation) -> Operation {
        operation.may_know_its_caller()
    }
}

impl Describe for Bytes {
    fn describe(operation: Operation) -> Operation {
        operation.refuses(&[Code::PayloadTooLarge, Code::RequestTimeout])
    }
}

impl Describe for Call {
    fn describe(operation: Operation) -> Operation {
        Operator::describe(operation)
    }
}

impl Describe for Json {
    fn describe(operation: Operation) -> Operation {
        Bytes::describe(operation).refuses(&[Code::UnsupportedMediaType, Code::InvalidRequest])
    }
}

impl Describe for Multipart {
    fn describe(operation: Operation) -> Operation {
        Json::describe(operation)
    }
}

impl Describe for NoQuery {
    fn describe(operation: Operation) -> Operation {
        operation.refuses(&[Code::InvalidQuery])
    }
}

/// A segment of a path.
pub trait Segment {
    fn schema(operation: &mut Operation) -> RefOr<Schema>;
}

macro_rules! ids {
    ($($id:ty),*) => {$(
        impl Segment for $id {
            fn schema(operation: &mut Operation) -> RefOr<Schema> {
                operation.codes.extend([Code::InvalidId].iter().filter(|code| !operation.codes.contains(code)).collect::<Vec<_>>());
                operation.schema_of::<Self>()
            }
        }
    )*};
}

ids!(WorkspaceId, ConfigurationId, RunId, BuildId, ExecutionId, CallId, DocumentId, KeyId, Holder);

// The kind of work that only tests have.
#[cfg(test)]
ids!(crate::registry::kinds::probe::ProbeId);

/// A name that a person or an engine has given.
impl Segment for String {
    fn schema(_: &mut Operation) -> RefOr<Schema> {
        text()
    }
}

/// The segments of a path, in its order.
pub trait Segments {
    fn schemas(operation: &mut Operation) -> Vec<RefOr<Schema>>;
}

impl<T: Segments> Describe for web::Path<T> {
    fn describe(mut operation: Operation) -> Operation {
        let schemas = T::schemas(&mut operation);
        operation.segments(schemas).refuses(&[Code::NotFound])
    }
}

impl<T: Segment> Segments for T {
    fn schemas(operation: &mut Operation) -> Vec<RefOr<Schema>> {
        vec![T::schema(operation)]
    }
}

/// Each of a tuple, one after the other.
macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: Describe),*> Describe for ($($name,)*) {
            fn describe(operation: Operation) -> Operation {
                $(let operation = $name::describe(operation);)*
                operation
            }
        }
    };
}

tuples!();
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);

macro_rules! paths {
    ($($name:ident)*) => {
        impl<$($name: Segment),*> Segments for ($($name,)*) {
            fn schemas(operation: &mut Operation) -> Vec<RefOr<Schema>> {
                vec![$($name::schema(operation)),*]
            }
        }
    };
}

paths!(A B);
paths!(A B C);
