//! head, as a follower sees it: whether a writer is alive, how far it has come, and sleeping until it goes on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    disk::contract::{Disk, LockKind, ShareMode, SharedPage},
    format::{
        head_page::{COMMITTED_AT, HEAD_CONSTANT_BYTES, HeadConstant, WAITERS, WAKE_WORD_AT},
        layout::put_u64,
    },
    log::head::{boot_id, head_path, wake},
    position::LogOffset,
};

/// How often the page is looked at by one that can't write it.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What the page and its lock say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// A writer is alive, and has committed up to here.
    Attended(LogOffset),
    /// No writer is alive; the last one in this run of the system had committed up to here.
    Left(LogOffset),
    /// They say nothing.
    Unknown,
}

impl Standing {
    /// How far the log is committed, if they say so.
    pub(crate) fn committed(self) -> Option<LogOffset> {
        match self {
            Self::Attended(committed) | Self::Left(committed) => Some(committed),
            Self::Unknown => None,
        }
    }
}

/// Where a follower looks.
#[derive(Debug)]
pub(crate) struct FollowedHead {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    store_id: u64,
    /// Asked once: a follower doesn't outlive the run of the system in which it was opened.
    boot_id: Option<u128>,
}

impl FollowedHead {
    pub(crate) fn new(disk: &Arc<dyn Disk>, store: &Path, store_id: u64) -> Self {
        Self { disk: Arc::clone(disk), path: head_path(store), store_id, boot_id: boot_id(&**disk) }
    }

    /// Looks at the page that has the name now, and whether a writer has it locked.
    pub(crate) fn look(&self) -> (Standing, Option<FollowedPage>) {
        let Some(page) = self.share() else { return (Standing::Unknown, None) };
        // Let go at once: a writer that comes just now waits for it.
        let is_attended = matches!(self.disk.lock_file(&self.path, LockKind::Shared), Ok(None));
        // In this order: what is read behind a constant part of this boot is of this boot.
        let constant = page.constant().filter(|constant| constant.store_id == self.store_id);
        let committed = page.committed();
        let is_of_this_boot = |constant: HeadConstant| match self.boot_id {
            Some(boot_id) => constant.boot_id == boot_id,
            // One that is alive has written it in this boot; one that isn't may be from before.
            None => is_attended && constant.boot_id == 0,
        };
        let standing = match (constant.is_some_and(is_of_this_boot), is_attended) {
            (true, true) => Standing::Attended(committed),
            (true, false) => Standing::Left(committed),
            (false, _) => Standing::Unknown,
        };
        (standing, Some(page))
    }

    fn share(&self) -> Option<FollowedPage> {
        let share = |mode| Some(FollowedPage { page: self.disk.share(&self.path, mode).ok()?, mode });
        share(ShareMode::ReadWrite).or_else(|| share(ShareMode::Read))
    }
}

/// The page, for the moments between two looks.
#[derive(Clone, Debug)]
pub(crate) struct FollowedPage {
    page: Arc<dyn SharedPage>,
    mode: ShareMode,
}

impl FollowedPage {
    fn constant(&self) -> Option<HeadConstant> {
        let mut bytes = [0; HEAD_CONSTANT_BYTES];
        for offset in (0..HEAD_CONSTANT_BYTES).step_by(8) {
            put_u64(&mut bytes, offset, self.page.load_u64(offset));
        }
        HeadConstant::decode(&bytes)
    }

    /// How far the log is committed, if the page says anything.
    pub(crate) fn committed(&self) -> LogOffset {
        LogOffset::new(self.page.load_u64(COMMITTED_AT))
    }

    /// Sleeps until the writer has committed more than was seen, it is over (which is looked at behind each
    /// [`wake`](Self::wake)), or the time is; may wake without a reason.
    pub(crate) fn wait(&self, seen: LogOffset, timeout: Duration, is_over: &dyn Fn() -> bool) {
        if self.mode == ShareMode::Read {
            let begun = Instant::now();
            while self.committed() == seen && !is_over() && begun.elapsed() < timeout {
                thread::sleep(LOOK_AGAIN.min(timeout));
            }
            return;
        }
        let word = self.page.set_bits_u32(WAKE_WORD_AT, WAITERS) | WAITERS;
        // Behind the bit, as the writer's look at the bit is behind its store: one of the two sees the other.
        if self.committed() == seen && !is_over() {
            self.page.wait(WAKE_WORD_AT, word, timeout);
        }
    }

    /// Wakes all who sleep, in all processes: those whom it doesn't concern sleep on.
    pub(crate) fn wake(&self) {
        if self.mode == ShareMode::ReadWrite {
            wake(&*self.page);
        }
    }
}
