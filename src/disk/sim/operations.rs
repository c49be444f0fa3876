//! What programs do to the simulated disk: each is counted, and may be refused, cut short, or cut off.

use std::{io, path::Path};

use crate::disk::{
    contract::{DirectoryEntry, EntryKind, LockKind, OpenMode, SHARED_PAGE_BYTES},
    sim::{
        content::{Content, FILE_BYTES_MAX, SECTOR},
        directory::{Directory, NodeId},
        faults::{DiskOperation, Refusal, SyncFailure, Verdict},
        state::{Lock, Node, Program, ROOT, State, cut_off},
    },
};

impl State {
    /// Does something that is counted. The cut in the middle of it has let it happen, or not.
    pub(crate) fn operate<T>(
        &mut self,
        operation: DiskOperation,
        action: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.faults.begin(operation) {
            Verdict::Goes => action(self),
            Verdict::Refused(refusal) => Err(refusal.error),
            Verdict::CutOff => {
                if self.random.one_in(2) {
                    drop(action(self));
                }
                Err(cut_off())
            }
        }
    }

    pub(crate) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.vacancy(path)?;
        let node = self.add(Node::Directory(Directory::default()));
        self.directory_mut(parent)?.create(name, node);
        Ok(())
    }

    pub(crate) fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        let (parent, name) = self.vacancy(path)?;
        let node = self.add(Node::File(Content::default()));
        self.directory_mut(parent)?.create(name, node);
        Ok(node)
    }

    pub(crate) fn open_file(&mut self, path: &Path, mode: OpenMode) -> io::Result<NodeId> {
        match mode {
            OpenMode::CreateNew => self.operate(DiskOperation::Create, |state| state.create_file(path)),
            OpenMode::Read | OpenMode::ReadWrite => self.operate(DiskOperation::Open, |state| {
                let node = state.resolve(path)?;
                state.file(node).map(|_| node)
            }),
        }
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        if parent != to_parent {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file stays in its directory"));
        }
        let node = self.directory(parent)?.get(from_name).ok_or(io::ErrorKind::NotFound)?;
        if let Some(replaced) = self.directory(parent)?.get(to_name) {
            self.file(node)?;
            self.file(replaced)?;
            if replaced == node {
                // As systems do it: two names of one file stay both.
                return Ok(());
            }
        }
        self.directory_mut(parent)?.rename(from_name, to_name);
        Ok(())
    }

    pub(crate) fn hard_link(&mut self, original: &Path, link: &Path) -> io::Result<()> {
        let node = self.resolve(original)?;
        self.file(node)?;
        let (parent, name) = self.vacancy(link)?;
        self.directory_mut(parent)?.create(name, node);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let node = self.directory(parent)?.get(name).ok_or(io::ErrorKind::NotFound)?;
        self.file(node)?;
        self.directory_mut(parent)?.remove(name);
        Ok(())
    }

    pub(crate) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let node = self.resolve(path)?;
        self.directory(node)?;
        match self.faults.begin(DiskOperation::SyncDirectory) {
            Verdict::Goes => self.directory_mut(node)?.sync(),
            Verdict::CutOff => {
                if self.random.one_in(2) {
                    self.directory_mut(node)?.sync();
                }
                return Err(cut_off());
            }
            Verdict::Refused(refusal) => {
                let failure = self.failure(&refusal);
                let Self { nodes, random, .. } = self;
                if let Some(Node::Directory(directory)) = nodes.get_mut(node) {
                    directory.fail_sync(failure, random);
                }
                return Err(refusal.error);
            }
        }
        Ok(())
    }

    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let directory = self.directory(self.resolve(path)?)?;
        Ok(directory
            .names()
            .map(|(name, node)| DirectoryEntry { name: name.clone(), kind: self.node_kind(node) })
            .collect())
    }

    pub(crate) fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match self.resolve(path) {
            Ok(node) => Ok(Some(self.node_kind(node))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Locks a node for a program, and gives the lock's number; none if another lock excludes it.
    pub(crate) fn lock(&mut self, node: NodeId, kind: LockKind, mount: u64) -> Option<u64> {
        let excludes = |lock: &Lock| {
            lock.node == node && (kind == LockKind::Exclusive || lock.kind == LockKind::Exclusive)
        };
        if self.locked.iter().any(excludes) {
            return None;
        }
        let number = self.locked.iter().map(|lock| lock.number).max().map_or(0, |last| last + 1);
        self.locked.push(Lock { number, node, kind, mount });
        Some(number)
    }

    pub(crate) fn unlock(&mut self, number: u64, program: Program) {
        if self.is_alive(program) {
            self.locked.retain(|lock| lock.number != number);
        }
    }

    /// Opens a file to share it as a page.
    pub(crate) fn open_page(&mut self, path: &Path, mode: OpenMode) -> io::Result<NodeId> {
        let node = self.open_file(path, mode)?;
        if self.file(node)?.cached().len() != SHARED_PAGE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file isn't a page long"));
        }
        Ok(node)
    }

    /// Some bytes of a page, at any time: memory has no errors.
    pub(crate) fn page_bytes<const BYTES: usize>(&self, node: NodeId, offset: usize) -> [u8; BYTES] {
        assert!(offset.is_multiple_of(BYTES), "a number of the page");
        let mut bytes = [0; BYTES];
        if let Some(Node::File(content)) = self.nodes.get(node)
            && let Some(found) = content.cached().get(offset..offset + BYTES)
        {
            bytes.copy_from_slice(found);
        }
        bytes
    }

    /// Changes some bytes of a page. A program that is dead, or whose power is gone, changes nothing.
    pub(crate) fn put_page_bytes(&mut self, program: Program, node: NodeId, offset: usize, bytes: &[u8]) {
        assert!(offset.is_multiple_of(bytes.len()), "a number of the page");
        assert!(offset + bytes.len() <= SHARED_PAGE_BYTES, "a number of the page");
        if self.check(program).is_err() {
            return;
        }
        let Self { nodes, random, .. } = self;
        if let Some(Node::File(content)) = nodes.get_mut(node) {
            content.write(bytes, offset, random);
        }
    }

    pub(crate) fn write(&mut self, node: NodeId, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self.faults.begin(DiskOperation::Write) {
            Verdict::Goes => {}
            Verdict::Refused(refusal) => return Err(refusal.error),
            Verdict::CutOff => {
                let ends = boundaries(offset, bytes.len());
                // Nothing of it, some sectors, or all of it.
                let chosen = self.random.below(ends.len() + 2);
                let count =
                    ends.get(chosen).copied().unwrap_or(if chosen > ends.len() { bytes.len() } else { 0 });
                drop(self.put(node, &bytes[..count], offset));
                return Err(cut_off());
            }
        }
        let mut count = bytes.len();
        let ends = boundaries(offset, count);
        if !ends.is_empty() && self.random.one_in(self.short_write_one_in) {
            count = ends[self.random.below(ends.len())];
        }
        if let Err(error) = self.room(node, offset.saturating_add(count as u64)) {
            // What fits into the quota is written, up to a sector's end.
            let fitting = ends.iter().rev().find(|end| self.room(node, offset + **end as u64).is_ok());
            count = *fitting.filter(|end| **end < count).ok_or(error)?;
        }
        self.put(node, &bytes[..count], offset)?;
        Ok(count)
    }

    fn put(&mut self, node: NodeId, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = file_end(offset, bytes.len())? - bytes.len();
        let Self { nodes, random, .. } = self;
        if let Some(Node::File(content)) = nodes.get_mut(node) {
            content.write(bytes, offset, random);
        }
        Ok(())
    }

    pub(crate) fn set_len(&mut self, node: NodeId, len: u64) -> io::Result<()> {
        self.room(node, len)?;
        let len = file_end(len, 0)?;
        let Self { nodes, random, .. } = self;
        if let Some(Node::File(content)) = nodes.get_mut(node) {
            content.set_len(len, random);
        }
        Ok(())
    }

    pub(crate) fn allocate(&mut self, node: NodeId, len: u64) -> io::Result<()> {
        if self.file(node)?.cached().len() as u64 >= len { Ok(()) } else { self.set_len(node, len) }
    }

    pub(crate) fn sync(&mut self, node: NodeId) -> io::Result<()> {
        let verdict = self.faults.begin(DiskOperation::Sync);
        let failure = match &verdict {
            Verdict::Refused(refusal) => self.failure(refusal),
            Verdict::CutOff if self.random.one_in(2) => SyncFailure::StaysDirty,
            // It goes through, whether the caller hears of it or not.
            Verdict::CutOff | Verdict::Goes => SyncFailure::ComesLate,
        };
        let Self { nodes, random, .. } = self;
        if let Some(Node::File(content)) = nodes.get_mut(node) {
            content.fail_sync(failure, random);
        }
        match verdict {
            Verdict::Goes => Ok(()),
            Verdict::Refused(refusal) => Err(refusal.error),
            Verdict::CutOff => Err(cut_off()),
        }
    }

    fn failure(&mut self, refusal: &Refusal) -> SyncFailure {
        refusal.sync_failure.unwrap_or_else(|| SyncFailure::ALL[self.random.below(SyncFailure::ALL.len())])
    }

    /// Whether the quota lets a file be this long.
    fn room(&self, node: NodeId, len: u64) -> io::Result<()> {
        let Some(quota_bytes) = self.quota_bytes else { return Ok(()) };
        let present = self.file(node)?.cached().len() as u64;
        let mut nodes = self.reachable(ROOT);
        // A file of several names takes its room once.
        nodes.sort_unstable();
        nodes.dedup();
        let used: u64 = nodes.iter().map(|node| self.len(*node)).sum();
        if len <= present || used - present.min(used) + len <= quota_bytes {
            return Ok(());
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    fn len(&self, node: NodeId) -> u64 {
        self.file(node).map_or(0, |content| content.cached().len() as u64)
    }
}

/// After how many bytes of a write the file's sectors end; its own end left out.
fn boundaries(offset: u64, len: usize) -> Vec<usize> {
    let Ok(offset) = file_end(offset, 0) else { return Vec::new() };
    (SECTOR - offset % SECTOR..len).step_by(SECTOR).collect()
}

/// Where a write ends in a file.
fn file_end(offset: u64, len: usize) -> io::Result<usize> {
    let end = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(len));
    end.filter(|end| *end <= FILE_BYTES_MAX).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}
