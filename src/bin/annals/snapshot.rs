//! `annals snapshot`: the states that programs have saved.

use std::{collections::BTreeSet, path::Path};

use annals::{IgnoredSnapshot, Reader, Snapshot, SnapshotInfo, StreamId, Version};
use anyhow::bail;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    arguments::Format,
    clock_text,
    contract::Payload,
    event_text,
    failure::{self, NotFound},
    opening,
    output::{self, Output},
    snapshot_arguments::{
        DeleteSnapshotsArguments, ListSnapshotsArguments, ShowSnapshotArguments, SnapshotArguments,
        SnapshotCommand,
    },
};

pub(crate) fn run(store: &Path, arguments: &SnapshotArguments) -> anyhow::Result<()> {
    match &arguments.command {
        SnapshotCommand::List(arguments) => list(store, arguments),
        SnapshotCommand::Show(arguments) => show(store, arguments),
        SnapshotCommand::Delete(arguments) => delete(store, arguments),
    }
}

/// A snapshot in a list as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InfoReport<'a> {
    stream: &'a str,
    state_type: &'a str,
    version: u64,
    position: u64,
    schema_version: u32,
    content_type: u8,
    bytes: u64,
    created: String,
}

impl<'a> InfoReport<'a> {
    fn of(info: &'a SnapshotInfo) -> Self {
        Self {
            stream: info.stream.as_str(),
            state_type: &info.state_type,
            version: info.version.get(),
            position: info.position.get(),
            schema_version: info.schema_version,
            content_type: info.content_type.number(),
            bytes: info.state_bytes,
            created: clock_text::print_timestamp(info.created),
        }
    }
}

fn list(store: &Path, arguments: &ListSnapshotsArguments) -> anyhow::Result<()> {
    let store = opening::for_reading(store)?;
    let list = match &arguments.stream {
        Some(stream) => store.snapshots(stream)?,
        None => store.all_snapshots()?,
    };
    tell(&list.ignored);
    let reports: Vec<InfoReport<'_>> = list.snapshots.iter().map(InfoReport::of).collect();
    let mut output = Output::new();
    match arguments.format {
        Format::Json => {
            for report in &reports {
                output.json(report)?;
            }
        }
        Format::Text => print_list(&reports, &mut output)?,
    }
    Ok(output.flush()?)
}

fn print_list(reports: &[InfoReport<'_>], output: &mut Output) -> anyhow::Result<()> {
    let streams: Vec<String> = reports.iter().map(|report| output::safe(report.stream)).collect();
    let types: Vec<String> = reports.iter().map(|report| output::safe(report.state_type)).collect();
    let (stream_width, type_width) = (output::column_width(&streams), output::column_width(&types));
    let width_of = |number: fn(&InfoReport<'_>) -> u64| {
        reports.iter().map(|report| number(report).to_string().len()).max().unwrap_or(0)
    };
    let (version_width, bytes_width) = (width_of(|report| report.version), width_of(|report| report.bytes));
    for ((report, stream), state_type) in reports.iter().zip(&streams).zip(&types) {
        let InfoReport { version, bytes, created, .. } = report;
        output.line(format_args!(
            "{stream:stream_width$}  {state_type:type_width$}  {version:>version_width$}  \
             {bytes:>bytes_width$} bytes  {created}"
        ))?;
    }
    Ok(())
}

/// Says on standard error what was passed over.
fn tell(ignored: &[IgnoredSnapshot]) {
    for snapshot in ignored {
        failure::tell(&format!("{} is ignored: {}", snapshot.path.display(), snapshot.reason));
    }
}

fn show(store: &Path, arguments: &ShowSnapshotArguments) -> anyhow::Result<()> {
    let store = opening::for_reading(store)?;
    let stream = &arguments.stream;
    let state_type = match &arguments.state_type {
        Some(state_type) => state_type.clone(),
        None => only_type(&store, stream)?,
    };
    let version_max = arguments.at.unwrap_or(Version::new(u64::MAX));
    let search = store.snapshot_at(stream, &state_type, version_max)?;
    tell(&search.ignored);
    let Some(snapshot) = search.snapshot else {
        let bound = arguments.at.map_or(String::new(), |version| format!(" at or before version {version}"));
        let message = format!("stream \"{stream}\" has no snapshot of type {state_type:?}{bound}");
        return Err(NotFound(message).into());
    };
    let mut output = Output::new();
    match arguments.format {
        Format::Json => print_json(&snapshot, &mut output)?,
        Format::Text => print_text(&snapshot, &mut output)?,
    }
    Ok(output.flush()?)
}

/// The type of a stream's snapshots, if it is one.
fn only_type(store: &Reader, stream: &StreamId) -> anyhow::Result<String> {
    let list = store.snapshots(stream)?;
    let types: BTreeSet<&str> = list.snapshots.iter().map(|info| info.state_type.as_str()).collect();
    let mut found = types.iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok((*only).to_owned()),
        (Some(_), Some(_)) => {
            let names: Vec<String> = types.iter().map(|name| format!("{name:?}")).collect();
            bail!(
                "stream \"{stream}\" has snapshots of several types: name one with --type ({})",
                names.join(", ")
            )
        }
        (None, _) => {
            tell(&list.ignored);
            Err(NotFound(format!("stream \"{stream}\" has no snapshot")).into())
        }
    }
}

