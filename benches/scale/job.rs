//! What a process of this benchmark's own does.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Outcome,
    appends::AppendOn,
    child::{self, Ending},
    make::Make,
    probe::Probe,
    reads::Reads,
};

#[derive(Serialize, Deserialize)]
pub(crate) enum Job {
    Make(Make),
    Probe(Probe),
    Reads(Reads),
    AppendOn(AppendOn),
}

impl Job {
    /// Does the job, in a process that was started for it.
    pub(crate) fn run(self) -> Outcome<()> {
        match self {
            Self::Make(make) => make.run(),
            Self::Probe(probe) => child::tell(&probe.run()?),
            Self::Reads(reads) => child::tell(&reads.run()?),
            Self::AppendOn(appends) => child::tell(&appends.run()?),
        }
    }

    /// Starts a process that does the job, and takes what it tells.
    pub(crate) fn start<T: DeserializeOwned>(&self, ending: Ending) -> Outcome<T> {
        child::start(self, ending, &[])
    }
}
