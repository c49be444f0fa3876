//! Ctrl-C, and being asked to end: a command that would go on for ever ends as if it were done.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    iterator::Signals,
};

/// Calls `end` at the first such signal. A second one ends the program at once, should the end take too long.
pub(crate) fn at_interrupt(end: impl FnOnce() + Send + 'static) -> io::Result<()> {
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
