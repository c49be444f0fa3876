//! A walk over the frames of one segment that goes on behind damage.

use std::{io, sync::Arc};

use crate::{
    error::{Error, Result},
    format::{
        frame::FrameHeader,
        layout::bytes,
        record::{self, RECORD_FIXED_BYTES, Record},
    },
    inspect::{
        allowance::Allowance,
        newer::{WRITTEN_ANEW, is_of_newer_version, is_shorter_than_it_was},
        search::{Search, stretch_of},
        tolerant_file::TolerantFile,
    },
    log::{
        hand_over::{self, Take, hand_over},
        recovery::check_sealed,
        scan::{ChainEnd, Scan, Stop},
        segment::Segment,
    },
};

/// How often something is looked at anew, since somebody seems to be changing it.
pub(crate) const LOOKS_MAX: usize = 100;

/// A segment that is open for a walk, which its bad sectors don't end.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) segment: Segment,
    pub(crate) file: Arc<TolerantFile>,
}

/// What a walk meets: a valid frame, or bytes that aren't valid frames where some were.
pub(crate) type Step<'a> = hand_over::Step<'a, Gap>;

/// Bytes that aren't valid frames, where some were.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) reason: String,
    /// What the frame here should have gone on from.
    pub(crate) before: ChainEnd,
    /// What the next valid frame goes on from; none: none is there.
    pub(crate) resumed: Option<ChainEnd>,
    /// Where the gap ends in the file.
    pub(crate) end: u64,
    /// The header of the frame here, if that is right.
    pub(crate) header: Option<FrameHeader>,
    /// Whether the log is known to have gone on behind.
    pub(crate) is_cut_off: bool,
    /// Whether a newer version seems to have written the frame here.
    pub(crate) is_newer: bool,
}

impl Gap {
    /// Bytes of a valid frame that the disk can't read: its checksum says that they are zeros. No event is lost here, but
    /// who reads the frame's events may get an error.
    fn of_zeros(before: ChainEnd, at: u64) -> Self {
        let resumed = ChainEnd { file_offset: at, ..before };
        let reason = format!("{}; the checksums say that they are zeros", unreadable_reason(at));
        let (is_cut_off, is_newer) = (false, false);
        Self { reason, before: resumed, resumed: Some(resumed), end: at, header: None, is_cut_off, is_newer }
    }
}

/// What is wrong with the end of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EndFault {
    pub(crate) reason: String,
    /// Whether the log is known to have gone on behind.
    pub(crate) is_cut_off: bool,
}

impl EndFault {
    fn of(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_cut_off: false }
    }

    /// The log has gone on, and that isn't there.
    pub(crate) fn before_more(end: ChainEnd, stop: Stop) -> Self {
        let reason = if end.seal.is_some() {
            "the segment behind this one is missing, though the log goes on beyond it"
        } else {
            stop.reason
        };
        Self { reason: reason.to_owned(), is_cut_off: end.seal.is_some() }
    }
}

/// How a segment has to end.
pub(crate) enum End<'a> {
    /// With a SEAL, since the segment of this number is there.
    Sealed(u64),
    /// At this offset in its file, which a writer has committed, or behind.
    Committed(u64),
    /// Where this finds nothing wrong.
    Open(&'a JudgeEnd<'a>),
}

/// Says what is wrong with the end of a log; none: nothing.
pub(crate) type JudgeEnd<'a> = dyn Fn(&OpenSegment, ChainEnd, Stop) -> Result<Option<EndFault>> + Sync + 'a;

impl End<'_> {
    /// Nothing is looked at from there on.
    pub(crate) fn bytes_end(&self) -> u64 {
        match self {
            Self::Committed(bytes_end) => *bytes_end,
            Self::Sealed(_) | Self::Open(_) => u64::MAX,
        }
    }

    /// What is wrong where no frame is valid; none: the segment ends there as it should.
    fn damage_at(&self, walked: &OpenSegment, end: ChainEnd, stop: Stop) -> Result<Option<EndFault>> {
        let found = match self {
            Self::Sealed(_) if end.seal.is_none() => Some(EndFault::of(stop.reason)),
            Self::Sealed(_) => match check_sealed(&walked.segment, end, stop) {
                Err(Error::Corrupt { reason, .. }) => Some(EndFault::of(reason)),
                checked => {
                    checked?;
                    is_shorter_than_it_was(&walked.segment, &end).then(|| EndFault::of(WRITTEN_ANEW))
                }
            },
            Self::Committed(bytes_end) => {
                let behind =
                    end.seal.map_or(end.file_offset, |seal| walked.segment.file_offset(seal.logical_end));
                (behind < *bytes_end).then(|| EndFault::before_more(end, stop))
            }
            Self::Open(judge) => judge(walked, end, stop)?,
        };
        let looked_at = end.file_offset..self.bytes_end();
        let unreadable = walked.file.unreadable_in(looked_at);
        Ok(unreadable.map(|at| EndFault::of(unreadable_reason(at))).or(found))
    }
}

fn unreadable_reason(file_offset: u64) -> String {
    format!("the disk can't read the bytes from offset {file_offset} on")
}

