//! Executing commands: load, decide, save, and all of it again where another writer was first.
//!
//! A command with an id is executed once. Its events have the ids `COMMAND:1:HASH`, `COMMAND:2:HASH`, … in the aggregate's
//! stream, whose name the hash is of: they are stored in one step, so who finds the first finds all. It is looked for behind
//! the load. What the load has seen of it, the look finds; what comes later, the append meets, since the ids are there.

use std::{error, fmt, ops::Deref};

use crate::{
    error::{Error, Result},
    event_id::EventIdRef,
    invalid::Invalid,
    query::Query,
    reader::Reader,
    store::EventStore,
    stream::StreamId,
    typed::{
        aggregate::{Aggregate, Handle},
        context::Context,
        loaded::{Loaded, Purpose},
        repository::{Repository, check_command_id, event_id_of},
        retry::Retriable,
    },
    writer::request::Appended,
};

/// What came of a command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Executed<A> {
    /// The aggregate behind the command.
    pub aggregate: Loaded<A>,
    /// What the command's events reached. Where it was executed before, it is what they reached then, and
    /// [`repeated`](Appended::repeated) says so.
    pub appended: Appended,
}

/// Why a command wasn't executed; `R` is the aggregate's own error.
#[derive(Clone, Debug)]
pub enum ExecuteError<R> {
    /// The aggregate refused it. Nothing is stored.
    Rejected(R),
    /// The store failed, or others were first each time.
    Store(Error),
}

