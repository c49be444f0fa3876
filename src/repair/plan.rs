//! What a repair would do: which bytes it changes, and which events that costs.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    disk::contract::list_inner_dir,
    error::{Error, Result},
    format::{control::StoreMeta, layout::bytes, segment_header::SegmentHeader},
    index::files::IndexFiles,
    inspect::{
        inspection::rebuilt_header,
        ordering::Stranger,
        report::{Finding, FindingKind, Listed, LostId, LostVersions, PositionRange, Verification},
        verify::Inspected,
    },
    log::{
        creation::meta_path,
        mark::Mark,
        segment::{index_number, index_path, segment_path, segments_directory},
    },
    position::Position,
    repair::{
        left_out::LeftOut,
        merged::{Files, LogEnd, Merged, Rewrite},
    },
};

/// Files that have another's name wait under numbers from here on, which no segment reaches.
const ASIDE_FROM: u64 = 900_000_000_000;

/// Something that a repair changes.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RepairStep {
    /// A segment's file gets its right name.
    Rename {
        /// The name that it has.
        from: PathBuf,
        /// The name that it should have.
        to: PathBuf,
    },
    /// A segment's file is written anew; the one that had its name, which a backup may share, goes to `quarantine/`.
    Write {
        /// The file.
        path: PathBuf,
        /// How long it is then.
        bytes: u64,
        /// How long it was before; none: it was missing.
        bytes_before: Option<u64>,
        /// How much of it comes from the backup.
        bytes_restored: u64,
        /// How much of it is what can only have stood there.
        bytes_mended: u64,
    },
    /// A file goes to `quarantine/`.
    TakeOut {
        /// The file.
        path: PathBuf,
    },
    /// A file that is made of the log is removed; it is made anew.
    MakeAnew {
        /// The file.
        path: PathBuf,
    },
    /// `store.meta` is written again.
    WriteMeta {
        /// The file.
        path: PathBuf,
    },
    /// `durable.mark` says how long the log is now.
    WriteMark {
        /// The file.
        path: PathBuf,
    },
}

/// What a repair would do, or has done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RepairPlan {
    /// What is damaged.
    pub verification: Verification,
    /// The position of the last event that stays.
    pub kept: Position,
    /// Whether the log is cut off behind that event.
    pub cuts: bool,
    /// The positions that the backup gives back.
    pub restored: Listed<PositionRange>,
    /// How many they are.
    pub events_restored: u64,
    /// The positions of events behind the cut that can't be read: they are lost.
    pub lost: Listed<PositionRange>,
    /// How many they are; none: that isn't known.
    pub events_lost: Option<u64>,
    /// Their streams and versions, as far as those are known.
    pub lost_versions: Listed<LostVersions>,
    /// Their ids, as far as what is left of them shows one.
    pub lost_ids: Listed<LostId>,
    /// The positions of events behind the cut that can be read: they are set aside in `quarantine/`.
    pub set_aside: Listed<PositionRange>,
    /// How many they are.
    pub events_set_aside: u64,
    /// Why the log is cut off where more of it might be mended: its segment is damaged beyond what a repair looks through, or
    /// mends, in one file. None: the log isn't cut off, or no more of it can be mended.
    pub limit: Option<String>,
    /// What is changed, in this order.
    pub steps: Vec<RepairStep>,
}

impl RepairPlan {
    /// What becomes of the events. `left_out` is what is behind the cut.
    pub(crate) fn new(
        verification: Verification,
        merged: Option<&Merged>,
        left_out: LeftOut,
        changes: &[Change],
    ) -> Self {
        let cut = merged.filter(|merged| merged.end == LogEnd::Cut);
        let kept = merged.map_or(verification.last_position, |merged| merged.next_position().previous());
        let limit = cut.and_then(|cut| cut.limit.as_ref());
        let LeftOut { lost, events_lost, lost_versions, lost_ids, intact, events_intact } = left_out;
        Self {
            kept,
            cuts: cut.is_some(),
            restored: merged.map(|merged| merged.restored.ranges()).unwrap_or_default(),
            events_restored: merged.map_or(0, |merged| merged.restored.events),
            lost,
            events_lost,
            lost_versions,
            lost_ids,
            set_aside: intact,
            events_set_aside: events_intact,
            limit: limit.map(|(path, limit)| format!("{}: {limit}", path.display())),
            steps: changes.iter().map(|change| change.step.clone()).collect(),
            verification,
        }
    }

