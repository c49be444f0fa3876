//! Ctrl-C, and being asked to end: what would go on ends as soon as it can, and says how far it came.
//!
//! The first such signal does what was said last, and the second ends the program at once, should that take too long. Where nothing
//! was said, or no longer counts, the first one ends it, as it does any program.

use std::{
    fmt, io,
    ops::ControlFlow,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::Context;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    iterator::Signals,
    low_level::emulate_default_handler,
};

type End = Box<dyn FnOnce() + Send>;

/// What a signal does.
struct Interrupt {
    is_waited_for: bool,
    /// None: it ends the program.
    end: Option<End>,
}

static INTERRUPT: Mutex<Interrupt> = Mutex::new(Interrupt { is_waited_for: false, end: None });

/// Set by the signal itself.
static IS_ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

fn interrupt() -> MutexGuard<'static, Interrupt> {
    INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the first signal from now on call `end`.
pub(crate) fn at_interrupt(end: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    replace_end(Some(Box::new(end))).map(drop)
}

/// Has it call `end`, which ends the program, until what is returned is dropped, and then what it called before.
pub(crate) fn at_interrupt_meanwhile(end: impl FnOnce() + Send + 'static) -> anyhow::Result<Meanwhile> {
    let was_asked = IS_ASKED.load(Ordering::SeqCst);
    replace_end(Some(Box::new(end))).map(|before| Meanwhile { before, was_asked })
}

pub(crate) struct Meanwhile {
    before: Option<End>,
    /// Whether the signal had come before.
    was_asked: bool,
}

impl Meanwhile {
    /// From here on, what it called before counts again. Where the signal came meanwhile, this waits for the program's end.
    pub(crate) fn end(self) {
        while !self.was_asked && IS_ASKED.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        interrupt().end = self.before.take();
    }
}

fn replace_end(end: Option<End>) -> anyhow::Result<Option<End>> {
    let mut interrupt = interrupt();
    if !interrupt.is_waited_for {
        wait_for_signal().context("can't wait for Ctrl-C")?;
        interrupt.is_waited_for = true;
    }
    Ok(std::mem::replace(&mut interrupt.end, end))
}

fn wait_for_signal() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order, since the first signal must not find the flag that it sets itself.
        flag::register_conditional_default(signal, Arc::clone(&IS_ASKED))?;
        flag::register(signal, Arc::clone(&IS_ASKED))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        let Some(signal) = signals.forever().next() else { return };
        let end = interrupt().end.take();
        match end {
            Some(end) => end(),
            // It fails only for signals that can't be had.
            None => emulate_default_handler(signal).unwrap_or_default(),
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
        Self::at_interrupt_with(|| ())
    }

    /// The same; and it calls `wake`, for a thread that waits for something else.
    pub(crate) fn at_interrupt_with(wake: impl FnOnce() + Send + 'static) -> anyhow::Result<Self> {
        at_interrupt(wake)?;
        Ok(Self { is_asked: Arc::clone(&IS_ASKED) })
    }

    pub(crate) fn ask(&self) {
        self.is_asked.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::SeqCst)
    }

    /// Breaks where it is asked for.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if self.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// It was asked to end before it was done: how far it came, and how to go on.
#[derive(Debug)]
pub(crate) struct Stopped(pub(crate) String);

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for Stopped {}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use signal_hook::low_level::raise;

    use super::*;

    /// The only test of this program that raises a signal: a second one would end all tests.
    #[test]
    fn what_was_said_for_a_while_counts_no_longer_than_that() -> anyhow::Result<()> {
        let (said, ear) = channel();
        let [before, meanwhile] = [said.clone(), said];
        let stop = Stop::at_interrupt_with(move || before.send("before").unwrap_or_default())?;
        drop(at_interrupt_meanwhile(move || meanwhile.send("meanwhile").unwrap_or_default())?);
        assert!(!stop.is_asked());
        raise(SIGINT)?;
        assert!(stop.is_asked(), "the signal itself sets it");
        assert_eq!(ear.recv()?, "before");
        Ok(())
    }
}
