//! The event that tells of a repair, in a stream of the store's own.

use serde::Deserialize;

use crate::{
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    event::EventData,
    format::layout::index,
    position::ExpectedVersion,
    query::Query,
    repair::{
        keeping::{REPORT, folder_of},
        planned_end::PlannedEnd,
        report::Summary,
    },
    store::EventStore,
    stream::StreamId,
    writer::request::Commit,
};

/// The stream of all repairs.
const REPAIRS: &str = "$repairs";
const REPAIRED: &str = "$Repaired";

/// How long a report can be, in bytes.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// What is looked at of an event that is there.
#[derive(Deserialize)]
struct Known {
    repair: u64,
}

/// Appends the event of a repair, unless it is there.
pub(crate) fn append_repair_event(store: &EventStore, summary: &Summary) -> Result<()> {
    let stream = StreamId::new(REPAIRS)?;
    for event in store.read(Query::stream(&stream).raw()) {
        if event?.json::<Known>().is_ok_and(|known| known.repair == summary.repair) {
            return Ok(());
        }
    }
    let event = EventData::json(REPAIRED, summary)?;
    store.appender().commit(Commit::new().system(&stream, ExpectedVersion::Any, event)).map(drop)
}

/// What is looked at of an earlier repair's report.
#[derive(Deserialize)]
pub(crate) struct EarlierReport {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// Where the log was to end.
    pub(crate) end: Option<PlannedEnd>,
}

/// What an earlier repair's report says.
pub(crate) fn read_report(disk: &dyn Disk, store: &std::path::Path, repair: u64) -> Result<EarlierReport> {
    let path = folder_of(store, repair).join(REPORT);
    let read = || {
        let file = disk.open(&path, OpenMode::Read)?;
        let mut content = vec![0; index(file.len()?.min(REPORT_BYTES_MAX))];
        file.read_exact_at(&mut content, 0)?;
        Ok(content)
    };
    let content = read().map_err(|error| Error::io("read", &path, error))?;
    serde_json::from_slice(&content)
        .map_err(|error| Error::corrupt(&path, 0, format!("a repair's report can't be read: {error}"), None))
}
