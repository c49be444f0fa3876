//! The manifest's bytes, and what is refused.

use crate::format::{
    control::{ENVELOPE_BYTES, EnvelopeFault, StoreMeta},
    layout::{checksum, put_u16, put_u32},
    manifest::{BackupManifest, ManifestSegment},
    tests::is_refused_when_damaged,
};

fn segment(bytes: u64, base: u64, first_position: u64) -> ManifestSegment {
    ManifestSegment {
        bytes,
        base,
        first_position,
        first_timestamp: -0x0909,
        chain: 0x0a0a,
        hash: 0x0b << 96 | 0x0c,
    }
}

fn manifest() -> BackupManifest {
    BackupManifest {
        meta: StoreMeta { store_id: 0x0101, created: -0x0202, first_segment: 3 },
        position: 0x0404,
        timestamp: -0x0505,
        log_offset: 1_024 + 640,
        chain: 0x0707,
        segments: vec![segment(1_024, 0, 1), segment(640, 1_024, 0x0404)],
    }
}

fn decode(manifest: &BackupManifest) -> Result<BackupManifest, EnvelopeFault> {
    BackupManifest::decode(&manifest.encode().expect("few segments"))
}

#[test]
fn a_manifest_is_what_the_page_says() {
    let mut wanted = Vec::new();
    wanted.extend(0x0101_u64.to_le_bytes());
    wanted.extend((-0x0202_i64).to_le_bytes());
    wanted.extend(3_u64.to_le_bytes());
    wanted.extend(0x0404_u64.to_le_bytes());
    wanted.extend((-0x0505_i64).to_le_bytes());
    wanted.extend(1_664_u64.to_le_bytes());
    wanted.extend(0x0707_u32.to_le_bytes());
    wanted.extend(2_u64.to_le_bytes());
    for (bytes, base, first_position) in [(1_024_u64, 0_u64, 1_u64), (640, 1_024, 0x0404)] {
        wanted.extend(bytes.to_le_bytes());
        wanted.extend(base.to_le_bytes());
        wanted.extend(first_position.to_le_bytes());
        wanted.extend((-0x0909_i64).to_le_bytes());
        wanted.extend(0x0a0a_u32.to_le_bytes());
        wanted.extend((0x0b_u128 << 96 | 0x0c).to_le_bytes());
    }
    let file = manifest().encode().expect("few segments");
    assert_eq!(file[..8], *b"ANNALBKP");
    assert_eq!(file[ENVELOPE_BYTES..], wanted);
    assert_eq!(BackupManifest::decode(&file), Ok(manifest()));
}

#[test]
fn a_manifest_may_list_many_segments_and_is_refused_when_it_is_damaged() {
    is_refused_when_damaged(&manifest().encode().expect("few"), |bytes| {
        BackupManifest::decode(bytes).is_ok()
    });
    let segments: Vec<_> = (0..10_000).map(|number| segment(512, number * 512, 1 + number)).collect();
    let many = BackupManifest { position: 20_000, log_offset: 10_000 * 512, segments, ..manifest() };
    assert_eq!(decode(&many), Ok(many.clone()));
    assert_eq!(many.last_number(), Some(10_002));
    assert_eq!(many.segment(10_002).map(|segment| segment.first_position), Some(10_000));
    assert_eq!((many.segment(2), many.segment(10_003)), (None, None));
}

#[test]
fn a_manifest_without_segments_is_of_no_backup_yet() {
    let begun = BackupManifest::begun(manifest().meta);
    assert_eq!(decode(&begun), Ok(begun.clone()));
    assert!(!begun.is_finished() && manifest().is_finished());
}

#[test]
fn what_does_not_fit_together_is_refused_however_right_the_checksum_is() {
    let changes: [fn(&mut BackupManifest); 11] = [
        |manifest| manifest.log_offset += 64,
        |manifest| manifest.position = 0x0402,
        |manifest| manifest.position = u64::MAX,
        |manifest| manifest.meta.first_segment = u64::MAX,
        |manifest| manifest.segments[0].bytes = 1_088,
        |manifest| manifest.segments[1].bytes = 448,
        |manifest| manifest.segments[1].bytes = 650,
        |manifest| manifest.segments[1].first_position = 0,
        |manifest| manifest.segments[1].base = u64::MAX - 64,
        |manifest| {
            manifest.segments[0].bytes = u64::MAX - 63;
            (manifest.segments[1].base, manifest.log_offset) = (u64::MAX, u64::MAX);
        },
        |manifest| {
            manifest.segments[1].bytes = 1 << 62;
            manifest.log_offset = manifest.segments[1].base + (1 << 62);
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut odd = manifest();
        change(&mut odd);
        assert!(matches!(decode(&odd), Err(EnvelopeFault::Damaged(_))), "{number}");
    }
}

#[test]
fn a_count_of_segments_that_are_not_there_takes_no_memory() {
    let mut file = manifest().encode().expect("few segments");
    file.truncate(ENVELOPE_BYTES + 60);
    for count in [3, u64::from(u32::MAX), u64::MAX / 2, u64::MAX] {
        file[ENVELOPE_BYTES + 52..].copy_from_slice(&count.to_le_bytes());
        put_u32(&mut file, 16, 60);
        let crc = checksum(&file[12..]);
        put_u32(&mut file, 8, crc);
        assert!(matches!(BackupManifest::decode(&file), Err(EnvelopeFault::Damaged(_))), "{count}");
    }
    put_u16(&mut file, 12, 7);
    let crc = checksum(&file[12..]);
    put_u32(&mut file, 8, crc);
    assert_eq!(BackupManifest::decode(&file), Err(EnvelopeFault::Newer(7)));
}