/// Walks over a segment, and has each step taken in, in order. Returns where it ends.
pub(crate) fn walk(walked: &OpenSegment, end: &End<'_>, take: Take<'_, Gap>) -> Result<ChainEnd> {
    let length = walked.segment.prepared().min(end.bytes_end());
    hand_over(length, |take| walk_here(walked, end, take), take)
}

fn walk_here(walked: &OpenSegment, end: &End<'_>, take: Take<'_, Gap>) -> Result<ChainEnd> {
    let segment = &walked.segment;
    let io = |error| Error::io("read", &segment.path, error);
    let mut scan = Scan::until(&*segment.file, &segment.header, end.bytes_end()).map_err(io)?;
    let allowance = Allowance::of_segment(segment.prepared());
    let mut search = Search::new(segment, end.bytes_end(), &allowance).map_err(io)?;
    let mut looks = 1;
    loop {
        let before = scan.end();
        let stop = match scan.next_frame().map_err(io) {
            Ok(Ok(frame)) => {
                let frame_end = frame.file_offset + bytes(frame.header.frame_bytes());
                if let Some(at) = walked.file.unreadable_in(frame.file_offset..frame_end) {
                    take(Step::Note(Gap::of_zeros(before, at)))?;
                }
                take(Step::Frame(frame))?;
                continue;
            }
            Ok(Err(stop)) => stop,
            Err(error) if is_cut_meanwhile(&error) && looks < LOOKS_MAX => {
                looks += 1;
                scan.shorten().map_err(io)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let fault = while_it_is_cut(|| end.damage_at(walked, scan.end(), stop))?;
        let Some(fault) = fault else { return Ok(scan.end()) };
        let gap = while_it_is_cut(|| gap_at(walked, scan.end(), end, &fault, &mut search))?;
        let is_newer = is_of_newer_version(stop.reason) || is_of_newer_version(&fault.reason);
        let gap = Gap { is_newer, ..gap };
        let resumed = gap.resumed;
        take(Step::Note(gap))?;
        let Some(resumed) = resumed else { return Ok(scan.end()) };
        scan.skip_to(resumed);
    }
}

/// Whether a file ended before it should: a writer has cut it to its end since its length was asked.
pub(crate) fn is_cut_meanwhile(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof)
}

/// Asks again where a file was cut to its end meanwhile.
fn while_it_is_cut<T>(mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..LOOKS_MAX {
        match ask() {
            Err(error) if is_cut_meanwhile(&error) => {}
            answer => return answer,
        }
    }
    ask()
}

/// What stands where the chain ends, and where frames go on.
fn gap_at(
    walked: &OpenSegment,
    before: ChainEnd,
    end: &End<'_>,
    fault: &EndFault,
    search: &mut Search<'_>,
) -> Result<Gap> {
    let EndFault { mut reason, is_cut_off } = fault.clone();
    let segment = &walked.segment;
    let io = |error| Error::io("read", &segment.path, error);
    let file_bytes = segment.file.len().map_err(io)?.min(end.bytes_end());
    if before.seal.is_some() {
        let (resumed, header, is_newer) = (None, None, false);
        return Ok(Gap { reason, before, resumed, end: file_bytes, header, is_cut_off, is_newer });
    }
    let resumed = search.find_on(&before).map_err(io)?;
    if let (End::Sealed(next), None) = (end, resumed) {
        reason = format!("{reason} (segment {next} is there, so a SEAL must end this one)");
    }
    if resumed.is_none() && search.is_given_up() {
        reason = format!("{reason}; so much is damaged before that not all behind was looked through");
    }
    let gap_end = resumed.map_or(file_bytes, |resumed| resumed.file_offset).max(before.file_offset);
    let unreadable = walked.file.unreadable_in(before.file_offset..gap_end);
    let reason = unreadable.map_or(reason, unreadable_reason);
    let header = header_at_end(segment, &before).map_err(io)?;
    Ok(Gap { reason, before, resumed, end: gap_end, header, is_cut_off, is_newer: false })
}

/// The header of the frame where the chain ends, if it goes on the chain.
pub(crate) fn header_at_end(segment: &Segment, before: &ChainEnd) -> io::Result<Option<FrameHeader>> {
    let header = segment.frame_header_at(before.file_offset)?;
    let goes_on =
        |header: &FrameHeader| header.chain == before.chain && header.first_position == before.next_position;
    Ok(header.filter(goes_on))
}

/// Asks the record at a place, found by its own length; none: no whole one is there, or it can't be paid for.
pub(crate) fn record_at<T>(
    walked: &OpenSegment,
    file_offset: u64,
    allowance: &Allowance,
    ask: impl FnOnce(&Record<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let io = |error| Error::io("read", &walked.segment.path, error);
    let fixed = stretch_of(&walked.segment, file_offset, u64::MAX, RECORD_FIXED_BYTES).map_err(io)?;
    let Some(length) = record::length(&fixed).ok().filter(|length| allowance.pay(bytes(*length))) else {
        return Ok(None);
    };
    let content = stretch_of(&walked.segment, file_offset, u64::MAX, length).map_err(io)?;
    record::decode(&content).ok().map(|record| ask(&record)).transpose()
}