impl<A: Aggregate, S: Deref<Target = EventStore>> Repository<A, S> {
    /// Executes a command: loads the aggregate, lets it [`handle`](Handle::handle) the command, and saves the events.
    /// Where another writer was first, it is all done again, as the repository's [`Retry`](crate::Retry) says. The version
    /// is checked also where the command leads to no events.
    ///
    /// With a [command id](Context::command_id) it is executed once: who sends it again, at any time, from any thread, is
    /// told what it reached then, and it isn't handled. What was refused, or led to no events, leaves no trace, and is
    /// handled again. **One id is one command for an aggregate**: it alone is compared, so another command that comes with
    /// the same id isn't executed, and is told what the first one reached.
    ///
    /// The [snapshot policy](Self::snapshots) is asked once, behind all of it, also where the command was refused, led to no
    /// events, or was executed before.
    ///
    /// # Durability
    ///
    /// As [`EventStore::append`].
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Rejected`] with the aggregate's own error, at once; [`ExecuteError::Store`] with those of
    /// [`load`](Self::load) and [`save`](Self::save): [`Error::VersionConflict`] when no try is left, others at once;
    /// [`Error::Invalid`] for a command id that is empty, or too long for an event's id: up to 236 bytes will do for nine
    /// events, and each digit more of their number takes one.
    pub fn execute<C>(
        &self,
        id: &str,
        command: &C,
        context: &Context,
    ) -> Result<Executed<A>, ExecuteError<A::Error>>
    where
        A: Handle<C>,
    {
        let stream = self.stream(id)?;
        context.command().map(check_command_id).transpose()?;
        self.retry.run(|| self.execute_once(&stream, command, context))
    }

    fn execute_once<C>(
        &self,
        stream: &StreamId,
        command: &C,
        context: &Context,
    ) -> Result<Executed<A>, ExecuteError<A::Error>>
    where
        A: Handle<C>,
    {
        let mut aggregate = self.load_stream(stream, Purpose::Writing)?;
        let outcome = self.decide(&mut aggregate, command, context);
        // Also where nothing came of it: a load that was slow is as slow the next time.
        if !matches!(outcome, Err(ExecuteError::Store(_))) {
            self.take_snapshot_if_due(&mut aggregate);
        }
        Ok(Executed { appended: outcome?, aggregate })
    }

    /// Handles a command on a state, and appends the events; what was executed before is only looked up.
    fn decide<C>(
        &self,
        aggregate: &mut Loaded<A>,
        command: &C,
        context: &Context,
    ) -> Result<Appended, ExecuteError<A::Error>>
    where
        A: Handle<C>,
    {
        // Behind the load: a command that its state has in it must not be handled on it.
        if let Some(appended) = self.find_repetition(aggregate, context)? {
            return Ok(appended);
        }
        let events = aggregate.state.handle(command).map_err(ExecuteError::Rejected)?;
        match self.append(aggregate, events, context) {
            // It was executed since the look: perhaps on another state, and to more events than here.
            Ok(appended) if appended.repeated => {
                Ok(self.find_repetition(aggregate, context)?.unwrap_or(appended))
            }
            // The same, but to other events, or to fewer.
            Err(error @ (Error::IdTaken { .. } | Error::PartialRepeat { .. })) => {
                Ok(self.find_repetition(aggregate, context)?.ok_or(error)?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// What the context's command reached if it was executed before; the aggregate has it in it then.
    fn find_repetition(&self, aggregate: &mut Loaded<A>, context: &Context) -> Result<Option<Appended>> {
        let Some(command) = context.command() else { return Ok(None) };
        let found = self.find_in(&aggregate.stream, command)?;
        if let Some(appended) = found {
            self.catch_up(aggregate, appended.version)?;
        }
        Ok(found)
    }
}

impl<A, S> Repository<A, S>
where
    A: Aggregate,
    S: Deref,
    S::Target: AsRef<Reader>,
{
    /// What a command reached in an aggregate's stream, if it was executed: as [`execute`](Self::execute) or
    /// [`save`](Self::save) did it, or a commit to which the repository [added](Self::add_to) its events. To be asked
    /// before a command is handled by hand, and behind the load.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the id can't be in a stream's name, or the command's in an event's; [`Error::Io`] and
    /// [`Error::Corrupt`].
    pub fn find_command(&self, id: &str, command_id: &str) -> Result<Option<Appended>> {
        self.find_in(&self.stream(id)?, command_id)
    }

    fn find_in(&self, stream: &StreamId, command_id: &str) -> Result<Option<Appended>> {
        let Some(first) = self.reader().event_in_raw(stream, &event_id_of(command_id, 1, stream)?)? else {
            return Ok(None);
        };
        let mut appended = Appended {
            first_version: first.version,
            version: first.version,
            first_position: first.position,
            position: first.position,
            repeated: true,
        };
        // As they are stored: what upcasters make of them doesn't count.
        let mut behind = self.reader().read(Query::stream(stream).after(first.version).raw());
        for number in 2.. {
            let Some(event) = behind.try_next()? else { break };
            // Where no id can be made, the command had no such event.
            let Ok(id) = event_id_of(command_id, number, stream) else { break };
            if event.id != EventIdRef::from(&id) {
                break;
            }
            (appended.version, appended.position) = (event.version, event.position);
        }
        Ok(Some(appended))
    }
}

impl<R> ExecuteError<R> {
    /// Whether others were first each time: a later try may succeed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl<R> Retriable for ExecuteError<R> {
    fn is_retriable(&self) -> bool {
        self.is_conflict()
    }
}

impl<R> From<Error> for ExecuteError<R> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<R> From<Invalid> for ExecuteError<R> {
    fn from(invalid: Invalid) -> Self {
        Self::Store(invalid.into())
    }
}

impl<R: fmt::Display> fmt::Display for ExecuteError<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => write!(formatter, "the command was refused: {rejection}"),
            Self::Store(error) => error.fmt(formatter),
        }
    }
}

/// A refusal may be of any type that can be shown, as a text; what stands behind it is the refusal's own affair.
impl<R: fmt::Debug + fmt::Display> error::Error for ExecuteError<R> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Rejected(_) => None,
            // The message is the store's: only what stands behind it is the source.
            Self::Store(error) => error.source(),
        }
    }
}
