//! What every handler that changes something needs of its request.

use actix_web::{HttpRequest, web};
use actix_web_lab::FromRequest;

use super::auth::Operator;
use crate::registry::RegistryHandle;

/// Who asks, whom they ask, and the request whose query and headers say how.
#[derive(FromRequest)]
pub struct Call {
    pub caller: Operator,
    pub registry: web::Data<RegistryHandle>,
    pub request: HttpRequest,
}