    /// Whether anything is to be changed.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether events are taken out of the log.
    #[must_use]
    pub fn loses_events(&self) -> bool {
        self.events_set_aside > 0 || self.events_lost != Some(0)
    }

    /// Whether anything but what is made of the log is to be changed.
    pub(crate) fn mends(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step, RepairStep::MakeAnew { .. }))
    }
}

/// The index files that aren't as the log is, streams.dir among them.
pub(crate) fn wrong_indexes(found: &Verification) -> impl Iterator<Item = PathBuf> {
    let is_index = |finding: &&Finding| matches!(finding.kind, FindingKind::Index | FindingKind::Directory);
    found.findings.iter().filter(is_index).map(|finding| finding.path.clone())
}

/// A step, with what it takes to make it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) step: RepairStep,
    /// The file that it replaces or takes away, by the name which that has before any is renamed: it is kept.
    pub(crate) was: Option<PathBuf>,
    pub(crate) content: Content,
}

impl Change {
    /// A step that writes nothing.
    pub(crate) fn of(step: RepairStep, was: Option<PathBuf>) -> Self {
        Self { step, was, content: Content::Nothing }
    }
}

/// What is written.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Nothing,
    Segment(Box<Rewrite>),
    Bytes(Vec<u8>),
}

/// All changes, in the order in which they are made.
///
/// What is missing is put back first. A log is cut before the segments behind the cut are taken out, the last one first: until
/// the first of them is gone, its presence says that the cut segment isn't whole, whatever other witness is left. durable.mark
/// and store.meta come last: so a store that was refused is refused until all is changed.
pub(crate) struct Changes<'a> {
    files: &'a IndexFiles,
    meta: &'a StoreMeta,
    own: &'a Files,
    /// Files in segments' places that are none of this log, as long as nothing takes their place.
    strangers: BTreeSet<PathBuf>,
    all: Vec<Change>,
}

impl<'a> Changes<'a> {
    /// What makes a store of the merged log; none: of the log as it is.
    pub(crate) fn of(
        files: &'a IndexFiles,
        inspected: &Inspected,
        (meta, own): (&'a StoreMeta, &'a Files),
        merged: Option<&Merged>,
        mark: &Mark,
    ) -> Result<Vec<Change>> {
        let mut changes = Self { files, meta, own, strangers: BTreeSet::new(), all: Vec::new() };
        changes.find_strangers(inspected)?;
        changes.rename()?;
        for rewrite in merged.iter().flat_map(|merged| &merged.rewrites) {
            changes.write(rewrite);
        }
        let cut = merged.filter(|merged| merged.end == LogEnd::Cut);
        if let Some(cut) = cut {
            changes.take_out_behind(cut)?;
        }
        changes.take_out_strangers();
        changes.make_anew(&inspected.verification, merged)?;
        if let Some(end) = cut.map(Merged::log_end).filter(|end| mark.durable() != Some(*end)) {
            let path = mark.path().to_owned();
            changes.put(RepairStep::WriteMark { path: path.clone() }, path, mark.anew(end));
        }
        if inspected.meta.is_none() {
            let path = meta_path(&files.store);
            changes.put(RepairStep::WriteMeta { path: path.clone() }, path, meta.encode());
        }
        Ok(changes.all)
    }

    fn push(&mut self, step: RepairStep, was: Option<PathBuf>) {
        self.all.push(Change::of(step, was));
    }

    fn put(&mut self, step: RepairStep, path: PathBuf, content: Vec<u8>) {
        self.all.push(Change { step, was: Some(path), content: Content::Bytes(content) });
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        segment_path(&self.files.store, number)
    }

    fn find_strangers(&mut self, inspected: &Inspected) -> Result<()> {
        for stranger in &inspected.strangers {
            match stranger {
                Stranger::File(path) => {
                    self.strangers.insert(path.clone());
                }
                Stranger::Other(path) => {
                    let reason = "this has a segment's name and is no file: move it out of segments/ yourself, and \
                                  repair again";
                    return Err(Error::not_repairable(path, reason));
                }
            }
        }
        Ok(())
    }

    /// Gives segments their names.
    fn rename(&mut self) -> Result<()> {
        let misnamed = self.own.iter().filter_map(|(number, file)| {
            let right = self.segment_path(*number);
            (file.path != right).then(|| (file.path.clone(), self.segment_path(ASIDE_FROM + number), right))
        });
        let misnamed: Vec<(PathBuf, PathBuf, PathBuf)> = misnamed.collect();
        // First all of them aside, so that each right name is free.
        for (from, aside, _) in &misnamed {
            if from != aside {
                self.check_is_free(aside)?;
                self.push(RepairStep::Rename { from: from.clone(), to: aside.clone() }, None);
            }
        }
        for (_, from, to) in misnamed {
            if self.strangers.remove(&to) {
                self.push(RepairStep::TakeOut { path: to.clone() }, Some(to.clone()));
            }
            self.push(RepairStep::Rename { from, to }, None);
        }
        Ok(())
    }

