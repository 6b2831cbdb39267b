//! Files that are too large to be sent with their head.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use crate::support::{Project, Request, TestApp, in_turn, json, wait_until};

/// More than every buffer between the file and a client takes.
const LARGE: usize = 24 << 20;

/// No two parts of it are alike.
fn content() -> Vec<u8> {
    (0..LARGE as u64 / 8).flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect()
}

struct Uploaded {
    app: TestApp,
    content: Vec<u8>,
    document: String,
    target: String,
}

impl Uploaded {
    fn new() -> Self {
        let app = TestApp::start();
        let (project, content): (Project, _) = (app.project(), content());
        let document = app.upload(&project, "large.bin", &content);
        let target = format!("{}/{document}/download", project.documents());
        Self { app, content, document, target }
    }

    fn get(&self) -> Request {
        Request::get(&self.target)
    }

    fn file(&self) -> PathBuf {
        let below = |folder: PathBuf| fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
        let mut stored = below(self.app.data_dir().join("workspaces"))
            .flat_map(|workspace| below(workspace.join("documents")))
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&self.document));
        stored.next().unwrap()
    }

    /// How often this process has the file open; the service is in it.
    fn times_open(&self) -> usize {
        let file = self.file();
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|path| path == file)).count()
    }
}

#[test]
fn a_large_file_is_served_whole_and_by_range_on_one_connection() {
    let it = Uploaded::new();
    let (most, length) = (LARGE - 1_000_000, LARGE.to_string());
    let requests = [
        it.get(),
        it.get().header("Range", format!("bytes=1000001-{}", most - 1)),
        it.get().header("Range", "bytes=-9"),
        Request::new("HEAD", &it.target),
        it.get().header("Range", "bytes=1-"),
        Request::get("/health/live"),
    ];
    let answers = in_turn(&requests, it.app.address).unwrap();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status()).collect();
    assert_eq!(statuses, [200, 206, 206, 200, 206, 200]);
    let parts = [&it.content[..], &it.content[1_000_001..most], &it.content[LARGE - 9..], b"", &it.content[1..]];
    for (answer, part) in answers.iter().zip(parts) {
        assert!(answer.body == part, "{} bytes for {}", answer.body.len(), part.len());
    }
    for (answer, length) in answers.iter().zip([LARGE, most - 1_000_001, 9, LARGE, LARGE - 1]) {
        let lengths: Vec<_> = answer.head.headers.iter().filter(|(name, _)| name == "content-length").collect();
        assert_eq!(lengths, [&("content-length".to_owned(), length.to_string())]);
        assert_eq!((answer.header("transfer-encoding"), answer.header("connection")), (None, None));
    }
    assert_eq!(answers[1].header("content-range"), Some(format!("bytes 1000001-{}/{length}", most - 1).as_str()));
}

#[test]
fn a_large_log_is_served_unchanged() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["emit", 3000, 1000]]));
    let run = run["id"].as_str().unwrap();
    let answer = app.get(&format!("/api/v1/runs/{run}/events/download")).expect(200);
    let log = app.run_log(&project, run);
    assert!(log.len() > 3_000_000 && answer.text() == log, "{} bytes for {}", answer.body.len(), log.len());
}

#[test]
fn a_client_that_reads_late_gets_everything() {
    let it = Uploaded::new();
    let mut late = it.get().open(it.app.address).unwrap();
    let mut first = vec![0; 1_000_000];
    late.read_exact(&mut first).unwrap();
    // Meanwhile everybody else is served, also with the same file.
    assert!(it.app.send(&it.get()).expect(200).body == it.content);
    let rest = late.read_all().unwrap();
    assert!([first, rest.body].concat() == it.content);
}

#[test]
fn an_abandoned_download_releases_its_file() {
    let it = Uploaded::new();
    let stalled: Vec<_> = (0..20).map(|_| it.get().open(it.app.address).unwrap()).collect();
    assert_eq!(it.times_open(), 20);
    drop(stalled);
    wait_until("the file is closed", || it.times_open() == 0);
    assert!(it.app.send(&it.get()).expect(200).body == it.content);
}

#[test]
fn a_file_truncated_during_a_download_is_not_passed_off_as_whole() {
    let it = Uploaded::new();
    let incoming = it.get().open(it.app.address).unwrap();
    fs::OpenOptions::new().write(true).open(it.file()).unwrap().set_len(LARGE as u64 / 2).unwrap();
    let error = incoming.read_all().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_stop_ends_stalled_downloads() {
    let mut it = Uploaded::new();
    let stalled: Vec<_> = (0..5).map(|_| it.get().open(it.app.address).unwrap()).collect();
    it.app.stop_gracefully();
    assert_eq!(it.times_open(), 0);
    for incoming in stalled {
        incoming.read_all().unwrap_err();
    }
}
