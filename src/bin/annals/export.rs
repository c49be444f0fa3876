//! `annals export`: all events in their order, as JSON lines that `import` takes.

use std::path::Path;

use annals::{Position, Query};

use crate::{event_text::EventPrinter, opening, read, reading_arguments::ExportArguments};

pub(crate) fn run(store: &Path, arguments: &ExportArguments) -> anyhow::Result<()> {
    let store = opening::for_reading(store)?;
    let mut query = Query::all();
    if let Some(from) = arguments.from {
        query = query.from(Position::new(from));
    }
    if let Some(to) = arguments.to {
        query = query.to(Position::new(to));
    }
    read::print(store.read(query), &mut EventPrinter::of_json())
}
