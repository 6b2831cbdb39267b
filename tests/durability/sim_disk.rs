//! A disk in memory that keeps only what it must: what was synced. The rest may survive a power cut, whole, in part,
//! out of order or as garbage, as the seed will have it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ade::log::disk::{Disk, DiskFile, Mode, ReadAt};

use ade_test_support::random::Random;

const SECTOR: u64 = 512;

/// What goes wrong, and when: counted in operations from now on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The power goes at this change of the disk.
    pub power_cut: Option<u64>,
    pub failed_sync: Option<u64>,
    /// This write writes a part and fails.
    pub short_write: Option<u64>,
    /// Logs may grow by this many bytes in all.
    pub space: Option<u64>,
}

#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// Whoever opened a file before a restart has no part in what comes after.
    life: u64,
}

struct State {
    random: Random,
    life: u64,
    off: bool,
    faults: Faults,
    /// A fault has struck in this life.
    struck: bool,
    /// Syncs do nothing and say they did.
    lies: bool,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// Those whose folder has not been synced since.
    renames: Vec<Rename>,
    files: HashMap<u64, FileState>,
}

struct Rename {
    from: PathBuf,
    to: PathBuf,
    node: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(u64),
}

#[derive(Default, Clone)]
struct FileState {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// A sync has failed, and the next cut will too.
    stuck: bool,
}

#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

impl SimDisk {
    pub fn new(seed: u64, lies: bool) -> Self {
        let names = BTreeMap::from([(PathBuf::from("/"), Node::Folder), (PathBuf::from("/data"), Node::Folder)]);
        let state = State {
            random: Random::new(seed),
            life: 0,
            off: false,
            faults: Faults::default(),
            struck: false,
            lies,
            durable_names: names.clone(),
            names,
            renames: Vec::new(),
            files: HashMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), life: 0 }
    }

    pub fn inject(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Whether an error of this life can be the disk's.
    pub fn has_struck(&self) -> bool {
        let state = self.lock();
        state.struck || state.off
    }

    pub fn is_off(&self) -> bool {
        self.lock().off
    }

    /// The process was killed: what it had written is still there.
    pub fn after_kill(&self) -> Self {
        let mut state = self.lock();
        state.life += 1;
        (state.off, state.struck, state.faults) = (false, false, Faults::default());
        state.files.values_mut().for_each(|file| file.stuck = false);
        Self { state: self.state.clone(), life: state.life }
    }

    /// The power was gone: what was not synced may be there or not.
    pub fn after_power_cut(&self) -> Self {
        let mut state = self.lock();
        let State { random, names, durable_names, renames, files, .. } = &mut *state;
        for file in files.values_mut() {
            file.lose_power(random);
        }
        for rename in renames.drain(..) {
            lose_rename(random, names, durable_names, rename);
        }
        lose_names(random, names, durable_names);
        drop(state);
        self.after_kill()
    }

    /// What a reader would find now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        match state.names.get(path)? {
            Node::Folder => None,
            Node::File(id) => Some(state.files[id].bytes.clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.off || state.life != self.life { Err(power_is_off()) } else { Ok(state) }
    }

    /// Before a change; true if the power goes during it.
    fn change(&self) -> io::Result<(MutexGuard<'_, State>, bool)> {
        let mut state = self.alive()?;
        let cut = strikes(&mut state.faults.power_cut);
        state.off |= cut;
        Ok((state, cut))
    }
}

fn strikes(countdown: &mut Option<u64>) -> bool {
    let Some(left) = countdown else { return false };
    *left = left.saturating_sub(1);
    let now = *left == 0;
    if now {
        *countdown = None;
    }
    now
}

/// A rename is on the disk or it is not: both names, or neither, are those of before.
fn lose_rename(
    random: &mut Random,
    names: &mut BTreeMap<PathBuf, Node>,
    durable: &mut BTreeMap<PathBuf, Node>,
    Rename { from, to, node }: Rename,
) {
    if random.chance(50) {
        durable.remove(&from);
        durable.insert(to, node);
        return;
    }
    names.insert(from, node);
    match durable.get(&to) {
        Some(before) => names.insert(to, *before),
        None => names.remove(&to),
    };
}

