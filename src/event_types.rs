//! What is registered of event types, as the writer has it: what appends are held to.
//!
//! A store in which no type is validated pays one look at a flag for each append. Schemas are compiled when the first
//! event asks for them, and events are checked on their caller's thread, before the writer has them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use crate::{
    catalog::find_given_id_in,
    committed::Committed,
    error::{Error, Result},
    event::{ContentType, EventData},
    event_id::EventId,
    event_type_definition::{
        DEFINITIONS_MAX, EventTypeDefinition, Registered, RegisteredEventType, Registration,
        RegistrationOutcome, Validation, event_types_stream,
    },
    invalid::Invalid,
    options::ViolationTeller,
    position::Version,
    query::Query,
    reader::Reader,
    schema::{Breach, CompiledSchema, check_schema},
    schema_violation::SchemaViolation,
    stream::StreamId,
    sync::{AtomicBool, Mutex, MutexGuard, Ordering, RwLock},
    trace,
};

/// What is registered, kept up to date by the registrations of this writer, which is the only one.
#[derive(Debug)]
pub(crate) struct EventTypes {
    /// The store's directory, for what is told.
    path: PathBuf,
    warning: Option<ViolationTeller>,
    /// Whether any append has to be looked at.
    is_needed: AtomicBool,
    checked: RwLock<Checked>,
    /// One registration at a time. Appends don't wait for it.
    known: Mutex<Known>,
}

/// All definitions up to a version of their stream.
#[derive(Default, Debug)]
pub(crate) struct Known {
    registered: Registered,
    version: Version,
}

/// What appends look at.
#[derive(Default, Debug)]
struct Checked {
    types: HashMap<String, Arc<CheckedType>>,
    /// Why it isn't known what is registered: nothing can be appended then.
    unreadable: Option<Error>,
}

/// An event type, with what its schemas were compiled to.
#[derive(Debug)]
struct CheckedType {
    registered: RegisteredEventType,
    /// By schema version, as they are needed.
    compiled: HashMap<u32, Arc<OnceLock<Result<CompiledSchema, String>>>>,
}

impl EventTypes {
    /// Reads what is registered. Where that fails the store is open all the same, for reading: its appends fail.
    pub(crate) fn load(reader: &Reader, path: &Path, warning: Option<ViolationTeller>) -> Self {
        let types = Self {
            path: path.to_owned(),
            warning,
            is_needed: AtomicBool::new(false),
            checked: RwLock::new(Checked::default()),
            known: Mutex::new(Known::default()),
        };
        let loaded = types.catch_up(&mut types.known.lock(), reader);
        if let Err(error) = loaded {
            trace::warn("what is registered of event types can't be read", path, format_args!("{error}"));
        }
        types
    }

    /// Keeps other registrations waiting until it is dropped. An error where it isn't known what is registered.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, Known>> {
        let known = self.known.lock();
        match &self.checked.read().unreadable {
            Some(error) => Err(error.clone()),
            None => Ok(known),
        }
    }

    /// Takes in what was registered behind what is known. Where that fails, nothing can be appended any more.
    pub(crate) fn catch_up(&self, known: &mut Known, reader: &Reader) -> Result<()> {
        let outcome = self.take_new(known, reader);
        if let Err(error) = &outcome {
            self.checked.write().unreadable = Some(error.clone());
            self.is_needed.store(true, Ordering::Relaxed);
        }
        outcome
    }

    fn take_new(&self, known: &mut Known, reader: &Reader) -> Result<()> {
        let stream = event_types_stream()?;
        if reader.stream_version(&stream)? == known.version {
            return Ok(());
        }
        let mut changed = Vec::new();
        let mut events = reader.read(Query::stream(&stream).after(known.version).raw());
        while let Some(event) = events.try_next()? {
            changed.push(known.registered.take(&event)?);
            known.version = event.version;
        }
        let mut checked = self.checked.write();
        for name in changed {
            let Some(registered) = known.registered.types.get(&name) else { continue };
            let before = checked.types.get(&name);
            let compiled = registered.versions.iter().map(|version| {
                let number = version.definition.schema_version;
                let compiled = before.and_then(|before| before.compiled.get(&number)).cloned();
                (number, compiled.unwrap_or_default())
            });
            let compiled = compiled.collect();
            let registered = registered.clone();
            checked.types.insert(name, Arc::new(CheckedType { registered, compiled }));
        }
        let versions = known.registered.types.values().flat_map(|registered| &registered.versions);
        let mut validations = versions.map(|version| version.definition.validation);
        let is_needed = validations.any(|validation| validation != Validation::Off);
        self.is_needed.store(is_needed, Ordering::Relaxed);
        Ok(())
    }

    /// Looks at the events that are appended to a stream; none if no type is validated.
    pub(crate) fn inspect<'a>(
        &'a self,
        stream: &'a StreamId,
        committed: &'a Committed,
    ) -> Option<Inspection<'a>> {
        // A registration that has returned happened before every append that somebody makes because of it.
        if !self.is_needed.load(Ordering::Relaxed) {
            return None;
        }
        let refusal = self.checked.read().unreadable.clone();
        let verdict = refusal.map_or(Verdict::Open, Verdict::Refused);
        Some(Inspection { types: self, stream, committed, count: 0, first_id: None, verdict })
    }

    /// Tells of an event that isn't as its type is registered, and goes on.
    fn tell(&self, violation: &SchemaViolation) {
        trace::warn("an event isn't as its type is registered", &self.path, format_args!("{violation}"));
        if let Some(teller) = &self.warning {
            teller.tell(violation);
        }
    }

    fn get(&self, event_type: &str) -> Option<Arc<CheckedType>> {
        self.checked.read().types.get(event_type).cloned()
    }
}

