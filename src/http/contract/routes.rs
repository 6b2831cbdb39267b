//! Mounting: a handler and its description, together.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Resource, Responder, web};

use super::describe::Describe;
use super::operation::Operation;
use crate::http::problem::Code;

type Description = Box<dyn Fn(Operation) -> Operation>;

/// Where routes are mounted. What has been mounted is told to those who want to know it.
pub struct Routes<'a> {
    config: &'a mut web::ServiceConfig,
    operations: Option<&'a mut Vec<Operation>>,
    /// Before every path.
    below: &'static str,
    tag: &'static str,
}

impl<'a> Routes<'a> {
    pub fn new(
        config: &'a mut web::ServiceConfig,
        operations: Option<&'a mut Vec<Operation>>,
        below: &'static str,
    ) -> Self {
        Self { config, operations, below, tag: "" }
    }

    /// A group of routes, under the name by which the document sorts them.
    pub fn group(&mut self, tag: &'static str, mount: impl FnOnce(&mut Self)) -> &mut Self {
        self.tag = tag;
        mount(self);
        self
    }

    /// The routes of a path, or of several paths that mean the same; the first is the one to use.
    pub fn at<P: Paths>(&mut self, paths: P, routes: impl FnOnce(At) -> At) -> &mut Self {
        let paths = paths.all();
        let At { resource, described } = routes(At { resource: web::resource(paths.clone()), described: Vec::new() });
        self.config.service(resource);
        if let Some(operations) = &mut self.operations {
            let whole: Vec<_> = paths.iter().map(|path| format!("{}{path}", self.below)).collect();
            for (method, describe) in &described {
                let of = |path: &String| describe(Operation::new(method.clone(), path, self.tag));
                let first = of(&whole[0]);
                operations.extend(whole[1..].iter().map(|path| of(path).alias_of(&first.path)));
                operations.push(first);
            }
        }
        self
    }

    /// Routes that several resources share.
    pub fn with(&mut self, mount: impl FnOnce(&mut Self)) -> &mut Self {
        mount(self);
        self
    }
}

/// One path, or several.
pub trait Paths {
    fn all(self) -> Vec<String>;
}

impl Paths for &str {
    fn all(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl Paths for String {
    fn all(self) -> Vec<String> {
        vec![self]
    }
}

impl Paths for Vec<String> {
    fn all(self) -> Vec<String> {
        self
    }
}

/// The routes of one path.
pub struct At {
    resource: Resource,
    described: Vec<(Method, Description)>,
}

impl At {
    /// `GET`, and `HEAD`, which is the same without a body; the document tells that once for all.
    pub fn read<H, Args>(self, handler: H, describe: impl Fn(Operation) -> Operation + 'static) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + Describe + 'static,
        H::Output: Responder + 'static,
    {
        let head = web::head().to(handler.clone());
        let mut read = self.on(Method::GET, handler, describe);
        read.resource = read.resource.route(head);
        read
    }

    /// `GET` alone, for what a browser is sent to and what then does something.
    pub fn visit<H, Args>(self, handler: H, describe: impl Fn(Operation) -> Operation + 'static) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + Describe + 'static,
        H::Output: Responder + 'static,
    {
        let notes = "Not `HEAD`: it does something.";
        self.on(Method::GET, handler, move |op| {
            describe(op).notes(notes).shows_pages().refuses(&[Code::MethodNotAllowed])
        })
    }

    pub fn post<H, Args>(self, handler: H, describe: impl Fn(Operation) -> Operation + 'static) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + Describe + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::POST, handler, describe)
    }

    pub fn put<H, Args>(self, handler: H, describe: impl Fn(Operation) -> Operation + 'static) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + Describe + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler, describe)
    }

    pub fn patch<H, Args>(self, handler: H, describe: impl Fn(Operation) -> Operation + 'static) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + Describe + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler, describe)
    }

    pub fn delete<H, Args>(self, handler: H, describe: impl Fn(Operation) -> Operation + 'static) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + Describe + 'static,
        H::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler, describe)
    }

    /// The longest body that these routes take, in bytes.
    pub fn body_limit(self, bytes: usize) -> Self {
        Self { resource: self.resource.app_data(web::PayloadConfig::new(bytes)), ..self }
    }

    fn on<H, Args>(mut self, method: Method, handler: H, describe: impl Fn(Operation) -> Operation + 'static) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + Describe + 'static,
        H::Output: Responder + 'static,
    {
        self.resource = self.resource.route(web::method(method.clone()).to(handler));
        self.described.push((method, Box::new(move |operation| describe(Args::describe(operation)))));
        self
    }
}
