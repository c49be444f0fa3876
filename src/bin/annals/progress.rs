//! A bar that shows how far long work is: on standard error, and only where that is a terminal.

use std::ops::ControlFlow;

use annals::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{interrupt::Stop, verbosity};

const STYLE_WITH_LENGTH: &str = "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
const STYLE_WITHOUT_LENGTH: &str = "{spinner} {bytes}";

const STYLE_OF_SEGMENTS: &str = "{wide_bar} {pos}/{len} segments read anew, {eta} left";

const STYLE_OF_STEPS: &str = "{wide_bar} {percent}% looked at, {eta} left";

const STYLE_OF_WORDS: &str = "{msg}";

/// How far the work is.
pub(crate) struct Bar {
    bar: ProgressBar,
    style_with_length: &'static str,
}

impl Bar {
    /// A bar at 0; without a total it shows only what is done.
    pub(crate) fn of_bytes(total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, verbosity::bars());
        let style = if total.is_some() { STYLE_WITH_LENGTH } else { STYLE_WITHOUT_LENGTH };
        bar.set_style(style_of(style));
        Self { bar, style_with_length: STYLE_WITH_LENGTH }
    }

    /// A bar over segments, of which nothing is seen until there is a position.
    pub(crate) fn of_segments() -> Self {
        let bar = ProgressBar::with_draw_target(None, verbosity::bars());
        Self { bar, style_with_length: STYLE_OF_SEGMENTS }
    }

    /// A bar over steps of any kind, of which nothing is seen until their number is known.
    pub(crate) fn of_steps() -> Self {
        let bar = ProgressBar::with_draw_target(None, verbosity::bars());
        Self { bar, style_with_length: STYLE_OF_STEPS }
    }

    pub(crate) fn set_position(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Sets the total when it is known later.
    pub(crate) fn set_length(&self, length: u64) {
        if self.bar.length() != Some(length) {
            self.bar.set_length(length);
            self.bar.set_style(style_of(self.style_with_length));
        }
    }

    /// Takes the bar off the screen, so that the result stands where it was.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Does something that can be interrupted, with a bar that shows how far it is.
pub(crate) fn showing_progress<T>(
    act: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> annals::Result<T>,
) -> anyhow::Result<T> {
    let stop = Stop::at_interrupt()?;
    let bar = Bar::of_bytes(None);
    let done = act(&mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
        stop.flow()
    });
    bar.clear();
    Ok(done?)
}

/// What is being done, in words. It is drawn once and not again, so that drawing takes nothing from what is measured.
pub(crate) struct Words {
    bar: ProgressBar,
}

impl Words {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, verbosity::bars());
        bar.set_style(style_of(STYLE_OF_WORDS));
        Self { bar }
    }

    pub(crate) fn set(&self, words: &str) {
        self.bar.reset();
        self.bar.set_message(words.to_owned());
        self.bar.tick();
    }

    /// Takes the words off the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style_of(template: &str) -> ProgressStyle {
    // The templates are constants, so the default style is never needed.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
