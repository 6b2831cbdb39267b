//! Clients that want to be a burden: bodies that are announced and never sent, heads and bodies that come byte by byte,
//! readers that never read. The service answers everybody else meanwhile, and lets go of these.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;

use crate::support::http::Request;
use crate::support::metrics::Metrics;
use crate::support::server::{Server, Settings, settings};
use crate::support::work::Place;
use crate::support::{TIMEOUT, eventually, process};

fn quick() -> Settings {
    let mut settings = settings();
    settings.insert("ADE_REQUEST_TIMEOUT", "1s".into());
    settings
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

/// What comes until the connection is closed, or reset.
fn rest(socket: &mut TcpStream) -> String {
    let (mut said, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = socket.read(&mut piece) {
        said.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn sum(server: &Server, name: &str) -> f64 {
    let text = server.send(&Request::get("/metrics")).expect("a response").expect(200).body;
    Metrics::parse(&String::from_utf8(text).unwrap()).sum(name, &[])
}

#[test]
fn ten_gigabytes_are_refused_before_they_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &settings());
    let place = Place::make(&server);
    let json = "application/json";
    let documents = format!("/api/v1/workspaces/{}/documents", place.workspace);
    for (path, kind) in [("/api/v1/workspaces", json), (&documents, "multipart/form-data; boundary=frontier")] {
        let mut socket = connect(server.address);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            server.address,
            10_u64 << 30
        );
        socket.write_all(head.as_bytes()).unwrap();
        let begin = "--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n";
        // What comes after the answer is passed over for a moment, and then cut off.
        let pieces = (0..10 << 10).map(|n| if n == 0 { begin.as_bytes().to_vec() } else { vec![b'x'; 1 << 20] });
        let sent = pieces.map(|piece| socket.write_all(&piece)).find(Result::is_err);
        assert!(sent.is_some(), "{kind}: all of it was taken");
        let answer = rest(&mut socket);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{kind}: {answer}");
    }
    assert!(process::resident(server.pid()) < 256 << 20);
    // Without a length: it ends where it becomes too much.
    let mut socket = connect(server.address);
    let head = format!(
        "POST /api/v1/workspaces HTTP/1.1\r\nHost: {}\r\nContent-Type: {json}\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.address
    );
    socket.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    while socket.write_all(&chunk).is_ok() {}
    assert_eq!(server.status("/health/ready"), 200);
    let left = std::fs::read_dir(server.data_dir.join("incoming")).map_or(0, |entries| entries.count());
    assert_eq!(left, 0, "nothing of it is kept");
}

#[test]
fn heads_and_bodies_that_come_byte_by_byte_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &quick());
    let head = format!("GET /health/live HTTP/1.1\r\nHost: {}\r\nX-Slow: ", server.address);
    let body = format!(
        "POST /api/v1/workspaces HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{{",
        server.address
    );
    let slow = |text: &str| {
        let mut socket = connect(server.address);
        socket.write_all(text.as_bytes()).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let mut sockets: Vec<_> = (0..100).map(|n| slow(if n % 2 == 0 { &head } else { &body })).collect();
    let mut answers = vec![Vec::new(); sockets.len()];
    // A byte each from time to time, until the service has had enough of every one of them.
    let mut open: Vec<_> = (0..sockets.len()).collect();
    eventually("all are given up", || {
        assert_eq!(server.status("/health/ready"), 200, "everybody else is served");
        open.retain(|&n| {
            let mut piece = [0; 4096];
            match sockets[n].read(&mut piece) {
                Ok(0) => return false,
                Ok(count) => answers[n].extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
            sockets[n].write_all(b"a").is_ok()
        });
        open.is_empty().then_some(())
    });
    for (n, answer) in answers.iter().enumerate() {
        let answer = String::from_utf8_lossy(answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(n % 2 == 0 || answer.contains(r#""request_timeout""#), "a body is answered: {answer}");
    }
    eventually("no connection is left", || (sum(&server, "ade_http_connections") <= 1.0).then_some(()));
}

#[test]
fn readers_that_never_read_cost_little_and_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &settings());
    let place = Place::make(&server);
    let gate = folder.path().join("gate");
    let run = place.run(&server, &format!("print here\nwait {}\n{}", gate.display(), "print more\n".repeat(30)));
    run.await_line(&server, "here");
    let wanted = usize::try_from(process::raise_open_files()).unwrap_or(0).saturating_sub(500).min(10_000);
    assert!(wanted >= 500, "this needs some descriptors");
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", run.events_path(), server.address);
    let mut sockets = Vec::new();
    // Not all at once: each asks the database for its run first, and whoever waits too long for that is answered 503.
    while sockets.len() < wanted {
        for _ in 0..500.min(wanted - sockets.len()) {
            let mut socket = connect(server.address);
            socket.write_all(request.as_bytes()).unwrap();
            sockets.push(socket);
        }
        eventually("they are readers", || (sum(&server, "ade_stream_readers") >= sockets.len() as f64).then_some(()));
    }
    let idle = process::resident(server.pid());
    std::fs::write(&gate, "").unwrap();
    let ended = run.ended(&server);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let events = server.get(&format!("{}/events?limit=1000", run.path()));
    assert_eq!(events["closed"], json!(true), "{events}");
    let busy = process::resident(server.pid());
    println!("{wanted} readers: {} MiB while they wait, {} MiB when the run is over", idle >> 20, busy >> 20);
    assert!(busy.saturating_sub(idle) / (wanted as u64) < 32 << 10, "what is not read is not kept for each of them");
    drop(sockets);
    eventually("all of them are gone", || (sum(&server, "ade_stream_readers") == 0.0).then_some(()));
    eventually("no connection is left", || (sum(&server, "ade_http_connections") <= 1.0).then_some(()));
}
