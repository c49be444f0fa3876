//! A place in the log that a reader keeps: the position of an event, and the checksum of its record.
//!
//! After a power cut in `Buffered` mode the log may end earlier than a reader had seen, and a position can come to
//! mean another event. The checksum tells the two apart, so a reader that goes on from such a place is told.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{invalid::Invalid, position::Position};

/// A place in the log: behind this event. It is what a consumer keeps to go on from, as text or in a checkpoint.
///
/// ```
/// use annals::{Cursor, Position};
///
/// let cursor: Cursor = "4211:89abcdef".parse()?;
/// assert_eq!(cursor, Cursor { position: Position::new(4_211), checksum: 0x89ab_cdef });
/// assert_eq!(cursor.to_string(), "4211:89abcdef");
/// assert_eq!(Cursor::START.to_string(), "0:00000000");
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// The position of the last event that was dealt with; 0: none was.
    pub position: Position,
    /// The checksum of that event's record; 0 where there is none.
    pub checksum: u32,
}

/// How many digits a checksum has in a cursor's text.
const CHECKSUM_DIGITS: usize = 8;

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self { position: Position::NONE, checksum: 0 };
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{:0CHECKSUM_DIGITS$x}", self.position, self.checksum)
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    /// Reads `POSITION:CHECKSUM`, the checksum as eight hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || {
            let (position, checksum) = text.split_once(':')?;
            let is_whole = checksum.len() == CHECKSUM_DIGITS
                && checksum.bytes().all(|digit| digit.is_ascii_hexdigit())
                && position.bytes().all(|digit| digit.is_ascii_digit());
            let checksum = u32::from_str_radix(checksum, 16).ok().filter(|_| is_whole)?;
            Some(Self { position: Position::new(position.parse().ok()?), checksum })
        };
        read().ok_or_else(|| {
            Invalid::new("cursor", text, "it is a position and eight hexadecimal digits, as in 4211:89abcdef")
        })
    }
}

impl TryFrom<String> for Cursor {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}
