//! What to do where an import has stopped.

use annals::Error;

use crate::{input::Problem, mapping::Mapping};

/// How the import goes on, of which so many lines are stored.
pub(crate) fn advice(reason: &anyhow::Error, mappings: &[Mapping], lines_stored: u64) -> &'static str {
    if !is_the_lines_fault(reason) {
        "import again: what is stored isn't doubled"
    } else if mappings.is_empty() && lines_stored == 0 {
        "mend the line and import again; lines of another program are taken with --map FIELD=PATH"
    } else if mappings.is_empty() {
        "mend the line and import again: what is stored isn't doubled"
    } else if lines_stored == 0 {
        "mend the line or what --map says, and import again"
    } else {
        "mend the line or what --map says, and import again: what is stored isn't doubled, and stays as it is; where --map \
         is to make something else of it, import into another store"
    }
}

/// Whether another line would have been taken: not so where reading or the disk failed.
fn is_the_lines_fault(reason: &anyhow::Error) -> bool {
    let store = reason.chain().find_map(|part| part.downcast_ref::<Error>());
    match store {
        Some(
            Error::Invalid(_)
            | Error::IdTaken { .. }
            | Error::ReservedStream { .. }
            | Error::SchemaViolation(_),
        ) => true,
        Some(_) => false,
        None => reason.downcast_ref::<Problem>().is_some(),
    }
}
