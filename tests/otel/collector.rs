//! A collector: OTLP over HTTP, with protobuf. It does as it is told.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use ade_test_support::server::{Received, receive, serve};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::{self as otlp, status::StatusCode};
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::eventually;

/// What becomes of a batch.
#[derive(Debug, Clone)]
pub enum Manner {
    Takes,
    /// All but so many spans.
    TakesBut(i64),
    /// The status line's rest, and headers.
    Refuses(&'static str, &'static str),
    /// No answer, as long as the service is there.
    Hangs,
}

/// Serves until the test program ends.
pub struct Collector {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// The last one repeats.
    manners: Mutex<Vec<Manner>>,
    batches: Mutex<Vec<Batch>>,
}

/// A request, and whether its spans were taken.
pub struct Batch {
    pub request: Received,
    pub spans: Vec<Span>,
    pub is_taken: bool,
}

/// A span as the collector sees it; ids as hexadecimal digits.
#[derive(Debug, Clone)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty where there is none.
    pub parent: String,
    pub name: String,
    pub kind: &'static str,
    pub is_error: bool,
    pub begin: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, Value>,
    pub resource: BTreeMap<String, Value>,
}

impl Collector {
    pub fn start(manners: Vec<Manner>) -> Self {
        let state = Arc::new(State { manners: Mutex::new(manners), batches: Mutex::default() });
        let serving = state.clone();
        Self { address: serve(move |socket| serving.serve(socket)), state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub fn turn(&self, manner: Manner) {
        *self.state.manners.lock().unwrap() = vec![manner];
    }

    pub fn look<T>(&self, look: impl FnOnce(&[Batch]) -> T) -> T {
        look(&self.state.batches.lock().unwrap())
    }

    /// All spans that were taken.
    pub fn spans(&self) -> Vec<Span> {
        self.look(|batches| {
            batches.iter().filter(|batch| batch.is_taken).flat_map(|batch| batch.spans.clone()).collect()
        })
    }

    /// Waits for the spans of this name.
    pub fn named(&self, name: &str) -> Vec<Span> {
        eventually(name, || Some(named(&self.spans(), name)).filter(|found| !found.is_empty()))
    }

    /// Waits until so many batches have come, taken or not.
    pub fn await_batches(&self, count: usize) {
        eventually("batches of spans", || (self.look(<[Batch]>::len) >= count).then_some(()));
    }
}

pub fn named(spans: &[Span], name: &str) -> Vec<Span> {
    spans.iter().filter(|span| span.name == name).cloned().collect()
}

/// The one of this name.
#[track_caller]
pub fn one(spans: &[Span], name: &str) -> Span {
    let found = named(spans, name);
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    assert_eq!(found.len(), 1, "{name} among {names:?}");
    found[0].clone()
}

impl State {
    fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(socket.try_clone()?);
        while let Some(request) = receive(&mut reader)? {
            let spans = spans(&request.body);
            let manner = {
                let mut manners = self.manners.lock().unwrap();
                if manners.len() > 1 { manners.remove(0) } else { manners[0].clone() }
            };
            let is_taken = matches!(manner, Manner::Takes | Manner::TakesBut(_));
            self.batches.lock().unwrap().push(Batch { request, spans, is_taken });
            match manner {
                Manner::Takes => take(&mut socket, &ExportTraceServiceResponse::default())?,
                Manner::TakesBut(rejected_spans) => {
                    let partial = ExportTracePartialSuccess { rejected_spans, error_message: "no room".to_owned() };
                    take(&mut socket, &ExportTraceServiceResponse { partial_success: Some(partial) })?;
                }
                Manner::Refuses(status, headers) => {
                    write!(socket, "HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n")?;
                }
                Manner::Hangs => {
                    let _ = reader.read(&mut [0]);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn take(socket: &mut TcpStream, answer: &ExportTraceServiceResponse) -> io::Result<()> {
    let body = answer.encode_to_vec();
    write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
    socket.write_all(&body)
}

fn spans(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes(of_resource.resource.unwrap_or_default().attributes);
        let all = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(all.map(|span| Span::of(span, resource.clone())));
    }
    spans
}

impl Span {
    fn of(span: otlp::Span, resource: BTreeMap<String, Value>) -> Self {
        assert!(span.events.is_empty(), "no event of the log goes to a collector: {:?}", span.events);
        Self {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: span.kind().as_str_name(),
            is_error: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
            begin: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: attributes(span.attributes),
            name: span.name,
            resource,
        }
    }

    #[track_caller]
    pub fn assert_has(&self, expected: Value) {
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(self.attributes.get(key), Some(value), "{key} of {self:?}");
        }
    }

    #[track_caller]
    pub fn assert_child_of(&self, parent: &Self) {
        assert_eq!((&self.trace, &self.parent), (&parent.trace, &parent.id), "{self:?} is below {parent:?}");
        assert!(parent.begin <= self.begin && self.begin <= self.end, "{self:?} after {parent:?}");
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let value = |any: Option<Any>| match any {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(value)) => json!(value),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        other => panic!("no attribute of ours: {other:?}"),
    };
    pairs.into_iter().map(|pair| (pair.key, value(pair.value.and_then(|any| any.value)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
