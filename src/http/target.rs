//! Which service a request is for (RFC 9112, 3.2).
//!
//! Invariant: whoever looks at the `Host` of a request looks at the only name of a service that is in it. A request that
//! names none, several, or one in its target and another in its header is malformed, and answered before anything is done.

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::uri::{Authority, Scheme};
use actix_web::http::{Uri, Version};
use actix_web::middleware::Next;

use super::problem::{Code, Problem};

pub async fn one_host(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let hosts: Vec<_> = request.headers().get_all(header::HOST).collect();
    check(request.uri(), &hosts, request.version()).map_err(|why| Problem::new(Code::BadRequest, why))?;
    Ok(next.call(request).await?.map_into_boxed_body())
}

pub(super) fn check(target: &Uri, hosts: &[&HeaderValue], version: Version) -> Result<(), &'static str> {
    let host = match hosts {
        [] if version < Version::HTTP_11 => None,
        [host] => Some(host.to_str().ok().filter(|host| is_host(host)).ok_or("the `Host` header names no host")?),
        _ => return Err("the request must have one `Host` header"),
    };
    let Some(authority) = target.authority() else { return Ok(()) };
    let port = match target.scheme() {
        // Of `CONNECT`, which no route takes.
        None => return Ok(()),
        Some(scheme) if *scheme == Scheme::HTTP => ":80",
        Some(scheme) if *scheme == Scheme::HTTPS => ":443",
        Some(_) => return Err("the target is of another protocol"),
    };
    let without_port = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
    let is_same = host.is_none_or(|host| without_port(host) == without_port(authority.as_str()));
    let is_plain = is_host(authority.as_str()) && !authority.as_str().is_empty();
    if is_same && is_plain { Ok(()) } else { Err("the target names another host than the `Host` header") }
}

/// A name or an address, and maybe a port. It may be empty: not every target has a host.
fn is_host(text: &str) -> bool {
    let is_port = |rest: &str| {
        let digits = if rest.is_empty() { Some("") } else { rest.strip_prefix(':') };
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let authority = text.parse::<Authority>().ok();
    text.is_empty() || authority.is_some_and(|it| text.strip_prefix(it.host()).is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for host in ["", "a", "a.example:80", "a_b", "[::1]", "[::1]:8000", "10.0.0.1:8", "x.example.", "a:"] {
            assert!(is_host(host), "{host}");
        }
        for other in ["a b", "a@b", "a/b", "a:b", "a:1:2", "http://a", "\"a\"", "[::1", "::1", "[::1]x", "a?b", "<a>"] {
            assert!(!is_host(other), "{other}");
        }
    }
}
