//! Places and counts: where an event stands in its stream, in the log, and in the log's bytes.
//!
//! Three numbers that must never be mixed are three types. Versions and positions begin at 1 and have no
//! gaps; 0 means "none yet". Neither ever shrinks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;

macro_rules! number {
    ($(#[$documentation:meta])* $name:ident, $none:literal) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            #[doc = $none]
            pub const NONE: Self = Self(0);
            /// The first one there is: 1.
            pub const FIRST: Self = Self(1);

            /// The number as a value of this type.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one behind this one; the greatest stays as it is.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one before this one; 0 stays as it is.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// The one `count` further on.
            #[must_use]
            pub(crate) const fn plus(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                Self(number)
            }
        }

        impl From<$name> for u64 {
            fn from(number: $name) -> Self {
                number.0
            }
        }
    };
}

number! {
    /// An event's number in its stream: 1 for the first, without gaps. As a stream's version it is the
    /// number of its last event.
    Version, "No version: the stream has no event."
}

number! {
    /// An event's number in the whole log: 1 for the first, without gaps, in the order of commits.
    Position, "No position: the log has no event."
}

/// A byte's place in the whole log: a segment's base plus the offset in its file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub(crate) struct LogOffset(u64);

impl LogOffset {
    pub(crate) const fn new(offset: u64) -> Self {
        Self(offset)
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn plus(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

/// What an append demands of the stream's version. It is checked against the stream as it is at the moment
/// of the commit, so that of two writers who saw the same version exactly one succeeds.
///
/// ```
/// use annals::{ExpectedVersion, Version};
///
/// assert_eq!("7".parse::<ExpectedVersion>()?, ExpectedVersion::Exact(Version::new(7)));
/// assert_eq!("no-stream".parse::<ExpectedVersion>()?, ExpectedVersion::NoStream);
/// assert!("-3".parse::<ExpectedVersion>().is_err());
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExpectedVersion {
    /// No check.
    Any,
    /// The stream has no event yet.
    NoStream,
    /// The stream has at least one event.
    StreamExists,
    /// The stream's version is exactly this; 0 says the same as [`ExpectedVersion::NoStream`].
    Exact(Version),
}

impl ExpectedVersion {
    /// Whether a stream at `actual` meets the demand.
    #[must_use]
    pub fn is_met_by(self, actual: Version) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual == Version::NONE,
            Self::StreamExists => actual > Version::NONE,
            Self::Exact(expected) => actual == expected,
        }
    }
}

impl From<Version> for ExpectedVersion {
    fn from(version: Version) -> Self {
        Self::Exact(version)
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("any"),
            Self::NoStream => formatter.write_str("no-stream"),
            Self::StreamExists => formatter.write_str("exists"),
            Self::Exact(version) => version.fmt(formatter),
        }
    }
}

impl FromStr for ExpectedVersion {
    type Err = Invalid;

    /// Reads a number, or `any` (-1), `no-stream` (0), `exists` (-2).
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "any" | "-1" => Ok(Self::Any),
            "no-stream" | "0" => Ok(Self::NoStream),
            "exists" | "-2" => Ok(Self::StreamExists),
            number => number.parse().map(|version| Self::Exact(Version(version))).map_err(|_| {
                let reason = "it is a number from 0 up, or any, no-stream or exists (-1, 0, -2)";
                Invalid::new("expected version", text, reason)
            }),
        }
    }
}
