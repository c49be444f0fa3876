//! What a caller gave and the store can't take: said before anything is written.

use std::fmt;

/// A value that is outside its rules. Nothing was written.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Invalid {
    /// What the value was to be: `stream id`, `event type`, `expected version`, …
    pub what: &'static str,
    /// The value, cut to its first 64 characters.
    pub value: String,
    /// Which rule it breaks, and what is allowed.
    pub reason: String,
}

/// How many characters of a refused value are kept for the message.
const VALUE_CHARACTERS_MAX: usize = 64;

impl Invalid {
    /// A value that breaks a rule, for programs whose own [`Codec`](crate::Codec) refuses it. The value is cut to its
    /// first 64 characters.
    ///
    /// ```
    /// let invalid = annals::Invalid::new("amount", "-3", "it is below 0");
    /// assert_eq!(invalid.to_string(), r#"invalid amount "-3": it is below 0"#);
    /// ```
    pub fn new(what: &'static str, value: &str, reason: impl Into<String>) -> Self {
        let mut kept: String = value.chars().take(VALUE_CHARACTERS_MAX).collect();
        if kept.len() < value.len() {
            kept.push('…');
        }
        Self { what, value: kept, reason: reason.into() }
    }

    /// A size above its limit, both in bytes.
    pub(crate) fn too_large(what: &'static str, value: &str, size: usize, limit: usize) -> Self {
        Self::new(what, value, format!("it has {size} bytes, and the limit is {limit}"))
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, reason } = self;
        write!(formatter, "invalid {what} {value:?}: {reason}")
    }
}

impl std::error::Error for Invalid {}
