//! TLS in the program itself: streams, downloads and uploads over it, and certificates that are replaced.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::support::http::Request;
use crate::support::metrics::Metrics;
use crate::support::server::{Server, Settings, ade, settings};
use crate::support::work::{Place, parse};
use crate::support::{NEVER, TIMEOUT, eventually};

/// A certificate for this machine, which is also what a client has to trust; and its key.
pub fn certify(certificate: &Path, key: &Path) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(key, certified.signing_key.serialize_pem()).unwrap();
    std::fs::write(certificate, certified.cert.pem()).unwrap();
}

struct World {
    tls: tempfile::TempDir,
    folder: tempfile::TempDir,
    settings: Settings,
}

impl World {
    fn new() -> Self {
        let (tls, folder, mut settings) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), settings());
        let world = Self { tls, folder, settings: Settings::new() };
        certify(&world.certificate(), &world.key());
        settings.insert("ADE_TLS_CERT", world.certificate().display().to_string());
        settings.insert("ADE_TLS_KEY", world.key().display().to_string());
        Self { settings, ..world }
    }

    fn certificate(&self) -> PathBuf {
        self.tls.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.tls.path().join("key.pem")
    }

    fn start(&self) -> Server {
        Server::start_with(self.folder.path(), &self.settings)
    }

    /// A client that trusts this certificate and no other.
    fn curl(&self, server: &Server, trusted: &Path, arguments: &[&str], path: &str) -> Command {
        let address = server.encrypted.expect("it speaks TLS");
        let mut curl = Command::new("curl");
        curl.arg("--cacert").arg(trusted).args(["-sSN", "--noproxy", "*"]).args(arguments);
        curl.arg(format!("https://{address}{path}")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        curl
    }

    #[track_caller]
    fn fetch(&self, server: &Server, arguments: &[&str], path: &str) -> Vec<u8> {
        let output = self.curl(server, &self.certificate(), arguments, path).output().expect("curl is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// The data of a stream of events, while they come.
struct Reader {
    curl: Child,
    lines: BufReader<ChildStdout>,
}

impl Reader {
    fn start(world: &World, server: &Server, path: &str) -> Self {
        let mut curl = world.curl(server, &world.certificate(), &[], path).spawn().expect("curl is there");
        let lines = BufReader::new(curl.stdout.take().unwrap());
        Self { curl, lines }
    }

    /// The next event; none at the end of the stream.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(parse(data));
            }
        }
    }
}

#[test]
fn a_stream_over_tls_has_every_event_as_it_happens_and_ends_with_its_run() {
    let world = World::new();
    let server = world.start();
    let place = Place::make(&server);
    let gate = world.folder.path().join("gate");
    let run = place.run(&server, &format!("print before\nwait {}\nprint after", gate.display()));
    let mut reader = Reader::start(&world, &server, &run.events_path());
    let mut events = vec![];
    let mut until = |reader: &mut Reader, message: &str| {
        while events.last().is_none_or(|event: &Value| event["payload"]["message"] != message) {
            events.push(reader.next().expect("the stream goes on"));
        }
    };
    until(&mut reader, "before");
    // The certificate changes while the stream is open, and it goes on.
    let (former, broken) = (world.tls.path().join("former.pem"), world.tls.path().join("broken.pem"));
    std::fs::copy(world.certificate(), &former).unwrap();
    std::fs::write(&broken, "no certificate").unwrap();
    std::fs::rename(&broken, world.certificate()).unwrap();
    eventually("the broken one is reported", || {
        let log = std::fs::read_to_string(crate::support::server::log_path(&server.data_dir)).unwrap();
        log.contains("the former stays in use").then_some(())
    });
    assert!(world.curl(&server, &former, &[], "/health/live").output().unwrap().status.success());
    certify(&world.certificate(), &world.key());
    eventually("the new certificate is in use", || {
        world.curl(&server, &world.certificate(), &[], "/health/live").output().unwrap().status.success().then_some(())
    });
    assert!(!world.curl(&server, &former, &[], "/health/live").output().unwrap().status.success());
    std::fs::write(&gate, "").unwrap();
    until(&mut reader, "after");
    while let Some(event) = reader.next() {
        events.push(event);
    }
    assert!(reader.curl.wait().unwrap().success(), "the response is complete");
    assert!(events.iter().zip(1u64..).all(|(event, n)| event["sequence"] == n), "{events:?}");
    assert_eq!(events.last().unwrap()["type"], "run.completed");

    // A command on this machine finds the service as before.
    let tail = ade(world.folder.path(), &world.settings).args(["tail", &run.id]).output().unwrap();
    assert!(tail.status.success(), "{}", String::from_utf8_lossy(&tail.stderr));
    server.stop();
}

