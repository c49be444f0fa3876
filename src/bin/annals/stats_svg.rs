//! The plots of `annals stats` as a file: an SVG.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use annals::LengthRange;
use anyhow::Context;
use plotters::{
    chart::ChartBuilder,
    coord::{
        Shift,
        ranged1d::{IntoSegmentedCoord, SegmentValue},
    },
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    element::Rectangle,
    prelude::SVGBackend,
    style::{Color, RGBColor, WHITE},
};

use crate::{stats_chart::name_of, stats_timeline::Timeline};

/// How large the picture is, in pixels.
const SIZE: (u32, u32) = (960, 720);

/// How much of the height is the plot of events over time, in pixels.
const TIMELINE_HEIGHT: u32 = 380;

/// How many bars the plot of events over time has at most: some seven pixels each.
pub(crate) const BARS_MAX: usize = 120;

/// How many bars a plot has room for at least: a single one isn't as wide as the picture.
const BARS_MIN: usize = 6;

/// How many times have room below a plot.
const TIMES_MAX: usize = 6;

/// How many lengths have room below a plot.
const LENGTHS_MAX: usize = 12;

const BAR_COLOR: RGBColor = RGBColor(0x2b, 0x6c, 0xb0);
const FONT: (&str, u32) = ("sans-serif", 14);
const TITLE_FONT: (&str, u32) = ("sans-serif", 20);
const MARGIN: u32 = 20;
const LABELS_LEFT: u32 = 80;
const LABELS_BELOW: u32 = 44;

/// The picture of both plots. Without events there is nothing to draw but the axes.
pub(crate) fn draw(timeline: Option<&Timeline>, ranges: &[LengthRange]) -> anyhow::Result<String> {
    let mut picture = String::new();
    draw_into(&mut picture, timeline, ranges)
        .map_err(|error| anyhow::anyhow!("can't draw the plots: {error}"))?;
    Ok(picture)
}

type DrawingError = DrawingAreaErrorKind<io::Error>;

fn draw_into(
    picture: &mut String,
    timeline: Option<&Timeline>,
    ranges: &[LengthRange],
) -> Result<(), DrawingError> {
    let area = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (above, below) = area.split_vertically(TIMELINE_HEIGHT);
    let over_time = Plot {
        title: timeline
            .map_or_else(|| "No events".to_owned(), |timeline| format!("Events {}", timeline.rate)),
        below: "UTC",
        names_max: TIMES_MAX,
        bars: timeline.map_or(&[], |timeline| &timeline.events),
        name: &|number| timeline.map_or_else(String::new, |timeline| timeline.print_start(number)),
    };
    over_time.draw(&above)?;
    let streams: Vec<u64> = ranges.iter().map(|range| range.streams).collect();
    let by_length = Plot {
        title: "Streams by length".to_owned(),
        below: "events in the stream",
        names_max: LENGTHS_MAX,
        bars: &streams,
        name: &|number| ranges.get(number).map(name_of).unwrap_or_default(),
    };
    by_length.draw(&below)?;
    area.present()
}

/// Bars beside each other, each with a name.
struct Plot<'a> {
    title: String,
    /// What the names are.
    below: &'static str,
    /// How many names have room.
    names_max: usize,
    bars: &'a [u64],
    name: &'a dyn Fn(usize) -> String,
}

impl Plot<'_> {
    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), DrawingError> {
        let count = self.bars.len().max(BARS_MIN);
        let end_of = |number: usize| {
            if number + 1 == count { SegmentValue::Last } else { SegmentValue::Exact(number + 1) }
        };
        let highest = self.bars.iter().copied().max().unwrap_or_default().max(1);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, TITLE_FONT)
            .margin(MARGIN)
            .x_label_area_size(LABELS_BELOW)
            .y_label_area_size(LABELS_LEFT)
            .build_cartesian_2d((0..count - 1).into_segmented(), 0..highest)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            // Only the lines at the numbers are seen.
            .light_line_style(WHITE)
            .x_labels(self.names_max)
            .x_label_formatter(&|place| match place {
                SegmentValue::CenterOf(number) | SegmentValue::Exact(number) => (self.name)(*number),
                SegmentValue::Last => String::new(),
            })
            .x_desc(self.below)
            .label_style(FONT)
            .draw()?;
        let drawn = self.bars.iter().enumerate().filter(|(_, height)| **height > 0);
        let bars = drawn.map(|(number, height)| {
            let corners = [(SegmentValue::Exact(number), 0), (end_of(number), *height)];
            let mut bar = Rectangle::new(corners, BAR_COLOR.filled());
            bar.set_margin(0, 0, 1, 0);
            bar
        });
        chart.draw_series(bars).map(drop)
    }
}

/// Puts the picture where it was asked for: whole, or not at all, where that is a file.
pub(crate) fn write(path: &Path, picture: &str) -> anyhow::Result<()> {
    let write = || match fs::metadata(path) {
        // A pipe or a device takes what is written to it; a file in its place would be another thing.
        Ok(there) if !there.is_file() => fs::write(path, picture),
        // A link stays, and what it leads to is replaced.
        Ok(_) => replace(&fs::canonicalize(path)?, picture),
        Err(error) if error.kind() == io::ErrorKind::NotFound => replace(path, picture),
        Err(error) => Err(error),
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

fn replace(path: &Path, picture: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".annals-stats-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any file that is made: the system takes away what its mask says.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(picture.as_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
