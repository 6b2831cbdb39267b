//! Files in a store that fails, lies, is away, or is left by a process that dies.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::*;
use crate::domain::WorkspaceId;
use crate::domain::configuration::Document;
use crate::domain::id::NodeId;
use crate::domain::maintenance::TaskReport;
use crate::domain::run::{Run, RunState};
use crate::domain::status::RunStatus;
use crate::domain::stored_file::{FileState, StoredFile};
use crate::domain::work::Work as _;
use crate::objects::memory::{Faults, MemoryStore};
use crate::objects::{PatientStore, hex};
use crate::store::fixture::{TestStore, at, document, run};

/// A data directory, a database and a store.
struct World {
    folder: tempfile::TempDir,
    rows: TestStore,
    of: WorkspaceId,
    objects: MemoryStore,
    depot: Depot,
}

const AWAY: Faults = Faults {
    away: true,
    refuses: false,
    hides_sizes: false,
    stuck: false,
    deaf: false,
    corrupt: false,
    truncated: false,
    loses: false,
    dies_before: None,
    dies_after: None,
};

/// Of this data directory, whoever it is to the store.
fn node_id() -> NodeId {
    "node_01J00000000000000000000000".parse().unwrap()
}

const NONE: Faults = Faults { away: false, ..AWAY };

fn depot(folder: &Path, rows: &TestStore, objects: &MemoryStore, owner: &str, cache_bytes: u64) -> Depot {
    let options = RemoteOptions {
        objects: Arc::new(PatientStore::new(Arc::new(objects.clone()), Duration::ZERO)),
        owner: owner.to_owned(),
        node_id: node_id(),
        cache_bytes,
        min_free: 0,
        incoming: "incoming".into(),
    };
    Depot::in_store(folder.to_owned(), (**rows).clone(), options)
}

impl World {
    async fn new() -> Self {
        let (rows, configuration) = TestStore::furnished().await;
        let (folder, objects) = (tempfile::tempdir().unwrap(), MemoryStore::default());
        let depot = depot(folder.path(), &rows, &objects, "one", 1 << 20);
        Self { folder, rows, of: configuration.workspace_id, objects, depot }
    }

    /// As a start after a crash, of this data directory or of one that was made of its backup.
    fn restart(&mut self, owner: &str) {
        self.depot = depot(self.folder.path(), &self.rows, &self.objects, owner, 1 << 20);
    }

    fn with_room_for(&mut self, cache_bytes: u64) {
        self.depot = depot(self.folder.path(), &self.rows, &self.objects, "one", cache_bytes);
    }

    fn local(&self, document: &Document) -> PathBuf {
        self.folder.path().join(document.path())
    }

    /// A document whose file is at its place, and that nothing leads to yet.
    fn placed(&self, content: &str) -> Document {
        let sha256 = hex(Sha256::new_with_prefix(content));
        let document = Document { byte_size: content.len() as u64, sha256, ..document(self.of) };
        std::fs::create_dir_all(self.local(&document).parent().unwrap()).unwrap();
        std::fs::write(self.local(&document), content).unwrap();
        document
    }

    async fn keep(&self, document: &Document) -> Result<Option<Kept>, PutError> {
        let file = FileToKeep {
            path: document.path(),
            workspace_id: document.workspace_id,
            bytes: document.byte_size,
            sha256: document.sha256.clone(),
        };
        let Some(begun) = self.depot.begin(file).await? else { return Ok(None) };
        self.depot.keep(begun).await.map(Some)
    }

    async fn uploaded(&self, content: &str) -> Document {
        let document = self.placed(content);
        let kept = self.keep(&document).await.unwrap().unwrap();
        self.rows.insert_stored_document(&document, &kept.path).await.unwrap();
        document
    }

    /// One that was uploaded while files were on the disk alone.
    async fn uploaded_before(&self, content: &str) -> Document {
        let document = self.placed(content);
        self.rows.insert_document(&document).await.unwrap();
        document
    }

    /// Uploaded, and with no copy here.
    async fn gone_from_here(&self, content: &str) -> Document {
        let document = self.uploaded(content).await;
        std::fs::remove_file(self.local(&document)).unwrap();
        document
    }

    async fn read(&self, document: &Document) -> Result<String, OpenError> {
        let (mut file, mut text) = (self.depot.open(&document.path()).await?, String::new());
        file.read_to_string(&mut text)?;
        Ok(text)
    }