/// A snapshot as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    stream: &'a str,
    state_type: &'a str,
    version: u64,
    position: u64,
    schema_version: u32,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<u8>,
}

fn print_json(snapshot: &Snapshot, output: &mut Output) -> anyhow::Result<()> {
    let state = Payload::of(&snapshot.state, snapshot.content_type);
    let report = Report {
        stream: snapshot.stream.as_str(),
        state_type: &snapshot.state_type,
        version: snapshot.version.get(),
        position: snapshot.position.get(),
        schema_version: snapshot.schema_version,
        created: clock_text::print_timestamp(snapshot.created),
        state: state.json(),
        state_base64: state.base64(),
        content_type: state.unexpected(snapshot.content_type),
    };
    Ok(output.json(&report)?)
}

fn print_text(snapshot: &Snapshot, output: &mut Output) -> anyhow::Result<()> {
    let mut state = String::new();
    event_text::push_payload(&mut state, &Payload::of(&snapshot.state, snapshot.content_type));
    output.line(format_args!("stream          {}", output::safe(snapshot.stream.as_str())))?;
    output.line(format_args!("type            {}", output::safe(&snapshot.state_type)))?;
    output.line(format_args!("version         {}", snapshot.version))?;
    output.line(format_args!("position        {}", snapshot.position))?;
    output.line(format_args!("schema version  {}", snapshot.schema_version))?;
    output.line(format_args!("created         {}", clock_text::print_timestamp(snapshot.created)))?;
    output.line(format_args!("bytes           {}", snapshot.state.len()))?;
    output.line(format_args!("state           {state}"))?;
    Ok(())
}

/// A deletion as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedReport<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_type: Option<&'a str>,
    deleted: u64,
}

fn delete(store: &Path, arguments: &DeleteSnapshotsArguments) -> anyhow::Result<()> {
    let store = opening::for_changing(store, arguments.waiting.wait)?;
    let state_type = arguments.state_type.as_deref();
    let deleted = match &arguments.stream {
        Some(stream) => match store.delete_snapshots(stream, state_type)? {
            0 => {
                let which = state_type.map_or(String::new(), |name| format!(" of type {name:?}"));
                return Err(NotFound(format!("stream \"{stream}\" has no snapshot{which}")).into());
            }
            deleted => deleted,
        },
        None => store.delete_all_snapshots()?,
    };
    let deleted = u64::try_from(deleted)?;
    let stream = arguments.stream.as_ref().map(StreamId::as_str);
    let mut output = Output::new();
    match arguments.format {
        Format::Json => output.json(&DeletedReport { stream, state_type, deleted })?,
        Format::Text => {
            let whose = stream.map_or(String::new(), |stream| format!("{}: ", output::safe(stream)));
            output.line(format_args!("{whose}{} deleted", output::count(deleted, "snapshot")))?;
        }
    }
    output.flush()?;
    Ok(store.close()?)
}
