//! Following a log that another process writes: when to look, and who is told of what is new.
//!
//! How far the log is committed is said by the page and its lock (`log/followed_head`), which are looked at again
//! each second; between two looks the page's word alone is read. `chase` goes after the log.

use std::{
    mem,
    path::Path,
    sync::{Arc, Weak},
    task::Waker,
    time::{Duration, Instant},
};

use crate::{
    chase::{Chase, Judgement},
    committed::Committed,
    disk::contract::Disk,
    error::{Error, Result},
    listeners::{Ear, Interest},
    log::{
        creation,
        followed_head::{FollowedHead, FollowedPage, Standing},
    },
    news::News,
    opening::check_directory,
    options::{Creation, Options},
    position::{LogOffset, Position},
    sync::{Mutex, RwLock, thread},
};

/// How long it may take to notice that a writer has died or another page has come.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often is looked where there is no page to sleep on.
const LOOK_WITHOUT_PAGE: Duration = Duration::from_millis(50);

/// A log that is followed.
#[derive(Debug)]
pub(crate) struct Following {
    head: FollowedHead,
    committed: Arc<Committed>,
    /// What the last look saw.
    sight: RwLock<Sight>,
    /// One at a time goes after the log.
    chase: Mutex<Chase>,
    /// Whether a thread goes after the log, for tasks that wait.
    is_watched: Mutex<bool>,
    itself: Weak<Self>,
}

#[derive(Debug)]
struct Sight {
    standing: Standing,
    page: Option<FollowedPage>,
    /// How far the page said that the log is committed, if it said anything.
    seen: LogOffset,
    looked_at: Instant,
}

impl Sight {
    fn is_recent(&self) -> bool {
        self.standing != Standing::Unknown && self.looked_at.elapsed() < LOOK_AGAIN
    }

    /// Whether there can be nothing new.
    fn is_current(&self) -> bool {
        self.is_recent() && self.page.as_ref().is_some_and(|page| page.committed() == self.seen)
    }
}

impl Following {
    /// Reads the log as far as it is committed.
    pub(crate) fn open(disk: Arc<dyn Disk>, store: &Path, options: &Options) -> Result<Arc<Self>> {
        check_directory(&*disk, store, Creation::Never)?;
        let meta = creation::read_meta(&*disk, store)?.ok_or_else(|| creation::no_meta(store))?;
        let head = FollowedHead::new(&disk, store, meta.store_id);
        let (mut chase, committed) = Chase::begin(disk, store, options, meta, head.look().0)?;
        let sight = look(&head, &mut chase, &committed, Judgement::Due)?;
        chase.end_opening();
        let (sight, chase) = (RwLock::new(sight), Mutex::new(chase));
        Ok(Arc::new_cyclic(|itself| {
            let (is_watched, itself) = (Mutex::new(false), Weak::clone(itself));
            Self { head, committed, sight, chase, is_watched, itself }
        }))
    }

    pub(crate) fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// Looks at the page anew, whether a writer is alive, and shows what is committed.
    pub(crate) fn look_again(&self) -> Result<()> {
        let mut chase = self.chase.lock();
        let sight = look(&self.head, &mut chase, &self.committed, Judgement::Made)?;
        *self.sight.write() = sight;
        Ok(())
    }

    /// Shows what the page says is committed, without looking at anything else. False: that isn't enough.
    fn follow_page(&self) -> Result<bool> {
        let mut chase = self.chase.lock();
        let sight = self.sight.read();
        let page = sight.page.clone().filter(|_| sight.is_recent());
        let is_attended = matches!(sight.standing, Standing::Attended(_));
        drop(sight);
        let Some(page) = page.filter(|_| is_attended) else { return Ok(false) };
        let committed = page.committed();
        chase.follow(Standing::Attended(committed), committed, &self.committed)?;
        self.sight.write().seen = committed;
        Ok(true)
    }

