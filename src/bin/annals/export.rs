//! `annals export`: all events in their order, as JSON lines that `import` takes.

use std::{ops::ControlFlow, path::Path};

use annals::{Events, Position, Query};

use crate::{
    event_text::EventPrinter,
    interrupt::{Stop, Stopped},
    opening,
    output::{OutputError, count},
    progress::Bar,
    reading_arguments::ExportArguments,
};

pub(crate) fn run(store: &Path, arguments: &ExportArguments) -> anyhow::Result<()> {
    let store = opening::for_reading(store)?;
    let first = arguments.from.unwrap_or(1).max(1);
    let last = arguments.to.unwrap_or(u64::MAX).min(store.last_position().get());
    let stop = Stop::at_interrupt()?;
    let bar = Bar::of_events((last + 1).saturating_sub(first));
    let query = Query::all().from(Position::new(first)).to(Position::new(last));
    let mut export = Export { printer: EventPrinter::of_json(), bar, first, printed: 0, reached: None };
    let exported = export.print_all(store.read(query), &stop);
    export.bar.clear();
    // Where standard output takes no more, there is nothing to be flushed.
    if !exported.as_ref().is_err_and(anyhow::Error::is::<OutputError>) {
        export.printer.flush()?;
    }
    match exported? {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(export.stopped(arguments.to).into()),
    }
}

struct Export {
    printer: EventPrinter,
    bar: Bar,
    first: u64,
    printed: u64,
    /// The position of the last event that was printed.
    reached: Option<u64>,
}

impl Export {
    /// Prints events until there are no more. It breaks off before one where it is asked to end.
    fn print_all(&mut self, mut events: Events, stop: &Stop) -> anyhow::Result<ControlFlow<()>> {
        while let Some(event) = events.try_next()? {
            if stop.is_asked() {
                return Ok(ControlFlow::Break(()));
            }
            self.printer.print(&event)?;
            let position = event.position.get();
            self.printed += 1;
            self.reached = Some(position);
            self.bar.set_position((position + 1).saturating_sub(self.first));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn stopped(&self, to: Option<u64>) -> Stopped {
        let Some(reached) = self.reached else {
            return Stopped("the export was stopped before its first event".to_owned());
        };
        let printed = count(self.printed, "event");
        let to = to.map_or(String::new(), |to| format!(" --to {to}"));
        Stopped(format!(
            "the export was stopped: {printed} up to position {reached} are printed, each a whole line; \"annals \
             export --from {}{to}\", with the same --store, prints the rest",
            reached + 1
        ))
    }
}
