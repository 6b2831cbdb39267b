//! What requests say in their targets, headers and bodies.

use std::cell::RefCell;

use actix_multipart::Multipart;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, ContentDisposition, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Uri, Version};
use actix_web::test::TestRequest;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};

use super::cursor::{EventsRequest, ManyRequest};
use super::filter::{Asked, Filter};
use super::peer::{Client, TrustedProxies};
use super::positions::Positions;
use super::respond::disposition::{attachment, file_name};
use super::{accept, body, conditional, form, respond, sign_in, target};
use crate::access::shown::Shown;
use crate::domain::StreamKind;
use crate::domain::sequence::Start;
use crate::event::codec;
use crate::files::Location;
use crate::fuzzing::{first_byte, first_line, scratch};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request whose query is the first line, and whose headers are the others, each after the byte that says which.
fn request(bytes: &[u8], names: &[HeaderName]) -> Option<TestRequest> {
    let (query, headers) = first_line(bytes);
    let target = format!("/?{}", std::str::from_utf8(query).ok()?);
    Uri::try_from(&target).ok()?;
    let headers = headers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    headers.take(20).try_fold(TestRequest::with_uri(&target), |request, line| {
        let (which, value) = first_byte(line);
        let value = HeaderValue::from_bytes(value).ok()?;
        Some(request.append_header((names[which % names.len()].clone(), value)))
    })
}

/// Where a reader of one stream, or of many, begins: told in other words, it is the same.
pub fn start_positions(bytes: &[u8]) {
    let Some(request) = request(bytes, &[LAST_EVENT_ID, header::ACCEPT]) else { return };
    let request = request.to_http_request();
    if let Ok(asked) = EventsRequest::parse(&request, None) {
        assert!((1..=1000).contains(&asked.limit) && asked.wait.as_secs() <= 30);
        let Start { after, from, cursor, tail } = asked.start;
        let said = [("after_sequence", after), ("from_sequence", from), ("last_event_id", cursor), ("tail", tail)];
        let said: Vec<_> = said.iter().filter_map(|(name, it)| it.map(|it| format!("{name}={it}"))).collect();
        let again = TestRequest::with_uri(&format!("/?{}", said.join("&"))).to_http_request();
        assert_eq!(EventsRequest::parse(&again, None).ok().map(|again| again.start), Some(asked.start));
        for (first, last) in [(1, 0), (1, 10), (5, 10), (u64::MAX, u64::MAX)] {
            assert!(asked.start.resolve(first, last).ok().is_none_or(|after| after <= last));
        }
    }
    if let Ok(asked) = ManyRequest::parse(&request) {
        assert!((1..=100).contains(&asked.streams.len()));
        let known = |id| asked.start(id).cursor.map(|cursor| format!("{id}:{cursor}"));
        let text: Vec<_> = asked.streams.iter().filter_map(|id| known(*id)).collect();
        let again = Positions::parse(&text.join(",")).expect("positions");
        assert!(asked.streams.iter().all(|id| again.of(*id) == asked.start(*id).cursor));
    }
}

/// Types, scope and level, each a line, and then the line of an event; the types are looked for as a text, too. The end of a stream passes every filter.
pub fn event_filters(bytes: &[u8]) {
    let (types, rest) = first_line(bytes);
    let (scope, rest) = first_line(rest);
    let (level, event) = first_line(rest);
    let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned()).filter(|text| !text.is_empty());
    let name = codec::raw_type(event);
    let _ = codec::decode(event);
    let labels = Asked { types: text(types), scope: text(scope), level: text(level), contains: None };
    let search = Asked { contains: text(types), ..Asked::default() };
    for filter in [labels, search].into_iter().filter_map(|asked| Filter::parse(asked).ok().flatten()) {
        for kind in [StreamKind::RUN, StreamKind::BUILD, StreamKind::EXECUTION, StreamKind::FEED] {
            assert!(filter.passes(kind, event) || !kind.is_terminal(name));
        }
    }
}

/// Keys, tickets and cookies. What is shown is one thing, and nothing that was not sent.
pub fn credentials(bytes: &[u8]) {
    let names = [header::AUTHORIZATION, header::COOKIE]
        .into_iter()
        .chain(["x-api-key", "x-csrf-token"].map(HeaderName::from_static))
        .collect::<Vec<_>>();
    let Some(request) = request(bytes, &names) else { return };
    let request: ServiceRequest = request.to_srv_request();
    let has = |name: &HeaderName| request.headers().contains_key(name);
    let shown = sign_in::shown(&request);
    assert_eq!(shown, sign_in::shown(&request));
    match shown {
        Shown::Nothing | Shown::Malformed(_) => {}
        Shown::Key(..) => assert!(has(&names[0]) || has(&names[2])),
        Shown::Ticket(_) => assert!(request.query_string().contains("ticket")),
        Shown::Session { .. } => {
            assert!(has(&names[1]) && !has(&names[2]));
            let secret = sign_in::session_secret(request.request());
            assert!(secret.is_some_and(|secret| (1..=128).contains(&secret.len())));
        }
    }
}

