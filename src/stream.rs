//! Names: which stream an event belongs to, and what its category is.
//!
//! A stream's identity is its text, `category-id`. The category is what stands before the first `-`, or the
//! whole name where there is none. It is derived and never given, so it can't disagree with the name.
//! Names are data: nothing in the store ever makes a path of one.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;

/// The longest name of a stream or an event type, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 2_048;

/// What the names of the store's own streams begin with; a caller's append to one is refused.
const SYSTEM_PREFIX: u8 = b'$';

/// The name of a stream: `category-id`, 1 to 2,048 bytes of UTF-8 without control characters.
///
/// Cloning is cheap: clones share the text.
///
/// ```
/// use annals::StreamId;
///
/// let stream: StreamId = "order-2026-17".parse()?;
/// assert_eq!(stream.category(), "order");
/// assert_eq!(stream.id(), Some("2026-17"));
/// assert_eq!(StreamId::from_parts("order", "2026-17")?, stream);
/// assert!(StreamId::new("").is_err());
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// Takes a name as it is.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is empty, longer than 2,048 bytes, or has a control character.
    pub fn new(name: impl AsRef<str>) -> Result<Self, Invalid> {
        let name = name.as_ref();
        check_name("stream id", name)?;
        Ok(Self(Arc::from(name)))
    }

    /// Joins a category and an id: `category-id`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] as [`StreamId::new`], and if the category is empty or has a `-`, since it
    /// would not be this stream's category then.
    pub fn from_parts(category: &str, id: &str) -> Result<Self, Invalid> {
        if category.is_empty() {
            return Err(Invalid::new("stream category", category, "it is empty"));
        }
        if category.contains('-') {
            return Err(Invalid::new("stream category", category, "it has a '-', which ends a category"));
        }
        Self::new(format!("{category}-{id}"))
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `-`, or the whole name.
    #[must_use]
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or(&self.0, |(category, _)| category)
    }

    /// What stands behind the first `-`, or none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.split_once('-').map(|(_, id)| id)
    }

    /// Whether the stream is the store's own: its name begins with `$`.
    #[must_use]
    pub fn is_system(&self) -> bool {
        is_system(self.0.as_bytes())
    }
}

/// Whether a stream of this name is the store's own.
pub(crate) fn is_system(name: &[u8]) -> bool {
    name.first() == Some(&SYSTEM_PREFIX)
}

/// The category in a stream's name.
pub(crate) fn category_of(name: &[u8]) -> &[u8] {
    // In UTF-8 the byte of a '-' is part of no other character.
    name.split(|byte| *byte == b'-').next().unwrap_or(name)
}

/// The rules for the names of streams and event types, which later go into a terminal and into indexes.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Err(Invalid::new(what, name, "it is empty: give it 1 to 2,048 bytes"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Invalid::too_large(what, name, name.len(), NAME_BYTES_MAX));
    }
    // Most names are plain. Without a stop at the first byte that isn't, the processor looks at several at a time.
    let is_plain = name.bytes().fold(true, |is_plain, byte| is_plain & (b' '..=b'~').contains(&byte));
    if !is_plain && name.chars().any(char::is_control) {
        return Err(Invalid::new(
            what,
            name,
            "it has a control character, as a line end or a tab is: leave it out",
        ));
    }
    Ok(())
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StreamId({:?})", &*self.0)
    }
}

impl AsRef<str> for StreamId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamId {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        Self::new(name)
    }
}

impl TryFrom<&str> for StreamId {
    type Error = Invalid;

    fn try_from(name: &str) -> Result<Self, Invalid> {
        Self::new(name)
    }
}

impl TryFrom<String> for StreamId {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        Self::new(name)
    }
}

impl From<StreamId> for String {
    fn from(stream: StreamId) -> Self {
        stream.as_str().to_owned()
    }
}