/// Each name that differs from what is durable is decided by itself; what is in a folder that is gone is gone too.
fn lose_names(random: &mut Random, names: &mut BTreeMap<PathBuf, Node>, durable: &mut BTreeMap<PathBuf, Node>) {
    let all: Vec<PathBuf> = names.keys().chain(durable.keys()).cloned().collect();
    let mut kept: BTreeMap<PathBuf, Node> = BTreeMap::new();
    for path in all {
        let side = if random.chance(50) { &*names } else { &*durable };
        let same = names.get(&path) == durable.get(&path);
        let node = if same { durable.get(&path) } else { side.get(&path) };
        if let Some(node) = node {
            kept.entry(path).or_insert(*node);
        }
    }
    let found = kept.clone();
    kept.retain(|path, _| path.ancestors().skip(1).all(|folder| found.get(folder) == Some(&Node::Folder)));
    *names = kept.clone();
    *durable = kept;
}

impl FileState {
    fn apply(image: &mut Vec<u8>, change: &Change) {
        match change {
            Change::SetLen(size) => image.resize(*size as usize, 0),
            Change::Write { offset, bytes } => put(image, *offset, bytes),
        }
    }

    fn change(&mut self, change: Change) {
        Self::apply(&mut self.bytes, &change);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            Self::apply(&mut self.durable, &change);
        }
    }

    /// The kernel reports the error once and takes the pages for clean: they are never written.
    fn fail_sync(&mut self, random: &mut Random) {
        self.survive_in_part(random);
        self.stuck = random.chance(50);
    }

    fn lose_power(&mut self, random: &mut Random) {
        self.survive_in_part(random);
        self.bytes = self.durable.clone();
    }

    fn survive_in_part(&mut self, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let synced = self.durable.len();
        match random.below(5) {
            0 => {}
            1 => pending.iter().for_each(|change| Self::apply(&mut self.durable, change)),
            2 => self.keep_beginning(&pending, random),
            mode => {
                self.keep_sectors(&pending, random);
                if mode == 4 {
                    self.scribble(synced, random);
                }
            }
        }
    }

    fn keep_beginning(&mut self, pending: &[Change], random: &mut Random) {
        let whole = random.below(pending.len() as u64 + 1) as usize;
        pending[..whole].iter().for_each(|change| Self::apply(&mut self.durable, change));
        if let Some(Change::Write { offset, bytes }) = pending.get(whole) {
            let part = random.below(bytes.len() as u64 + 1) as usize;
            put(&mut self.durable, *offset, &bytes[..part]);
        }
    }

    fn keep_sectors(&mut self, pending: &[Change], random: &mut Random) {
        let percent = [10, 50, 90][random.below(3) as usize];
        for change in pending {
            match change {
                Change::SetLen(_) if random.chance(percent) => Self::apply(&mut self.durable, change),
                Change::SetLen(_) => {}
                Change::Write { offset, bytes } => {
                    for (start, sector) in sectors(*offset, bytes) {
                        if random.chance(percent) {
                            put(&mut self.durable, start, sector);
                        }
                    }
                }
            }
        }
    }

    /// Sectors that were never written may hold anything.
    fn scribble(&mut self, synced: usize, random: &mut Random) {
        let start = synced.next_multiple_of(SECTOR as usize);
        if start < self.durable.len() {
            for sector in self.durable[start..].chunks_mut(SECTOR as usize) {
                if sector.iter().all(|byte| *byte == 0) && random.chance(30) {
                    sector.fill_with(|| random.below(256) as u8);
                }
            }
        }
    }
}

fn put(image: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if image.len() < end && !bytes.is_empty() {
        image.resize(end, 0);
    }
    image[offset as usize..end.max(offset as usize)].copy_from_slice(bytes);
}

