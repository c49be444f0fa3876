//! How a reader hears of what was committed: at once where the writer is in the process, and by looking where it
//! is in another.

use std::fmt;

use crate::{committed::Committed, error::Result};

/// Where news of the log come from.
pub(crate) trait News: Send + Sync + fmt::Debug {
    /// Brings what is committed up to date.
    fn refresh(&self) -> Result<()>;
}

/// The writer is in the process, and publishes what it commits itself.
impl News for Committed {
    fn refresh(&self) -> Result<()> {
        Ok(())
    }
}
