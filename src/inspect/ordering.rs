//! Which segment files there are, and which is which: a segment is what its header says, and its file's name should agree.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    disk::contract::{Disk, DiskFile, EntryKind, list_inner_dir},
    error::{Error, Result},
    format::segment_header::{SEGMENT_NUMBER_MAX, SegmentHeader},
    inspect::{report::Damage, tolerant_file::TolerantFile},
    log::segment::{OTHER_NUMBER, read_header, segment_number, segment_path, segments_directory},
};

/// A place in the row of segments.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    /// No file has these segments.
    Missing {
        first: u64,
        last: u64,
    },
    Present(SegmentFile),
}

/// The file that has a segment.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) number: u64,
    /// It has another name than it should where the names were mixed up.
    pub(crate) path: PathBuf,
    /// None: it is damaged.
    pub(crate) header: Option<SegmentHeader>,
    /// The file's length, in bytes.
    pub(crate) bytes: u64,
}

impl Slot {
    /// The file, if there is one.
    pub(crate) fn file(&self) -> Option<&SegmentFile> {
        match self {
            Self::Missing { .. } => None,
            Self::Present(file) => Some(file),
        }
    }

    /// What of it has this number or a greater one.
    pub(crate) fn beginning_with(&self, number: u64) -> Option<Self> {
        match self {
            Self::Missing { first, last } if *last >= number => {
                Some(Self::Missing { first: number.max(*first), last: *last })
            }
            Self::Present(file) if file.number >= number => Some(self.clone()),
            Self::Missing { .. } | Self::Present(_) => None,
        }
    }

    /// The header, if it is right.
    pub(crate) fn header(&self) -> Option<&SegmentHeader> {
        self.file()?.header.as_ref()
    }

    /// The file's length, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file().map_or(0, |file| file.bytes)
    }
}

/// The row of segments, and what is wrong with their names.
#[derive(Debug, Default)]
pub(crate) struct Ordering {
    pub(crate) slots: Vec<Slot>,
    /// Files that stand in a segment's place and aren't it.
    pub(crate) damage: Vec<Damage>,
    /// Those of them that are no segment of this log.
    pub(crate) strangers: Vec<Stranger>,
}

/// Something that has a segment's name and is none of this log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stranger {
    File(PathBuf),
    /// A directory, a link.
    Other(PathBuf),
}

/// What a file of a segment's name is.
struct Named {
    path: PathBuf,
    header: Result<SegmentHeader, String>,
    bytes: u64,
}

impl Named {
    fn into_segment(self, number: u64) -> SegmentFile {
        SegmentFile { number, path: self.path, header: self.header.ok(), bytes: self.bytes }
    }
}

/// Looks at all files that have a segment's name. `store_id` is none where store.meta can't be read.
pub(crate) fn order_segments(
    disk: &dyn Disk,
    store: &Path,
    store_id: Option<u64>,
    first_segment: u64,
) -> Result<Ordering> {
    let mut ordering = Ordering::default();
    let Some(mut named) = list(disk, store, &mut ordering)? else { return Ok(ordering) };
    let store_id = store_id.or_else(|| common_store_id(&named));
    let strangers = take_strangers(&mut named, store_id, first_segment);
    let mut present: BTreeMap<u64, SegmentFile> =
        named.into_iter().map(|(number, file)| (number, file.into_segment(number))).collect();
    let last = present.keys().next_back().copied().unwrap_or(0) + strangers.len() as u64;
    for (number, stranger) in strangers {
        let damage = |reason: String| Damage::new(&stranger.path, 0, reason, None);
        match &stranger.header {
            // A segment whose file has another's name, and whose own name is free.
            Ok(header)
                if is_of(header, store_id)
                    && header.number >= first_segment
                    && !present.contains_key(&header.number)
                    && header.number <= last =>
            {
                let segment = header.number;
                ordering.damage.push(damage(format!("this is segment {segment}, under another's name")));
                present.insert(segment, stranger.into_segment(segment));
                continue;
            }
            Ok(header) if !is_of(header, store_id) => {
                ordering.damage.push(damage("the segment is from another store".to_owned()));
            }
            Ok(header) if header.number < first_segment => {
                let reason = format!("the log begins with segment {first_segment} and not with this one");
                ordering.damage.push(damage(reason));
            }
            Ok(_) => ordering.damage.push(damage(format!("{OTHER_NUMBER} ({number})"))),
            Err(reason) => ordering.damage.push(damage(reason.clone())),
        }
        ordering.strangers.push(Stranger::File(stranger.path));
    }
    ordering.slots = with_holes(present, first_segment);
    Ok(ordering)
}

