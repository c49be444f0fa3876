//! `annals info`: how much is in the store, or in one stream.

use std::path::Path;

use annals::{Reader, StreamId};
use serde::Serialize;

use crate::{
    arguments::Format,
    clock_text, opening,
    output::{self, Output},
    reading_arguments::InfoArguments,
    streams::StreamReport,
};

pub(crate) fn run(store: &Path, arguments: &InfoArguments) -> anyhow::Result<()> {
    let store = opening::for_reading(store)?;
    match &arguments.stream {
        Some(stream) => print_stream(&store, stream, arguments.format),
        None => print_store(&store, arguments.format),
    }
}

/// The store as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreReport<'a> {
    store: &'a str,
    events: u64,
    streams: u64,
    segments: u64,
    bytes: u64,
    last_position: u64,
}

fn print_store(store: &Reader, format: Format) -> anyhow::Result<()> {
    let info = store.info()?;
    let report = StoreReport {
        store: &info.path.to_string_lossy(),
        events: info.events,
        streams: info.streams,
        segments: info.segments,
        bytes: info.log_bytes,
        last_position: store.last_position().get(),
    };
    Ok(Output::new().report(format, &report, |output, report| {
        output.line(format_args!("store          {}", output::safe(report.store)))?;
        output.line(format_args!("events         {}", report.events))?;
        output.line(format_args!("streams        {}", report.streams))?;
        output.line(format_args!("segments       {}", report.segments))?;
        output.line(format_args!("bytes          {}", report.bytes))?;
        output.line(format_args!("last position  {}", report.last_position))
    })?)
}

fn print_stream(store: &Reader, stream: &StreamId, format: Format) -> anyhow::Result<()> {
    let info = store.stream_info(stream)?;
    Ok(Output::new().report(format, &StreamReport::of(&info), |output, _| {
        output.line(format_args!("stream    {}", output::safe(info.stream.as_str())))?;
        output.line(format_args!("category  {}", output::safe(info.category())))?;
        output.line(format_args!("version   {}", info.version))?;
        output.line(format_args!("events    {}", info.events()))?;
        output.line(format_args!("created   {}", clock_text::print_timestamp(info.created)))?;
        output.line(format_args!("updated   {}", clock_text::print_timestamp(info.updated)))
    })?)
}
