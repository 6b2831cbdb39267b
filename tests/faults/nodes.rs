//! Two nodes with one database: whatever one of them has can be asked of the other. Left out, loudly, where the servers cannot be
//! installed or no PostgreSQL is named.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ade_test_support::wait_until;
use serde_json::{Value, json};

use crate::support::definitions::{answers_to, step, workflow};
use crate::support::eventually;
use crate::support::http::{Request, Response};
use crate::support::nodes::{Node, World, get, know_each_other, node_id};
use crate::support::server::Server;
use crate::support::sse::{EventStream, Subscriber};
use crate::support::work::{Place, Run, id, parse};
use crate::tls::certify;

/// Waits until a node that has just started passes requests on to the other.
fn passed_on(server: &Server, request: &Request) -> Response {
    eventually("the request is passed on", || {
        let answer = server.send(request).unwrap();
        (answer.status() != 503).then_some(answer)
    })
}

fn assert_same(one: &Response, other: &Response) {
    assert_eq!((one.status(), &one.body), (other.status(), &other.body));
    for name in ["content-type", "etag", "content-range", "accept-ranges", "content-disposition", "cache-control"] {
        assert_eq!(one.header(name), other.header(name), "{name}");
    }
}

#[test]
fn a_run_of_one_node_is_watched_read_and_cancelled_by_the_other() {
    let Some(world) = World::new() else { return };
    let (_nodes, a, b) = world.two();
    let place = Place::make(&a);
    place.warm_up(&a);
    let run = place.run(&a, "print begun\nemit 50 100\nprint ready\nsleep 1000");
    let live = run.subscribe(&b, None);
    run.await_line(&b, "ready");
    let shown = get(&b, &run.path()).expect(200);
    assert_eq!(shown.header("ade-node"), Some(&*node_id(&a)), "{shown}");
    assert_eq!(shown.json()["status"], "running");
    assert_eq!(get(&a, &run.path()).header("ade-node"), None);

    let page = |server: &Server| get(server, &format!("{}/events?limit=20", run.path())).expect(200);
    assert_same(&page(&a), &page(&b));
    let resumed = run.subscribe(&b, Some(7));
    wait_until("events after the seventh", || resumed.count() > 3);
    assert_eq!(resumed.seen().events[0].0, 8);
    // Its feed is not read from a copy.
    let readers = || {
        let metrics = get(&a, "/metrics").expect(200).text().to_owned();
        metrics.lines().find_map(|line| line.strip_prefix("ade_stream_readers{kind=\"feed\"} ")?.parse::<u64>().ok())
    };
    let feed = Request::get(format!("/api/v1/workspaces/{}/events/stream", place.workspace));
    let leaving = EventStream::open(b.address, &feed);
    wait_until("one reads at the other node", || readers() == Some(1));
    drop(leaving);
    wait_until("who has gone reads no more", || readers() == Some(0));
    let head = b.send(&Request::new("HEAD", run.events_path())).unwrap().expect(200);
    assert!(head.body.is_empty() && head.header("content-type") == Some("text/event-stream"), "{head}");

    let cancel = Request::post(format!("{}/cancel", run.path())).header("X-Request-ID", "by-b");
    let cancelled = b.send(&cancel.json(&json!({"reason": "by b"}))).unwrap().expect(202);
    assert_eq!(cancelled.header("x-request-id"), Some("by-b"));
    let ended = run.ended(&b);
    assert_eq!(ended["status"], "cancelled", "{ended}");
    for subscriber in [live, resumed] {
        let seen = subscriber.finish();
        assert!(seen.whole, "the end of the stream is passed on");
        let end = parse(&seen.events.last().unwrap().1);
        assert_eq!((&end["type"], &end["payload"]["status"]), (&json!("run.completed"), &json!("cancelled")));
    }
    let again = b.send(&Request::post(format!("{}/cancel", run.path())).json(&json!({}))).unwrap();
    assert_eq!((again.status(), again.header("ade-node")), (200, None), "its row says that it has ended");
    let entries = |server: &Server| {
        let list = server.get("/api/v1/audit?limit=1000");
        let is_it = |entry: &&Value| entry["path"] == format!("{}/cancel", run.path()) && entry["status"] == 202;
        list["items"].as_array().unwrap().iter().filter(is_it).cloned().collect::<Vec<_>>()
    };
    assert!(entries(&b).is_empty());
    let of_a = entries(&a);
    assert_eq!((of_a.len(), &of_a[0]["request_id"], &of_a[0]["address"]), (1, &json!("by-b"), &json!("127.0.0.1")));
    a.stop();
    b.stop();
}

