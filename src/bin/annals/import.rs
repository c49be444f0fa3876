//! `annals import`: JSON lines, each an append of its own, many on their way at once.
//!
//! One thread reads lines and hands them to the store, which writes and syncs together what waits; another
//! waits for the answers in the same order and tells what is stored. So the store is never idle while lines
//! are read, what is stored is told at once, and no more than [`LINES_ON_THEIR_WAY_MAX`] lines wait for
//! their answer. Each line has an id, its own or a derived one: so what is stored already is recognised, and an
//! import that was cut off is repeated from the beginning.
//!
//! With `--map` a line is an object of another program, of which [`mapped`] makes an event.
//!
//! With `--time-from` the store's clock is set by the lines, each time when all lines before it are answered.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use annals::{Error, EventStore, ExpectedVersion, PendingAppend, Position, Timestamp};
use anyhow::anyhow;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    arguments::{Format, ImportArguments},
    contract::Incoming,
    identity::Identities,
    import_advice::advice,
    input::{Line, Lines, Problem},
    interrupt::{Stop, Stopped},
    interruptible::{self, Cut},
    line_time::{self, SetClock, TimeSource},
    mapped,
    mapping::Mapping,
    opening,
    output::{Output, OutputError, count},
    progress::Bar,
};

/// How many lines may wait for their answer. Their bytes are bounded by the store's queue.
const LINES_ON_THEIR_WAY_MAX: usize = 1_024;

pub(crate) fn run(store: &Path, arguments: &ImportArguments) -> anyhow::Result<()> {
    // The source comes first, so that a slip in its name doesn't make a store.
    let bytes = arguments.source.open()?;
    let (store, mut clock) = open(store, arguments)?;
    let (mut lines, stop, cut) = interruptible::lines(bytes, &arguments.source)?;
    let bar = Bar::of_lines(arguments.source.bytes_total());
    let failed = AtomicBool::new(false);
    let (submitted, told) = thread::scope(|scope| {
        let (sender, receiver) = sync_channel(LINES_ON_THEIR_WAY_MAX);
        let (bar, failed) = (&bar, &failed);
        let told = Told { times_raised: clock.as_ref().map(|_| 0), ..Told::default() };
        let teller = scope.spawn(move || tell(&receiver, told, arguments.format, bar, failed));
        let (mappings, clock) = (arguments.map.as_slice(), clock.as_mut());
        let mut submitting =
            Submitting { store: &store, mappings, clock, sender: &sender, stop: &stop, cut: &cut, failed };
        let submitted = submitting.run(&mut lines, bar);
        // Without a sender, the teller comes to its end.
        drop(sender);
        (submitted, teller.join())
    });
    bar.clear();
    let told = told.map_err(|_| anyhow!("the thread that waits for the store's answers failed"))?;
    let (end, told) = whole(lines.name(), submitted, told, &arguments.map)?;
    store.close()?;
    match end {
        End::OfLines => conclude(arguments.format, told),
        End::Asked { line } => Err(stopped(line, &told).into()),
    }
}

/// What Ctrl-C leaves.
fn stopped(line: u64, told: &Told) -> Stopped {
    let stored = match told.lines {
        0 => "nothing was".to_owned(),
        1 => format!("1 event up to line {line} is"),
        lines => format!("{lines} events up to line {line} are"),
    };
    let raised = told.raised();
    Stopped(format!(
        "the import was stopped: {stored} stored{raised}; import again to go on: what is stored isn't doubled"
    ))
}

const REFUSED: &str = "the store doesn't take this event";

const MADE_BY_OTHER_MAPPINGS: &str = "the store has this line already, of which other mappings made another event: map it as before, or \
     import into another store";

/// The store's clock, where the lines set it.
struct LineClock {
    source: TimeSource,
    clock: Arc<SetClock>,
    /// Where it stands, or the last event's time if that is later.
    time: Timestamp,
}

