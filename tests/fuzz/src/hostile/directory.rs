//! A directory of any files as one input: each a byte for its name, two for its packed length, and its packed bytes.

use std::path::Path;

use super::{
    manifest::ListedSegment,
    mend::{LogEnd, Mender},
    packing::{pack as pack_zeros, unpack as unpack_zeros},
    stores,
};

/// How many files an input may have.
const FILES_MAX: usize = 24;

/// The names that files have. Some are those of a store, some are nearly, some have no business there.
pub(crate) const NAMES: [&str; 24] = [
    "store.meta",
    "durable.mark",
    "head",
    "streams.dir",
    "segments/000000000001.log",
    "segments/000000000002.log",
    "segments/000000000003.log",
    "segments/000000000001.idx",
    "segments/000000000002.idx",
    "segments/000000000003.idx",
    "segments/000000000004.log",
    "segments/000000000003.log.tmp",
    "segments/18446744073709551615.log",
    "segments/4294967294.log",
    "segments/1.log",
    "segments/.log",
    "segments/000000000002.log/inner",
    "segments",
    "writer.pid",
    "store.meta.tmp",
    "head.tmp",
    "quarantine/00000001-segment-000000000001-offset-512.bin",
    "quarantine",
    "snapshots/00000000000000000000000000000000/00000000000000000001-0000000000000000.snap",
];

/// A file of a directory, packed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PackedFile {
    pub(crate) name: u8,
    pub(crate) packed: Vec<u8>,
}

impl PackedFile {
    pub(crate) fn name(&self) -> &'static str {
        NAMES[usize::from(self.name) % NAMES.len()]
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        unpack_zeros(&self.packed)
    }
}

/// The files of an input.
pub(crate) fn unpack(mut input: &[u8]) -> Vec<PackedFile> {
    let mut files = Vec::new();
    while let [name, low, high, rest @ ..] = input
        && files.len() < FILES_MAX
    {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (packed, rest) = rest.split_at(length);
        files.push(PackedFile { name: *name, packed: packed.to_vec() });
        input = rest;
    }
    files
}

pub(crate) fn pack(files: &[PackedFile]) -> Vec<u8> {
    let mut input = Vec::new();
    for file in files {
        let length = u16::try_from(file.packed.len()).unwrap_or(u16::MAX);
        input.push(file.name);
        input.extend_from_slice(&length.to_le_bytes());
        input.extend_from_slice(&file.packed[..usize::from(length)]);
    }
    input
}

/// An input of the files of a store, by their names.
pub(crate) fn of_files(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, content) in files {
        let Some(index) = NAMES.iter().position(|known| known == name) else { continue };
        packed.push(PackedFile { name: u8::try_from(index).unwrap_or(0), packed: pack_zeros(content) });
    }
    pack(&packed)
}

/// Whether a file is made from the log.
pub(crate) fn is_derived(name: &str) -> bool {
    name == "streams.dir" || Path::new(name).extension() == Some("idx".as_ref())
}

/// Whether a file is a segment.
pub(crate) fn is_segment(name: &str) -> bool {
    Path::new(name).extension() == Some("log".as_ref())
}

/// Makes the files right, each segment so that it goes on from the one before it.
pub(crate) fn mend(input: &[u8], mender: &Mender) -> Vec<u8> {
    let mut files = unpack(input);
    let mut named: Vec<(&str, &mut PackedFile)> = files.iter_mut().map(|file| (file.name(), file)).collect();
    mend_files(&mut named, mender);
    pack(&files)
}

/// The same for files by their names.
pub(crate) fn mend_files(files: &mut [(&str, &mut PackedFile)], mender: &Mender) {
    files.sort_by_key(|(name, _)| *name);
    // Index files know streams by hashes that the store's id seeds: with another one they would know none.
    let store_id = stores::reference().store_id;
    let (mut end, mut segments) = (LogEnd::beginning(store_id), Vec::new());
    for (name, file) in files.iter_mut() {
        let mut content = file.content();
        match *name {
            "store.meta" | "store.meta.tmp" => mender.meta(&mut content, store_id),
            "durable.mark" => mender.mark(&mut content, store_id),
            "head" => mender.head(&mut content, store_id, stores::boot_id()),
            _ if is_segment(name) => {
                let before = end;
                end = mender.segment(&mut content, &before);
                segments.push(ListedSegment { content: content.clone(), before, end: end.clone() });
            }
            _ if is_derived(name) => {
                content.resize(content.len().max(4_096), 0);
                mender.paged(&mut content, store_id);
            }
            _ => {}
        }
        file.packed = pack_zeros(&content);
    }
    // It names what the segments are now.
    for (_, file) in files.iter_mut().filter(|(name, _)| name.starts_with("backup.manifest")) {
        let mut content = file.content();
        mender.manifest(&mut content, store_id, &segments);
        file.packed = pack_zeros(&content);
    }
}
