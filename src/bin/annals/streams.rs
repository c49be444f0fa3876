//! `annals streams`: the streams by name, and what is known of each.

use std::path::Path;

use annals::{StreamFilter, StreamInfo};
use serde::Serialize;

use crate::{
    clock_text, opening,
    output::{Column, Output, safe},
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
    let reports: Vec<StreamReport<'_>> = streams.iter().map(StreamReport::of).collect();
    Ok(Output::new().list(arguments.format, &reports, |output, reports| {
        let row = |it: &StreamReport<'_>| [safe(it.stream), it.version.to_string(), it.updated.clone()];
        output
            .table([Column::Name, Column::Number, Column::Rest], &reports.iter().map(row).collect::<Vec<_>>())
    })?)
}

/// A stream as JSON.
#[derive(Serialize)]
pub(crate) struct StreamReport<'a> {
    pub(crate) stream: &'a str,
    category: &'a str,
    version: u64,
    pub(crate) events: u64,
    created: String,
    pub(crate) updated: String,
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