/// Opens the store, with a clock that the lines set, if they are to.
fn open(store: &Path, arguments: &ImportArguments) -> anyhow::Result<(EventStore, Option<LineClock>)> {
    let Some(source) = arguments.time_from else {
        return Ok((opening::for_writing(store, &arguments.writing)?, None));
    };
    let clock = Arc::new(SetClock::new());
    let store = opening::for_writing_by(store, &arguments.writing, Arc::clone(&clock) as _)?;
    let time = line_time::last_time(&store)?;
    Ok((store, Some(LineClock { source, clock, time })))
}

/// What goes to the thread that waits for answers.
enum Message {
    Submitted(Submitted),
    /// All before it are to be answered; then this is told.
    Quiet(SyncSender<()>),
}

impl Message {
    /// Whether dealing with it needs no waiting.
    fn is_done(&self) -> bool {
        match self {
            Self::Submitted(submitted) => submitted.pending.is_done(),
            Self::Quiet(_) => true,
        }
    }
}

/// A line that the store has taken and not answered yet.
struct Submitted {
    line: u64,
    stream_hash: u128,
    is_time_raised: bool,
    id: IdFrom,
    pending: PendingAppend,
}

/// Where a line's id comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum IdFrom {
    Line,
    /// It is made of the event.
    Event,
    /// It is made of the line's text, whatever mappings find in it.
    Text,
}

/// Why a line couldn't be handed over.
struct Refused {
    line: u64,
    reason: anyhow::Error,
}

/// Where no more lines are handed over, and nothing was wrong.
enum End {
    OfLines,
    /// It was asked for, behind this line.
    Asked {
        line: u64,
    },
}

/// Hands lines over to the store.
struct Submitting<'a> {
    store: &'a EventStore,
    /// Where everything is in the lines; none: they are such as `export` prints.
    mappings: &'a [Mapping],
    clock: Option<&'a mut LineClock>,
    sender: &'a SyncSender<Message>,
    stop: &'a Stop,
    /// Whether there were lines behind.
    cut: &'a Cut,
    /// Whether an answer was an error.
    failed: &'a AtomicBool,
}

impl Submitting<'_> {
    /// Hands lines over until there are no more, one can't be taken, an answer was an error, or the end is asked for.
    fn run(&mut self, lines: &mut Lines, bar: &Bar) -> Result<End, Refused> {
        let mut identities = Identities::default();
        let mut line = 0;
        while !self.failed.load(Ordering::Relaxed) {
            let submitted = self
                .submit_next(lines, &mut identities)
                .map_err(|reason| Refused { line: lines.number(), reason })?;
            let Some(submitted) = submitted else { break };
            line = submitted.line;
            bar.set_position(lines.bytes_read());
            if self.sender.send(Message::Submitted(submitted)).is_err() {
                break;
            }
        }
        Ok(if self.cut.is_made() { End::Asked { line } } else { End::OfLines })
    }

    /// Hands the next line over; none if there is none, or no more is wanted.
    fn submit_next(
        &mut self,
        lines: &mut Lines,
        identities: &mut Identities,
    ) -> anyhow::Result<Option<Submitted>> {
        let Some(line) = lines.next()? else { return Ok(None) };
        if self.stop.is_asked() {
            // It may be half a line.
            self.cut.make();
            return Ok(None);
        }
        let incoming = incoming(&line, self.mappings)?;
        let Some(is_time_raised) = self.follow_time(&line, &incoming)? else { return Ok(None) };
        let Incoming { stream, mut event, .. } = incoming;
        let stream = stream.ok_or_else(|| line.problem("the line names no stream"))?;
        let id = match event.id {
            Some(_) => IdFrom::Line,
            None if self.mappings.is_empty() => IdFrom::Event,
            None => IdFrom::Text,
        };
        match id {
            IdFrom::Line => {}
            IdFrom::Event => event.id = Some(identities.next(&stream, &event)?),
            IdFrom::Text => event.id = Some(identities.next_of_text(line.text())?),
        }
        let pending = self
            .store
            .submit(&stream, ExpectedVersion::Any, [event])
            .map_err(|error| anyhow::Error::new(error).context(line.problem(REFUSED)))?;
        let stream_hash = xxh3_128(stream.as_str().as_bytes());
        Ok(Some(Submitted { line: line.number, stream_hash, is_time_raised, id, pending }))
    }

    /// Puts the store's clock forward to a line's time, if lines say the time, and tells whether the line is earlier than that; none if
    /// no more is wanted.
    fn follow_time(&mut self, line: &Line<'_>, incoming: &Incoming) -> Result<Option<bool>, Problem> {
        let Some(clock) = &mut self.clock else { return Ok(Some(false)) };
        let time = line_time::time_of(incoming, clock.source).map_err(|wrong| line.problem(wrong))?;
        if time > clock.time {
            if let Some(problem) = line_time::problem_ahead(time) {
                return Err(line.problem(problem));
            }
            wait_for_answers(self.sender);
            if self.failed.load(Ordering::Relaxed) {
                return Ok(None);
            }
            clock.time = time;
            clock.clock.set(time);
        }
        Ok(Some(time < clock.time))
    }
}

