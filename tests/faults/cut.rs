//! A client can tell a response that was cut off from one that is complete, in every form and both versions of HTTP.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use ade_test_support::TIMEOUT;

use crate::support::server::Server;
use crate::support::work::Place;

/// Opens a response and reads until `seen` has come.
fn open(server: &Server, version: &str, path: &str, seen: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(socket, "GET {path} HTTP/{version}\r\nHost: {}\r\n\r\n", server.address).unwrap();
    let (mut reader, mut line, mut head) = (BufReader::new(socket), String::new(), String::new());
    while !line.contains(seen) {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "{seen} does not come: {head}");
        head += &line;
    }
    assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200"), "{head}");
    reader
}

#[test]
fn a_killed_service_leaves_no_response_that_looks_complete() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    let run = place.run(&server, "print begun\nsleep 120");
    run.await_line(&server, "begun");
    let of_run = ["?format=sse", "?format=ndjson&follow=true"].map(|rest| format!("{}/events{rest}", run.path()));
    let streams = of_run.into_iter().chain([format!("/api/v1/events/stream?stream={}", run.id)]);
    let open: Vec<_> = streams
        .flat_map(|path| ["1.0", "1.1"].map(|version| (version, path.clone(), open(&server, version, &path, "begun"))))
        .collect();
    server.kill();
    for (version, path, mut reader) in open {
        let mut rest = Vec::new();
        let outcome = reader.read_to_end(&mut rest);
        match version {
            // Nothing but the end of the connection ends it, so it must not end in good order.
            "1.0" => assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset, "{path}"),
            _ => assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "{path}: {}", String::from_utf8_lossy(&rest)),
        }
    }
    // What is left of the run ends with the service's next life.
    Server::start(folder.path()).stop();
}