#[test]
fn what_a_run_has_made_is_downloaded_by_the_other_node_as_it_is() {
    let Some(world) = World::new() else { return };
    let (_nodes, a, b) = world.two();
    let run = Place::make(&a).run(&a, "print hello\nemit 2000 200\noutput normalized.xlsx");
    assert_eq!(run.ended(&b)["status"], "succeeded");
    for rest in
        ["/events/download", "/logfile", "/logs?limit=5", "/summary", "/outputs", "/diagnostics", "/events?limit=3"]
    {
        let path = format!("{}{rest}", run.path());
        let [from_a, from_b] = [&a, &b].map(|server| get(server, &path).expect(200));
        assert_same(&from_a, &from_b);
        let is_passed_on = ["/outputs", "/diagnostics"].contains(&rest);
        assert_eq!(
            from_b.header("ade-node").is_some(),
            is_passed_on,
            "{rest}: what is no copy is its node's to answer"
        );
    }
    let listed = get(&b, &format!("{}/outputs", run.path())).json();
    let output = listed["files"][0]["download_url"].as_str().unwrap();
    for path in [format!("{}/events/download", run.path()), output.to_owned()] {
        let whole = get(&b, &path).expect(200);
        let etag = whole.header("etag").unwrap().to_owned();
        let part = Request::get(&*path).header("Range", "bytes=2-11");
        let [of_a, of_b] = [&a, &b].map(|server| server.send(&part).unwrap().expect(206));
        assert_same(&of_a, &of_b);
        assert_eq!(of_b.body, whole.body[2..12]);
        let head = b.send(&Request::new("HEAD", &*path)).unwrap().expect(200);
        assert_eq!(head.header("content-length"), Some(&*whole.body.len().to_string()), "{head}");
        let known = Request::get(&*path).header("If-None-Match", &etag);
        let unchanged = b.send(&known).unwrap().expect(304);
        assert!(unchanged.body.is_empty() && unchanged.header("etag") == Some(&*etag), "{unchanged}");
    }
    get(&b, &format!("{}/outputs/none.xlsx", run.path())).problem(404, "no_output");
    get(&b, &format!("{}/events?limit=none", run.path())).problem(400, "invalid_query");
    let unknown = "/api/v1/runs/run_01J00000000000000000000000";
    let nowhere = get(&b, unknown);
    assert_eq!(nowhere.header("ade-node"), None, "nobody is asked for what there is not");
    nowhere.problem(404, "not_found");

    let other = Place::named(&b, "of b").run(&b, "print hello");
    other.ended(&b);
    let many = |ids: &[&Run]| {
        let ids: Vec<_> = ids.iter().map(|run| format!("stream={}", run.id)).collect();
        format!("/api/v1/events/stream?{}", ids.join("&"))
    };
    let read = |path: &str| Subscriber::start(b.address, path, None).finish();
    assert_eq!(read(&many(&[&other])).status, 200);
    let streams = get(&b, &many(&[&run, &other])).expect(200);
    assert_eq!(streams.text().matches("\"type\":\"run.completed\"").count(), 2, "{streams}");
    let feeds = [&a, &b].map(|server| server.get("/api/v1/workspaces")["items"].as_array().unwrap().clone());
    let ids: Vec<_> =
        feeds[0].iter().map(|workspace| format!("stream={}", workspace["id"].as_str().unwrap())).collect();
    get(&b, &format!("/api/v1/events/stream?{}", ids.join("&"))).problem(409, "streams_apart");
    a.stop();
    b.stop();
}