    async fn row(&self, document: &Document) -> Option<StoredFile> {
        self.rows.stored_file(document.path().to_str().unwrap()).await.unwrap()
    }

    async fn state(&self, document: &Document) -> Option<FileState> {
        self.row(document).await.map(|file| file.state)
    }

    async fn settle(&self) -> TaskReport {
        let mut report = TaskReport::new("store_files");
        self.depot.settle(&mut report, &|| false).await;
        report
    }

    async fn release(&self) -> TaskReport {
        let mut report = TaskReport::new("release_files");
        self.depot.release(&mut report, &|| false).await;
        report
    }

    /// As maintenance removes the file of a deleted document.
    async fn remove(&self, document: &Document) -> Result<(), RemoveError> {
        let removal = self.depot.begin_removal(&document.path()).await?;
        let _ = std::fs::remove_file(self.local(document));
        removal.finish().await
    }

    fn is_partly_fetched(&self) -> bool {
        std::fs::read_dir(self.folder.path().join("incoming")).is_ok_and(|mut entries| entries.next().is_some())
    }
}

#[actix::test]
async fn a_file_that_is_kept_is_in_the_store_and_comes_back_from_there_once_for_all_who_wait() {
    let world = World::new().await;
    let document = world.uploaded("content").await;
    assert_eq!(world.state(&document).await, Some(FileState::Stored));
    let gets = world.objects.gets();
    assert_eq!(world.read(&document).await.unwrap(), "content");
    assert_eq!(world.objects.gets(), gets, "what is here is not asked for");
    std::fs::remove_file(world.local(&document)).unwrap();
    let readers = futures_util::future::join_all((0..20).map(|_| world.read(&document))).await;
    assert!(readers.into_iter().all(|read| read.unwrap() == "content"));
    assert_eq!(world.objects.gets(), gets + 1);
    assert!(world.local(&document).exists() && !world.is_partly_fetched());
}

#[actix::test]
async fn of_an_upload_that_dies_anywhere_everything_goes_again() {
    // It is asked for, put, and read back; what is not there has no answer to die after.
    let before = (1..=3).map(|request| Faults { dies_before: Some(request), ..NONE });
    let after = (1..=2).map(|request| Faults { dies_after: Some(request), ..NONE });
    for faults in before.chain(after) {
        let mut world = World::new().await;
        world.objects.inject(faults);
        let document = world.placed("content");
        assert!(world.keep(&document).await.is_err(), "{faults:?}");
        assert!(!world.local(&document).exists());
        world.objects.inject(NONE);
        world.restart("one");
        assert_eq!(world.settle().await.failed, 0);
        assert_eq!((world.state(&document).await, world.objects.names()), (None, Vec::new()), "{faults:?}");
    }
}

#[actix::test]
async fn what_is_put_and_never_led_to_goes_again_and_what_is_on_its_way_stays() {
    let mut world = World::new().await;
    let document = world.placed("content");
    let kept = world.keep(&document).await.unwrap().unwrap();
    assert_eq!((world.settle().await.skipped, world.objects.names().len()), (1, 1), "somebody is at it");
    drop(kept);
    world.restart("one");
    assert_eq!((world.settle().await.done, world.objects.names().len()), (1, 0));
    assert!(!world.local(&document).exists() && world.state(&document).await.is_none());
}

#[actix::test]
async fn a_store_that_does_not_take_a_file_or_loses_some_of_it_keeps_nothing_of_it() {
    for faults in [
        AWAY,
        Faults { refuses: true, ..NONE },
        Faults { loses: true, ..NONE },
        Faults { corrupt: true, ..NONE },
        Faults { truncated: true, ..NONE },
    ] {
        let world = World::new().await;
        world.objects.inject(faults);
        let document = world.placed("content");
        let refused = world.keep(&document).await.err();
        assert!(matches!(refused, Some(PutError::Unavailable(_))), "{faults:?}: {refused:?}");
        assert!(!world.local(&document).exists());
        world.objects.inject(NONE);
        world.settle().await;
        assert_eq!((world.state(&document).await, world.objects.names()), (None, Vec::new()));
    }
}

