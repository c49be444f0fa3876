//! The simulated disk itself: what programs and tests hold.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

use crate::disk::{
    contract::{
        DirectoryEntry, DirectoryLock, Disk, DiskFile, EntryKind, FileLock, LockKind, Mapping, OpenMode,
        ShareMode, SharedPage,
    },
    sim::{
        directory::NodeId,
        faults::{DiskOperation, Fault},
        random::Random,
        state::{Program, State},
        survival::CutStyle,
    },
};

/// A disk in memory, whose power can be cut.
///
/// A clone is the same disk: give one to the program, and keep one. Paths begin at its root, with or without a
/// slash, and names are UTF-8. Files are at most 1 GiB long, and aren't mapped.
///
/// ```
/// use annals::{Disk, DiskFile, OpenMode, SimDisk};
/// use std::path::Path;
///
/// let disk = SimDisk::new(42);
/// let file = disk.open(Path::new("/ledger"), OpenMode::CreateNew)?;
/// file.write_all_at(b"paid", 0)?;
/// file.sync()?;
/// // The bytes are safe, and the name isn't: its directory was not synced.
/// disk.sync_dir(Path::new("/"))?;
/// disk.power_cut();
/// assert!(file.sync().is_err(), "whatever was open is dead, as after a restart");
/// assert_eq!(disk.read_file("/ledger"), Some(b"paid".to_vec()));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A test of every point at which a program can be cut off:
///
/// ```
/// use annals::{Disk, DiskFile, OpenMode, SimDisk};
/// use std::{io, path::Path};
///
/// fn program(disk: &SimDisk) -> io::Result<()> {
///     let file = disk.open(Path::new("/new"), OpenMode::CreateNew)?;
///     file.write_all_at(b"whole", 0)?;
///     file.sync()?;
///     disk.rename(Path::new("/new"), Path::new("/file"))?;
///     disk.sync_dir(Path::new("/"))
/// }
///
/// for nth in 1.. {
///     let disk = SimDisk::new(nth);
///     disk.cut_at(nth);
///     let outcome = program(&disk);
///     let was_cut = disk.is_cut();
///     disk.power_cut();
///     match disk.read_file("/file") {
///         Some(bytes) => assert_eq!(bytes, b"whole"),
///         None => assert!(outcome.is_err(), "seed {nth}"),
///     }
///     if !was_cut {
///         break;
///     }
/// }
/// ```
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// Dead after the restart that ends it; for ever alive, where there is none.
    program: Option<Program>,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("SimDisk");
        // A thread that holds the state may print it.
        if let Some(state) = self.state.try_lock() {
            debug.field("operations", &state.faults.operations).field("files", &state.files());
        }
        debug.finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk, whose chances come from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(State::new(seed))
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), program: None }
    }

    /// This disk as a program sees it until the next restart, or until [`SimDisk::kill`]: then all of its
    /// operations fail. For programs whose threads may outlive the cut, and must not touch what the next
    /// one does; and for several programs at once.
    #[must_use]
    pub fn mount(&self) -> Self {
        let mut state = self.state.lock();
        state.mounts += 1;
        let program = Some(Program { generation: state.generation, mount: state.mounts });
        Self { state: Arc::clone(&self.state), program }
    }

    /// Ends the program that has this mount, as kill -9 does, and no other: its locks are free and its open
    /// files dead, but what it wrote is there. If the disk is cut off, that was in the midst of the program's operation,
    /// and the others go on. The disk itself, which isn't a mount, has no program.
    pub fn kill(&self) {
        if let Some(program) = self.program {
            self.state.lock().kill(program.mount);
        }
    }

    /// Another disk that is as this one is, un-synced writes, pending names and planned faults included, and goes on
    /// with chances of its own. Locks and open files stay with this one.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let mut state = self.state.lock().clone();
        state.random = Random::new(seed);
        state.locked.clear();
        Self::of(state)
    }

    /// Another disk that has durably what this one shows, and no faults: for surgery on a store's files.
    #[must_use]
    pub fn snapshot(&self, seed: u64) -> Self {
        let mut state = State::new(seed);
        state.nodes.clone_from(&self.state.lock().nodes);
        state.settle();
        Self::of(state)
    }

    /// Cuts the power: of what was not synced, some is left, by the seed. All locks are free, all open
    /// files dead, and the disk goes on with what is left. Faults stay planned, but for a cut.
    pub fn power_cut(&self) {
        self.state.lock().power_cut(None);
    }

    /// Cuts the power, with a choice of what is left.
    pub fn power_cut_keeping(&self, style: CutStyle) {
        self.state.lock().power_cut(Some(style));
    }

    /// Ends the program, as kill -9 does: all locks are free and all open files dead, but what was written is
    /// there, synced or not. Faults stay planned, but for a cut.
    pub fn crash_process(&self) {
        self.state.lock().restart();
    }

    /// Cuts the disk off at the nth operation from now on; 1 is the next, and 0 is now. A write may be done in part
    /// then, and another operation or not. It fails, and so does all that comes after it, reading included, until
    /// [`SimDisk::power_cut`] or [`SimDisk::crash_process`].
    pub fn cut_at(&self, nth: u64) {
        self.state.lock().faults.cut_at(nth);
    }

    /// Whether the disk is cut off.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.state.lock().faults.is_cut
    }

    /// How many operations there were that can be refused: see [`DiskOperation`].
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().faults.operations
    }

    /// Whether a power cut could take anything.
    pub(crate) fn has_unsynced(&self) -> bool {
        self.state.lock().has_unsynced()
    }

    /// Does something that no fault meets and that counts as no operation: what comes later is as if it hadn't been.
    pub(crate) fn undisturbed<T>(&self, action: impl FnOnce() -> T) -> T {
        self.state.lock().faults.is_resting = true;
        let done = action();
        self.state.lock().faults.is_resting = false;
        done
    }

    /// How many operations were refused by planned faults.
    pub(crate) fn refusals(&self) -> u64 {
        self.state.lock().faults.refusals
    }

    /// Plans a fault.
    pub fn fail(&self, fault: Fault) {
        self.state.lock().faults.add(fault);
    }

    /// Makes reads fail that touch these bytes of a file.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn fail_reads(&self, path: impl AsRef<Path>, bytes: Range<u64>) -> io::Result<()> {
        let mut state = self.state.lock();
        let node = state.resolve(path.as_ref())?;
        state.file_mut(node)?.make_unreadable(bytes);
        Ok(())
    }

    /// Forgets all planned faults, and makes all bytes readable. The quota and short writes stay.
    pub fn clear_faults(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.make_readable();
    }

    /// Makes one write in so many short, by the seed: it ends at one of the file's sector ends. 0: none.
    pub fn set_short_writes(&self, one_in: u32) {
        self.state.lock().short_write_one_in = one_in;
    }

    /// Bounds the sum of all files' lengths, in bytes; what would make it larger fails with
    /// [`io::ErrorKind::StorageFull`], a write after the sectors that fit.
    pub fn set_quota_bytes(&self, quota_bytes: Option<u64>) {
        self.state.lock().quota_bytes = quota_bytes;
    }

    /// The paths of all files, as the system shows them.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.state.lock().files()
    }

    /// A file's bytes, as the system shows them; none if there is no such file.
    #[must_use]
    pub fn read_file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let node = state.resolve(path.as_ref()).ok()?;
        Some(state.file(node).ok()?.cached().to_vec())
    }

    /// Shows each file's bytes, in the order of paths.
    pub(crate) fn each_file(&self, visit: &mut dyn FnMut(&Path, &[u8])) {
        let state = self.state.lock();
        for path in state.files() {
            let found = state.resolve(&path).and_then(|node| state.file(node));
            found.map(|content| visit(&path, content.cached())).ok();
        }
    }

    /// Puts a file on the disk, durably, with its directories: surgery, neither counted nor refused.
    ///
    /// # Errors
    ///
    /// If a directory has the name, or a file the name of one of its directories.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> io::Result<()> {
        self.state.lock().put_file(path.as_ref(), bytes.into())
    }

    /// Takes a file from the disk, durably: surgery, neither counted nor refused.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.state.lock().take_file(path.as_ref())
    }

    /// The state, if the disk is neither cut off nor of another time.
    fn enter(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        state.check(self.program_in(&state))?;
        Ok(state)
    }

    fn program_in(&self, state: &State) -> Program {
        self.program.unwrap_or(Program { generation: state.generation, mount: 0 })
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.enter()?.operate(DiskOperation::CreateDirectory, |state| state.create_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.enter()?.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.enter()?.kind(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.enter()?;
        let node = state.open_file(path, mode)?;
        let program = self.program_in(&state);
        Ok(Arc::new(SimFile { state: Arc::clone(&self.state), program, node, mode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter()?.operate(DiskOperation::Rename, |state| state.rename(from, to))
    }

    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        self.enter()?.operate(DiskOperation::Link, |state| state.hard_link(original, link))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.enter()?.operate(DiskOperation::Remove, |state| state.remove(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.enter()?.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        let mut state = self.enter()?;
        let node = state.resolve(path)?;
        state.directory(node)?;
        Ok(self
            .lock(&mut state, node, LockKind::Exclusive)
            .map(|lock| Box::new(lock) as Box<dyn DirectoryLock>))
    }

    fn lock_file(&self, path: &Path, kind: LockKind) -> io::Result<Option<Box<dyn FileLock>>> {
        let mut state = self.enter()?;
        let node = state.resolve(path)?;
        state.file(node)?;
        Ok(self.lock(&mut state, node, kind).map(|lock| Box::new(lock) as Box<dyn FileLock>))
    }

    fn share(&self, path: &Path, mode: ShareMode) -> io::Result<Arc<dyn SharedPage>> {
        let mut state = self.enter()?;
        let open_mode = match mode {
            ShareMode::Read => OpenMode::Read,
            ShareMode::ReadWrite => OpenMode::ReadWrite,
        };
        let node = state.open_page(path, open_mode)?;
        let program = self.program_in(&state);
        Ok(Arc::new(SimPage { state: Arc::clone(&self.state), program, node, mode }))
    }

    fn boot_id(&self) -> io::Result<u128> {
        Ok(self.enter()?.boot_id)
    }
}

impl SimDisk {
    fn lock(&self, state: &mut State, node: NodeId, kind: LockKind) -> Option<SimLock> {
        let program = self.program_in(state);
        let number = state.lock(node, kind, program.mount)?;
        Some(SimLock { state: Arc::clone(&self.state), program, number })
    }
}

/// A locked directory or file.
struct SimLock {
    state: Arc<Mutex<State>>,
    program: Program,
    number: u64,
}

impl DirectoryLock for SimLock {}

impl FileLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.state.lock().unlock(self.number, self.program);
    }
}

/// A page that programs share. Its memory is the file's bytes in the system's cache.
struct SimPage {
    state: Arc<Mutex<State>>,
    program: Program,
    node: NodeId,
    mode: ShareMode,
}

impl SimPage {
    fn put(&self, offset: usize, bytes: &[u8]) {
        assert_eq!(self.mode, ShareMode::ReadWrite, "a page that is shared to be read isn't changed");
        self.state.lock().put_page_bytes(self.program, self.node, offset, bytes);
    }
}

impl SharedPage for SimPage {
    fn load_u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.state.lock().page_bytes(self.node, offset))
    }

    fn store_u64(&self, offset: usize, number: u64) {
        self.put(offset, &number.to_le_bytes());
    }

    fn load_u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.state.lock().page_bytes(self.node, offset))
    }

    fn store_u32(&self, offset: usize, number: u32) {
        self.put(offset, &number.to_le_bytes());
    }

    fn set_bits_u32(&self, offset: usize, bits: u32) -> u32 {
        assert_eq!(self.mode, ShareMode::ReadWrite, "a page that is shared to be read isn't changed");
        let mut state = self.state.lock();
        let before = u32::from_le_bytes(state.page_bytes(self.node, offset));
        state.put_page_bytes(self.program, self.node, offset, &(before | bits).to_le_bytes());
        before
    }

    /// Simulated programs are driven step by step, and never sleep: it returns at once.
    fn wait(&self, _offset: usize, _expected: u32, _timeout: Duration) {}

    fn wake_all(&self, _offset: usize) {}
}

impl fmt::Debug for SimPage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimPage").field("node", &self.node).finish_non_exhaustive()
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimLock").field("number", &self.number).finish_non_exhaustive()
    }
}

/// An open file; dead after the next restart.
struct SimFile {
    state: Arc<Mutex<State>>,
    program: Program,
    node: NodeId,
    mode: OpenMode,
}

impl SimFile {
    fn enter(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        state.check(self.program)?;
        Ok(state)
    }

    fn enter_to_write(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.enter()?;
        if self.mode == OpenMode::Read {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is open to read"));
        }
        Ok(state)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.enter()?.file(self.node)?.read(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.enter_to_write()?.write(self.node, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.enter()?.sync(self.node)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.enter_to_write()?.operate(DiskOperation::SetLength, |state| state.set_len(self.node, len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.enter_to_write()?.operate(DiskOperation::Allocate, |state| state.allocate(self.node, len))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.enter()?.file(self.node)?.cached().len() as u64)
    }

    fn link_count(&self) -> io::Result<u64> {
        Ok(self.enter()?.name_count(self.node))
    }

    fn map(&self, _capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        self.enter().map(|_| None)
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimFile").field("node", &self.node).finish_non_exhaustive()
    }
}
