//! Who is calling, and what a handler takes for granted of its caller. Until there are API keys the service serves this
//! machine only, and every caller is the local one: an admin.
//!
//! Invariant: a handler that has a caller at all has one of at least the role that its extractor names. A handler
//! without one of these can see nothing.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest};

use crate::domain::principal::Principal;

macro_rules! callers {
    ($($(#[$doc:meta])* $role:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $role(pub Principal);

        impl FromRequest for $role {
            type Error = Error;
            type Future = Ready<Result<Self, Error>>;

            fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(Ok(Self(Principal::local())))
            }
        }
    )*};
}

callers! {
    /// A caller who may read.
    Viewer;
    /// A caller who may change what is in its workspaces.
    Operator;
    /// A caller who may do everything.
    Admin;
}