#[test]
fn bytes_go_both_ways_and_readers_that_vanish_are_let_go() {
    let world = World::new();
    let server = world.start();
    let place = Place::make(&server);
    let content: Vec<u8> =
        (0..5_000_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[..1].to_vec()).collect();
    let file = world.folder.path().join("large.bin");
    std::fs::write(&file, &content).unwrap();
    let (form, documents) =
        (format!("file=@{}", file.display()), format!("/api/v1/workspaces/{}/documents", place.workspace));
    let document = parse(&String::from_utf8(world.fetch(&server, &["-F", &form], &documents)).unwrap());
    let path = format!("{documents}/{}/download", document["id"].as_str().unwrap());
    assert!(world.fetch(&server, &[], &path) == content, "what comes back is what was sent");
    assert!(world.fetch(&server, &["-r", "1000-1999"], &path) == content[1000..2000]);

    let run = place.run(&server, &format!("print here\nwait {}", world.folder.path().join("never").display()));
    let mut readers: Vec<_> = (0..5).map(|_| Reader::start(&world, &server, &run.events_path())).collect();
    readers.iter_mut().for_each(|reader| drop(reader.next().expect("an event")));
    let count = || {
        let text = server.send(&Request::get("/metrics")).unwrap().expect(200).body;
        Metrics::parse(&String::from_utf8(text).unwrap()).sum("ade_stream_readers", &[("kind", "run")])
    };
    assert_eq!(count(), 5.0);
    for reader in &mut readers {
        reader.curl.kill().unwrap();
        reader.curl.wait().unwrap();
    }
    eventually("nobody reads any more", || (count() == 0.0).then_some(()));
    run.cancel(&server);
    run.ended(&server);
    server.stop();
}

#[test]
fn responses_to_clients_that_have_stopped_reading_end_with_their_key() {
    let world = World::new();
    let server = world.start();
    let place = Place::make(&server);
    let run = place.run(&server, "emit 50000");
    run.ended(&server);
    let documents = format!("/api/v1/workspaces/{}/documents", place.workspace);
    let document = server.upload(&documents, &[], "large.csv", &vec![b'x'; 24 << 20]);
    server.stop();

    let more = [("ADE_AUTH", "on".to_owned()), ("ADE_SSE_STALL_TIMEOUT", NEVER.to_owned())];
    let settings = world.settings.clone().into_iter().chain(more).collect();
    let key = |role: &str, name: &str| {
        let made = ade(world.folder.path(), &settings).args(["keys", "create", "--role", role, name]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let (admin, viewer) = (key("admin", "its"), key("viewer", "theirs"));
    let server = Server::start_with(world.folder.path(), &settings);
    let by_admin = |request: Request| server.send(&request.header("X-API-Key", &admin)).unwrap();
    let header = format!("X-API-Key: {viewer}");
    let mut stalled: Vec<_> = [run.events_path(), format!("{documents}/{}/download", document["id"].as_str().unwrap())]
        .iter()
        .map(|path| {
            // Nobody takes what it writes, so that it stops reading.
            let mut curl = world.curl(&server, &world.certificate(), &["-H", &header], path).spawn().unwrap();
            curl.stdout.as_mut().unwrap().read_exact(&mut [0; 4096]).expect("it has begun");
            curl
        })
        .collect();
    let connections = || {
        let text = by_admin(Request::get("/metrics")).expect(200).body;
        Metrics::parse(&String::from_utf8(text).unwrap()).sum("ade_http_connections", &[])
    };
    assert_eq!(connections(), 3.0, "these and the one that asks");
    let keys = by_admin(Request::get("/api/v1/api-keys")).expect(200).json_or_null();
    let id = keys["items"].as_array().unwrap().iter().find(|key| key["name"] == "theirs").unwrap()["id"].clone();
    by_admin(Request::new("DELETE", format!("/api/v1/api-keys/{}", id.as_str().unwrap()))).expect(204);
    eventually("the connections are closed", || (connections() == 1.0).then_some(()));
    for curl in &mut stalled {
        let mut rest = Vec::new();
        curl.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
        assert!(!curl.wait().unwrap().success(), "nobody takes it for a whole one");
    }
    server.stop();
}

#[test]
fn who_does_not_speak_tls_gets_nothing_and_is_not_kept() {
    let world = World::new();
    let server = world.start();
    let address = server.encrypted.unwrap();
    let response = Request::get("/health/live").send(address);
    assert!(response.is_err(), "{response:?}");
    let mut silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(TIMEOUT)).unwrap();
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0, "closed when the time of the handshake is over");
    assert_eq!(server.status("/health/live"), 200);
    server.stop();
}

#[test]
fn a_start_without_a_certificate_that_fits_is_refused() {
    let world = World::new();
    certify(&world.tls.path().join("other.pem"), &world.key());
    let refused = ade(world.folder.path(), &world.settings).arg("serve").output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("does not belong to the certificate"), "{text}");
    std::fs::remove_file(world.certificate()).unwrap();
    let refused = ade(world.folder.path(), &world.settings).arg("serve").output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("cert.pem"), "{text}");
}
