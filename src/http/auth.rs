//! Who is calling. Until there are API keys the service serves this machine only, and every caller is the local one.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest};

use crate::domain::principal::Principal;

/// The caller of a request; a handler without it can see nothing.
#[derive(Debug)]
pub struct Caller(pub Principal);

impl FromRequest for Caller {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Principal::local())))
    }
}
