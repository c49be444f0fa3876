//! A bar that shows how far long work is: on standard error, and only where that is a terminal.

use std::{
    fmt,
    io::{self, IsTerminal},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use annals::Progress;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::{interrupt::Stop, verbosity};

const STYLE_WITH_LENGTH: &str = "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
const STYLE_WITHOUT_LENGTH: &str = "{spinner} {bytes}";

const STYLE_OF_LINES: &str = "{wide_bar} {bytes}/{total_bytes}, {events}, {eta} left";
const STYLE_OF_LINES_WITHOUT_LENGTH: &str = "{spinner} {bytes}, {events}";

const STYLE_OF_EVENTS: &str = "{wide_bar} {human_pos}/{human_len} events, {rate}, {eta} left";

const STYLE_OF_SEGMENTS: &str =
    "{wide_bar} {bytes}/{total_bytes} of segments read anew, {bytes_per_sec}, {eta} left";

const STYLE_OF_STEPS: &str = "{wide_bar} {percent}% looked at, {eta} left";

const STYLE_OF_WORDS: &str = "{msg}";

/// How far the work is.
pub(crate) struct Bar {
    shown: ProgressBar,
    /// How many events are stored, where that isn't what the bar is over.
    events: Arc<AtomicU64>,
    /// What it looks like when there is a total; none: there was one from the beginning.
    style_with_length: Option<&'static str>,
}

impl Bar {
    /// A bar over bytes, which shows only what is done until there is a total.
    pub(crate) fn of_bytes() -> Self {
        let bar = ProgressBar::with_draw_target(None, verbosity::bars());
        bar.set_style(style_of(STYLE_WITHOUT_LENGTH));
        Self::without_length(bar, STYLE_WITH_LENGTH)
    }

    /// A bar over bytes of lines that are stored as events, which [`set_events`](Self::set_events) counts.
    pub(crate) fn of_lines(total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, verbosity::bars());
        let events = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&events);
        let style = if total.is_some() { STYLE_OF_LINES } else { STYLE_OF_LINES_WITHOUT_LENGTH };
        bar.set_style(style_of(style).with_key(
            "events",
            move |state: &ProgressState, text: &mut dyn fmt::Write| {
                let events = counted.load(Ordering::Relaxed);
                let rate = events_per_second(events, state.elapsed());
                // Only what it is written to could fail, which is a text in memory.
                write!(text, "{} events, {rate}", HumanCount(events)).unwrap_or_default();
            },
        ));
        Self { shown: bar, events, style_with_length: None }
    }

    /// A bar over events; none where standard output is a terminal, which shows the events themselves.
    pub(crate) fn of_events(total: u64) -> Self {
        let is_shown = io::stdout().is_terminal();
        let target = if is_shown { ProgressDrawTarget::hidden() } else { verbosity::bars() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        bar.set_style(style_of(STYLE_OF_EVENTS).with_key(
            "rate",
            |state: &ProgressState, text: &mut dyn fmt::Write| {
                let rate = events_per_second(state.pos(), state.elapsed());
                write!(text, "{rate}").unwrap_or_default();
            },
        ));
        Self { shown: bar, events: Arc::default(), style_with_length: None }
    }

    /// A bar over the bytes of segments, of which nothing is seen until there is a position.
    pub(crate) fn of_segments() -> Self {
        let bar = ProgressBar::with_draw_target(None, verbosity::bars());
        Self::without_length(bar, STYLE_OF_SEGMENTS)
    }

    /// A bar over steps of any kind, of which nothing is seen until their number is known.
    pub(crate) fn of_steps() -> Self {
        let bar = ProgressBar::with_draw_target(None, verbosity::bars());
        Self::without_length(bar, STYLE_OF_STEPS)
    }

    fn without_length(bar: ProgressBar, style_with_length: &'static str) -> Self {
        Self { shown: bar, events: Arc::default(), style_with_length: Some(style_with_length) }
    }

    /// So many events are stored. It is drawn with the next position.
    pub(crate) fn set_events(&self, events: u64) {
        self.events.store(events, Ordering::Relaxed);
    }

    pub(crate) fn set_position(&self, position: u64) {
        self.shown.set_position(position);
    }

    /// Sets the total when it is known later.
    pub(crate) fn set_length(&self, length: u64) {
        if self.shown.length() != Some(length) {
            // In this order, since each of them may draw it.
            if let Some(style) = self.style_with_length {
                self.shown.set_style(style_of(style));
            }
            self.shown.set_length(length);
        }
    }

    /// Takes the bar off the screen, so that the result stands where it was.
    pub(crate) fn clear(&self) {
        self.shown.finish_and_clear();
    }
}

/// Does something that can be interrupted, with a bar that shows how far it is.
pub(crate) fn showing_progress<T>(
    act: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> annals::Result<T>,
) -> anyhow::Result<T> {
    let stop = Stop::at_interrupt()?;
    let bar = Bar::of_bytes();
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

/// The rate since the beginning, in whole events.
fn events_per_second(events: u64, elapsed: Duration) -> String {
    let milliseconds = elapsed.as_millis().max(1);
    let rate = u64::try_from(u128::from(events) * 1_000 / milliseconds).unwrap_or(u64::MAX);
    format!("{}/s", HumanCount(rate))
}

fn style_of(template: &str) -> ProgressStyle {
    // The templates are constants, so the default style is never needed.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
