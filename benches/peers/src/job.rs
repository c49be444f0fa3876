//! What a process of this benchmark's own does.

use std::{ffi::OsString, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Outcome, child, engines::Kind, figures::Figures, workload::Work};

/// One workload on one engine.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) engine: Kind,
    pub(crate) work: Work,
    pub(crate) directory: PathBuf,
    pub(crate) size: Size,
    pub(crate) extent: Extent,
}

/// What a store that is read holds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) streams: u64,
    pub(crate) events_a_stream: u64,
}

/// When an append or a read is enough.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Extent {
    /// After this time, and for larger appends when also this much was written.
    Seconds { seconds: f64, bytes_min: u64 },
    /// After so many appends of each caller.
    Appends(u64),
}

impl Size {
    /// How many events all streams have together.
    pub(crate) fn events(self) -> u64 {
        self.streams * self.events_a_stream
    }
}

impl Job {
    /// Starts a process that does the job, and takes what it tells.
    pub(crate) fn start(&self) -> Outcome<Figures> {
        self.start_under(&[])
    }

    /// The same below another program, whose arguments come before this one's path.
    pub(crate) fn start_under(&self, program: &[OsString]) -> Outcome<Figures> {
        child::start(self, self.work.ending(), program)
            .map_err(|error| format!("{}, {:?}: {error}", self.engine.name(), self.work).into())
    }
}