    /// Waits until there is an event behind a position, or the time is over. Returns the last position.
    pub(crate) fn wait_beyond(&self, position: Position, timeout: Duration) -> Result<Position> {
        let deadline = Instant::now().checked_add(timeout);
        self.sleep(Interest::Everything, deadline, &|| self.committed.head() > position)?;
        Ok(self.committed.head())
    }

    /// Sleeps until the page says something new, for as long as it is believed at most.
    fn sleep_on_page(&self, timeout: Duration, is_over: &dyn Fn() -> bool) {
        let sight = self.sight.read();
        let (page, seen) = (sight.page.clone(), sight.seen);
        drop(sight);
        match page {
            Some(page) => page.wait(seen, timeout.min(LOOK_AGAIN), is_over),
            None => thread::sleep(timeout.min(LOOK_WITHOUT_PAGE)),
        }
    }

    /// Goes after the log for as long as there are tasks to be called.
    fn watch(following: &Weak<Self>) {
        while let Some(following) = following.upgrade() {
            // An error is told to the task itself, which looks at the log too.
            if following.refresh().is_err() {
                following.committed.listeners().tell(Interest::Ordinary);
            }
            let mut is_watched = following.is_watched.lock();
            if !following.committed.listeners().has_ears() {
                *is_watched = false;
                return;
            }
            drop(is_watched);
            following.sleep_on_page(LOOK_AGAIN, &|| !following.committed.listeners().has_ears());
        }
    }
}

impl News for Following {
    fn refresh(&self) -> Result<()> {
        if self.sight.read().is_current() || self.follow_page()? { Ok(()) } else { self.look_again() }
    }

    fn sleep(&self, _: Interest, deadline: Option<Instant>, is_over: &dyn Fn() -> bool) -> Result<()> {
        loop {
            self.refresh()?;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if is_over() || left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            self.sleep_on_page(left.unwrap_or(LOOK_AGAIN), is_over);
        }
    }

    fn wake_sleepers(&self) {
        let page = self.sight.read().page.clone();
        if let Some(page) = page {
            page.wake();
        }
    }

    fn call_at_news(&self, ear: &Arc<Ear>, waker: &Waker) -> Result<()> {
        self.committed.listeners().list(ear, waker);
        let mut is_watched = self.is_watched.lock();
        if !*is_watched {
            let following = Weak::clone(&self.itself);
            let builder = thread::Builder::new().name("annals-follower".to_owned());
            let started = builder.spawn(move || Self::watch(&following));
            started.map_err(|error| Error::io("start a thread for", self.chase.lock().store(), error))?;
            *is_watched = true;
        }
        drop(is_watched);
        self.refresh()
    }

    fn forget(&self, ear: &Arc<Ear>) {
        self.committed.listeners().strike_out(ear);
        self.wake_sleepers();
    }
}

/// One look: at the page, and at the log as far as that says.
fn look(
    head: &FollowedHead,
    chase: &mut Chase,
    committed: &Committed,
    judgement: Judgement,
) -> Result<Sight> {
    loop {
        let (standing, page) = head.look();
        // Where they say nothing: if the page changes from whatever it is, there is something to see.
        let seen = standing.committed().or_else(|| page.as_ref().map(FollowedPage::committed));
        let seen = seen.unwrap_or_default();
        let looked_at = Instant::now();
        let bound = chase.bound(standing, judgement);
        // What stands in the log is committed as long as nobody writes: a writer that has come meanwhile may have written
        // some of it, and not committed it.
        let is_beyond_page =
            bound.as_ref().is_ok_and(|bound| *bound != seen || standing == Standing::Unknown);
        if is_beyond_page && is_another(standing, head.look().0) {
            continue;
        }
        match bound.and_then(|bound| chase.follow(standing, bound, committed)) {
            Ok(()) => return Ok(Sight { standing, page, seen, looked_at }),
            // A writer that came or went meanwhile changes what may be seen.
            Err(_) if is_another(standing, head.look().0) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_another(before: Standing, now: Standing) -> bool {
    mem::discriminant(&before) != mem::discriminant(&now)
}

#[cfg(test)]
mod tests;
