//! What happens to files that nobody means harm to: bits, sectors, lengths, names. Checksums stay as they were.

use super::{
    directories::{Place, name_of},
    directory::{NAMES, PackedFile, is_segment},
    packing::pack,
    random::Random,
};

const SECTOR_BYTES: usize = 512;
const FRAME_ALIGNMENT: usize = 64;

/// How often a file is looked for that is a segment, before any other will do.
const TRIES: usize = 3;

/// Damages one of the files.
pub(crate) fn damage(files: &mut Vec<PackedFile>, random: &mut Random) {
    let Some(chosen) = choose(files, random) else { return };
    match random.below(16) {
        0 => {
            files.remove(chosen);
            return;
        }
        1 => {
            let other = below(files.len(), random);
            let name = files[chosen].name;
            files[chosen].name = files[other].name;
            files[other].name = name;
            return;
        }
        2 => {
            // The same file of the other directory.
            let (names, mut copy) = (NAMES.len(), files[chosen].clone());
            let number = usize::from(copy.name) % (2 * names);
            copy.name = u8::try_from((number + names) % (2 * names)).unwrap_or(0);
            files.retain(|file| name_of(file) != name_of(&copy));
            files.push(copy);
            return;
        }
        _ => {}
    }
    let mut content = files[chosen].content();
    if !content.is_empty() {
        damage_content(&mut content, random);
    }
    files[chosen].packed = pack(&content);
}

/// Rather a segment than another file, and rather of the store.
fn choose(files: &[PackedFile], random: &mut Random) -> Option<usize> {
    let mut chosen = None;
    for _ in 0..TRIES {
        if files.is_empty() {
            return None;
        }
        let index = below(files.len(), random);
        chosen = Some(index);
        let (place, name) = name_of(&files[index]);
        if is_segment(name) && place == Place::Store {
            break;
        }
    }
    chosen
}

fn damage_content(content: &mut Vec<u8>, random: &mut Random) {
    let length = content.len();
    match random.below(8) {
        0..=2 => content[below(length, random)] ^= 1 << random.below(8),
        3 => zero(content, FRAME_ALIGNMENT, random),
        4 => zero(content, SECTOR_BYTES, random),
        5 => content.truncate(below(length, random)),
        6 => content.truncate(below(length, random) / FRAME_ALIGNMENT * FRAME_ALIGNMENT),
        _ => {
            // A stretch as it stands somewhere else in the file.
            let (from, to) = (below(length, random), below(length, random));
            let count = below(SECTOR_BYTES, random).min(length - from).min(length - to);
            content.copy_within(from..from + count, to);
        }
    }
}

fn zero(content: &mut [u8], piece_bytes: usize, random: &mut Random) {
    let begin = below(content.len(), random) / piece_bytes * piece_bytes;
    let end = (begin + piece_bytes).min(content.len());
    content[begin..end].fill(0);
}

fn below(end: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(end as u64)).unwrap_or(0)
}
