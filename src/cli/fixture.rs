//! A service with scripted answers, over real HTTP.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

/// What was asked and what is answered.
#[derive(Default)]
pub struct Script {
    /// `GET /path body`, in their order.
    pub requests: Mutex<Vec<String>>,
    /// The lines of the one run's log.
    pub events: Mutex<Vec<Value>>,
    /// Each connection to the stream is cut after so many events.
    pub cut_after: usize,
}

impl Script {
    pub fn new(kinds: &[(&str, Value)], cut_after: usize) -> Arc<Self> {
        let numbered = kinds.iter().zip(1u64..);
        let events = numbered.map(|((kind, payload), n)| json!({"type": kind, "sequence": n, "payload": payload}));
        Arc::new(Self { events: Mutex::new(events.collect()), cut_after, ..Self::default() })
    }

    /// Serves until the test's system ends; the base URL.
    pub fn serve(self: &Arc<Self>) -> String {
        let script = web::Data::from(self.clone());
        let server = HttpServer::new(move || App::new().app_data(script.clone()).default_service(web::to(answer)));
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        actix_rt::spawn(server.run());
        format!("http://{address}")
    }

    pub fn asked(&self, beginning: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.starts_with(beginning)).cloned().collect()
    }
}

pub const RUN: &str = "run_01ARZ3NDEKTSV4RRFFQ69G5FAV";
pub const WORKSPACE: &str = "ws_01ARZ3NDEKTSV4RRFFQ69G5FAV";

async fn answer(request: HttpRequest, body: web::Bytes, script: web::Data<Script>) -> HttpResponse {
    let body = String::from_utf8_lossy(&body).into_owned();
    let (method, path) = (request.method().as_str(), request.path());
    let known = |what: &str| !script.asked(&format!("POST {what}")).is_empty();
    let workspaces = "/api/v1/workspaces";
    let configurations = format!("{workspaces}/{WORKSPACE}/configurations");
    let workspace = json!({"id": WORKSPACE, "slug": "local", "name": "local"});
    let configuration = json!({"id": "cfg_1", "display_name": "default"});
    let list = |item: &Value, known: bool| json!({"items": if known { vec![item] } else { vec![] }, "pageCount": 1});
    let answered = match (method, path.strip_prefix(&format!("/api/v1/runs/{RUN}"))) {
        ("GET", Some("/events/stream")) => return stream(&request, &script),
        ("GET", Some("/outputs")) => {
            json!({"files": [{"name": "normalized.xlsx", "download_url": format!("/api/v1/runs/{RUN}/outputs/normalized.xlsx")}]})
        }
        ("GET", Some("/outputs/normalized.xlsx")) => return HttpResponse::Ok().body("the workbook"),
        _ => match (method, path) {
            ("GET", path) if path == workspaces => list(&workspace, known(workspaces)),
            ("GET", path) if path == configurations => list(&configuration, known(&configurations)),
            ("POST", path) if path == workspaces => workspace,
            ("POST", path) if path == configurations => configuration,
            ("POST", path) if path.ends_with("/documents") => json!({"id": "doc_1"}),
            ("POST", path) if path.ends_with("/import") => json!({"id": "cfg_2"}),
            ("POST", path) if path.ends_with("/runs") => json!({"id": RUN, "workspace_id": WORKSPACE}),
            _ => return HttpResponse::NotFound().json(json!({"code": "not_found", "detail": "no such thing"})),
        },
    };
    script.requests.lock().unwrap().push(format!("{method} {path} {body}"));
    HttpResponse::Ok().json(answered)
}

fn stream(request: &HttpRequest, script: &Script) -> HttpResponse {
    let last = request.headers().get("last-event-id").map_or("0", |id| id.to_str().unwrap());
    script.requests.lock().unwrap().push(format!("GET stream {last} {}", request.query_string()));
    let events = script.events.lock().unwrap();
    let rest = &events[last.parse::<usize>().unwrap().min(events.len())..];
    if rest.is_empty() {
        return HttpResponse::NoContent().finish();
    }
    let frame = |event: &Value| format!("event: ade.event\ndata: {event}\nid: {}\n\n", event["sequence"]);
    // A reader must survive seeing the last event before its position once more.
    let repeated = last.parse::<usize>().unwrap().checked_sub(1).map(|at| frame(&events[at])).unwrap_or_default();
    let sent: String = rest.iter().take(script.cut_after).map(frame).collect();
    HttpResponse::Ok().content_type("text/event-stream").body(format!("retry: 1\n\n{repeated}{sent}id: 9"))
}
