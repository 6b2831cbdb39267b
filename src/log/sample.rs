//! Events and files for the tests beside the code.

use serde_json::json;

use super::disk::{DiskFile, Mode, RealDisk};
use super::reader::LogReader;
use crate::domain::{ConfigurationId, EventId, RunId, StreamKey, WorkspaceId, time};
use crate::event::{Draft, Identity, Source, codec};

pub(super) struct Sample {
    pub(super) key: StreamKey,
    identity: Identity,
    folder: tempfile::TempDir,
}

impl Sample {
    pub(super) fn new() -> Self {
        let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
        let identity = Identity::new(key, ConfigurationId::generate());
        Self { key, identity, folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn event(&self, kind: &'static str, sequence: u64, padding: usize) -> Vec<u8> {
        let event_id = EventId::from_ulid(ulid::Ulid::from_parts(sequence, 0));
        let stamp = codec::Stamp { sequence, event_id, created_at: time::micros(chrono::Utc::now()) };
        // A payload that looks like the head of an event must not be taken for one.
        let message = format!("\",\"sequence\":999,\n{}", "x".repeat(padding));
        let draft = Draft::new(kind, Source::Engine, &json!({ "message": message, "sequence": 999 }));
        let mut line = Vec::new();
        codec::encode(&mut line, &self.identity, stamp, &draft);
        line
    }

    pub(super) fn line(&self, sequence: u64, padding: usize) -> Vec<u8> {
        self.event("console.line", sequence, padding)
    }

    /// Lines from 1 on.
    pub(super) fn lines(&self, count: u64, padding: usize) -> Vec<u8> {
        (1..=count).flat_map(|sequence| self.line(sequence, padding)).collect()
    }

    pub(super) fn file(&self, content: &[u8]) -> std::sync::Arc<dyn DiskFile> {
        use super::disk::Disk;
        let path = self.folder.path().join("events.ndjson");
        std::fs::write(&path, content).unwrap();
        RealDisk::default().open(&path, Mode::Write).unwrap()
    }

    pub(super) fn reader(&self, content: &[u8]) -> LogReader {
        LogReader::of_file(self.file(content))
    }

    pub(super) fn directory(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(super) fn content(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("events.ndjson")).unwrap()
    }
}
