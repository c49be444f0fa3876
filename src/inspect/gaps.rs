//! What a census makes of bytes that aren't valid frames: the records that are whole are taken in, and what isn't there is told.

use std::rc::Rc;

use crate::{
    error::{Error, Result},
    format::{
        frame::{FRAME_HEADER_BYTES, FrameKind},
        layout::{PAYLOAD_BYTES_MAX, bytes},
        record::{ID_END_BYTES_MAX, Record},
        segment_header::SegmentHeader,
    },
    index::{key::StreamKey, scanning::VERSION_MAX},
    inspect::{
        census::{Census, Intake},
        damaged_segment::Witness,
        report::Damage,
        salvage::{Broken, seeming},
        search::stretch_of,
        walk::{Gap, OpenSegment, record_at},
    },
    position::Position,
};

/// How much of a broken stretch is looked through for whole records, in bytes: the largest frame.
const SALVAGED_BYTES_MAX: usize = FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX;

impl Census<'_> {
    /// Takes in what is whole of a gap, and tells what isn't. `next` is the header of the segment behind, if there is one.
    pub(crate) fn gap(
        &mut self,
        walked: &OpenSegment,
        gap: &Gap,
        next: Option<&SegmentHeader>,
    ) -> Result<()> {
        let first = gap.before.next_position;
        let resumed = gap.resumed.map(|resumed| resumed.next_position);
        let beyond = resumed.or(next.map(|next| next.first_position)).filter(|beyond| *beyond >= first);
        let lost_before = self.losses.count();
        self.is_broken = true;
        let (path, start) = (&walked.segment.path, gap.before.file_offset);
        let mut damage = Damage::new(path, start, gap.reason.clone(), Some(first.previous()));
        if gap.is_newer {
            self.newer.get_or_insert_with(|| damage.clone());
        }
        if gap.before.seal.is_some() {
            // No event of this segment is behind its SEAL, but segments may have been.
            if gap.is_cut_off {
                damage.events_lost = None;
                self.cut_off();
            }
            self.damage(damage);
            return Ok(());
        }
        if beyond == Some(first) {
            // A frame without events, or what stands around them.
            self.damage(damage);
            return Ok(());
        }
        self.give_up_index(walked, next);
        let reached = self.salvage(walked, gap, beyond)?;
        match beyond.or(reached) {
            Some(beyond) => {
                self.lose_here(self.expected, beyond);
                self.expected = beyond;
            }
            None => self.cut_off(),
        }
        let losses = self.losses.count().zip(lost_before);
        damage.events_lost = losses.map(|(lost, before)| lost - before);
        self.damage(damage);
        Ok(())
    }

    /// Takes in the records that are whole in a gap. Returns the position behind it, if its records tell that.
    fn salvage(
        &mut self,
        walked: &OpenSegment,
        gap: &Gap,
        beyond: Option<Position>,
    ) -> Result<Option<Position>> {
        let io = |error| Error::io("read", &walked.segment.path, error);
        let start = gap.before.file_offset;
        if let Intake::Damaged(segment) = &self.intake
            && let Some(end) = segment.witness().map(Witness::next_position)
        {
            self.salvage_by_index(walked, gap, beyond.map_or(end, |beyond| beyond.min(end)))?;
            // What the index hasn't got came behind it.
            return Ok(Some(end).filter(|_| beyond.is_none() && gap.resumed.is_none()));
        }
        if gap.header.as_ref().is_some_and(|header| header.kind != FrameKind::Data) {
            return Ok(gap.resumed.is_none().then_some(gap.before.next_position));
        }
        let content = stretch_of(&walked.segment, start, gap.end, SALVAGED_BYTES_MAX).map_err(io)?;
        let payload_end =
            gap.header.as_ref().map(|header| FRAME_HEADER_BYTES + header.payload_bytes as usize);
        let allowance = Rc::clone(&self.allowance);
        let broken =
            Broken { bytes: &content, first: gap.before.next_position, beyond, allowance: &allowance };
        let mut outcome = Ok(());
        let reached = broken.each_record(payload_end, &mut |at, position, record| match record {
            Some(record) if outcome.is_ok() => outcome = self.salvaged(walked, start + bytes(at), record),
            Some(_) => {}
            None => {
                self.note_id(walked, start + bytes(at), &content[at..], position);
                self.note_damaged(&content[at..], position);
            }
        });
        outcome.map(|()| reached)
    }

    /// What a damaged record seems to say of its stream and version is taken if it goes on from what is known of that stream.
    fn note_damaged(&mut self, content: &[u8], position: Position) {
        let Intake::Damaged(segment) = &mut self.intake else { return };
        let Some((stream, version, seeming)) = seeming(content) else { return };
        if seeming == position {
            let key = StreamKey::of(stream, self.files.store_id);
            segment.take_damaged(key, (stream, version), &self.table, &mut self.losses);
        }
    }

    fn salvage_by_index(&mut self, walked: &OpenSegment, gap: &Gap, beyond: Position) -> Result<()> {
        let mut position = gap.before.next_position;
        while position < beyond {
            let file_offset = match &self.intake {
                Intake::Damaged(segment) => {
                    segment.witness().and_then(|witness| witness.file_offset(position))
                }
                _ => None,
            };
            let Some(file_offset) = file_offset else { return Ok(()) };
            let allowance = Rc::clone(&self.allowance);
            let taken = record_at(walked, file_offset, &allowance, |record| {
                if record.event.position == position {
                    self.salvaged(walked, file_offset, record)
                } else {
                    Ok(())
                }
            })?;
            if taken.is_none() {
                let content = stretch_of(&walked.segment, file_offset, u64::MAX, ID_END_BYTES_MAX);
                let content = content.map_err(|error| Error::io("read", &walked.segment.path, error))?;
                self.note_id(walked, file_offset, &content, position);
            }
            position = position.next();
        }
        Ok(())
    }

    /// Takes in an event in the midst of damage; those before it are lost.
    fn salvaged(&mut self, walked: &OpenSegment, file_offset: u64, record: &Record<'_>) -> Result<()> {
        if record.event.version > VERSION_MAX {
            self.note_id(walked, file_offset, record.bytes, record.event.position);
            return Ok(());
        }
        self.lose_here(self.expected, record.event.position);
        self.event(walked, file_offset, record)
    }
}
