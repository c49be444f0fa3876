//! What tells how long the log was, beside its own frames: durable.mark, streams.dir, and a writer that is alive.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::{
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    format::{control::MARK_SLOT_BYTES, layout::bytes, segment_header::SEGMENT_HEADER_BYTES},
    index::{directory::SegmentTable, files::IndexFiles},
    inspect::{
        report::{Finding, FindingKind},
        tolerant_file::TolerantFile,
        walk::{EndFault, LOOKS_MAX, OpenSegment, is_cut_meanwhile},
    },
    log::{
        followed_head::{FollowedHead, Standing},
        mark::Mark,
        recovery::tail_facts,
        scan::{ChainEnd, Scan, Stop},
        segment::{read_header, segment_path},
        verdict::{TailFacts, Verdict, judge},
    },
    position::LogOffset,
};

/// Whether somebody may be writing.
#[derive(Debug)]
pub(crate) enum Writers {
    /// None: the caller has the lock.
    None,
    /// The page says so.
    Perhaps(FollowedHead),
}

impl Writers {
    /// How far a writer who is alive has committed the log.
    pub(crate) fn committed(&self) -> Option<LogOffset> {
        match self {
            Self::None => None,
            Self::Perhaps(head) => match head.look().0 {
                Standing::Attended(committed) => Some(committed),
                Standing::Left(_) | Standing::Unknown => None,
            },
        }
    }
}

/// The witnesses of a log's length.
#[derive(Debug)]
pub(crate) struct Marks<'a> {
    files: &'a IndexFiles,
    writers: Writers,
    /// How much of the log streams.dir says that there is.
    directory: LogOffset,
    /// How many bytes of an interrupted write stand at the end.
    pub(crate) interrupted_bytes: AtomicU64,
    /// Whether a writer has come since the verification began: the log goes on behind what was looked at.
    is_overtaken: AtomicBool,
    /// What the last segment has behind its first damage, and that segment's number: so all of that is read once, and not again for
    /// each further place that is damaged.
    beyond_damage: Mutex<Option<(u64, TailFacts)>>,
}

impl<'a> Marks<'a> {
    /// The witnesses of a store. `directory` is what its streams.dir covers, if it has one.
    pub(crate) fn new(files: &'a IndexFiles, writers: Writers, directory: Option<&SegmentTable>) -> Self {
        // It is written when the segment behind those that it covers is durable.
        let behind = |covered: &SegmentTable| covered.log_end().plus(bytes(SEGMENT_HEADER_BYTES));
        let directory = directory.map_or(LogOffset::default(), behind);
        Self {
            files,
            writers,
            directory,
            interrupted_bytes: AtomicU64::new(0),
            is_overtaken: AtomicBool::new(false),
            beyond_damage: Mutex::default(),
        }
    }