fn incoming(line: &Line<'_>, mappings: &[Mapping]) -> Result<Incoming, Problem> {
    if mappings.is_empty() { line.parse() } else { mapped::take(line, mappings) }
}

/// Waits until the store has answered everything that it was handed.
fn wait_for_answers(sender: &SyncSender<Message>) {
    let (done, quiet) = sync_channel(1);
    // Where the other thread has ended, nothing waits any more.
    if sender.send(Message::Quiet(done)).is_ok() {
        quiet.recv().ok();
    }
}

/// What the store has answered so far.
#[derive(Default)]
struct Told {
    lines: u64,
    added: u64,
    repeated: u64,
    /// How many were added with a later time than the line's; none where lines don't say the time.
    times_raised: Option<u64>,
    position: Position,
    streams_added_to: HashSet<u128>,
    /// The first line whose answer was an error.
    failed: Option<Failed>,
    /// How many lines behind that one are stored.
    lines_behind_failed: u64,
    /// Why standard output takes no more.
    mute: Option<OutputError>,
}

/// A line whose answer was an error.
struct Failed {
    line: u64,
    id: IdFrom,
    error: Error,
}

impl Failed {
    fn refused(self, name: &str) -> Refused {
        let what = match (&self.error, self.id) {
            (Error::IdTaken { .. }, IdFrom::Text) => MADE_BY_OTHER_MAPPINGS,
            _ => REFUSED,
        };
        let problem = Problem::of_line(name, self.line, what);
        Refused { line: self.line, reason: anyhow::Error::new(self.error).context(problem) }
    }
}

/// A group of answers as JSON, counted from the beginning of the import.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    lines: u64,
    added: u64,
    repeated: u64,
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    times_raised: Option<u64>,
}

/// Waits for the answers, in the order of the lines. What has been answered at once is one group.
fn tell(
    receiver: &Receiver<Message>,
    mut told: Told,
    format: Format,
    bar: &Bar,
    failed: &AtomicBool,
) -> Told {
    let mut output = Output::new();
    let mut next = receiver.recv().ok();
    while let Some(message) = next {
        match message {
            Message::Submitted(submitted) => {
                told.take(submitted, failed);
                bar.set_events(told.lines);
            }
            // Who asked for it waits for it, and is there.
            Message::Quiet(done) => done.send(()).unwrap_or_default(),
        }
        next = receiver.try_recv().ok();
        let group_goes_on = next.as_ref().is_some_and(Message::is_done);
        if !group_goes_on {
            told.print(format, &mut output);
            next = next.or_else(|| receiver.recv().ok());
        }
    }
    if told.lines == 0 {
        told.print(format, &mut output);
    }
    told
}