#[actix::test]
async fn what_the_store_gives_counts_only_if_it_is_what_was_put() {
    let world = World::new().await;
    let document = world.gone_from_here("content").await;
    for faults in [Faults { corrupt: true, ..NONE }, Faults { truncated: true, ..NONE }] {
        world.objects.inject(faults);
        let read = world.read(&document).await;
        assert!(matches!(read, Err(OpenError::Damaged(_))), "{read:?}");
        assert!(!world.local(&document).exists() && !world.is_partly_fetched());
    }
    for faults in [AWAY, Faults { refuses: true, ..NONE }] {
        world.objects.inject(faults);
        let read = world.read(&document).await;
        assert!(matches!(read, Err(OpenError::Unavailable(_))), "{read:?}");
    }
    world.objects.inject(NONE);
    assert_eq!(world.read(&document).await.unwrap(), "content");
    std::fs::remove_file(world.local(&document)).unwrap();
    world.objects.remove(&world.row(&document).await.unwrap().object());
    assert!(matches!(world.read(&document).await, Err(OpenError::Damaged(_))));
}

#[actix::test]
async fn without_a_store_a_file_that_is_only_there_is_told_as_that_and_never_as_missing() {
    let mut world = World::new().await;
    let (there, here) = (world.gone_from_here("there").await, world.uploaded("here").await);
    world.depot = Depot::on_disk(world.folder.path().to_owned(), (*world.rows).clone());
    assert!(matches!(world.read(&there).await, Err(OpenError::Elsewhere { .. })));
    assert_eq!(world.read(&here).await.unwrap(), "here");
    assert!(matches!(world.read(&document(world.of)).await, Err(OpenError::NotFound)));
    // What is removed meanwhile is removed from the store when there is one again.
    world.remove(&here).await.unwrap();
    assert_eq!(world.objects.names().len(), 2);
    world.restart("one");
    world.settle().await;
    assert_eq!((world.state(&here).await, world.objects.names().len()), (None, 1));
}

#[actix::test]
async fn files_of_before_are_put_into_the_store_and_a_crash_meanwhile_loses_none() {
    let mut world = World::new().await;
    let document = world.uploaded_before("content").await;
    let lost = world.uploaded_before("lost").await;
    std::fs::remove_file(world.local(&lost)).unwrap();
    for request in 1..=2 {
        world.objects.inject(Faults { dies_after: Some(request), ..NONE });
        assert!(world.settle().await.failed > 0);
        world.objects.inject(NONE);
        world.restart("one");
        assert_eq!(world.read(&document).await.unwrap(), "content");
        assert_eq!(world.state(&document).await, Some(FileState::Owed));
    }
    let report = world.settle().await;
    assert_eq!((report.done, report.failed, world.objects.names().len()), (1, 0, 1), "{report:?}");
    assert_eq!(world.state(&document).await, Some(FileState::Stored));
    assert_eq!(world.state(&lost).await, None, "there is nothing to be put");
    assert_eq!(world.settle().await.done, 0);
    std::fs::remove_file(world.local(&document)).unwrap();
    assert_eq!(world.read(&document).await.unwrap(), "content");
}

#[actix::test]
async fn copies_make_room_in_the_order_in_which_they_were_used_and_what_is_owed_stays() {
    let mut world = World::new().await;
    let [old, new] = [world.uploaded("0123456789").await, world.uploaded("0123456789").await];
    let owed = world.uploaded_before("0123456789").await;
    let used = std::fs::File::open(world.local(&old)).unwrap();
    used.set_times(std::fs::FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH)).unwrap();
    world.with_room_for(20);
    assert_eq!(world.release().await.done, 0, "there is room for two, and what is owed is no copy");
    world.with_room_for(19);
    let report = world.release().await;
    assert_eq!((report.done, report.bytes_freed), (1, 10));
    assert!(!world.local(&old).exists() && world.local(&new).exists());
    let mut open = world.depot.open(&new.path()).await.unwrap();
    world.with_room_for(0);
    assert_eq!(world.release().await.done, 1);
    assert!(world.local(&owed).exists() && !world.local(&new).exists());
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789", "whoever has it open reads on");
    assert_eq!(world.read(&old).await.unwrap(), "0123456789");
}