#[test]
fn an_execution_of_one_node_is_answered_at_the_other() {
    let Some(world) = World::new() else { return };
    let (_nodes, a, b) = world.two();
    let definition = workflow("ask", &[step("note", &[], "Write it.\nbuiltin: ask What?")]);
    let (status, made) = a.post("/api/v1/workflows", &definition);
    assert_eq!(status, 201, "{made}");
    let body = json!({"workflow_id": "ask", "scope_type": "project", "scope_id": "bridge", "input": {}});
    let (status, execution) = a.post("/api/v1/executions", &body);
    assert_eq!(status, 201, "{execution}");
    let path = format!("/api/v1/executions/{}", execution["execution_id"].as_str().unwrap());
    let subscriber = Subscriber::start(b.address, &format!("{path}/stream"), None);
    let event = |name: &str| {
        eventually(name, || {
            let seen = subscriber.seen().events;
            seen.iter().map(|(_, line)| parse(line)).find(|event| event["type"] == name)
        })
    };
    let asked = event("clarification_needed");
    let answers = json!({"answers": answers_to(&asked["payload"]["questions"])});
    let clarification = Request::post(format!("{path}/steps/note/clarification"));
    let wrong = b.send(&clarification.clone().json(&json!({"answers": {"x": 1}}))).unwrap();
    assert!(wrong.header("ade-node").is_some());
    wrong.problem(422, "invalid_answers");
    let taken = b.send(&clarification.json(&answers)).unwrap().expect(200);
    assert_eq!(taken.header("ade-node"), Some(&*node_id(&a)));
    let large = Request::post(format!("{path}/steps/note/clarification"));
    let large = large.body("application/json", vec![b' '; 2 << 20]);
    b.send(&large).unwrap().problem(413, "payload_too_large");
    event("complete");
    let steps = format!("{path}/steps");
    assert_same(&get(&a, &steps).expect(200), &get(&b, &steps).expect(200));
    let call = event("llm_call")["payload"]["call_id"].as_str().unwrap().to_owned();
    let prompt = format!("{path}/calls/{call}/prompt");
    assert_same(&get(&a, &prompt).expect(200), &get(&b, &prompt).expect(200));
    assert_eq!(b.get(&path)["status"], "completed");
    b.send(&Request::post(format!("{path}/retry")).json(&json!({}))).unwrap().problem(409, "execution_completed");
    a.stop();
    b.stop();
}

#[test]
fn a_node_that_is_gone_is_told_and_its_rows_are_shown_until_it_is_back() {
    let Some(world) = World::new() else { return };
    let (of_a, of_b) = (Node::new("a"), Node::new("b"));
    let (a, b) = (world.start(&of_a), world.start(&of_b));
    know_each_other(&a, &b);
    let place = Place::make(&a);
    place.warm_up(&a);
    let run = place.run(&a, "print over");
    assert_eq!(run.ended(&b)["status"], "succeeded");
    let gone = node_id(&a);
    a.kill();
    let diagnostics = Request::get(format!("{}/diagnostics", run.path()));
    let answer = b.send(&diagnostics).unwrap();
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer}");
    assert_eq!(answer.problem(503, "node_unreachable")["node"], gone);
    assert_eq!(run.show(&b)["status"], "succeeded", "as its row has it");
    let copied = get(&b, &format!("{}/events?limit=1000", run.path())).expect(200);
    assert_eq!(copied.header("ade-node"), None);
    wait_until("it is not alive any more", || {
        let list = b.get("/api/v1/system/nodes");
        list["items"].as_array().unwrap().iter().any(|node| node["node_id"] == gone && node["alive"] == false)
    });
    let a = world.start(&of_a);
    passed_on(&b, &diagnostics).expect(200);
    assert_eq!(get(&a, &format!("{}/events?limit=1000", run.path())).expect(200).body, copied.body);
    a.stop();
    wait_until("it is seen to have ended", || {
        let list = b.get("/api/v1/system/nodes");
        let has_ended = |state: &Value| ["stopped", "lost"].contains(&state.as_str().unwrap_or_default());
        list["items"].as_array().unwrap().iter().any(|node| node["node_id"] == gone && has_ended(&node["state"]))
    });
    b.stop();
}