impl Told {
    fn take(&mut self, submitted: Submitted, failed: &AtomicBool) {
        match submitted.pending.wait() {
            Ok(appended) => {
                self.lines += 1;
                self.position = self.position.max(appended.position);
                if appended.repeated {
                    self.repeated += 1;
                } else {
                    self.added += 1;
                    if let Some(times_raised) = &mut self.times_raised {
                        *times_raised += u64::from(submitted.is_time_raised);
                    }
                    self.streams_added_to.insert(submitted.stream_hash);
                }
                self.lines_behind_failed += u64::from(self.failed.is_some());
            }
            Err(error) => {
                failed.store(true, Ordering::Relaxed);
                let Submitted { line, id, .. } = submitted;
                self.failed.get_or_insert(Failed { line, id, error });
            }
        }
    }

    /// What is said of times that are no longer the lines' own.
    fn raised(&self) -> String {
        match self.times_raised {
            None | Some(0) => String::new(),
            Some(1) => "; 1 was earlier than the one before it, and got its time".to_owned(),
            Some(raised) => format!("; {raised} were earlier than the one before them, and got its time"),
        }
    }

    /// The import goes on where nobody reads what it tells.
    fn print(&mut self, format: Format, output: &mut Output) {
        if format == Format::Text || self.mute.is_some() {
            return;
        }
        let report = Report {
            lines: self.lines,
            added: self.added,
            repeated: self.repeated,
            position: self.position.get(),
            times_raised: self.times_raised,
        };
        self.mute = output.json(&report).and_then(|()| output.flush()).err();
    }
}

/// What was told, if every line that was handed over is stored; else where the import stopped, and why.
fn whole(
    name: &str,
    submitted: Result<End, Refused>,
    mut told: Told,
    mappings: &[Mapping],
) -> anyhow::Result<(End, Told)> {
    let refused = match told.failed.take() {
        Some(failed) => failed.refused(name),
        None => match submitted {
            Ok(end) => return Ok((end, told)),
            Err(refused) => refused,
        },
    };
    let before = count(told.lines - told.lines_behind_failed, "event");
    let behind = match told.lines_behind_failed {
        0 => String::new(),
        behind => format!(", and {behind} behind it"),
    };
    let Refused { line, reason } = refused;
    let (raised, advice) = (told.raised(), advice(&reason, mappings, told.lines));
    Err(reason.context(format!(
        "the import stopped at line {line}, with {before} before it stored{behind}{raised}; {advice}"
    )))
}

/// Says how much was imported.
fn conclude(format: Format, told: Told) -> anyhow::Result<()> {
    if let Some(error) = told.mute {
        return Err(error.into());
    }
    if format == Format::Text {
        let streams = u64::try_from(told.streams_added_to.len()).unwrap_or(u64::MAX);
        let were = if told.repeated == 1 { "was" } else { "were" };
        let raised = told.raised();
        let mut output = Output::new();
        output.line(format_args!(
            "imported {} into {} ({} {were} already there){raised}",
            count(told.added, "event"),
            count(streams, "stream"),
            told.repeated,
        ))?;
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::input::Source;

    /// Where lines end for which Ctrl-C has come before any of them is handed over.
    fn end_of(input: &'static str) -> End {
        let directory = tempfile::tempdir().expect("a directory");
        let store = EventStore::open(directory.path()).expect("a store");
        let (sender, _receiver) = sync_channel(1);
        let (stop, cut, failed) = (Stop::default(), Cut::default(), AtomicBool::new(false));
        stop.ask();
        let mut submitting = Submitting {
            store: &store,
            mappings: &[],
            clock: None,
            sender: &sender,
            stop: &stop,
            cut: &cut,
            failed: &failed,
        };
        let mut lines = Lines::read_from(Cursor::new(input), &Source::StandardInput);
        let end = submitting.run(&mut lines, &Bar::of_lines(None));
        end.map_err(|refused| refused.reason).expect("nothing is wrong with the lines")
    }

    #[test]
    fn an_import_that_is_whole_when_ctrl_c_comes_is_not_stopped() {
        assert!(matches!(end_of(""), End::OfLines));
        let line = "{\"stream\":\"a\",\"type\":\"T\"}\n";
        assert!(matches!(end_of(line), End::Asked { line: 0 }));
    }
}
