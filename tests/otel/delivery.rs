//! Collectors that hang, refuse or are not there: the service goes on as if there were none, and says what is lost.

use std::net::TcpListener;

use crate::collector::{Collector, Manner, named};
use crate::settings;
use crate::support::http::{Request, in_turn};
use crate::support::server::{Server, log_path};
use crate::support::work::Place;
use crate::support::{NEVER, eventually};

fn logged(server: &Server) -> String {
    std::fs::read_to_string(log_path(&server.data_dir)).unwrap()
}

fn count(text: &str, words: &str) -> usize {
    text.matches(words).count()
}

#[test]
fn a_collector_that_hangs_delays_nobody_and_keeps_no_service_from_ending() {
    let collector = Collector::start(vec![Manner::Hangs]);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&collector);
    // Who waited for the collector would wait for good.
    settings.insert("ADE_OTEL_TIMEOUT", NEVER.into());
    settings.insert("ADE_DRAIN_TIMEOUT", "2s".into());
    let mut server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    collector.await_batches(1);
    let run = place.run(&server, "emit 5000");
    assert_eq!(run.ended(&server)["status"], "succeeded");
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
    assert_eq!(collector.spans().len(), 0);
    let log = logged(&server);
    assert_eq!(count(&log, "the last spans were not sent within"), 1, "{log}");
}

#[test]
fn more_spans_than_may_wait_are_dropped_counted_and_told_once() {
    let collector = Collector::start(vec![Manner::Hangs]);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&collector);
    settings.insert("ADE_OTEL_TIMEOUT", NEVER.into());
    let mut server = Server::start_with(folder.path(), &settings);
    assert_eq!(server.status("/health/live"), 200);
    collector.await_batches(1);
    // One batch is on its way, 4096 wait.
    let requests = vec![Request::get("/health/live"); 5000];
    let answers = in_turn(&requests, server.address).unwrap();
    assert!(answers.iter().all(|answer| answer.status() == 200));
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
    let log = logged(&server);
    assert_eq!(count(&log, "too many wait for the collector"), 1, "{log}");
    let told = log.lines().find(|line| line.contains("spans that the collector has not got")).expect("how many");
    let lost: u64 = told.rsplit_once("lost=").unwrap().1.trim().parse().unwrap();
    assert!((300..=1000).contains(&lost), "{told}");
}

#[test]
fn a_batch_that_is_refused_in_passing_is_sent_again() {
    let refuses = Manner::Refuses("503 Service Unavailable", "Retry-After: 0\r\n");
    let collector = Collector::start(vec![refuses.clone(), refuses, Manner::Takes]);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &settings(&collector));
    assert_eq!(server.status("/health/live"), 200);
    let spans = collector.named("GET /health/live");
    assert_eq!(spans.len(), 1);
    collector.look(|batches| {
        let tried = batches.iter().filter(|batch| !named(&batch.spans, "GET /health/live").is_empty());
        assert_eq!(tried.count(), 3);
    });
    assert_eq!(count(&logged(&server), "spans are lost"), 0);
    server.stop();
}

#[test]
fn what_a_collector_does_not_take_is_lost_and_told_when_it_begins_and_when_it_is_over() {
    let collector = Collector::start(vec![Manner::Refuses("400 Bad Request", "")]);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &settings(&collector));
    for batches in [1, 2] {
        assert_eq!(server.status("/health/live"), 200);
        collector.await_batches(batches);
    }
    collector.turn(Manner::Takes);
    assert_eq!(server.status("/health/ready"), 200);
    collector.named("GET /health/ready");
    let log = eventually("the news", || Some(logged(&server)).filter(|log| log.contains("takes spans again")));
    assert_eq!(count(&log, "spans are lost"), 1, "{log}");
    assert!(log.contains("the collector answers 400 Bad Request") && log.contains("lost=2"), "{log}");
    server.stop();
    assert_eq!(named(&collector.spans(), "GET /health/live").len(), 0, "a refusal for good is not asked again");
}

#[test]
fn spans_that_a_collector_rejects_are_lost() {
    let collector = Collector::start(vec![Manner::TakesBut(1)]);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(folder.path(), &settings(&collector));
    assert_eq!(server.status("/health/live"), 200);
    collector.named("GET /health/live");
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
    let log = logged(&server);
    assert!(log.contains("the collector has rejected spans") && log.contains("lost=1"), "{log}");
    assert!(!log.contains("no room"), "what a collector says is not for the log: {log}");
}

#[test]
fn a_collector_that_is_not_there_changes_nothing() {
    // An address at which nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = crate::support::server::settings();
    settings.insert("ADE_OTEL_ENDPOINT", format!("http://{nobody}"));
    let mut server = Server::start_with(folder.path(), &settings);
    assert_eq!(server.status("/health/live"), 200);
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
    let log = logged(&server);
    assert_eq!(count(&log, "spans are lost"), 1, "{log}");
    assert!(!log.contains("panicked"), "{log}");
}