    /// What is wrong with the end of the last segment; none: nothing, or a cut has left it so, or a writer has come and goes on
    /// from there.
    pub(crate) fn judge_end(
        &self,
        walked: &OpenSegment,
        end: ChainEnd,
        stop: Stop,
    ) -> Result<Option<EndFault>> {
        if let Some(fault) = self.judge_behind_damage(walked, end, stop) {
            return Ok(Some(fault));
        }
        let chain_end = walked.segment.log_offset(end.file_offset);
        let mut before: Option<TailFacts> = None;
        for _ in 0..LOOKS_MAX {
            // Before the look at the file: what is committed stands there.
            let committed = self.writers.committed();
            let looked =
                self.goes_on(walked, end).and_then(|goes_on| Ok((goes_on, self.facts(walked, end, stop)?)));
            let (goes_on, facts) = match looked {
                Err(error) if is_cut_meanwhile(&error) => continue,
                looked => looked?,
            };
            if goes_on || committed.is_some_and(|committed| committed <= chain_end) {
                self.is_overtaken.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            if committed.is_some() {
                return Ok(Some(EndFault { is_cut_off: true, ..EndFault::before_more(end, stop) }));
            }
            match (judge(&facts), &self.writers) {
                (Verdict::Whole, _) => return Ok(None),
                (Verdict::Torn, _) => {
                    let torn = facts.bytes_end.get() - facts.chain_end.get();
                    self.interrupted_bytes.store(torn, Ordering::Relaxed);
                    return Ok(None);
                }
                // A writer that is just clearing up looks like damage in no two looks alike.
                (Verdict::Corrupt(_), Writers::Perhaps(_)) if before.as_ref() != Some(&facts) => {
                    before = Some(facts);
                }
                (Verdict::Corrupt(reason), _) => {
                    let fault = fault_of(&facts, end, stop, reason);
                    *self.beyond_damage.lock() = Some((walked.segment.header.number, facts));
                    return Ok(Some(fault));
                }
            }
        }
        Ok(Some(EndFault { reason: stop.reason.to_owned(), is_cut_off: false }))
    }

    /// The same behind damage, by what was seen there: nobody goes on in a segment that is damaged. None: that tells of no more.
    fn judge_behind_damage(&self, walked: &OpenSegment, end: ChainEnd, stop: Stop) -> Option<EndFault> {
        let seen = self.beyond_damage.lock();
        let (number, before) = seen.as_ref()?;
        let chain_end = walked.segment.log_offset(end.file_offset);
        if *number != walked.segment.header.number || chain_end < before.chain_end {
            return None;
        }
        let facts = TailFacts { chain_end, mode: end.mode, stop: stop.tail, ..before.clone() };
        match judge(&facts) {
            Verdict::Corrupt(reason) => Some(fault_of(&facts, end, stop, reason)),
            Verdict::Whole | Verdict::Torn => None,
        }
    }

    /// Whether the log goes on where it seemed to end: a writer has come since, and may be gone again.
    fn goes_on(&self, walked: &OpenSegment, end: ChainEnd) -> Result<bool> {
        if matches!(self.writers, Writers::None) {
            return Ok(false);
        }
        let (files, segment) = (self.files, &walked.segment);
        if let Some(seal) = end.seal {
            let path = segment_path(&files.store, segment.header.number + 1);
            let Ok(file) = files.disk.open(&path, OpenMode::Read) else { return Ok(false) };
            return Ok(read_header(&path, &*file).is_ok_and(|next| next.is_behind(&seal)));
        }
        // Opened anew: a backup that is brought up to date has another file under this name.
        let file = TolerantFile::open(&*files.disk, &segment.path)?;
        let io = |error| Error::io("read", &segment.path, error);
        let mut scan = Scan::new(&*file, &segment.header).map_err(io)?;
        scan.skip_to(end);
        Ok(scan.next_frame().map_err(io)?.is_ok())
    }

    /// Whether a writer is here now, or was since the verification began.
    pub(crate) fn are_overtaken(&self) -> bool {
        self.is_overtaken.load(Ordering::Relaxed) || self.writers.committed().is_some()
    }

    /// Whether the log has grown behind what was looked at.
    pub(crate) fn has_grown(&self, walked: &OpenSegment, end: ChainEnd) -> Result<bool> {
        Ok(self.are_overtaken() || self.goes_on(walked, end)?)
    }

    fn facts(&self, walked: &OpenSegment, end: ChainEnd, stop: Stop) -> Result<TailFacts> {
        let files = self.files;
        let mark = Mark::read(&*files.disk, &files.store, files.store_id)?;
        let mut facts = tail_facts(&walked.segment, end, stop, &mark)?;
        facts.durable = facts.durable.max(self.directory);
        Ok(facts)
    }
}

fn fault_of(facts: &TailFacts, end: ChainEnd, stop: Stop, reason: &str) -> EndFault {
    EndFault { reason: described(facts, end, stop, reason), is_cut_off: facts.durable > facts.chain_end }
}

fn described(facts: &TailFacts, end: ChainEnd, stop: Stop, reason: &str) -> String {
    let is_missing = end.seal.is_some() && facts.bytes_end <= facts.chain_end;
    if is_missing {
        return "the segment behind this one is missing, though the log was durable beyond it".to_owned();
    }
    format!("{reason} ({})", stop.reason)
}

/// What is wrong with durable.mark itself: one slot may be damaged by a cut, and it says nothing if both are.
pub(crate) fn check_mark(disk: &dyn Disk, files: &IndexFiles, mark: &Mark) -> Result<Option<Finding>> {
    let path = mark.path();
    let io = |error| Error::io("read", path, error);
    if disk.kind(path).map_err(io)?.is_none() {
        return Ok(None);
    }
    let length = disk.open(path, OpenMode::Read).and_then(|file| file.len()).map_err(io)?;
    let reason = if mark.durable().is_none() {
        format!("neither of its slots is one of the store {:016x}", files.store_id)
    } else if length != 2 * bytes(MARK_SLOT_BYTES) {
        format!("it has {length} bytes, and not {}", 2 * MARK_SLOT_BYTES)
    } else {
        return Ok(None);
    };
    Ok(Some(Finding::new(FindingKind::Mark, path, reason)))
}
