//! Ctrl-C: what is measured ends, and what was made is removed.

use std::fmt;

use crate::interrupt::Stop;

/// The user asked for the end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("interrupted: what was measured before is printed, and what was made is removed")
    }
}

impl std::error::Error for Interrupted {}

impl Stop {
    /// An error where it is asked for.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.is_asked() { Err(Interrupted) } else { Ok(()) }
    }
}
