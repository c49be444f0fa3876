//! What the store tells of itself to `tracing`, where that feature is on: openings, recoveries, failures.

use std::{fmt, path::Path};

/// Something that operators may want to know.
pub(crate) fn info(what: &str, path: &Path, detail: fmt::Arguments<'_>) {
    #[cfg(feature = "tracing")]
    tracing::info!(path = %path.display(), %detail, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = (what, path, detail);
}

/// Something that operators should look at.
pub(crate) fn warn(what: &str, path: &Path, detail: fmt::Arguments<'_>) {
    #[cfg(feature = "tracing")]
    tracing::warn!(path = %path.display(), %detail, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = (what, path, detail);
}
