//! Two directories of any files as one input: a store's, and a backup's. The first byte says what is done with them, and the
//! second up to when; behind them stand files as in `directory`, each in the one or the other by its name's number.

use std::path::{Path, PathBuf};

use annals::SimDisk;

use super::{
    directory::{self, NAMES, PackedFile},
    mend::Mender,
    packing::pack as pack_zeros,
    stores::{Files, STORE},
};

pub(crate) const BACKUP: &str = "/backup";

/// The names that files of a backup have; those of a store, but for these two.
const MANIFEST: (usize, &str) = (2, "backup.manifest");
const MANIFEST_TEMPORARY: (usize, &str) = (3, "backup.manifest.tmp");

/// In which directory a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Store,
    Backup,
}

/// An input, taken apart.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Directories {
    pub(crate) mode: u8,
    pub(crate) moment: u8,
    pub(crate) files: Vec<PackedFile>,
}

/// In which directory a file is, and its name there.
pub(crate) fn name_of(file: &PackedFile) -> (Place, &'static str) {
    let number = usize::from(file.name);
    if (number / NAMES.len()).is_multiple_of(2) {
        return (Place::Store, file.name());
    }
    let own = [MANIFEST, MANIFEST_TEMPORARY].into_iter().find(|(index, _)| *index == number % NAMES.len());
    (Place::Backup, own.map_or(file.name(), |(_, name)| name))
}

/// The number of a name in a directory, if files have it there.
fn number_of(place: Place, name: &str) -> Option<u8> {
    let numbers = 0..=u8::try_from(2 * NAMES.len() - 1).unwrap_or(u8::MAX);
    numbers
        .into_iter()
        .find(|number| name_of(&PackedFile { name: *number, packed: Vec::new() }) == (place, name))
}

impl Directories {
    pub(crate) fn unpack(input: &[u8]) -> Self {
        let byte = |index: usize| input.get(index).copied().unwrap_or(0);
        let files = directory::unpack(input.get(2..).unwrap_or(&[]));
        Self { mode: byte(0), moment: byte(1), files }
    }

    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut input = vec![self.mode, self.moment];
        input.extend(directory::pack(&self.files));
        input
    }

    /// An input of the files of a store and of a backup, as far as their names are known here.
    pub(crate) fn of_files(mode: u8, store: &Files, backup: &Files) -> Self {
        let mut directories = Self { mode, ..Self::default() };
        for (place, files) in [(Place::Store, store), (Place::Backup, backup)] {
            for (name, content) in files {
                let Some(number) = number_of(place, name) else { continue };
                directories.files.push(PackedFile { name: number, packed: pack_zeros(content) });
            }
        }
        directories
    }

    /// Puts the files of one of the directories on a disk.
    pub(crate) fn put(&self, disk: &SimDisk, place: Place) {
        for file in &self.files {
            let (found, name) = name_of(file);
            if found == place {
                drop(disk.write_file(path_in(place, name), file.content()));
            }
        }
    }

    /// Makes the files of each directory right, as if the other weren't there.
    pub(crate) fn mend(&mut self, mender: &Mender) {
        for place in [Place::Store, Place::Backup] {
            let files = self.files.iter_mut().map(|file| (name_of(file), file));
            let mut there: Vec<(&str, &mut PackedFile)> = files
                .filter(|((found, _), _)| *found == place)
                .map(|((_, name), file)| (name, file))
                .collect();
            directory::mend_files(&mut there, mender);
        }
    }
}

fn path_in(place: Place, name: &str) -> PathBuf {
    let directory = match place {
        Place::Store => STORE,
        Place::Backup => BACKUP,
    };
    Path::new(directory).join(name)
}

/// Puts files into a directory.
pub(crate) fn put_files(disk: &SimDisk, place: Place, files: &Files) {
    for (name, content) in files {
        drop(disk.write_file(path_in(place, name), content.clone()));
    }
}

pub(crate) fn mend(input: &[u8], mender: &Mender) -> Vec<u8> {
    let mut directories = Directories::unpack(input);
    directories.mend(mender);
    directories.pack()
}