impl Known {
    /// The version of the stream that all definitions stand in.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// What registering a definition does, and the event that does it.
    pub(crate) fn decide(&self, definition: &EventTypeDefinition) -> Result<(Registration, EventData)> {
        let event = definition.to_event()?;
        let registration = self.registered.decide(definition)?;
        let is_new =
            matches!(registration.outcome, RegistrationOutcome::NewType | RegistrationOutcome::NewVersion);
        let name = definition.event_type.as_str();
        if is_new && self.registered.count() >= DEFINITIONS_MAX {
            let reason = format!("the store has {DEFINITIONS_MAX} definitions already, which is the limit");
            return Err(Invalid::new("event type definition", name, reason).into());
        }
        if registration.outcome != RegistrationOutcome::Repeated
            && let Some(schema) = &definition.schema
        {
            check_schema(schema).map_err(|reason| Invalid::new("schema of event type", name, reason))?;
        }
        Ok((registration, event))
    }
}

/// Looks at the events of one append, one after the other.
pub(crate) struct Inspection<'a> {
    types: &'a EventTypes,
    stream: &'a StreamId,
    committed: &'a Committed,
    count: usize,
    first_id: Option<EventId>,
    verdict: Verdict,
}

/// What is known of an append.
enum Verdict {
    /// Nothing was found yet.
    Open,
    /// Something was found, and counts: the append isn't a repetition.
    New,
    /// Its first event is in the stream already: whatever it is, nothing of it will be written.
    Repeated,
    Refused(Error),
}

impl Inspection<'_> {
    /// Whether the append may go on with this event.
    pub(crate) fn admits(&mut self, event: &EventData) -> bool {
        if self.count == 0 {
            self.first_id.clone_from(&event.id);
        }
        if let Err(error) = self.look_at(event) {
            self.verdict = Verdict::Refused(error);
        }
        self.count += 1;
        !matches!(self.verdict, Verdict::Refused(_))
    }

    fn look_at(&mut self, event: &EventData) -> Result<()> {
        if matches!(self.verdict, Verdict::Repeated | Verdict::Refused(_)) {
            return Ok(());
        }
        let Some(checked) = self.types.get(&event.event_type) else { return Ok(()) };
        let Some((validation, Breach { path, reason })) = checked.check(self.stream, event) else {
            return Ok(());
        };
        if matches!(self.verdict, Verdict::Open) {
            let is_there = match &self.first_id {
                Some(id) => find_given_id_in(self.committed, self.stream, id)?.is_some(),
                None => false,
            };
            self.verdict = if is_there { Verdict::Repeated } else { Verdict::New };
        }
        if matches!(self.verdict, Verdict::Repeated) {
            return Ok(());
        }
        let (event_type, schema_version) = (event.event_type.clone(), event.schema_version);
        let (stream, index) = (self.stream.clone(), self.count);
        let violation = SchemaViolation { stream, index, event_type, schema_version, path, reason };
        if validation == Validation::Enforce {
            return Err(Error::SchemaViolation(Box::new(violation)));
        }
        self.types.tell(&violation);
        Ok(())
    }

    /// Whether the append may be handed over.
    pub(crate) fn conclude(self) -> Result<()> {
        match self.verdict {
            Verdict::Refused(error) => Err(error),
            Verdict::Open | Verdict::New | Verdict::Repeated => Ok(()),
        }
    }
}

impl CheckedType {
    /// What an event breaks, and what that leads to; none if it breaks nothing, or nobody looks.
    fn check(&self, stream: &StreamId, event: &EventData) -> Option<(Validation, Breach)> {
        let newest = self.registered.newest();
        let known = self.registered.version(event.schema_version);
        let definition = &known.unwrap_or(newest).definition;
        let validation = definition.validation;
        let whole = |reason: String| Some((validation, Breach { path: String::new(), reason }));
        if validation == Validation::Off {
            return None;
        }
        if known.is_none() {
            let newest = newest.definition.schema_version;
            return whole(format!("this schema version isn't registered; the newest is {newest}"));
        }
        if let Some(category) = &definition.category
            && stream.category() != category
        {
            return whole(format!("such events are for streams of the category \"{category}\""));
        }
        let schema = definition.schema.as_ref()?;
        if event.content_type != ContentType::JSON {
            return whole("it has a schema, and its data aren't marked as JSON".to_owned());
        }
        let compiled = self.compiled.get(&event.schema_version)?;
        match compiled.get_or_init(|| CompiledSchema::new(schema)) {
            Ok(compiled) => compiled.check(&event.data).err().map(|breach| (validation, breach)),
            // A warning of each event would say the same, and nothing about the event.
            Err(_) if cfg!(not(feature = "schema")) && validation == Validation::Warn => None,
            Err(reason) if cfg!(feature = "schema") => whole(format!("its schema can't be used: {reason}")),
            Err(reason) => whole(reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
