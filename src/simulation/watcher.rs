//! A follower beside the store, in a program of its own: what it shows must stay.

use std::sync::Arc;

use crate::{
    disk::sim::simulated::SimDisk,
    error::{Error, Result},
    follower::Follower,
    options::Options,
    position::Position,
    query::Query,
    simulation::{
        failure::{BrokenPromise, Promise},
        history::History,
        session::STORE,
    },
};

/// A follower that is opened when it isn't there, and looks when it is told to.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    follower: Option<Follower>,
    /// How many events this follower has shown.
    shown: usize,
}

impl Watcher {
    /// Shows all it can, and compares it with the history. Returns how many events it shows; none if the disk
    /// was cut off meanwhile, or if there is no store yet.
    pub(crate) fn look(&mut self, disk: &SimDisk, history: &History) -> Result<Option<usize>, BrokenPromise> {
        let follower = match self.take_follower(disk) {
            Ok(follower) => follower,
            Err(Error::NotAStore { .. }) if history.len() == 0 => return Ok(None),
            Err(_) if disk.is_cut() => return Ok(None),
            Err(error) => {
                let what = format!("a follower doesn't see the store: {error}");
                return Err(BrokenPromise::new(Promise::NoFalseRefusal, what));
            }
        };
        let news = Query::all().after(Position::new(self.shown as u64));
        let shown = history.compare_shown(self.shown, follower.read(news));
        if disk.is_cut() {
            return Ok(None);
        }
        self.shown = shown.map_err(|broken| broken.at("a follower"))?;
        self.follower = Some(follower);
        Ok(Some(self.shown))
    }

    /// The follower, which has looked anew. After an error there is none, and the next is another program.
    fn take_follower(&mut self, disk: &SimDisk) -> Result<Follower> {
        if let Some(follower) = self.follower.take() {
            return follower.refresh().map(|()| follower);
        }
        self.shown = 0;
        Follower::open_on(Arc::new(disk.mount()), STORE, Options::new())
    }

    /// Ends the program: the next look is another's.
    pub(crate) fn end(&mut self) {
        self.follower = None;
    }
}
