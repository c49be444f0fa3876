//! `annals snapshot`: the states that programs have saved.

use std::{collections::BTreeSet, path::Path};

use annals::{IgnoredSnapshot, Reader, Snapshot, SnapshotInfo, StreamId, Version};
use anyhow::bail;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    clock_text,
    contract::Payload,
    event_text,
    failure::{self, NotFound},
    opening,
    output::{self, Column, Output, OutputError, safe},
    snapshot_arguments::{
        DeleteSnapshotsArguments, ListSnapshotsArguments, ShowSnapshotArguments, SnapshotArguments,
        SnapshotCommand,
    },
};

/// What helps where a snapshot isn't there.
const LIST_ADVICE: &str = "\"annals snapshot list\" shows those there are";

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

    fn columns(&self) -> [String; 5] {
        [
            safe(self.stream),
            safe(self.state_type),
            self.version.to_string(),
            format!("{} bytes", self.bytes),
            self.created.clone(),
        ]
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
    Ok(Output::new().list(arguments.format, &reports, |output, reports| {
        let columns = [Column::Name, Column::Name, Column::Number, Column::Number, Column::Rest];
        output.table(columns, &reports.iter().map(InfoReport::columns).collect::<Vec<_>>())
    })?)
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
        let message =
            format!("stream \"{stream}\" has no snapshot of type {state_type:?}{bound}; {LIST_ADVICE}");
        return Err(NotFound(message).into());
    };
    let state = Payload::of(&snapshot.state, snapshot.content_type);
    let report = Report::of(&snapshot, &state);
    Ok(Output::new().report(arguments.format, &report, |output, _| print_text(&snapshot, &state, output))?)
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
            Err(NotFound(format!("stream \"{stream}\" has no snapshot; {LIST_ADVICE}")).into())
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

impl<'a> Report<'a> {
    fn of(snapshot: &'a Snapshot, state: &'a Payload<'a>) -> Self {
        Self {
            stream: snapshot.stream.as_str(),
            state_type: &snapshot.state_type,
            version: snapshot.version.get(),
            position: snapshot.position.get(),
            schema_version: snapshot.schema_version,
            created: clock_text::print_timestamp(snapshot.created),
            state: state.json(),
            state_base64: state.base64(),
            content_type: state.unexpected(snapshot.content_type),
        }
    }
}

fn print_text(snapshot: &Snapshot, payload: &Payload<'_>, output: &mut Output) -> Result<(), OutputError> {
    let mut state = String::new();
    event_text::push_payload(&mut state, payload);
    output.line(format_args!("stream          {}", safe(snapshot.stream.as_str())))?;
    output.line(format_args!("type            {}", safe(&snapshot.state_type)))?;
    output.line(format_args!("version         {}", snapshot.version))?;
    output.line(format_args!("position        {}", snapshot.position))?;
    output.line(format_args!("schema version  {}", snapshot.schema_version))?;
    output.line(format_args!("created         {}", clock_text::print_timestamp(snapshot.created)))?;
    output.line(format_args!("bytes           {}", snapshot.state.len()))?;
    output.line(format_args!("state           {state}"))
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
                return Err(
                    NotFound(format!("stream \"{stream}\" has no snapshot{which}; {LIST_ADVICE}")).into()
                );
            }
            deleted => deleted,
        },
        None => store.delete_all_snapshots()?,
    };
    let deleted = u64::try_from(deleted)?;
    let stream = arguments.stream.as_ref().map(StreamId::as_str);
    let report = DeletedReport { stream, state_type, deleted };
    Output::new().report(arguments.format, &report, |output, report| {
        let whose = report.stream.map_or(String::new(), |stream| format!("{}: ", safe(stream)));
        output.line(format_args!("{whose}{} deleted", output::count(deleted, "snapshot")))
    })?;
    Ok(store.close()?)
}
