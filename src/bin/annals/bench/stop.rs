//! Ctrl-C: what is measured ends, and what was made is removed.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::interrupt::at_interrupt;

/// Whether all is to end early.
#[derive(Clone)]
pub(crate) struct Stop {
    is_asked: Arc<AtomicBool>,
}

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
    pub(crate) fn new() -> Self {
        Self { is_asked: Arc::default() }
    }

    /// One that Ctrl-C asks for.
    pub(crate) fn at_interrupt() -> io::Result<Self> {
        let stop = Self::new();
        let asked = stop.clone();
        at_interrupt(move || asked.ask())?;
        Ok(stop)
    }

    pub(crate) fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
    }

    /// An error where it is asked for.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.is_asked.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }
}