#[test]
fn nodes_that_speak_tls_trust_the_certificates_that_are_named_and_no_others() {
    let Some(world) = World::new() else { return };
    let tls = tempfile::tempdir().unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| tls.path().join(name));
    certify(&certificate, &key);
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    let world = world.with("ADE_TLS_CERT", &certificate).with("ADE_TLS_KEY", &key);
    let (of_a, of_b) = (Node::new("a"), Node::new("b"));
    let (a, b) = (world.start(&of_a), world.start(&of_b));
    know_each_other(&a, &b);
    let place = Place::make(&a);
    let run = place.run(&a, "print ready\nemit 100 100");
    run.ended(&a);
    let diagnostics = format!("{}/diagnostics", run.path());
    get(&b, &diagnostics).problem(503, "node_unreachable");
    b.stop();
    let world = world.with("ADE_CLUSTER_CA_FILE", &certificate);
    let b = world.start(&of_b);
    let answer = passed_on(&b, &Request::get(&*diagnostics)).expect(200);
    assert_eq!(answer.header("ade-node"), Some(&*node_id(&a)));
    a.stop();
    b.stop();
}

/// Stands before a node: keeps what is asked of it, and can hold it back.
struct Tap {
    asked: Mutex<Vec<Vec<u8>>>,
    is_shut: AtomicBool,
}

