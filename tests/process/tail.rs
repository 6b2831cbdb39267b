//! A file that grows while it is read.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use ade::worker::run::tail::Tail;

fn append(path: &std::path::Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn tail(folder: &tempfile::TempDir) -> Tail {
    Tail::new(folder.path().to_owned(), "".into())
}

async fn next(tail: &mut Tail) -> Option<Vec<String>> {
    let batch = tokio::time::timeout(ade_test_support::TIMEOUT, tail.next()).await.expect("lines come in time");
    batch.map(|batch| batch.lines.into_iter().map(|line| line.text).collect())
}

#[tokio::test]
async fn a_file_is_followed_from_before_it_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let mut tail = tail(&folder);
    let early = tokio::time::timeout(Duration::from_millis(50), tail.next()).await;
    assert!(early.is_err(), "nothing is there yet");
    append(&path, "one\ntw");
    assert_eq!(next(&mut tail).await.unwrap(), ["one"]);
    let half = tokio::time::timeout(Duration::from_millis(50), tail.next()).await;
    assert!(half.is_err(), "half a line is held back");
    append(&path, "o\nthree\n");
    assert_eq!(next(&mut tail).await.unwrap(), ["two", "three"]);
    append(&path, "last");
    tail.end();
    assert_eq!(next(&mut tail).await.unwrap(), ["last"]);
    assert_eq!(next(&mut tail).await, None);
    assert_eq!(next(&mut tail).await, None);
}

#[tokio::test]
async fn a_large_file_is_read_in_bounded_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let line = "x".repeat(999);
    append(&path, &format!("{line}\n").repeat(5000));
    let mut tail = tail(&folder);
    tail.end();
    let mut count = 0;
    while let Some(lines) = next(&mut tail).await {
        assert!(lines.len() <= 140);
        count += lines.len();
    }
    assert_eq!(count, 5000);
}

#[tokio::test]
async fn a_truncated_file_is_read_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    append(&path, "a long first line\n");
    let mut tail = tail(&folder);
    assert_eq!(next(&mut tail).await.unwrap(), ["a long first line"]);
    File::create(&path).unwrap().write_all(b"new\n").unwrap();
    assert_eq!(next(&mut tail).await.unwrap(), ["new"]);
}

#[tokio::test]
async fn only_regular_files_of_the_engines_directory_are_read() {
    let (folder, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("logs/events.ndjson");
    let elsewhere = others.path().join("events.ndjson");
    append(&elsewhere, "of others\n");
    let nothing = async || {
        let mut tail = Tail::new(folder.path().to_owned(), "logs".into());
        tail.end();
        assert_eq!(next(&mut tail).await, None);
    };
    std::os::unix::fs::symlink(others.path(), folder.path().join("logs")).unwrap();
    nothing().await;
    std::fs::remove_file(folder.path().join("logs")).unwrap();
    std::fs::create_dir(folder.path().join("logs")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    nothing().await;
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    nothing().await;
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    nothing().await;
}
