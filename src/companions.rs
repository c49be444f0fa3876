//! Who works beside a store, on threads of their own, and has to end before it closes.
//!
//! A companion saves how far it has come when it ends, so the store asks all of them, and waits, before it takes no more
//! appends.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use crate::{
    error::{Error, Result},
    invalid::Invalid,
};

/// One who works beside a store.
pub(crate) trait Companion: Send + Sync {
    /// Asks it to end.
    fn ask_to_end(&self);

    /// Waits until it has ended; not at all on its own thread, which would wait for itself.
    fn wait_for_end(&self);
}

/// The companions of one store, each with a name of its own.
#[derive(Default)]
pub(crate) struct Companions {
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    is_closed: bool,
    entries: Vec<(String, Arc<dyn Companion>)>,
}

/// A place among the companions, and their name; given up when it is dropped.
pub(crate) struct Membership {
    companions: Arc<Companions>,
    name: String,
}

impl Companions {
    /// Takes a companion in.
    pub(crate) fn enter(self: &Arc<Self>, name: &str, companion: Arc<dyn Companion>) -> Result<Membership> {
        let mut list = self.list.lock();
        if list.is_closed {
            return Err(Error::Closed);
        }
        if list.entries.iter().any(|(taken, _)| taken == name) {
            let reason = "a runner of this name is at work: stop that first, or take another name";
            return Err(Invalid::new("runner name", name, reason).into());
        }
        list.entries.push((name.to_owned(), companion));
        Ok(Membership { companions: Arc::clone(self), name: name.to_owned() })
    }

    /// Asks all of them to end, waits until they have, and takes no more in.
    pub(crate) fn end(&self) {
        let entries = {
            let mut list = self.list.lock();
            list.is_closed = true;
            list.entries.clone()
        };
        for (_, companion) in &entries {
            companion.ask_to_end();
        }
        for (_, companion) in &entries {
            companion.wait_for_end();
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.companions.list.lock().entries.retain(|(name, _)| *name != self.name);
    }
}

impl fmt::Debug for Companions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list.lock();
        let names: Vec<&str> = list.entries.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("Companions")
            .field("names", &names)
            .field("is_closed", &list.is_closed)
            .finish()
    }
}
