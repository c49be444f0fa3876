//! `annals read`: a stream's events, a category's, all, or the one with an id.

use std::path::Path;

use annals::{AsOf, Bound, EventId, Events, Position, Query, Reader};
use anyhow::bail;

use crate::{
    event_text::EventPrinter, failure::NotFound, opening, output::OutputError,
    reading_arguments::ReadArguments,
};

pub(crate) fn run(store: &Path, arguments: &ReadArguments) -> anyhow::Result<()> {
    let mut printer = EventPrinter::new(&arguments.layout);
    let store = opening::for_reading(store)?;
    if let Some(id) = &arguments.event {
        return print_event(&store, id, printer);
    }
    if let Some(AsOf::Position(position)) = arguments.as_of
        && position > store.last_position()
    {
        let last = store.last_position();
        bail!("--as-of {position} is a position, and the log ends at {last}; a day is written as 2025-11-21");
    }
    let events = match &arguments.selection.stream {
        Some(stream) => {
            let query = arguments.selection.of_stream(stream);
            let as_it_was = match arguments.as_of {
                Some(moment) => query.as_of(moment),
                None => query,
            };
            store.read(bounded(as_it_was, arguments))
        }
        None => store.read(bounded(all_as_it_was(arguments), arguments)),
    };
    print(events, &mut printer)?;
    if !printer.has_printed() {
        arguments.selection.tell_of_nothing(&store)?;
    }
    Ok(())
}

/// What is asked of all streams, as they were at the moment that is asked for.
fn all_as_it_was(arguments: &ReadArguments) -> Query<Position> {
    let query = arguments.selection.of_all();
    match arguments.as_of {
        Some(AsOf::Position(position)) => query.to(position),
        Some(AsOf::Time(time)) => query.until(time),
        None => query,
    }
}

fn bounded<B: Bound>(mut query: Query<B>, arguments: &ReadArguments) -> Query<B> {
    if let Some(from) = arguments.from {
        query = query.from(B::from(from));
    }
    if let Some(after) = arguments.after {
        query = query.after(B::from(after));
    }
    if let Some(to) = arguments.to {
        query = query.to(B::from(to));
    }
    if let Some(before) = arguments.before {
        query = query.before(B::from(before));
    }
    if let Some(since) = arguments.since {
        query = query.since(since);
    }
    if let Some(until) = arguments.until {
        query = query.until(until);
    }
    if let Some(limit) = arguments.limit {
        query = query.limit(limit);
    }
    if arguments.backwards { query.backwards() } else { query }
}

/// Prints the event that has an id.
fn print_event(store: &Reader, id: &EventId, mut printer: EventPrinter) -> anyhow::Result<()> {
    let Some(event) = store.event(id)? else {
        return Err(NotFound(format!("there is no event with the id {id}; \"annals read --all --fields id,stream,type\" shows those there are")).into());
    };
    printer.print(&(&event).into())?;
    Ok(printer.flush()?)
}

/// Prints events one by one, however many they are; where one can't be read, those before it.
fn print(events: Events, printer: &mut EventPrinter) -> anyhow::Result<()> {
    let read = print_all(events, printer);
    if read.as_ref().is_err_and(anyhow::Error::is::<OutputError>) {
        return read;
    }
    printer.flush()?;
    read
}

fn print_all(mut events: Events, printer: &mut EventPrinter) -> anyhow::Result<()> {
    while let Some(event) = events.try_next()? {
        printer.print(&event)?;
    }
    Ok(())
}
