//! What of an event is printed.

use clap::ValueEnum;

/// A field of an event: a column of text, and the members of a line of JSON that say the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Field {
    /// The place in the log.
    Position,
    /// The stream.
    Stream,
    /// The place in the stream.
    Version,
    /// What happened.
    Type,
    /// When the store took it.
    #[value(alias = "timestamp")]
    Time,
    /// The event's id.
    Id,
    /// When it happened, where somebody said so.
    #[value(alias = "occurredAt")]
    OccurredAt,
    /// The version of the data's schema.
    #[value(alias = "schemaVersion")]
    SchemaVersion,
    /// The data.
    Data,
    /// What stands beside the data.
    Metadata,
}

/// What is printed of an event as text if nothing is said.
pub(crate) const USUAL: [Field; 7] =
    [Field::Position, Field::Stream, Field::Version, Field::Type, Field::Time, Field::Data, Field::Metadata];

impl Field {
    /// The members of the event's line of JSON that hold it, of which an event has those that it needs.
    pub(crate) fn members(self) -> &'static [&'static str] {
        match self {
            Self::Position => &["position"],
            Self::Stream => &["stream"],
            Self::Version => &["version"],
            Self::Type => &["type"],
            Self::Time => &["timestamp"],
            Self::Id => &["id"],
            Self::OccurredAt => &["occurredAt"],
            Self::SchemaVersion => &["schemaVersion"],
            Self::Data => &["data", "dataBase64", "contentType"],
            Self::Metadata => &["metadata", "metadataBase64", "metadataContentType"],
        }
    }

    /// Whether it is what an event holds, and may be of any length.
    pub(crate) fn is_payload(self) -> bool {
        matches!(self, Self::Data | Self::Metadata)
    }
}

/// The fields in their order, each once.
pub(crate) fn distinct(fields: &[Field]) -> Vec<Field> {
    let mut distinct = Vec::new();
    for field in fields {
        if !distinct.contains(field) {
            distinct.push(*field);
        }
    }
    distinct
}
