//! `annals tail`: the events that are there, and with `--follow` those that come.

use std::{path::Path, time::Duration};

use annals::{Bound, Cursor, Delivery, EventRef, Position, Query, Reader, StreamId, Subscription, Version};

use crate::{
    clock_text::Beginning, event_text::EventPrinter, failure, interrupt::at_interrupt, opening,
    output::OutputError, reading_arguments::TailArguments, saving::Saving,
};

pub(crate) fn run(store: &Path, arguments: &TailArguments) -> anyhow::Result<()> {
    let (saving, saved) = match &arguments.checkpoint {
        Some(name) => {
            let (saving, saved) = Saving::begin(store, name, arguments.wait)?;
            (Some(saving), saved)
        }
        None => (None, None),
    };
    let store = opening::for_reading(store)?;
    if saving.is_some() {
        arguments.selection.tell_of_unknown_names(&store)?;
    }
    let subscription = subscribe(&store, arguments, saved)?;
    if arguments.follow {
        let canceller = subscription.canceller();
        at_interrupt(move || canceller.cancel())?;
    }
    let printer = EventPrinter::new(&arguments.layout);
    let mut tail = Tail { subscription, saving, printer };
    tail.run(arguments.follow)?;
    if arguments.follow || tail.printer.has_printed() {
        return Ok(());
    }
    match &arguments.checkpoint {
        Some(name) => failure::tell_on_terminal(&format!("nothing came behind checkpoint {name:?}")),
        None => arguments.selection.tell_of_nothing(&store)?,
    }
    Ok(())
}

/// What is asked for, from where it is to begin.
fn subscribe(
    store: &Reader,
    arguments: &TailArguments,
    saved: Option<Cursor>,
) -> anyhow::Result<Subscription> {
    let limit = arguments.limit.unwrap_or(u64::MAX);
    Ok(match &arguments.selection.stream {
        Some(stream) => store.subscribe(of_stream(store, stream, arguments, saved)?.limit(limit)),
        None => store.subscribe(of_all(store, arguments, saved)?.limit(limit)),
    })
}

fn of_stream(
    store: &Reader,
    stream: &StreamId,
    arguments: &TailArguments,
    saved: Option<Cursor>,
) -> anyhow::Result<Query<Version>> {
    let query = arguments.selection.of_stream(stream);
    if let Some(cursor) = saved {
        // A stream has no cursors: this looks whether the checkpoint is of this log.
        store.read(Query::all().including_system().after_cursor(cursor)).try_next()?;
        return Ok(query.after(store.stream_version_as_of(stream, cursor.position)?));
    }
    if let Some(count) = arguments.last {
        let end = store.stream_version(stream)?;
        return from_last(store, query, count, end, |event| event.version);
    }
    Ok(match arguments.from {
        None | Some(Beginning::Start) => query,
        Some(Beginning::Now) => query.after(store.stream_version(stream)?),
        Some(Beginning::Number(version)) => query.from(Version::new(version)),
        Some(Beginning::Time(time)) => query.since(time),
    })
}

fn of_all(
    store: &Reader,
    arguments: &TailArguments,
    saved: Option<Cursor>,
) -> anyhow::Result<Query<Position>> {
    let query = arguments.selection.of_all();
    if let Some(count) = arguments.last {
        return from_last(store, query, count, store.last_position(), |event| event.position);
    }
    Ok(match (saved, arguments.from) {
        (Some(cursor), _) => query.after_cursor(cursor),
        (None, None | Some(Beginning::Start)) => query,
        (None, Some(Beginning::Now)) => query.after(store.last_position()),
        (None, Some(Beginning::Number(position))) => query.from(Position::new(position)),
        (None, Some(Beginning::Time(time))) => query.since(time),
    })
}

/// The last so many events up to an end of those that a query asks for, and whatever comes behind them.
fn from_last<B: Bound>(
    store: &Reader,
    query: Query<B>,
    count: u64,
    end: B,
    place: impl Fn(&EventRef<'_>) -> B,
) -> anyhow::Result<Query<B>> {
    // What comes while this looks is behind the end, and is passed over by neither.
    let mut newest = store.read(query.clone().to(end).backwards().limit(count));
    let mut first = None;
    while let Some(event) = newest.try_next()? {
        first = Some(place(&event));
    }
    Ok(match first {
        Some(first) => query.from(first),
        None => query.after(end),
    })
}

/// Whether more is to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

struct Tail<'a> {
    subscription: Subscription,
    saving: Option<Saving<'a>>,
    printer: EventPrinter,
}

impl Tail<'_> {
    fn run(&mut self, follow: bool) -> anyhow::Result<()> {
        let printed = self.print_all(follow);
        if printed.as_ref().is_err_and(anyhow::Error::is::<OutputError>) {
            // What nobody could read doesn't count as printed.
            return printed;
        }
        self.printer.flush()?;
        let cursor = self.subscription.cursor();
        let saved = self.saving.as_mut().map_or(Ok(()), |saving| saving.finish(cursor));
        printed.and(saved)
    }

    fn print_all(&mut self, follow: bool) -> anyhow::Result<()> {
        loop {
            let delivery = match self.subscription.try_next()? {
                None if self.subscription.has_ended() => return Ok(()),
                None => self.wait()?,
                delivery => delivery,
            };
            if self.take(delivery, follow)? == Next::End {
                return Ok(());
            }
        }
    }

    /// Waits for what comes, until there is something to save.
    fn wait(&mut self) -> anyhow::Result<Option<Delivery>> {
        self.printer.flush()?;
        let cursor = self.subscription.cursor();
        let due_in = self.saving.as_ref().and_then(|saving| saving.due_in(cursor));
        Ok(self.subscription.next_timeout(due_in.unwrap_or(Duration::MAX))?)
    }

    fn take(&mut self, delivery: Option<Delivery>, follow: bool) -> anyhow::Result<Next> {
        match delivery {
            Some(Delivery::Event(event)) => self.printer.print(&(&event).into())?,
            Some(Delivery::CaughtUp(_)) if !follow => return Ok(Next::End),
            Some(Delivery::CaughtUp(_)) => self.save()?,
            _ => {}
        }
        let cursor = self.subscription.cursor();
        if self.saving.as_ref().is_some_and(|saving| saving.is_due(cursor)) {
            self.save()?;
        }
        Ok(Next::GoOn)
    }

    /// Saves what was printed. It is brought to who reads it before, so that nothing is saved that nobody got.
    fn save(&mut self) -> anyhow::Result<()> {
        let Some(saving) = &mut self.saving else { return Ok(()) };
        self.printer.flush()?;
        saving.save(self.subscription.cursor())
    }
}
