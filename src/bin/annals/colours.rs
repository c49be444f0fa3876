//! The colours of the program's text.

use std::fmt::Write;

use anstream::{AutoStream, stream::RawStream};
use anstyle::{Ansi256Color, AnsiColor, Effects, Style};
use clap::builder::Styles;
use xxhash_rust::xxh3::xxh3_64;

/// What can be told apart on light and on dark, and from each other: each contrasts with white and with black by more than 3.5.
const TYPE_COLOURS: [u8; 8] = [32, 28, 130, 134, 30, 162, 100, 63];

/// What says that something failed; clap's has the same.
pub(crate) const FAILURE: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// What stands beside the news.
pub(crate) const DIM: Style = Style::new().effects(Effects::DIMMED);

/// How the help is coloured, and what says that the command line is wrong.
pub(crate) const HELP: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .usage(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .literal(AnsiColor::Cyan.on_default().effects(Effects::BOLD))
    .placeholder(AnsiColor::Cyan.on_default());

/// Whether text has colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Colour {
    Shown,
    Plain,
}

impl Colour {
    /// What standard output is to have: as `--color` says, and where that leaves it open, as `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and the
    /// terminal do.
    pub(crate) fn of_output() -> Self {
        Self::of(&std::io::stdout())
    }

    /// What standard error is to have.
    pub(crate) fn of_messages() -> Self {
        Self::of(&std::io::stderr())
    }

    fn of(stream: &impl RawStream) -> Self {
        match AutoStream::choice(stream) {
            anstream::ColorChoice::Never => Self::Plain,
            _ => Self::Shown,
        }
    }

    /// Appends a text in a style, where there are colours.
    pub(crate) fn push(self, style: Style, text: &str, line: &mut String) {
        if self == Self::Plain || style == Style::new() || text.is_empty() {
            line.push_str(text);
        } else {
            // Writing to a String can't fail.
            write!(line, "{style}{text}{style:#}").ok();
        }
    }
}

/// The colour of an event type: always the same one.
pub(crate) fn of_type(event_type: &str) -> Style {
    let count = u64::try_from(TYPE_COLOURS.len()).unwrap_or(1);
    let number = usize::try_from(xxh3_64(event_type.as_bytes()) % count).unwrap_or(0);
    Ansi256Color(TYPE_COLOURS[number]).on_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// WCAG's contrast of one of the 216 colours with a background's luminance.
    fn contrast(colour: u8, background: f64) -> f64 {
        let levels = [0.0, 95.0, 135.0, 175.0, 215.0, 255.0];
        let linear = |level: usize| {
            let part: f64 = levels[level] / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let number = usize::from(colour - 16);
        let luminance =
            0.2126 * linear(number / 36) + 0.7152 * linear(number / 6 % 6) + 0.0722 * linear(number % 6);
        let (lighter, darker) = (luminance.max(background), luminance.min(background));
        (lighter + 0.05) / (darker + 0.05)
    }

    #[test]
    fn types_can_be_read_on_light_and_on_dark() {
        for colour in TYPE_COLOURS {
            assert!(contrast(colour, 1.0) > 3.5 && contrast(colour, 0.0) > 3.5, "{colour}");
        }
    }

    #[test]
    fn a_type_always_has_the_same_colour_and_others_have_others() {
        assert_eq!(of_type("OrderPlaced"), Ansi256Color(32).on_default());
        let types = (0..100).map(|number| of_type(&format!("Type{number}")));
        let colours: BTreeSet<String> = types.map(|style| style.to_string()).collect();
        assert_eq!(colours.len(), TYPE_COLOURS.len());
    }
}
