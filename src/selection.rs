//! A query as a cursor takes it: what is walked over, and which records of it are shown.
//!
//! Where events are read through upcasters, a record is judged twice: by what upcasters can't change, as it is stored, and by
//! the rest, as it comes out.

use std::{mem, sync::Arc};

use crate::{
    cursor::Cursor,
    format::record::Peek,
    group::GroupMember,
    index::part::Direction,
    metadata::correlation_id,
    position::Position,
    stream::{StreamId, category_of, is_system},
    time::Timestamp,
    upcast::Upcasters,
};

/// What a cursor walks over.
#[derive(Clone, Debug)]
pub enum Source {
    Stream(StreamId),
    All,
}

/// A query as a cursor takes it.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) source: Source,
    /// The first number that is wanted, from 1.
    pub(crate) first: u64,
    /// The last one.
    pub(crate) last: u64,
    pub(crate) limit: u64,
    pub(crate) direction: Direction,
    /// What is asked of events as they are stored.
    pub(crate) filter: Filter,
    /// The upcasters through which they are read; none: they are read as they are stored.
    pub(crate) through: Option<Through>,
}

/// Which records within the bounds are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    Everything,
    /// All but those of the store's own streams.
    Ordinary,
    /// [`Selection::judge`] says it of each.
    Judged,
}

/// What becomes of a record, by what it seems to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    PassedOver,
    ShownAsStored,
    /// Whether something of it is wanted is known behind the upcasters.
    Upcast,
}

/// Upcasters, and what is asked of the events that come out of them.
#[derive(Clone, Debug)]
pub(crate) struct Through {
    pub(crate) upcasters: Arc<Upcasters>,
    wanted: Wanted,
}

/// What is asked of events as they come out: only that which upcasters may change.
#[derive(Clone, Debug)]
struct Wanted {
    /// Any of these; empty: any at all.
    event_types: Vec<String>,
    correlations: Vec<String>,
}

impl Through {
    /// Takes from a filter over what is stored that which is to be asked of what comes out, and lets it pass the types
    /// that can become those that are wanted.
    pub(crate) fn new(upcasters: &Arc<Upcasters>, filter: &mut Filter) -> Self {
        let stored_types = upcasters.stored_types(&filter.event_types);
        let wanted = Wanted {
            event_types: mem::replace(&mut filter.event_types, stored_types),
            correlations: mem::take(&mut filter.correlations),
        };
        Self { upcasters: Arc::clone(upcasters), wanted }
    }

    /// Whether an event is wanted that came out.
    pub(crate) fn admits(&self, event_type: &[u8], metadata: &[u8]) -> bool {
        let Wanted { event_types, correlations } = &self.wanted;
        is_any_of(event_types, event_type) && has_correlation(correlations, metadata)
    }
}

impl Selection {
    /// Whether events of the store's own streams are among what is wanted.
    pub(crate) fn shows_system(&self) -> bool {
        match &self.source {
            Source::Stream(stream) => stream.is_system(),
            Source::All => self.filter.system == SystemStreams::Included,
        }
    }

    /// What of the records within the bounds is wanted.
    pub(crate) fn admission(&self) -> Admission {
        match (self.through.is_none() && self.filter.admits_any_content(), self.filter.system) {
            (true, SystemStreams::Included) => Admission::Everything,
            (true, SystemStreams::LeftOut) => Admission::Ordinary,
            (false, _) => Admission::Judged,
        }
    }

    /// What becomes of a record that seems to say this.
    pub(crate) fn judge(&self, seen: Peek<'_>) -> Fate {
        if !self.filter.admits(seen) {
            return Fate::PassedOver;
        }
        match &self.through {
            Some(through) if through.upcasters.concern(seen.stream, seen.event_type) => Fate::Upcast,
            Some(through) if !through.admits(seen.event_type, seen.metadata) => Fate::PassedOver,
            _ => Fate::ShownAsStored,
        }
    }

    /// Whether an event is left out only since its stream is the store's own.
    pub(crate) fn leaves_out(&self, stream: &str) -> bool {
        is_system(stream.as_bytes()) && !self.shows_system()
    }
}

/// Whether the store's own streams are read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum SystemStreams {
    #[default]
    LeftOut,
    Included,
}

/// Which events are wanted, beside bounds of versions and positions.
#[derive(Clone, Default, Debug)]
pub(crate) struct Filter {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// The last position, where versions are the bounds.
    pub(crate) position_max: Option<Position>,
    /// The cursor behind which reading begins, whose event has to be there.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) system: SystemStreams,
    /// Any of these; empty: any at all.
    pub(crate) categories: Vec<String>,
    pub(crate) event_types: Vec<String>,
    pub(crate) correlations: Vec<String>,
    pub(crate) group: Option<GroupMember>,
}

impl Filter {
    /// Whether every event of an ordinary stream is wanted that is within the bounds.
    pub(crate) fn admits_any_content(&self) -> bool {
        self.categories.is_empty()
            && self.event_types.is_empty()
            && self.correlations.is_empty()
            && self.group.is_none()
    }

    /// Whether an event is wanted by what is in it; bounds aside.
    pub(crate) fn admits(&self, event: Peek<'_>) -> bool {
        (self.system == SystemStreams::Included || !is_system(event.stream))
            && is_any_of(&self.event_types, event.event_type)
            && is_any_of(&self.categories, category_of(event.stream))
            && self.group.is_none_or(|group| group.has_name(event.stream))
            && has_correlation(&self.correlations, event.metadata)
    }

    /// Whether an event comes before the last moment that is wanted.
    pub(crate) fn is_before_end(&self, timestamp: Timestamp, position: Position) -> bool {
        self.until.is_none_or(|until| timestamp <= until)
            && self.position_max.is_none_or(|last| position <= last)
    }

    /// Whether categories or event types are named, which the index finds.
    pub(crate) fn names_any(&self) -> bool {
        !self.categories.is_empty() || !self.event_types.is_empty()
    }

    /// Whether there is such a last moment.
    pub(crate) fn has_end(&self) -> bool {
        self.until.is_some() || self.position_max.is_some()
    }
}

fn is_any_of(names: &[String], name: &[u8]) -> bool {
    names.is_empty() || names.iter().any(|any| any.as_bytes() == name)
}

fn has_correlation(ids: &[String], metadata: &[u8]) -> bool {
    ids.is_empty() || correlation_id(metadata).is_some_and(|id| ids.contains(&id))
}
