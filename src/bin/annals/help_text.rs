//! The form of help texts: paragraphs, and lines that are indented, which stay as they are.
//!
//! ```text
//! Examples:                       a heading, or the end of a paragraph
//!   annals read order-17          lines of their own
//!
//! Bounds are versions for a       a paragraph, laid out anew
//! stream, and positions otherwise.
//! ```

/// What stands above the examples of a command.
pub(crate) const EXAMPLES: &str = "Examples:";

/// A part of a help text.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Block {
    /// Text in one line, to be laid out.
    Paragraph(String),
    /// Lines that stand as they are, without their common indentation of two spaces.
    Lines(Vec<String>),
}

const INDENTATION: &str = "  ";

/// The parts of a text, in their order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut is_going_on = false;
    for line in text.lines() {
        match (line.strip_prefix(INDENTATION), blocks.last_mut()) {
            (None, _) if line.trim().is_empty() => {
                is_going_on = false;
                continue;
            }
            (Some(line), Some(Block::Lines(lines))) if is_going_on => lines.push(line.to_owned()),
            (Some(line), _) => blocks.push(Block::Lines(vec![line.to_owned()])),
            (None, Some(Block::Paragraph(text))) if is_going_on => {
                text.push(' ');
                text.push_str(line);
            }
            (None, _) => blocks.push(Block::Paragraph(line.to_owned())),
        }
        is_going_on = true;
    }
    blocks
}

/// The text with each paragraph in one line, so that it is laid out for whatever width there is.
pub(crate) fn unfolded(text: &str) -> String {
    let mut unfolded = String::with_capacity(text.len());
    let mut before: Option<&str> = None;
    for line in text.lines() {
        let is_prose = |line: &str| !line.trim().is_empty() && !line.starts_with(INDENTATION);
        match before {
            None => {}
            Some(before) if is_prose(before) && is_prose(line) => unfolded.push(' '),
            Some(_) => unfolded.push('\n'),
        }
        unfolded.push_str(line);
        before = Some(line);
    }
    unfolded
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Examples:\n  annals read a\n  annals read b\n\nBounds are\nversions.\n  {\"a\":1}\n";

    #[test]
    fn a_text_is_paragraphs_and_lines() {
        let lines = |lines: &[&str]| Block::Lines(lines.iter().map(|line| (*line).to_owned()).collect());
        let paragraph = |text: &str| Block::Paragraph(text.to_owned());
        let expected = [
            paragraph("Examples:"),
            lines(&["annals read a", "annals read b"]),
            paragraph("Bounds are versions."),
            lines(&["{\"a\":1}"]),
        ];
        assert_eq!(blocks(TEXT), expected);
    }

    #[test]
    fn only_paragraphs_are_unfolded() {
        let expected = "Examples:\n  annals read a\n  annals read b\n\nBounds are versions.\n  {\"a\":1}";
        assert_eq!(unfolded(TEXT), expected);
    }
}
