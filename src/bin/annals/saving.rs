//! How `tail` saves its checkpoint: an event in the store, although others write to it too.
//!
//! The store is open for writing only while the checkpoint is written, so other programs get their turn. It is opened
//! once before anything is printed: where a program keeps it open, that is said at once. Where one comes later, saving
//! is tried again each second, and at the end it waits. What isn't saved is printed again the next time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use annals::{Cursor, Error};
use anyhow::Context;

use crate::opening;

/// How far apart two attempts to save are. Each is an opening of the store and a sync.
const BETWEEN: Duration = Duration::from_secs(1);

pub(crate) struct Saving<'a> {
    store: &'a Path,
    name: &'a str,
    /// How long to wait for the store at the end.
    wait: Duration,
    saved: Cursor,
    tried: Instant,
}

impl<'a> Saving<'a> {
    /// Looks where the checkpoint is, and whether it can be saved.
    pub(crate) fn begin(
        store: &'a Path,
        name: &'a str,
        wait: Duration,
    ) -> anyhow::Result<(Self, Option<Cursor>)> {
        let opened = opening::for_changing(store, wait);
        let opened = match opened {
            Err(error) if is_locked(&error) => Err(error).context(
                "a checkpoint can't be saved while another program has the store open for writing: let that \
                 program save it, or leave out --checkpoint",
            ),
            opened => opened,
        }?;
        let saved = opened.checkpoint(name)?.map(|checkpoint| checkpoint.cursor);
        opened.close()?;
        let saving = Self { store, name, wait, saved: saved.unwrap_or(Cursor::START), tried: Instant::now() };
        Ok((saving, saved))
    }

    /// How long until there is something to save; none: there is nothing.
    pub(crate) fn due_in(&self, cursor: Cursor) -> Option<Duration> {
        (cursor != self.saved).then(|| BETWEEN.saturating_sub(self.tried.elapsed()))
    }

    /// Whether there is something to save, and the last attempt is a second ago.
    pub(crate) fn is_due(&self, cursor: Cursor) -> bool {
        self.due_in(cursor).is_some_and(|left| left.is_zero())
    }

    /// Saves what was printed, unless somebody else writes at this moment.
    pub(crate) fn save(&mut self, cursor: Cursor) -> anyhow::Result<()> {
        match self.write(cursor, Duration::ZERO) {
            Err(error) if is_locked(&error) => Ok(()),
            saved => saved,
        }
    }

    /// Saves what was printed, and waits for others who write.
    pub(crate) fn finish(&mut self, cursor: Cursor) -> anyhow::Result<()> {
        let (position, saved) = (cursor.position, self.saved.position);
        self.write(cursor, self.wait).with_context(|| {
            format!(
                "all up to position {position} is printed, but the checkpoint {:?} couldn't be saved and is still at \
                 {saved}: what is behind that will be printed again",
                self.name
            )
        })
    }

    fn write(&mut self, cursor: Cursor, wait: Duration) -> anyhow::Result<()> {
        if cursor == self.saved {
            return Ok(());
        }
        self.tried = Instant::now();
        let store = opening::for_changing_again(self.store, wait)?;
        store.save_checkpoint(self.name, cursor)?;
        self.saved = cursor;
        Ok(store.close()?)
    }
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Locked { .. }))
}
