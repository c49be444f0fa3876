//! Ctrl-C, and being asked to end: a command that would go on for ever ends as if it were done.

use std::{
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::Context;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    iterator::Signals,
};

/// Calls `end` at the first such signal. A second one ends the program at once, should the end take too long.
pub(crate) fn at_interrupt(end: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    wait_for_signal(end).context("can't wait for Ctrl-C")
}

fn wait_for_signal(end: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let is_asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order, since the first signal must not find the flag that it sets itself.
        flag::register_conditional_default(signal, Arc::clone(&is_asked))?;
        flag::register(signal, Arc::clone(&is_asked))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        if signals.forever().next().is_some() {
            end();
        }
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(wait).map(drop)
}

/// Whether the user asked for the end. Its clones are asked together.
#[derive(Clone, Default, Debug)]
pub(crate) struct Stop {
    is_asked: Arc<AtomicBool>,
}

impl Stop {
    /// One that Ctrl-C asks for.
    pub(crate) fn at_interrupt() -> anyhow::Result<Self> {
        let stop = Self::default();
        let asked = stop.clone();
        at_interrupt(move || asked.ask())?;
        Ok(stop)
    }

    pub(crate) fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    /// Breaks where it is asked for.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if self.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
