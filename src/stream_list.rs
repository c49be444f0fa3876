//! What is known of streams without reading their events.

use crate::{position::Version, selection::SystemStreams, stream::StreamId, time::Timestamp};

/// A stream: how far it is, and since when.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Its name.
    pub stream: StreamId,
    /// The version of its last event.
    pub version: Version,
    /// When its first event was stored.
    pub created: Timestamp,
    /// When its last event was stored.
    pub updated: Timestamp,
}

impl StreamInfo {
    /// The category in its name.
    #[must_use]
    pub fn category(&self) -> &str {
        self.stream.category()
    }

    /// How many events it has.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.version.get()
    }

    /// What is known of a stream.
    #[must_use]
    pub fn new(stream: StreamId, version: Version, created: Timestamp, updated: Timestamp) -> Self {
        Self { stream, version, created, updated }
    }
}

/// Which streams to list. With `after` and `limit` a long list is read in parts.
///
/// ```
/// use annals::StreamFilter;
///
/// let filter = StreamFilter::all().category("order").limit(100);
/// ```
#[derive(Clone, Default, Debug)]
#[must_use = "a filter lists nothing until a store is given it"]
pub struct StreamFilter {
    prefix: String,
    category: Option<String>,
    after: Option<StreamId>,
    system: SystemStreams,
    limit: Option<usize>,
}

impl StreamFilter {
    /// All streams but the store's own.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only streams whose names begin like this.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Only streams of this category.
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }

    /// Only streams behind this one, in the order of names.
    pub fn after(mut self, stream: &StreamId) -> Self {
        self.after = Some(stream.clone());
        self
    }

    /// Also the store's own streams, whose names begin with `$`.
    pub fn including_system(mut self) -> Self {
        self.system = SystemStreams::Included;
        self
    }

    /// How many streams are listed at most.
    #[must_use]
    pub fn streams_max(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }

    /// At most so many streams.
    pub fn limit(mut self, streams_max: usize) -> Self {
        self.limit = Some(streams_max);
        self
    }

    /// Whether a stream is among those that are wanted, leaving the limit aside.
    #[must_use]
    pub fn admits(&self, stream: &StreamId) -> bool {
        let name = stream.as_str();
        name.starts_with(&self.prefix)
            && (self.system == SystemStreams::Included || !stream.is_system())
            && self.category.as_ref().is_none_or(|category| stream.category() == category)
            && self.after.as_ref().is_none_or(|after| stream > after)
    }
}