#[actix::test]
async fn what_is_removed_is_gone_everywhere_and_is_not_brought_back() {
    let mut world = World::new().await;
    let document = world.gone_from_here("content").await;
    world.objects.inject(AWAY);
    assert!(world.remove(&document).await.is_err_and(|error| error.is_of_the_whole_store()));
    world.objects.inject(NONE);
    assert!(matches!(world.read(&document).await, Err(OpenError::NotFound)), "its row says that it goes");
    world.restart("one");
    world.remove(&document).await.unwrap();
    assert_eq!((world.state(&document).await, world.objects.names()), (None, Vec::new()));
    // Cut short behind the object.
    let other = world.uploaded("content").await;
    drop(world.depot.begin_removal(&other.path()).await.unwrap());
    assert_eq!(world.settle().await.done, 1);
    assert!(world.state(&other).await.is_none() && !world.local(&other).exists());
}

#[actix::test]
async fn a_restored_directory_reads_what_the_original_has_put_and_never_deletes_it() {
    let mut world = World::new().await;
    let (read, owed) = (world.gone_from_here("read").await, world.uploaded_before("owed").await);
    let of_original = world.objects.names();
    let noted = StoredFile {
        path: owed.path().to_str().unwrap().to_owned(),
        bytes: owed.byte_size,
        sha256: owed.sha256.clone(),
        state: FileState::Owed,
        ..world.row(&read).await.unwrap()
    };
    world.rows.note_stored_file(&noted, at(1)).await.unwrap();
    world.restart("two");
    assert_eq!(world.read(&read).await.unwrap(), "read");
    world.settle().await;
    assert_eq!(world.row(&owed).await.unwrap().uploaded_by, "two", "what it puts is its own");
    for document in [&read, &owed] {
        world.remove(document).await.unwrap();
        assert!(matches!(world.read(document).await, Err(OpenError::NotFound)));
    }
    assert_eq!(world.objects.names(), of_original);
    assert_eq!(world.state(&owed).await, None);
    world.settle().await;
    assert_eq!(world.state(&read).await, Some(FileState::Removing), "for whoever has put it");
    let tomorrow = super::handle::now() + chrono::TimeDelta::days(1);
    assert_eq!(world.rows.forget_removals_of_others("one", tomorrow).await.unwrap(), 0);
    assert_eq!(world.rows.forget_removals_of_others("two", tomorrow).await.unwrap(), 1);
}

#[actix::test]
async fn what_another_node_deletes_is_removed_by_the_node_that_has_put_it() {
    let mut world = World::new().await;
    let document = world.uploaded("content").await;
    world.restart("two");
    world.depot.begin_removal(&document.path()).await.unwrap().finish().await.unwrap();
    assert!(world.local(&document).exists(), "this is the disk of the other one");
    world.restart("one");
    assert_eq!(world.settle().await.done, 1);
    assert_eq!((world.state(&document).await, world.objects.names()), (None, Vec::new()));
    assert!(!world.local(&document).exists());
}

#[actix::test]
async fn a_file_that_another_node_owes_is_not_taken_for_lost() {
    let world = World::new().await;
    let document = world.gone_from_here("content").await;
    let owed = StoredFile { state: FileState::Owed, ..world.row(&document).await.unwrap() };
    world.objects.remove(&owed.object());
    world.rows.note_stored_file(&owed, at(1)).await.unwrap();
    assert!(matches!(world.read(&document).await, Err(OpenError::Unavailable(_))));
}

#[actix::test]
async fn a_file_that_counts_already_is_put_at_once_or_owed_and_goes_with_its_directory() {
    let world = World::new().await;
    let directory = Path::new("workspaces").join(world.of.to_string()).join("executions/e/calls");
    let path = |name: &str| directory.join(name);
    let keep = async |name: &str| {
        std::fs::create_dir_all(world.folder.path().join(&directory)).unwrap();
        std::fs::write(world.folder.path().join(path(name)), name).unwrap();
        let sha256 = hex(Sha256::new_with_prefix(name));
        let file = FileToKeep { path: path(name), workspace_id: world.of, bytes: name.len() as u64, sha256 };
        world.depot.keep_counting(file).await
    };
    keep("one").await.unwrap();
    world.objects.inject(AWAY);
    assert!(matches!(keep("two").await, Err(PutError::Unavailable(_))));
    assert!(world.folder.path().join(path("two")).exists(), "it counts all the same");
    let listed = world.depot.paths_below(&directory, 9).await.unwrap();
    assert_eq!(listed, ["one", "two"].map(|name| path(name).to_str().unwrap().to_owned()));
    assert_eq!(world.depot.paths_below(&directory, 1).await.unwrap().len(), 1);
    world.objects.inject(NONE);
    assert_eq!((world.settle().await.done, world.objects.names().len()), (1, 2));
    std::fs::remove_dir_all(world.folder.path().join(&directory)).unwrap();
    let mut text = String::new();
    world.depot.open(&path("two")).await.unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "two");
    world.depot.remove_below(&directory).await.unwrap();
    assert_eq!((world.depot.paths_below(&directory, 9).await.unwrap().len(), world.objects.names().len()), (0, 0));
    assert!(!world.folder.path().join(path("two")).exists());
}