impl Tap {
    fn before(port: u16) -> (Arc<Self>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let tap = Arc::new(Self { asked: Mutex::default(), is_shut: AtomicBool::new(false) });
        let shared = tap.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (asking, asked) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                let tap = shared.clone();
                std::thread::spawn(move || pass_on(asking, asked, |bytes| tap.keep(bytes)));
                std::thread::spawn(move || pass_on(upstream, client, |_| {}));
            }
        });
        (tap, own)
    }

    fn keep(&self, bytes: &[u8]) {
        self.asked.lock().unwrap().push(bytes.to_vec());
        while self.is_shut.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The first request that has this in it.
    fn asked(&self, text: &str) -> Option<String> {
        let asked = self.asked.lock().unwrap();
        let texts = asked.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        texts.into_iter().find(|asked| asked.contains(text))
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, before: impl Fn(&[u8])) {
    let mut buffer = [0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        before(&buffer[..size]);
        if to.write_all(&buffer[..size]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// The status of the answer to these bytes.
fn status_of(address: SocketAddr, bytes: &str) -> u16 {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(crate::support::TIMEOUT)).unwrap();
    socket.write_all(bytes.as_bytes()).unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[9..]).parse().unwrap()
}

fn with_key(request: Request, key: &str) -> Request {
    request.header("Authorization", format!("Bearer {key}"))
}

/// A workspace with a configuration and a run that goes on, by an admin's key.
fn running(server: &Server, key: &str) -> Run {
    let send = |request: Request| server.send(&with_key(request, key)).unwrap().expect(201).json();
    let workspace = id(&send(Request::post("/api/v1/workspaces").json(&json!({"name": "signed in"}))));
    let below = format!("/api/v1/workspaces/{workspace}");
    let zip =
        ade::package::export_zip(crate::support::tools::package("configuration"), std::io::Cursor::new(Vec::new()));
    let zip = zip.unwrap().into_inner();
    let import = Request::post(format!("{below}/configurations/import"));
    let configuration = id(&send(import.form(&[("display_name", None, b"scripted"), ("file", Some("c.zip"), &zip)])));
    let script = b"print ready\nsleep 1000";
    let document = send(Request::post(format!("{below}/documents")).form(&[("file", Some("s.txt"), script)]));
    let options = json!({"options": {"document_ids": [id(&document)]}});
    let run = send(Request::post(format!("/api/v1/configurations/{configuration}/runs")).json(&options));
    Run { id: id(&run) }
}

#[test]
fn a_caller_may_the_same_on_every_node_and_nobody_else_speaks_for_one() {
    let Some(world) = World::new() else { return };
    let world = world.with("ADE_AUTH", "on");
    let (of_a, of_b) = (Node::new("a"), Node::new("b"));
    let (tap, port) = Tap::before(of_a.port);
    let (a, b) = (world.start_behind(&of_a, port), world.start(&of_b));
    let admin = std::fs::read_to_string(a.data_dir.join("admin.key")).unwrap().trim().to_owned();
    let run = running(&a, &admin);
    let new = json!({"name": "reader", "role": "viewer"});
    let made = a.send(&with_key(Request::post("/api/v1/api-keys").json(&new), &admin)).unwrap().expect(201).json();
    let viewer = made["key"].as_str().unwrap();
    let cancel = |key: &str| with_key(Request::post(format!("{}/cancel", run.path())).json(&json!({})), key);
    let shown = |server: &Server| server.send(&with_key(Request::get(run.path()), viewer)).unwrap();
    wait_until("the key is known, and the node", || {
        shown(&b).status() == 200 && shown(&b).header("ade-node").is_some()
    });
    for server in [&a, &b] {
        server.send(&cancel(viewer)).unwrap().problem(403, "role_required");
        get(server, &run.path()).problem(401, "sign_in_required");
    }

    // A copy of what one node has told the other, as it is and otherwise.
    let told = tap.asked(&format!("{}/cancel", run.path())).expect("it was passed on");
    assert!(!told.contains(viewer) && !told.to_lowercase().contains("authorization"), "{told}");
    assert_eq!(status_of(a.address, &told), 401, "it has come before");
    let read = tap.asked(&format!("GET {} ", run.path())).unwrap();
    assert_eq!(status_of(a.address, &read), 401);
    for (from, to) in [("ade-signature: ", "ade-signature: A"), ("ade-forwarded: ", "ade-forwarded: A")] {
        assert_eq!(status_of(a.address, &read.replace(from, to)), 401, "{to}");
    }
    let made_up = Request::get(run.path()).header("ADE-Forwarded", "e30").header("ADE-Signature", "e30");
    for server in [&a, &b] {
        server.send(&made_up).unwrap().problem(401, "credentials_refused");
        server.send(&with_key(made_up.clone(), &admin)).unwrap().problem(401, "credentials_refused");
    }

    let session = b.send(&with_key(Request::post("/api/v1/session").json(&json!({})), &admin)).unwrap().expect(201);
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = session.json()["csrf_token"].as_str().unwrap().to_owned();
    let by_session = |request: Request| a.send(&request.header("Cookie", &cookie)).unwrap();
    wait_until("the session is known", || by_session(Request::get(run.path())).status() == 200);
    let change = Request::post(format!("{}/cancel", run.path())).json(&json!({}));
    by_session(change.clone()).problem(403, "csrf_token_required");
    by_session(change.header("X-CSRF-Token", &token)).expect(202);
    b.send(&Request::new("DELETE", "/api/v1/session").header("Cookie", &cookie).header("X-CSRF-Token", &token))
        .unwrap()
        .expect(204);
    wait_until("the session has ended", || by_session(Request::get(run.path())).status() == 401);
    a.stop();
    b.stop();
}

#[test]
fn a_request_that_comes_to_a_node_that_has_the_work_no_more_goes_no_further() {
    let Some(world) = World::new() else { return };
    let (of_a, of_b) = (Node::new("a"), Node::new("b"));
    let (tap, port) = Tap::before(of_a.port);
    let (a, b) = (world.start_behind(&of_a, port), world.start(&of_b));
    know_each_other(&a, &b);
    let place = Place::make(&a);
    place.warm_up(&a);
    let run = place.run(&a, "print ready\nsleep 1000");
    run.await_line(&a, "ready");
    tap.is_shut.store(true, Ordering::Release);
    let (address, path) = (b.address, format!("{}/cancel", run.path()));
    let (request, asked) = (Request::post(&*path).json(&json!({})), format!("POST {path}"));
    let asking = std::thread::spawn(move || request.send(address).unwrap());
    wait_until("it is on its way", || tap.asked(&asked).is_some());
    let (here, there) = (node_id(&a), node_id(&b));
    world.database.execute(&format!("UPDATE runs SET node_id = '{there}' WHERE id = '{}'", run.id));
    tap.is_shut.store(false, Ordering::Release);
    let answer = asking.join().unwrap();
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer}");
    assert_eq!(answer.problem(503, "owner_changed")["node"], there);
    world.database.execute(&format!("UPDATE runs SET node_id = '{here}' WHERE id = '{}'", run.id));
    assert_eq!(run.cancel(&b), 202, "the next one arrives");
    assert_eq!(run.ended(&a)["status"], "cancelled");
    a.stop();
    b.stop();
}