fn sectors(mut offset: u64, mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let size = ((SECTOR - offset % SECTOR) as usize).min(bytes.len());
        let (sector, rest) = bytes.split_at(size);
        let start = offset;
        (offset, bytes) = (offset + size as u64, rest);
        (size > 0).then_some((start, sector))
    })
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let (mut state, cut) = self.change()?;
        if state.names.get(path.parent().expect("not the root")) != Some(&Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.names.entry(path.to_owned()).or_insert(Node::Folder);
        if cut { Err(power_is_off()) } else { Ok(()) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let (mut state, cut) = self.change()?;
        if cut {
            return Err(power_is_off());
        }
        if strikes(&mut state.faults.failed_sync) {
            state.struck = true;
            return Err(io::Error::other("the sync failed"));
        }
        let State { names, durable_names, renames, lies, .. } = &mut *state;
        let within = |name: &PathBuf| name.parent() == Some(path);
        if !*lies {
            renames.retain(|rename| !within(&rename.to));
            durable_names.retain(|name, _| !within(name) || names.contains_key(name));
            durable_names
                .extend(names.iter().filter(|(name, _)| within(name)).map(|(name, node)| (name.clone(), *node)));
        }
        Ok(())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let known = self.alive()?.names.get(path).copied();
        let id = match known {
            Some(Node::File(id)) => id,
            Some(Node::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
            None if mode == Mode::Create => self.create(path)?,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(SimFile { disk: self.clone(), id, is_log: path.extension().is_some_and(|e| e == "ndjson") }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (mut state, cut) = self.change()?;
        let known = state.names.remove(path);
        if cut {
            return Err(power_is_off());
        }
        known.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    /// One change of both names: after a power cut it is there or not.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, cut) = self.change()?;
        let node = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), node);
        state.renames.push(Rename { from: from.to_owned(), to: to.to_owned(), node });
        if cut { Err(power_is_off()) } else { Ok(()) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.alive()?;
        let within = state.names.keys().filter(|name| name.parent() == Some(folder));
        Ok(within.filter_map(|name| name.file_name()?.to_str().map(str::to_owned)).collect())
    }
}

impl SimDisk {
    fn create(&self, path: &Path) -> io::Result<u64> {
        let (mut state, cut) = self.change()?;
        if state.names.get(path.parent().expect("not the root")) != Some(&Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let id = state.files.len() as u64;
        state.files.insert(id, FileState::default());
        state.names.insert(path.to_owned(), Node::File(id));
        if cut { Err(power_is_off()) } else { Ok(id) }
    }
}

struct SimFile {
    disk: SimDisk,
    id: u64,
    is_log: bool,
}

impl SimFile {
    /// How much of a write is done, and the error if that is not all.
    fn allowed(&self, state: &mut State, bytes: usize, cut: bool) -> (usize, io::Result<()>) {
        if cut {
            return (state.random.below(bytes as u64 + 1) as usize, Err(power_is_off()));
        }
        if strikes(&mut state.faults.short_write) {
            state.struck = true;
            return (state.random.below(bytes as u64) as usize, Err(io::Error::other("the write failed")));
        }
        let Some(space) = state.faults.space.as_mut().filter(|_| self.is_log) else { return (bytes, Ok(())) };
        let part = bytes.min(*space as usize);
        *space -= part as u64;
        state.struck |= part < bytes;
        (part, if part < bytes { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) })
    }
}

impl ReadAt for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.alive()?.files[&self.id].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.alive()?;
        let bytes = &state.files[&self.id].bytes;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let size = rest.len().min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        Ok(size)
    }
}

impl DiskFile for SimFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, cut) = self.disk.change()?;
        let (part, outcome) = self.allowed(&mut state, bytes.len(), cut);
        let file = state.files.get_mut(&self.id).expect("files are never forgotten");
        if part > 0 {
            file.change(Change::Write { offset, bytes: bytes[..part].to_vec() });
        }
        outcome
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        let (mut state, cut) = self.disk.change()?;
        let file = state.files.get_mut(&self.id).expect("files are never forgotten");
        if std::mem::take(&mut file.stuck) {
            return Err(io::Error::other("the cut failed"));
        }
        file.change(Change::SetLen(size));
        if cut { Err(power_is_off()) } else { Ok(()) }
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let grown = self.size()?.max(size);
        self.set_len(grown)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, cut) = self.disk.change()?;
        if cut {
            return Err(power_is_off());
        }
        let failed = strikes(&mut state.faults.failed_sync);
        state.struck |= failed;
        let State { files, random, lies, .. } = &mut *state;
        let file = files.get_mut(&self.id).expect("files are never forgotten");
        match (failed, *lies) {
            (true, _) => {
                file.fail_sync(random);
                Err(io::Error::other("the sync failed"))
            }
            (false, false) => {
                file.sync();
                Ok(())
            }
            (false, true) => Ok(()),
        }
    }
}
