//! How much is told on standard error: errors alone, what is usual, or also what is done inside.
//!
//! It is said once, when the program begins, and asked wherever something is told.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use indicatif::ProgressDrawTarget;
use tracing::Level;

use crate::output;

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verbosity {
    /// Errors alone.
    Quiet,
    /// Also messages, and on a terminal bars.
    Usual,
    /// Also what is done inside, down to this level. Bars aren't drawn, since these lines would run into them.
    Inside(Level),
}

static SAID: OnceLock<Verbosity> = OnceLock::new();

impl Verbosity {
    /// Has it hold from now on; the first call counts.
    pub(crate) fn begin(self) {
        SAID.get_or_init(|| {
            if let Self::Inside(level) = self {
                let subscriber = tracing_subscriber::fmt()
                    .with_max_level(level)
                    .with_ansi(false)
                    .with_target(false)
                    .with_writer(|| SafeStderr)
                    .finish();
                // It fails only where there is one already, which tells instead.
                tracing::subscriber::set_global_default(subscriber).ok();
            }
            self
        });
    }

    fn now() -> Self {
        SAID.get().copied().unwrap_or(Self::Usual)
    }
}

/// Whether what is worth knowing and no failure is told.
pub(crate) fn tells_messages() -> bool {
    Verbosity::now() != Verbosity::Quiet
}

/// Where bars are drawn: on standard error, if that is a terminal, or nowhere.
pub(crate) fn bars() -> ProgressDrawTarget {
    match Verbosity::now() {
        Verbosity::Usual => ProgressDrawTarget::stderr(),
        Verbosity::Quiet | Verbosity::Inside(_) => ProgressDrawTarget::hidden(),
    }
}

/// Standard error, on which a line is only read and never acted on, whatever a file's name has in it.
struct SafeStderr;

impl Write for SafeStderr {
    /// Writes one line, which is what it is always given.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(safe_line(line).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

fn safe_line(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut safe = output::safe(text.strip_suffix('\n').unwrap_or(&text));
    safe.push('\n');
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_what_is_done_inside_stays_one_line() {
        assert_eq!(safe_line(b"opened path=a\x1b[2J\nb\n"), "opened path=a\\u001b[2J\\u000ab\n");
    }
}
