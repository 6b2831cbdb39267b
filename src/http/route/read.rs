//! Routes of what can be read.

use actix_web::{FromRequest, Handler, Resource, Responder, web};

/// Resources that can be read.
pub trait Read {
    /// `GET`, and `HEAD`, which is the same without a body.
    fn read<H, Args>(self, handler: H) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static;
}

impl Read for Resource {
    fn read<H, Args>(self, handler: H) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.route(web::get().to(handler.clone())).route(web::head().to(handler))
    }
}
