//! `annals append`: one event, or a batch that is stored whole or not at all.

use std::path::Path;

use annals::{Appended, ContentType, EventData, Position, StreamId, Version};
use anyhow::{Context, anyhow, bail};
use serde::Serialize;

use crate::{
    arguments::AppendArguments,
    contract::{DATA_WHEN_NONE_GIVEN, Incoming, MetadataObject},
    input::{JsonArgument, Lines, Source, parse_json},
    opening,
    output::{self, Output, OutputError},
};

/// A batch is one commit, which has no more bytes than this.
const BATCH_BYTES_MAX: usize = annals::COMMIT_BYTES_MAX;

pub(crate) fn run(store: &Path, arguments: &AppendArguments) -> anyhow::Result<()> {
    // Everything is read before the store is opened, so that it isn't locked while somebody types.
    let events = match &arguments.batch {
        Some(source) => read_batch(source, &arguments.stream)?,
        None => vec![event_of(arguments)?],
    };
    let count = events.len();
    let store = opening::for_writing(store, &arguments.writing)?;
    let appended = store.append(&arguments.stream, arguments.expect, events)?;
    let printed = print(arguments, count, &appended);
    store.close()?;
    printed.map_err(|error| not_printed(error, arguments, &appended))
}

/// Says that the events are stored, where that was to be printed and couldn't be: who takes it for a failure stores them twice.
fn not_printed(error: OutputError, arguments: &AppendArguments, appended: &Appended) -> anyhow::Error {
    if error.is_broken_pipe() || appended.position == Position::NONE {
        return error.into();
    }
    let Appended { version, position, .. } = appended;
    let stream = &arguments.stream;
    anyhow!(
        "{error}, but the append is stored: {stream}, version {version}, position {position}; don't append it again"
    )
}

/// The event that the options describe.
fn event_of(arguments: &AppendArguments) -> anyhow::Result<EventData> {
    let event_type = arguments.event_type.as_deref().context("--type is missing")?;
    let is_standard_input =
        |argument: &Option<JsonArgument>| *argument == Some(JsonArgument::In(Source::StandardInput));
    if is_standard_input(&arguments.data) && is_standard_input(&arguments.metadata) {
        bail!("standard input can't be both --data and --metadata: give one of them as a file, @FILE");
    }
    let data = match &arguments.data {
        Some(data) => data.read("--data")?,
        None => DATA_WHEN_NONE_GIVEN.to_vec(),
    };
    let mut event = EventData::new(event_type, data)
        .with_content_type(ContentType::JSON)
        .with_schema_version(arguments.schema_version);
    if let Some(metadata) = &arguments.metadata {
        let json = metadata.read("--metadata")?;
        let object: MetadataObject = parse_json(&metadata.name("--metadata"), 1, &json)?;
        event = event.with_metadata_bytes(object.bytes(), ContentType::JSON);
    }
    event.id.clone_from(&arguments.id);
    event.occurred_at = arguments.occurred_at;
    Ok(event)
}

fn read_batch(source: &Source, stream: &StreamId) -> anyhow::Result<Vec<EventData>> {
    let mut lines = Lines::open(source)?;
    let mut events = Vec::new();
    let mut bytes: usize = 0;
    while let Some(line) = lines.next()? {
        let incoming: Incoming = line.parse()?;
        if let Some(other) = incoming.stream.filter(|named| named != stream) {
            let reason = format!("the line is for stream \"{other}\", and the batch for \"{stream}\"");
            return Err(line.problem(reason).into());
        }
        bytes += incoming.event.data.len() + incoming.event.metadata.len();
        if bytes > BATCH_BYTES_MAX {
            let reason = format!("the batch has more than {BATCH_BYTES_MAX} bytes: split it, or import it");
            return Err(line.problem(reason).into());
        }
        events.push(incoming.event);
    }
    Ok(events)
}

/// What was appended, as JSON. Positions are 0 where there was nothing to append.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    stream: &'a str,
    version: u64,
    position: u64,
    first_version: u64,
    first_position: u64,
    repeated: bool,
}

fn print(arguments: &AppendArguments, count: usize, appended: &Appended) -> Result<(), OutputError> {
    let Appended { version, position, .. } = *appended;
    let report = Report {
        stream: arguments.stream.as_str(),
        version: version.get(),
        position: position.get(),
        first_version: appended.first_version.get(),
        first_position: appended.first_position.get(),
        repeated: appended.repeated,
    };
    Output::new().report(arguments.format, &report, |output, report| {
        let stream = output::safe(report.stream);
        let remark = if report.repeated { " (was there already)" } else { "" };
        match count {
            0 if version == Version::NONE => {
                output.line(format_args!("{stream}: nothing to append, and no event yet"))
            }
            0 => output.line(format_args!("{stream}: nothing to append, version {version}")),
            _ => output.line(format_args!("{stream}: version {version}, position {position}{remark}")),
        }
    })
}