/// Conditions, ranges and preferences: each choice is one of those that there are.
pub fn accept_and_ranges(bytes: &[u8]) {
    let names = [header::ACCEPT, header::RANGE, header::IF_RANGE, header::IF_MATCH, header::IF_NONE_MATCH];
    let Some(request) = request(bytes, &names) else { return };
    let request = request.to_srv_request();
    let offers = [("application/json", 0), ("text/event-stream", 1), ("application/x-ndjson", 2)];
    let _ = accept::preferred(request.request(), &offers);
    conditional::try_conditions(&request);
    for length in [0, 1, 10, u64::MAX] {
        if let Some((start, end)) = respond::file::part(request.headers(), length, "\"a-1\"") {
            assert!(start <= end && end < length, "{start}-{end}/{length}");
        }
    }
    let expected = super::input::expected::<u64>(request.request());
    assert_eq!(expected.is_ok(), request.headers().contains_key(header::IF_MATCH));
}

/// A target on the first line, and hosts on the others: who is accepted has at most one, and it is the target's.
pub fn request_targets(bytes: &[u8]) {
    let (line, hosts) = first_line(bytes);
    let Ok(uri) = Uri::try_from(line) else { return };
    let hosts = hosts.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let hosts: Vec<_> = hosts.take(3).collect();
    let hosts: Vec<_> = hosts.iter().collect();
    for version in [Version::HTTP_10, Version::HTTP_11] {
        if target::check(&uri, &hosts, version).is_ok() {
            assert!(hosts.len() <= 1 && (hosts.len() == 1 || version == Version::HTTP_10));
            let host = hosts.first().map(|host| host.to_str().expect("a name").to_ascii_lowercase());
            let name = uri.host().filter(|_| uri.scheme().is_some()).map(str::to_ascii_lowercase);
            let is_same = |(name, host): (String, String)| host.starts_with(&name);
            assert!(name.zip(host).is_none_or(is_same), "{uri} {hosts:?}");
        }
    }
}

/// What proxies say of a client. Of a peer that is no proxy of ours it counts for nothing.
pub fn proxies(bytes: &[u8]) {
    let names = [header::FORWARDED, FORWARDED_FOR, FORWARDED_PROTO];
    let Some(request) = request(bytes, &names) else { return };
    let request = request.to_srv_request();
    let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().expect("a net")]);
    let client = |peer: [u8; 4]| proxies.client(Some(peer.into()), false, request.headers());
    let stranger = [198, 51, 100, 7];
    assert_eq!(client(stranger), Client { address: Some(stranger.into()), is_encrypted: false });
    assert!(client([10, 0, 0, 2]).address.is_some());
    assert_eq!(proxies.client(None, true, request.headers()), Client { address: None, is_encrypted: true });
}

/// A name of a file, out of a header and into one: what comes out goes in again, and adds nothing to the header.
pub fn file_names(bytes: &[u8]) {
    let said = HeaderValue::from_bytes(bytes).ok().and_then(|value| ContentDisposition::from_raw(&value).ok());
    let said = said.as_ref().and_then(file_name);
    for name in said.into_iter().chain(std::str::from_utf8(bytes).map(str::to_owned)) {
        let header = attachment(&name);
        let text = header.to_str().expect("plain text");
        assert!(text.starts_with("attachment; filename=\"") && text.bytes().all(|byte| (b' '..0x7f).contains(&byte)));
        let again = ContentDisposition::from_raw(&header).expect("a disposition");
        let kept: String =
            name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
        assert_eq!(file_name(&again), Some(kept), "{text}");
        assert_eq!(again.parameters.len(), 1 + usize::from(again.get_filename_ext().is_some()));
    }
}

/// A body that is accepted is kept as it is.
pub fn json_bodies(bytes: &[u8]) {
    let read = body::object::<Map<String, Value>>(bytes);
    let Ok(object) = read else { return };
    let text = Value::Object(object.clone()).to_string();
    assert_eq!(body::object::<Map<String, Value>>(text.as_bytes()).ok(), Some(object));
    let text = std::str::from_utf8(bytes).expect("JSON is UTF-8");
    assert_eq!(crate::domain::json::check_readable(text), Ok(()));
}

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().max_blocking_threads(1).build().expect("a runtime"));
}

/// A form with the boundary `b`, in chunks. What is kept is bounded, and nothing is left of it when it is dropped.
pub fn forms(bytes: &[u8]) {
    const LIMIT: u64 = 100;
    let (size, bytes) = first_byte(bytes);
    let folder = scratch();
    let incoming = Location::below(&folder, "incoming");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=b"));
    let chunks: Vec<_> = bytes.chunks(size * 8 + 1).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let multipart = Multipart::new(&headers, stream::iter(chunks));
    let form = RUNTIME.with_borrow(|runtime| runtime.block_on(form::read(multipart, &incoming, LIMIT, &["metadata"])));
    if let Ok(form) = &form {
        assert!(form.texts.iter().all(|(name, text)| name == "metadata" && text.len() <= 64 << 10));
        if let Some(file) = &form.file {
            assert!(file.byte_size <= LIMIT && file.sha256.len() == 64);
            assert!(file.name.chars().count() <= 255 && !file.name.contains(char::is_control));
            assert!(HeaderValue::from_str(&file.content_type).is_ok(), "{:?}", file.content_type);
            assert_eq!(file.open().and_then(|file| file.metadata()).map(|it| it.len()).ok(), Some(file.byte_size));
        }
    }
    drop(form);
    assert_eq!(std::fs::read_dir(folder.join("incoming")).map_or(0, Iterator::count), 0);
}