#[actix::test]
async fn outputs_are_owed_once_a_run_has_ended_and_go_into_the_store_whatever_they_are_called() {
    let world = World::new().await;
    let (store, of) = (&world.rows, world.rows.furnish("runs").await);
    let run = Run { node_id: node_id(), ..run(&of) };
    store.insert(&run, None).await.unwrap();
    let output = world.folder.path().join(run.stream_key().directory()).join("output");
    for name in ["a.csv", "b/%2f \u{e4}.csv"] {
        std::fs::create_dir_all(output.join(name).parent().unwrap()).unwrap();
        std::fs::write(output.join(name), name).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", output.join("link")).unwrap();
    assert_eq!(world.settle().await.done, 0, "it has not ended");
    let state = RunState { status: RunStatus::Succeeded, completed_at: Some(at(9)), ..RunState::default() };
    store.save_state::<Run>(run.workspace_id, run.id, &state, 9).await.unwrap();
    world.objects.inject(AWAY);
    assert_eq!(world.settle().await.failed, 2);
    assert_eq!(store.count_stored_files(FileState::Owed).await.unwrap(), 2);
    world.objects.inject(NONE);
    assert_eq!(world.settle().await.done, 2);
    assert_eq!((world.settle().await.done, world.objects.names().len()), (0, 2));
    std::fs::remove_dir_all(&output).unwrap();
    for name in ["a.csv", "b/%2f \u{e4}.csv"] {
        let (mut text, path) = (String::new(), run.stream_key().directory().join("output").join(name));
        world.depot.open(&path).await.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, name);
        assert_eq!(world.depot.content_tag(&path).await.unwrap(), Some(hex(Sha256::new_with_prefix(name))));
    }
    let sizes = world.depot.sizes_below(&run.stream_key().directory().join("output"), 9).await.unwrap();
    assert_eq!(sizes.values().sum::<u64>(), 5 + "b/%2f \u{e4}.csv".len() as u64);
}

#[actix::test]
async fn a_store_that_is_stuck_is_given_up_when_the_service_stops() {
    let world = World::new().await;
    let document = world.gone_from_here("content").await;
    world.objects.inject(Faults { stuck: true, ..NONE });
    let (read, ()) = futures_util::join!(world.read(&document), async { world.depot.stop() });
    assert!(matches!(read, Err(OpenError::Unavailable(_))), "{read:?}");
    assert!(!world.is_partly_fetched());
}

#[tokio::test]
async fn a_copy_goes_only_if_the_store_has_the_file_now() {
    let mut world = World::new().await;
    let document = world.uploaded("precious").await;
    world.with_room_for(0);
    // The setting names another bucket than it did.
    world.objects = MemoryStore::default();
    world.with_room_for(0);
    world.release().await;
    assert_eq!(std::fs::read_to_string(world.local(&document)).unwrap(), "precious");
    assert_eq!(world.state(&document).await, Some(FileState::Owed));
    assert_eq!(world.settle().await.done, 1, "it is put there again");
    world.objects.inject(AWAY);
    world.release().await;
    assert!(world.local(&document).exists(), "while the store is away, copies are all there is");
    world.objects.inject(NONE);
    world.release().await;
    assert!(!world.local(&document).exists());
    assert_eq!(world.read(&document).await.unwrap(), "precious");
}

#[tokio::test]
async fn a_restored_directory_puts_its_own_object_before_a_copy_goes() {
    let mut world = World::new().await;
    let document = world.uploaded("precious").await;
    world.depot = depot(world.folder.path(), &world.rows, &world.objects, "restored", 0);
    world.release().await;
    assert!(world.local(&document).exists(), "the original may delete its object");
    world.settle().await;
    assert_eq!(world.row(&document).await.unwrap().uploaded_by, "restored");
    world.release().await;
    assert!(!world.local(&document).exists());
}
