//! The plots of `annals stats` as text, of blocks that every terminal has.

use annals::LengthRange;
use ratatui_core::{
    buffer::{Buffer, Cell},
    layout::{Direction, Rect},
    style::Style,
    widgets::Widget,
};
use ratatui_widgets::{
    barchart::{Bar, BarChart, BarGroup},
    block::Block,
    borders::Borders,
};

use crate::{output::terminal_width, stats_timeline::Timeline};

/// How high the plot of events over time is, in lines, with its axis.
const HEIGHT: u16 = 9;

/// How wide a bar is at most, in characters.
const BAR_WIDTH_MAX: u16 = 6;

/// What a line of blocks is divided into by the blocks that are less high.
const EIGHTHS: u64 = 8;

/// How wide a chart is where it doesn't go to a terminal, in characters.
const COLUMNS: u16 = 80;

/// A chart is at least so wide, in characters: in a narrower terminal its lines are broken.
const COLUMNS_MIN: u16 = 40;

/// How wide charts are: as the terminal, if they go to one.
pub(crate) fn columns() -> u16 {
    let width = terminal_width().and_then(|width| u16::try_from(width).ok());
    width.unwrap_or(COLUMNS).max(COLUMNS_MIN)
}

/// How many bars have room beside each other.
pub(crate) fn bars_max(columns: u16) -> usize {
    // Room for a count of twelve digits, the axis, and what stays empty.
    usize::from(columns.saturating_sub(14))
}

/// Events over time: a bar for each stretch, the axes, and when the first and the last stretch begin.
pub(crate) fn draw_timeline(timeline: &Timeline, columns: u16) -> Vec<String> {
    let events_max = timeline.events.iter().copied().max().unwrap_or_default();
    let label = events_max.to_string();
    let label_width = width_of(&label);
    let room = columns.saturating_sub(label_width + 2);
    let count = u16::try_from(timeline.events.len()).unwrap_or(u16::MAX).max(1);
    let (bar_width, bar_gap) = match room / count {
        0 | 1 => (1, 0),
        width => ((width - 1).min(BAR_WIDTH_MAX), 1),
    };
    let lowest = events_max.div_ceil(u64::from(HEIGHT - 1) * EIGHTHS);
    let bars: Vec<Bar<'_>> = timeline
        .events
        .iter()
        // The least there is can be seen.
        .map(|events| Bar::new(if *events > 0 { (*events).max(lowest) } else { 0 }).text_value(""))
        .collect();
    let chart = BarChart::default()
        .block(Block::new().borders(Borders::LEFT | Borders::BOTTOM))
        .data(BarGroup::new(bars))
        .bar_width(bar_width)
        .bar_gap(bar_gap);
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, HEIGHT + 1));
    let plot_width = (count * (bar_width + bar_gap) + 1).min(columns - label_width - 1);
    chart.render(Rect::new(label_width + 1, 0, plot_width, HEIGHT), &mut buffer);
    buffer.set_string(0, 0, &label, Style::default());
    buffer.set_string(label_width - 1, HEIGHT - 1, "0", Style::default());
    let (first, last) = (timeline.print_start(0), timeline.print_start(timeline.starts.len() - 1));
    buffer.set_string(label_width + 1, HEIGHT, &first, Style::default());
    let last_at = (label_width + 1 + plot_width).saturating_sub(width_of(&last));
    if timeline.starts.len() > 1 && last_at > label_width + 1 + width_of(&first) {
        buffer.set_string(last_at, HEIGHT, &last, Style::default());
    }
    lines_of(&buffer)
}

/// How many streams there are of each length: a line with a bar for each range.
pub(crate) fn draw_lengths(ranges: &[LengthRange], columns: u16) -> Vec<String> {
    let names: Vec<String> = ranges.iter().map(name_of).collect();
    let counts: Vec<String> = ranges.iter().map(|range| range.streams.to_string()).collect();
    let widest = |texts: &[String]| texts.iter().map(String::len).max().unwrap_or_default();
    let (name_width, count_width) = (widest(&names), widest(&counts));
    let bars: Vec<Bar<'_>> = ranges
        .iter()
        .zip(names.iter().zip(&counts))
        .map(|(range, (name, count))| {
            let label = format!("{name:>name_width$}  {count:>count_width$}");
            Bar::with_label(label, range.streams).text_value("")
        })
        .collect();
    let chart = BarChart::default()
        .direction(Direction::Horizontal)
        .data(BarGroup::new(bars))
        .bar_width(1)
        .bar_gap(0)
        .group_gap(0);
    // Lengths are powers of two of 64 bits.
    let height = u16::try_from(ranges.len()).unwrap_or(u16::MAX);
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, height));
    chart.render(buffer.area, &mut buffer);
    lines_of(&buffer)
}

/// `1`, `2-3`, `4-7`.
pub(crate) fn name_of(range: &LengthRange) -> String {
    match (range.events_min, range.events_max) {
        (min, max) if min == max => min.to_string(),
        (min, max) => format!("{min}-{max}"),
    }
}

fn width_of(text: &str) -> u16 {
    u16::try_from(text.chars().count()).unwrap_or(u16::MAX)
}

/// What was drawn, line by line, without the spaces at the ends.
fn lines_of(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width).max(1);
    let line = |cells: &[Cell]| {
        let line: String = cells.iter().map(Cell::symbol).collect();
        line.trim_end().to_owned()
    };
    buffer.content.chunks(width).map(line).collect()
}
