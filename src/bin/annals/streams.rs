//! `annals streams`: the streams by name, and what is known of each.

use std::path::Path;

use annals::{StreamFilter, StreamInfo};
use serde::Serialize;

use crate::{
    arguments::Format,
    clock_text, opening,
    output::{self, Output},
    reading_arguments::StreamsArguments,
};

pub(crate) fn run(store: &Path, arguments: &StreamsArguments) -> anyhow::Result<()> {
    let store = opening::for_reading(store)?;
    let mut filter = StreamFilter::all();
    if let Some(prefix) = &arguments.prefix {
        filter = filter.prefix(prefix);
    }
    if let Some(category) = &arguments.category {
        filter = filter.category(category);
    }
    if let Some(limit) = arguments.limit {
        filter = filter.limit(limit);
    }
    if arguments.including_system {
        filter = filter.including_system();
    }
    let streams = store.streams(&filter)?;
    let mut output = Output::new();
    match arguments.format {
        Format::Json => {
            for info in &streams {
                output.json(&StreamReport::of(info))?;
            }
        }
        Format::Text => print_text(&streams, &mut output)?,
    }
    Ok(output.flush()?)
}

/// A stream as JSON.
#[derive(Serialize)]
pub(crate) struct StreamReport<'a> {
    stream: &'a str,
    category: &'a str,
    version: u64,
    events: u64,
    created: String,
    updated: String,
}

impl<'a> StreamReport<'a> {
    pub(crate) fn of(info: &'a StreamInfo) -> Self {
        Self {
            stream: info.stream.as_str(),
            category: info.category(),
            version: info.version.get(),
            events: info.events(),
            created: clock_text::print_timestamp(info.created),
            updated: clock_text::print_timestamp(info.updated),
        }
    }
}

fn print_text(streams: &[StreamInfo], output: &mut Output) -> anyhow::Result<()> {
    let names: Vec<String> = streams.iter().map(|info| output::safe(info.stream.as_str())).collect();
    let name_width = output::column_width(&names);
    let version_width = streams.iter().map(|info| info.version.to_string().len()).max().unwrap_or(0);
    for (info, name) in streams.iter().zip(&names) {
        let version = info.version.to_string();
        let updated = clock_text::print_timestamp(info.updated);
        output.line(format_args!("{name:name_width$}  {version:>version_width$}  {updated}"))?;
    }
    Ok(())
}
