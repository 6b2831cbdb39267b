//! A real disk whose syncs wait at a gate, or fail there, or are left out.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use ade::log::RealDisk;
use ade::log::disk::{Disk, DiskFile, Mode, ReadAt};
use tokio::sync::watch;

/// Decides about every sync of data.
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    waiting: watch::Sender<usize>,
    passed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    shut: bool,
    may_pass: usize,
    fault: Option<Fault>,
}

/// What fails from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every sync.
    Sync,
    /// Every write to a log; the journal works.
    LogWrite,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            waiting: watch::channel(0).0,
            passed: watch::channel(0).0,
        })
    }

    pub fn shut(&self) {
        self.change(|state| state.shut = true);
    }

    pub fn open(&self) {
        self.change(|state| *state = State::default());
    }

    /// The disk fails from now on, for those that wait at the gate too.
    pub fn break_down(&self, fault: Fault) {
        self.change(|state| *state = State { fault: Some(fault), ..State::default() });
    }

    /// Returns when a sync waits here.
    pub async fn blocked(&self) {
        self.waiting.subscribe().wait_for(|&waiting| waiting > 0).await.unwrap();
    }

    /// Lets the one sync that waits pass.
    pub async fn let_pass(&self) {
        let mut passed = self.passed.subscribe();
        let before = *passed.borrow_and_update();
        self.change(|state| state.may_pass = 1);
        passed.wait_for(|&passed| passed > before).await.unwrap();
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.shut {
            self.waiting.send_modify(|waiting| *waiting += 1);
            state = self.changed.wait_while(state, |state| state.shut && state.may_pass == 0).unwrap();
            state.may_pass = state.may_pass.saturating_sub(1);
            self.waiting.send_modify(|waiting| *waiting -= 1);
            self.passed.send_modify(|passed| *passed += 1);
        }
        drop(state);
        self.check(Fault::Sync)
    }

    fn check(&self, fault: Fault) -> io::Result<()> {
        let broken = self.state.lock().unwrap().fault == Some(fault);
        if broken { Err(io::Error::other("planned fault of the disk")) } else { Ok(()) }
    }
}

pub struct GatedDisk {
    gate: Arc<Gate>,
    syncs: bool,
}

impl GatedDisk {
    pub fn new() -> (Arc<Self>, Arc<Gate>) {
        let gate = Gate::new();
        (Arc::new(Self { gate: gate.clone(), syncs: true }), gate)
    }

    /// Real files that nothing waits for, for promises other than that of the disk.
    pub fn quick() -> Arc<Self> {
        Arc::new(Self { gate: Gate::new(), syncs: false })
    }
}

impl Disk for GatedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk::default().create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.syncs { RealDisk::default().sync_dir(path) } else { Ok(()) }
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let is_log = path.extension().is_some_and(|extension| extension == "ndjson");
        Ok(Arc::new(GatedFile {
            file: RealDisk::default().open(path, mode)?,
            gate: self.gate.clone(),
            syncs: self.syncs,
            is_log,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk::default().remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk::default().rename(from, to)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk::default().list(folder)
    }
}

struct GatedFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
    syncs: bool,
    is_log: bool,
}

impl ReadAt for GatedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

impl DiskFile for GatedFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.is_log {
            self.gate.check(Fault::LogWrite)?;
        }
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file.allocate(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass()?;
        if self.syncs { self.file.sync_data() } else { Ok(()) }
    }
}
