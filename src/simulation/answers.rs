//! Whether everything else that can be asked gets the answers that the log gives, which was read from one end to the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    catalog::{Counted, count_all, count_names, find_given_id, find_given_id_in, list_streams},
    committed::Committed,
    error::Result,
    event::StoredEvent,
    event_id::EventId,
    events::Events,
    position::Version,
    query::Query,
    selection::Selection,
    stream::StreamId,
    stream_list::StreamFilter,
};

/// A name that no stream, category, or event type has.
const ABSENT: &str = "absent";

/// How much is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Questions {
    /// Each stream and each event type, forwards, and each id that a caller gave.
    Cheap,
    /// Also everything and each stream backwards, each category, lists and counts.
    All,
}

/// Asks what the index answers. `all` is what the log has. Returns what differs.
pub(crate) fn compare_answers(
    committed: &Arc<Committed>,
    all: &[StoredEvent],
    questions: Questions,
    was_given: impl Fn(&EventId) -> bool,
) -> Result<Option<String>> {
    let asked = Asked { committed, all };
    let mut different = asked.compare_streams()?;
    if different.is_none() {
        different = asked.compare_types()?;
    }
    if different.is_none() {
        different = asked.compare_ids(was_given)?;
    }
    if different.is_none() && questions == Questions::All {
        different = asked.compare_the_rest()?;
    }
    Ok(different)
}

/// What is asked, and what the log has.
struct Asked<'a> {
    committed: &'a Arc<Committed>,
    all: &'a [StoredEvent],
}

impl<'a> Asked<'a> {
    fn compare_streams(&self) -> Result<Option<String>> {
        for (name, events) in self.grouped(|event| event.stream.as_str()) {
            let Ok(stream) = StreamId::new(name) else { continue };
            let version = self.committed.version(self.committed.key(name))?;
            if version != Version::new(events.len() as u64)
                || self.differs(Query::stream(&stream).select(), events.iter().copied())?
            {
                return Ok(Some(format!("stream {name} isn't as the log has it")));
            }
        }
        Ok(None)
    }

    fn compare_types(&self) -> Result<Option<String>> {
        for (name, events) in self.grouped(|event| &event.event_type) {
            if self.differs(Query::all().event_type(name).select(), events.iter().copied())? {
                return Ok(Some(format!("the events of type {name} aren't those that the log has")));
            }
        }
        Ok(None)
    }

    fn compare_the_rest(&self) -> Result<Option<String>> {
        if self.differs(Query::all().backwards().select(), self.all.iter().rev())? {
            return Ok(Some("everything read backwards isn't everything read forwards".to_owned()));
        }
        for (name, events) in self.grouped(|event| event.stream.as_str()) {
            let Ok(stream) = StreamId::new(name) else { continue };
            let query = Query::stream(&stream).backwards();
            if self.differs(query.select(), events.iter().copied().rev())? {
                return Ok(Some(format!("stream {name} read backwards isn't as the log has it")));
            }
        }
        for (name, events) in self.grouped(|event| event.stream.category()) {
            let query = Query::all().category(name).backwards();
            if self.differs(query.select(), events.iter().copied().rev())? {
                return Ok(Some(format!("category {name} isn't as the log has it")));
            }
        }
        self.compare_counts()
    }

    /// The events that share a name, and a name that none has.
    fn grouped(&self, name: impl Fn(&'a StoredEvent) -> &'a str) -> BTreeMap<&'a str, Vec<&'a StoredEvent>> {
        let mut groups = BTreeMap::from([(ABSENT, Vec::new())]);
        for event in self.all {
            groups.entry(name(event)).or_default().push(event);
        }
        groups
    }

    /// Whether a query gives other events than these. What has an event's position and checksum is its record.
    fn differs<'b>(
        &self,
        selection: Selection,
        mut expected: impl Iterator<Item = &'b StoredEvent>,
    ) -> Result<bool> {
        let mut events = Events::new(self.committed, selection);
        while let Some(found) = events.try_next()? {
            let place = (found.position, found.version, found.checksum);
            if expected.next().is_none_or(|event| (event.position, event.version, event.checksum) != place) {
                return Ok(true);
            }
        }
        Ok(expected.next().is_some())
    }

    fn compare_counts(&self) -> Result<Option<String>> {
        let categories = counted(self.all.iter().map(|event| event.stream.category()));
        let types = counted(self.all.iter().map(|event| event.event_type.as_str()));
        let streams = counted(self.all.iter().map(|event| event.stream.as_str()));
        let listed = list_streams(self.committed, &StreamFilter::all())?;
        let listed = listed.iter().map(|stream| (stream.stream.to_string(), stream.version.get()));
        let info = count_all(self.committed)?;
        let different = if count_names(self.committed, Counted::Categories)? != categories {
            "the categories and how many events they have"
        } else if count_names(self.committed, Counted::EventTypes)? != types {
            "the event types and how many events they have"
        } else if !listed.eq(streams.clone()) {
            "the list of streams"
        } else if (info.events, info.streams) != (self.all.len() as u64, streams.len() as u64) {
            "how many events and streams there are"
        } else {
            return Ok(None);
        };
        Ok(Some(format!("{different} aren't as the log has them")))
    }

    fn compare_ids(&self, was_given: impl Fn(&EventId) -> bool) -> Result<Option<String>> {
        let mut seen = BTreeSet::new();
        for event in self.all.iter().filter(|event| was_given(&event.id)) {
            // Of an id that several streams have, the first event in the log is found.
            let is_first = seen.insert(event.id.to_string());
            let in_its_stream = find_given_id_in(self.committed, &event.stream, &event.id)?;
            let anywhere = if is_first { find_given_id(self.committed, &event.id)? } else { None };
            if in_its_stream.as_ref() != Some(event) || is_first && anywhere.as_ref() != Some(event) {
                return Ok(Some(format!("event {} isn't found by its id", event.position)));
            }
        }
        Ok(None)
    }
}

fn counted<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}
