//! A rehearsal: what a plan would leave is looked at by the code that looks at what it has left, while nothing is changed yet. So a plan
//! that wouldn't come true is refused, and not found out behind its changes.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    format::{control::StoreMeta, layout::bytes},
    index::files::IndexFiles,
    inspect::{
        ordering::{Ordering, Slot, order_segments},
        report::{Damage, Listed},
        stream_table::StreamTable,
        verify::Part,
    },
    log::scan::ChainEnd,
    position::Position,
    repair::{
        merged::Sources, plan::Change, planned_disk::PlannedDisk, planned_end::PlannedEnd,
        progress::RepairProgress,
    },
};

/// What a plan says that it leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) kept: Position,
    pub(crate) end: PlannedEnd,
}

/// Looks at what changes would leave, from the first segment on that isn't sound, behind these streams. An error if that isn't a whole
/// log that ends as it is promised.
pub(crate) fn rehearse(
    files: &IndexFiles,
    sources: &Sources<'_>,
    changes: &[Change],
    (sound_up_to, streams): ((u64, Option<ChainEnd>), StreamTable),
    promise: &Promise,
    progress: &mut RepairProgress<'_>,
) -> Result<()> {
    let disk = Arc::new(PlannedDisk::new(&files.disk, sources, changes));
    let files = IndexFiles { disk, ..files.clone() };
    let first_segment = sources.meta.first_segment;
    let ordering = order_segments(&*files.disk, &files.store, Some(files.store_id), first_segment)?;
    let (damage, end) = what_is_left(&files, sources.meta, &ordering, (sound_up_to, streams), progress)?;
    let fault = match (ordering.damage.first().or(damage.first()), end) {
        (Some(damage), _) => {
            format!("{}, offset {}: {}", damage.path.display(), damage.offset, damage.reason)
        }
        (None, Some(end)) if promise.is_kept_by(&end) => return Ok(()),
        (None, Some((_, end))) => format!("its log would end with position {}", end.next_position.previous()),
        (None, None) => "nothing tells where its log would end".to_owned(),
    };
    let reason = format!(
        "a repair was to leave a log that ends with position {}, and wouldn't, so nothing was changed: {fault}. Restore the \
         store from a backup",
        promise.kept
    );
    Err(Error::not_repairable(&files.store, reason))
}

/// The number of a segment, and its end.
type NumberedEnd = (u64, ChainEnd);

impl Promise {
    fn is_kept_by(&self, (last, end): &NumberedEnd) -> bool {
        let PlannedEnd { segment, file_offset, chain, .. } = self.end;
        (*last, end.file_offset, end.chain) == (segment, file_offset, chain)
            && end.next_position.previous() == self.kept
    }
}

/// What is damaged of what changes would leave, and where the log ends; none: with damage.
fn what_is_left(
    files: &IndexFiles,
    meta: &StoreMeta,
    ordering: &Ordering,
    ((first, before), streams): ((u64, Option<ChainEnd>), StreamTable),
    progress: &mut RepairProgress<'_>,
) -> Result<(Listed<Damage>, Option<NumberedEnd>)> {
    let behind = ordering.slots.iter().filter_map(Slot::file).filter(|file| file.number >= first);
    let Some(last) = behind.clone().map(|file| file.number).max() else {
        // All that isn't sound goes: what stays was looked at.
        return Ok((Listed::default(), before.map(|before| (first - 1, before))));
    };
    progress.expect(behind.map(|file| file.bytes).sum());
    let slots = &ordering.slots;
    let part = Part { files, meta, slots, from: (first, before) };
    let (found, end) = part.walk(streams, &mut |_, _, record| progress.advance(bytes(record.bytes.len())))?;
    Ok((found.damage, end.map(|end| (last, end))))
}