    /// Refuses a store in which another file has a name that one needs that waits for its own.
    fn check_is_free(&self, aside: &PathBuf) -> Result<()> {
        let is_taken = self.strangers.contains(aside) || self.own.values().any(|file| file.path == *aside);
        if !is_taken {
            return Ok(());
        }
        let reason = "under this name a repair keeps a segment whose own name another one has, and it is taken: move it out \
                      of segments/ yourself, and repair again";
        Err(Error::not_repairable(aside, reason))
    }

    fn write(&mut self, rewrite: &Rewrite) {
        let path = self.segment_path(rewrite.number);
        let stranger = self.strangers.take(&path);
        let step = RepairStep::Write {
            path,
            bytes: rewrite.length,
            bytes_before: rewrite.was.as_ref().map(|was| was.bytes),
            bytes_restored: rewrite.bytes_restored,
            bytes_mended: rewrite.bytes_mended,
        };
        let was = rewrite.was.as_ref().map(|was| was.path.clone()).or(stranger);
        self.all.push(Change { step, was, content: Content::Segment(Box::new(rewrite.clone())) });
    }

    /// Takes out the segments behind the place where the log can't go on, the last one first.
    fn take_out_behind(&mut self, cut: &Merged) -> Result<()> {
        let mut first_behind = cut.first_behind();
        if cut.is_nothing(self.meta.first_segment) {
            // A store of no event is a segment of no event. It comes first, so that one always tells which store this is.
            let path = self.segment_path(first_behind);
            let content = self.beginning()?.encode();
            let was = self.strangers.take(&path);
            let length = bytes(content.len());
            let step = RepairStep::Write {
                path,
                bytes: length,
                bytes_before: None,
                bytes_restored: 0,
                bytes_mended: length,
            };
            self.all.push(Change { step, was, content: Content::Bytes(content) });
            first_behind += 1;
        }
        for (number, file) in self.own.range(first_behind..).rev() {
            self.push(RepairStep::TakeOut { path: self.segment_path(*number) }, Some(file.path.clone()));
        }
        Ok(())
    }

    fn take_out_strangers(&mut self) {
        for path in std::mem::take(&mut self.strangers).into_iter().rev() {
            self.push(RepairStep::TakeOut { path: path.clone() }, Some(path));
        }
    }

    /// Removes what is made of the log and isn't as the log is, or won't be.
    fn make_anew(&mut self, found: &Verification, merged: Option<&Merged>) -> Result<()> {
        let mut paths: Vec<PathBuf> = wrong_indexes(found).collect();
        if let Some(merged) = merged {
            let mut numbers: Vec<u64> = merged.rewrites.iter().map(|rewrite| rewrite.number).collect();
            if merged.end == LogEnd::Cut {
                // That of the last one that stays too: it isn't followed any more by what it was.
                let first_cut = merged.first_behind().saturating_sub(1);
                numbers.extend(self.index_numbers()?.into_iter().filter(|number| *number >= first_cut));
                paths.push(self.files.directory_path());
            }
            paths.extend(numbers.iter().map(|number| index_path(&self.files.store, *number)));
        }
        paths.sort();
        paths.dedup();
        paths.retain(|path| self.files.disk.kind(path).is_ok_and(|kind| kind.is_some()));
        for path in paths {
            self.push(RepairStep::MakeAnew { path }, None);
        }
        Ok(())
    }

    /// The numbers of all index files.
    fn index_numbers(&self) -> Result<Vec<u64>> {
        let directory = segments_directory(&self.files.store);
        let entries = match list_inner_dir(&*self.files.disk, &directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(|error| Error::io("list", &directory, error))?,
        };
        Ok(entries.iter().filter_map(|entry| index_number(&entry.name)).collect())
    }

    /// The header of a log of no event.
    fn beginning(&self) -> Result<SegmentHeader> {
        rebuilt_header(self.meta, self.meta.first_segment, None).ok_or_else(|| {
            let reason =
                "the log's first segments were dropped before, and what is left of it can't be begun anew";
            Error::not_repairable(&self.files.store, reason)
        })
    }
}
