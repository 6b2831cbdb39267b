//! Who is at the other end: the address and the scheme that a client has used, also through proxies.
//!
//! Law: what a header says counts only as far as it was written by a proxy of the operator's list. Of a chain of addresses
//! the last that no such proxy has is the client; whatever stands before it, the client may have made up.

use std::net::{IpAddr, SocketAddr};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use ipnet::IpNet;

use super::tls::Encrypted;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of a request; in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// None of a connection that has gone.
    pub address: Option<IpAddr>,
    /// Whether it speaks TLS, to this process or to a proxy.
    pub is_encrypted: bool,
}

/// Proxies whose headers count.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

/// Finds out who the client is.
pub async fn find_client<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let encrypted = request.conn_data::<Encrypted>().is_some();
    let peer = request.peer_addr().as_ref().map(SocketAddr::ip);
    let client = match request.app_data::<web::Data<TrustedProxies>>() {
        Some(proxies) => proxies.client(peer, encrypted, request.headers()),
        None => Client { address: peer, is_encrypted: encrypted },
    };
    request.extensions_mut().insert(client);
    next.call(request).await
}

/// One hop, as a proxy has described it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Hop {
    /// Who the proxy was talking to; none when it keeps that to itself.
    address: Option<IpAddr>,
    is_encrypted: Option<bool>,
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    pub(super) fn client(&self, peer: Option<IpAddr>, encrypted: bool, headers: &HeaderMap) -> Client {
        let mut client = Client { address: peer.map(|peer| peer.to_canonical()), is_encrypted: encrypted };
        let is_ours = |client: &Client| client.address.is_some_and(|address| self.trusts(address));
        // What others say is not even read.
        let said = if is_ours(&client) { hops(headers) } else { Vec::new() };
        // From the nearest proxy outwards, as long as the next in line is one of ours.
        for hop in said.into_iter().rev() {
            if !is_ours(&client) {
                break;
            }
            client.is_encrypted = hop.is_encrypted.unwrap_or(client.is_encrypted);
            let Some(address) = hop.address else { break };
            client.address = Some(address.to_canonical());
        }
        client
    }
}

/// In the order in which they were passed. `Forwarded` is the standard, and counts alone where it is used.
fn hops(headers: &HeaderMap) -> Vec<Hop> {
    let standard: Vec<_> = values(headers, &header::FORWARDED).map(standard).collect();
    if !standard.is_empty() {
        return standard;
    }
    // One scheme for each hop, or one for all of them, which the nearest has written.
    let schemes: Vec<_> = values(headers, &FORWARDED_PROTO).map(is_https).collect();
    let addresses: Vec<_> = values(headers, &FORWARDED_FOR).map(address).collect();
    let of = |at: usize| if schemes.len() == addresses.len() { schemes[at] } else { schemes.last().copied().flatten() };
    match addresses.is_empty() {
        true => schemes.into_iter().map(|is_encrypted| Hop { address: None, is_encrypted }).collect(),
        false => (0..addresses.len()).map(|at| Hop { address: addresses[at], is_encrypted: of(at) }).collect(),
    }
}

/// The elements of a header that is a list, of however many lines.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).flat_map(|line| line.to_str().unwrap_or_default().split(',')).map(str::trim)
}

/// `for=192.0.2.1;proto=https`
fn standard(element: &str) -> Hop {
    let mut hop = Hop::default();
    for (name, value) in element.split(';').filter_map(|pair| pair.split_once('=')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.address = address(value),
            "proto" => hop.is_encrypted = is_https(value),
            _ => {}
        }
    }
    hop
}

/// `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]:4711`, quoted or not; names that hide an address are none.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(address, _)| address);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn is_https(text: &str) -> Option<bool> {
    match text.trim().trim_matches('"').to_ascii_lowercase().as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[(&'static str, &'static str)]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let proxies = TrustedProxies(trusted.iter().map(|net| net.parse().unwrap()).collect());
        let client = proxies.client(Some(peer.parse().unwrap()), false, &headers);
        (client.address.unwrap().to_string(), client.is_encrypted)
    }

    const OURS: &[&str] = &["10.0.0.0/8", "fd00::/8", "127.0.0.1/32"];

    #[test]
    fn without_a_trusted_proxy_headers_say_nothing() {
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")];
        assert_eq!(client(OURS, "198.51.100.7", &lines), ("198.51.100.7".into(), false));
        assert_eq!(client(&[], "127.0.0.1", &lines), ("127.0.0.1".into(), false));
        let lines = [("forwarded", "for=203.0.113.9;proto=https")];
        assert_eq!(client(OURS, "198.51.100.7", &lines), ("198.51.100.7".into(), false));
    }

    #[test]
    fn the_last_address_that_is_no_proxy_of_ours_is_the_client() {
        for (lines, expected) in [
            (&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")][..], ("203.0.113.9", true)),
            // What stands before it was made up by the client.
            (&[("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.1.1.1")], ("203.0.113.9", false)),
            (&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")], ("203.0.113.9", false)),
            (&[("x-forwarded-proto", "https")], ("10.0.0.2", true)),
            (&[("forwarded", "for=203.0.113.9;proto=https;by=10.0.0.2")], ("203.0.113.9", true)),
            (&[("forwarded", "For=\"[2001:db8::1]:4711\" ; Proto=HTTPS")], ("2001:db8::1", true)),
            (&[("forwarded", "for=1.1.1.1, for=\"203.0.113.9:80\", for=10.3.3.3;proto=https")], ("203.0.113.9", true)),
            // The standard counts alone.
            (&[("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "1.1.1.1")], ("203.0.113.9", false)),
            // A proxy that hides its client is as far as can be seen.
            (&[("forwarded", "for=1.1.1.1, for=_hidden;proto=https")], ("10.0.0.2", true)),
            (&[("x-forwarded-for", "1.1.1.1, unknown")], ("10.0.0.2", false)),
            (&[("x-forwarded-for", "")], ("10.0.0.2", false)),
        ] {
            let (address, is_encrypted) = client(OURS, "10.0.0.2", lines);
            assert_eq!((address.as_str(), is_encrypted), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_both_of_its_forms() {
        let lines = [("x-forwarded-for", "::ffff:203.0.113.9")];
        assert_eq!(client(OURS, "::ffff:10.0.0.2", &lines), ("203.0.113.9".into(), false));
    }
}
