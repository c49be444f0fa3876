//! Fuzz targets: bytes that nobody wrote, given to everything of Annals that reads.
//!
//! ```text
//! hostile    what each target does with its input, and the checksums made right; without the fuzzer, so that
//!            the crate's own tests run the corpus through it (tests/suite/hostile_bytes.rs)
//! lines      the target `import`, which the program's own tests run (src/bin/annals/main.rs)
//! mutation   how inputs are changed
//! ```
//!
//! docs/testing.md, "Fuzzing", says how it is run and what came of it.

// The program's own files: nothing but what the program does is fuzzed.
#[allow(dead_code, unused_imports, reason = "the program uses more of it")]
#[path = "../../../src/bin/annals/clock_text.rs"]
mod clock_text;
#[allow(dead_code, reason = "the program uses more of it")]
#[path = "../../../src/bin/annals/contract.rs"]
mod contract;
#[allow(dead_code, reason = "the tests use more of it")]
mod hostile;
#[allow(dead_code, reason = "the program uses more of it")]
#[path = "../../../src/bin/annals/identity.rs"]
mod identity;
#[allow(dead_code, reason = "the program uses more of it")]
#[path = "../../../src/bin/annals/input.rs"]
mod input;
mod lines;
mod mutation;

pub use mutation::mutate;

/// What is fuzzed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The frames and records of a store's only segment.
    Frame,
    /// A whole segment, and the one that goes on from it.
    Segment,
    /// An index file, or the directory of streams.
    IndexFile,
    /// A snapshot's file.
    Snapshot,
    /// The small structures, and what the store's own streams hold.
    Control,
    /// A directory of any files.
    Recovery,
    /// A damaged store, with a backup or none.
    Repair,
    /// A store, and a directory that backups go to.
    Backup,
    /// A directory of backups, and where a store is restored to.
    Restore,
    /// JSON lines.
    Import,
}

/// Gives an input to what the target is about.
///
/// # Panics
///
/// If the store does, or if its answers don't fit each other: that is a finding.
pub fn run(target: Target, input: &[u8]) {
    match target {
        Target::Frame => hostile::frame::run(input),
        Target::Segment => hostile::segment::run(input),
        Target::IndexFile => hostile::index_file::run(input),
        Target::Snapshot => hostile::snapshot::run(input),
        Target::Control => hostile::control::run(input),
        Target::Recovery => hostile::recovery::run(input),
        Target::Repair => hostile::repair::run(input),
        Target::Backup => hostile::backup::run(input),
        Target::Restore => hostile::restore::run(input),
        Target::Import => lines::run(input),
    }
}
