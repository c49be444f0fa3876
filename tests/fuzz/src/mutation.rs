//! How inputs are changed: as libFuzzer changes bytes, and then the checksums and whatever else stands before what a
//! parser looks at are made right. Without that hardly an input would come past the first checksum.

use crate::{
    Target,
    hostile::{
        control, damage::damage, directories::Directories, directory, directory::PackedFile, frame,
        index_file, mend::Mender, random::Random, segment, snapshot,
    },
};

/// Of so many inputs one is left as libFuzzer made it.
const LEFT_ALONE_ONE_IN: u64 = 8;

/// Changes the first `size` bytes of `data`, and returns how many there are then, `max_size` at most.
pub fn mutate(target: Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random::new(u64::from(seed));
    if target == Target::Recovery && !random.one_in(LEFT_ALONE_ONE_IN) {
        return mutate_directory(data, size, max_size, &mut random);
    }
    let is_of_two = matches!(target, Target::Repair | Target::Backup | Target::Restore);
    if is_of_two && !random.one_in(LEFT_ALONE_ONE_IN) {
        return mutate_directories(data, size, max_size, &mut random);
    }
    let size = libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    if random.one_in(LEFT_ALONE_ONE_IN) {
        return size;
    }
    let mender = Mender::some_of_it(&mut random);
    let changed = match target {
        Target::Frame => frame::mend(&data[..size], &mender),
        Target::Segment => segment::mend(&data[..size], &mender),
        Target::IndexFile => index_file::mend(&data[..size], &mender),
        Target::Snapshot => snapshot::mend(&data[..size], &mender),
        Target::Control => control::mend(&data[..size], &mender),
        Target::Recovery => directory::mend(&data[..size], &mender),
        Target::Repair | Target::Backup | Target::Restore | Target::Import => return size,
    };
    put(data, &changed, max_size).unwrap_or(size)
}

/// Changes one file of a directory, so that the others stay whole; now and then which files there are.
fn mutate_directory(data: &mut [u8], size: usize, max_size: usize, random: &mut Random) -> usize {
    let mut files = directory::unpack(&data[..size]);
    change_files(&mut files, max_size.saturating_sub(size), random);
    let packed = directory::pack(&files);
    let mended = directory::mend(&packed, &Mender::some_of_it(random));
    put(data, &mended, max_size).or_else(|| put(data, &packed, max_size)).unwrap_or(size)
}

/// Changes one file of two directories, or what is done with them. Then files are made right, and damaged: as somebody leaves
/// them who means harm, and as a disk does.
fn mutate_directories(data: &mut [u8], size: usize, max_size: usize, random: &mut Random) -> usize {
    let mut directories = Directories::unpack(&data[..size]);
    match random.below(16) {
        0 | 1 => directories.mode = random.byte(),
        2 => directories.moment = random.byte() % 32,
        // Nothing but damage.
        3..=5 => {}
        _ => {
            change_files(&mut directories.files, max_size.saturating_sub(size), random);
            directories.mend(&Mender::some_of_it(random));
        }
    }
    for _ in 0..random.below(3) {
        damage(&mut directories.files, random);
    }
    put(data, &directories.pack(), max_size).unwrap_or(size)
}

/// Changes a file, or which files there are. A file may become so many bytes longer.
fn change_files(files: &mut Vec<PackedFile>, room: usize, random: &mut Random) {
    let index = usize::try_from(random.below(files.len() as u64 + 1)).unwrap_or(0);
    match (files.get_mut(index), random.below(16)) {
        (None, _) => files.push(PackedFile { name: random.byte(), packed: Vec::new() }),
        (Some(file), 0) => file.name = random.byte(),
        (Some(file), 1) => {
            let copy = PackedFile { name: random.byte(), packed: file.packed.clone() };
            files.push(copy);
        }
        (Some(_), 2) => {
            files.remove(index);
        }
        (Some(file), _) => {
            let room = room.min(usize::from(u16::MAX)) + file.packed.len();
            if room == 0 {
                // libFuzzer changes no bytes where there may be none.
                return;
            }
            let before = file.packed.len();
            file.packed.resize(room, 0);
            let after = libfuzzer_sys::fuzzer_mutate(&mut file.packed, before, room);
            file.packed.truncate(after);
        }
    }
}

/// Puts bytes into the fuzzer's buffer, if they fit.
fn put(data: &mut [u8], bytes: &[u8], max_size: usize) -> Option<usize> {
    let room = data.get_mut(..bytes.len()).filter(|room| room.len() <= max_size)?;
    room.copy_from_slice(bytes);
    Some(bytes.len())
}
