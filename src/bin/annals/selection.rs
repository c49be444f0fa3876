//! Which events are asked for: the options that `read` and `tail` share, and the queries that they make.

use annals::{Bound, GroupMember, NameCount, Position, Query, Reader, StreamId, Version};
use clap::Args;

use crate::{completion, failure};

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Selection {
    /// The stream.
    #[arg(group = "source", conflicts_with_all = ["group", "including_system"], add = completion::streams())]
    pub(crate) stream: Option<StreamId>,
    /// The events of all streams, in the order of their positions.
    #[arg(long, group = "source")]
    pub(crate) all: bool,
    /// The events of this category's streams, in the order of their positions. Given again: also those of that one.
    ///
    /// A category is what stands before the first `-` of a stream's name.
    #[arg(long, group = "source", value_name = "CATEGORY", add = completion::categories())]
    pub(crate) category: Vec<String>,
    /// Only events of this type. Given again: also those of that one.
    #[arg(long = "type", value_name = "TYPE", add = completion::event_types())]
    pub(crate) event_type: Vec<String>,
    /// Only events whose metadata have this correlationId. Given again: also those with that one.
    #[arg(long, value_name = "ID")]
    pub(crate) correlation: Vec<String>,
    /// Only the streams that fall to member M of a group of N, as in 1/4: each stream falls to one of them.
    #[arg(long, value_name = "M/N")]
    pub(crate) group: Option<GroupMember>,
    /// Also the store's own streams, whose names begin with `$`: checkpoints are kept there.
    #[arg(long)]
    pub(crate) including_system: bool,
}

impl Selection {
    /// What is asked of one stream, without bounds.
    pub(crate) fn of_stream(&self, stream: &StreamId) -> Query<Version> {
        self.narrow(Query::stream(stream))
    }

    /// What is asked of all streams, without bounds.
    pub(crate) fn of_all(&self) -> Query<Position> {
        let mut query = self.narrow(Query::all());
        for category in &self.category {
            query = query.category(category);
        }
        if let Some(member) = self.group {
            query = query.group(member);
        }
        // Who names one of the store's own categories asks for it.
        let names_system = self.category.iter().any(|category| category.starts_with('$'));
        if self.including_system || names_system { query.including_system() } else { query }
    }

    /// Says to somebody who sees no event that there was none.
    pub(crate) fn tell_of_nothing(&self, store: &Reader) -> annals::Result<()> {
        match &self.stream {
            Some(stream) if !store.stream_exists(stream)? => {
                let advice = "\"annals streams\" lists those there are";
                failure::tell_on_terminal(&format!("stream \"{stream}\" has no event; {advice}"));
            }
            _ => failure::tell_on_terminal("no event is as was asked for"),
        }
        Ok(())
    }

    /// Says which names have no event yet, since a checkpoint goes past all that isn't of them.
    pub(crate) fn tell_of_unknown_names(&self, store: &Reader) -> annals::Result<()> {
        tell_of_unknown("category", &self.category, || store.categories())?;
        tell_of_unknown("type", &self.event_type, || store.event_types())
    }

    fn narrow<B: Bound>(&self, mut query: Query<B>) -> Query<B> {
        for event_type in &self.event_type {
            query = query.event_type(event_type);
        }
        for correlation in &self.correlation {
            query = query.correlation(correlation);
        }
        query
    }
}

/// The names that are known are only looked up where some are asked for: each segment has its own.
fn tell_of_unknown(
    kind: &str,
    asked: &[String],
    known: impl FnOnce() -> annals::Result<Vec<NameCount>>,
) -> annals::Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    let known = known()?;
    let is_unknown = |name: &&String| !name.starts_with('$') && known.iter().all(|it| it.name != **name);
    for name in asked.iter().filter(is_unknown) {
        failure::tell(&format!("no event is of {kind} {name:?} yet, and the checkpoint passes all others"));
    }
    Ok(())
}
