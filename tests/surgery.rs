//! Surgery on the bytes of a small store: whatever is changed, the answer is an error or the right one, and
//! never silently fewer events. What is done, and which answers there may be, stands in `src/simulation/surgery.rs`;
//! `annals selftest` does the same to a larger store.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the items of the fault list behind __"
)]

use std::{
    io::{self, Write},
    num::NonZero,
    panic::resume_unwind,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use annals::{Surgery, SurgeryAnswer, SurgeryGroup, SurgeryKind};

/// How long the stores' logs are, in bytes.
const LOG_BYTES: u64 = 8 << 10;

static SURGERY: LazyLock<Surgery> = LazyLock::new(|| Surgery::new(LOG_BYTES));

/// How many cases were refused, right, and with fewer events.
type Answers = [u64; 3];

/// Runs every so many-th case of a group on all cores.
fn operate(group: &SurgeryGroup, step: u64) -> Answers {
    let next = AtomicU64::new(0);
    let work = || {
        let mut answers = [0; 3];
        loop {
            let number = next.fetch_add(step, Ordering::Relaxed);
            if number >= group.cases {
                return answers;
            }
            match SURGERY.operate(group.first + number) {
                Ok(SurgeryAnswer::Refused) => answers[0] += 1,
                Ok(SurgeryAnswer::Right) => answers[1] += 1,
                Ok(SurgeryAnswer::Fewer(_)) => answers[2] += 1,
                Err(broken) => panic!("{broken}"),
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut sum = [0; 3];
        for worker in workers {
            let answers = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
            for (sum, answers) in sum.iter_mut().zip(answers) {
                *sum += answers;
            }
        }
        sum
    })
}

/// Runs all cases of a kind, and prints past the test harness what they came to, store by store.
fn check(kind: SurgeryKind, step: impl Fn(&SurgeryGroup) -> u64) -> io::Result<Vec<(String, Answers)>> {
    let groups = SURGERY.groups().iter().filter(|group| group.kind == kind);
    let mut all = Vec::new();
    for group in groups {
        let answers = operate(group, step(group));
        let [refused, right, fewer] = answers;
        let cases: u64 = answers.iter().sum();
        writeln!(
            io::stderr(),
            "{kind:?}, {}: {cases} cases, {refused} refused, {right} right, {fewer} with fewer events",
            group.store
        )?;
        all.push((group.store.clone(), answers));
    }
    assert!(!all.is_empty(), "there are cases");
    Ok(all)
}

#[test]
fn every_flipped_bit_is_refused_or_harmless__F20() -> io::Result<()> {
    // The log behind the index files is read by the same code as without them, so a bit of each byte will do.
    let step = |group: &SurgeryGroup| if group.store == "(Killed, IndexFiles)" { 9 } else { 1 };
    for (store, [refused, right, fewer]) in check(SurgeryKind::Bits, step)? {
        assert_eq!(fewer, 0, "{store}");
        assert!(refused > right, "{store}: most bits are of events");
    }
    Ok(())
}

/// Nothing but durable.mark can tell a log that was cut short from one that never was longer; a killed store's
/// mark may be older than its end. What it names stays.
#[test]
fn every_truncation_is_refused_or_harmless_or_of_what_the_mark_doesnt_name__F20_F25() -> io::Result<()> {
    for (store, [_, _, fewer]) in check(SurgeryKind::Lengths, |_| 1)? {
        assert_eq!(fewer > 0, store.starts_with("(Killed"), "{store}");
    }
    Ok(())
}

#[test]
fn every_changed_block_is_refused_or_harmless_or_the_documented_residue__F20() -> io::Result<()> {
    for (store, [_, _, fewer]) in check(SurgeryKind::Blocks, |_| 1)? {
        assert_eq!(fewer > 0, store.starts_with("(Killed"), "{store}");
    }
    Ok(())
}

/// Every one of them is derived from a log that is whole.
#[test]
fn damaged_index_files_change_no_answer__F24() -> io::Result<()> {
    for (store, [refused, _, fewer]) in check(SurgeryKind::IndexFiles, |_| 1)? {
        assert_eq!([refused, fewer], [0, 0], "{store}");
    }
    Ok(())
}

#[test]
fn a_missing_file_is_refused_or_harmless__F23_F24() -> io::Result<()> {
    check(SurgeryKind::Missing, |_| 1).map(drop)
}

#[test]
fn exchanged_doubled_and_renamed_segments_are_refused__F23() -> io::Result<()> {
    for (store, [_, right, fewer]) in check(SurgeryKind::Exchanged, |_| 1)? {
        assert_eq!([right, fewer], [0, 0], "{store}");
    }
    Ok(())
}

/// Every bit of a store of 64 KiB is `annals selftest --only damage`: this is that it has as many.
#[test]
fn the_reference_store_has_the_length_that_is_asked_for() {
    for bytes in [LOG_BYTES, 64 << 10] {
        let surgery = Surgery::new(bytes);
        let bits = surgery.groups().iter().find(|group| group.kind == SurgeryKind::Bits).expect("bits");
        // store.meta and durable.mark come on top.
        assert_eq!((bits.cases / 8).checked_sub(bytes), Some(44 + 1_024));
    }
}