/// The files of segments' names by number; none where their directory is gone.
fn list(disk: &dyn Disk, store: &Path, ordering: &mut Ordering) -> Result<Option<BTreeMap<u64, Named>>> {
    let directory = segments_directory(store);
    let entries = match list_inner_dir(disk, &directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        listed => listed.map_err(|error| Error::io("list", &directory, error))?,
    };
    let mut named = BTreeMap::new();
    for entry in entries {
        let Some(number) = segment_number(&entry.name) else { continue };
        let path = directory.join(&entry.name);
        if entry.kind != EntryKind::File {
            let reason = "this should be a segment, but isn't an ordinary file";
            ordering.damage.push(Damage::new(&path, 0, reason, None));
            ordering.strangers.push(Stranger::Other(path));
            continue;
        }
        named.insert(number, look_at(disk, path)?);
    }
    Ok(Some(named))
}

fn look_at(disk: &dyn Disk, path: PathBuf) -> Result<Named> {
    let file = TolerantFile::open(disk, &path)?;
    let bytes = file.len().map_err(|error| Error::io("read", &path, error))?;
    let header = match read_header(&path, &*file) {
        Err(Error::Corrupt { reason, .. }) => Err(reason),
        read => Ok(read?),
    };
    Ok(Named { path, header, bytes })
}

/// The store that most segments are of.
fn common_store_id(named: &BTreeMap<u64, Named>) -> Option<u64> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for header in named.values().filter_map(|file| file.header.as_ref().ok()) {
        *counts.entry(header.store_id).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(store_id, _)| store_id)
}

fn is_of(header: &SegmentHeader, store_id: Option<u64>) -> bool {
    store_id.is_none_or(|store_id| header.store_id == store_id)
}

/// Takes out the files that aren't the segment whose name they have.
fn take_strangers(
    named: &mut BTreeMap<u64, Named>,
    store_id: Option<u64>,
    first_segment: u64,
) -> BTreeMap<u64, Named> {
    let is_stranger = |number: u64, file: &Named| {
        !(first_segment..=SEGMENT_NUMBER_MAX).contains(&number)
            || file.header.as_ref().is_ok_and(|header| header.number != number || !is_of(header, store_id))
    };
    let numbers: Vec<u64> = named
        .iter()
        .filter(|(number, file)| is_stranger(**number, file))
        .map(|(number, _)| *number)
        .collect();
    numbers.into_iter().filter_map(|number| named.remove_entry(&number)).collect()
}

fn with_holes(present: BTreeMap<u64, SegmentFile>, first_segment: u64) -> Vec<Slot> {
    let mut slots = Vec::with_capacity(present.len());
    let mut expected = first_segment;
    for (number, file) in present {
        if expected < number {
            slots.push(Slot::Missing { first: expected, last: number - 1 });
        }
        expected = number + 1;
        slots.push(Slot::Present(file));
    }
    slots
}

/// What is said of segments that are missing.
pub(crate) fn missing(store: &Path, first: u64, last: u64, behind: Option<u64>) -> Damage {
    let which = if first == last {
        "this segment is missing".to_owned()
    } else {
        format!("the segments {first} to {last} are missing")
    };
    let though = behind.map_or(String::new(), |number| format!(", though segment {number} is there"));
    Damage::new(segment_path(store, first), 0, format!("{which}{though}"), None)
}
