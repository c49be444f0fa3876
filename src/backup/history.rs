//! How far two histories of one store are the same.

use crate::{
    error::{Error, Result},
    log::{scan::Scan, segment::Segment},
    position::Position,
};

/// The position up to which two segments with the same header have the same events. So many bytes count of the first.
pub(crate) fn last_common(one: &Segment, one_bytes: u64, other: &Segment) -> Result<Position> {
    let io = |error| Error::io("read", &one.path, error);
    let other_io = |error| Error::io("read", &other.path, error);
    let mut one_scan = Scan::until(&*one.file, &one.header, one_bytes).map_err(io)?;
    let mut other_scan = Scan::new(&*other.file, &other.header).map_err(other_io)?;
    loop {
        let common = one_scan.end().next_position.previous();
        let frames = (one_scan.next_frame().map_err(io)?, other_scan.next_frame().map_err(other_io)?);
        let (Ok(one_frame), Ok(other_frame)) = frames else { return Ok(common) };
        // With its checksum, which is of the payload too.
        if one_frame.header != other_frame.header {
            let pairs = one_frame.records().zip(other_frame.records());
            let same = pairs.take_while(|((_, one), (_, other))| match (one, other) {
                (Ok(one), Ok(other)) => one.bytes == other.bytes,
                _ => false,
            });
            return Ok(common.plus(same.map(|_| 1).sum()));
        }
    }
}
