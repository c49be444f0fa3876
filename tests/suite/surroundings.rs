//! What happens around a store: links, forks, directories that move, disks that can't be written, few open files.

use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    process::{Command, Output},
};

use annals::{
    Disk, Error, EventData, EventStore, ExpectedVersion, Follower, Options, OsDisk, ReadMode,
    SEGMENT_BYTES_MIN, SnapshotData, Version,
};
use fork::{Fork, fork, waitpid};
use rustix::mount::{MountFlags, mount_remount};

use crate::{
    cli::run_with_open_files,
    memory::Memory,
    support::{Outcome, buffered, stream},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_annals");

/// Where the forking program's store is.
const STORE: &str = "ANNALS_TEST_FORKED_STORE";

/// Where systems keep a disk in memory that everybody can write to.
const SHARED_MEMORY: &str = "/dev/shm";

/// More appends than a store takes whose directory is gone.
const APPENDS_MAX: usize = 100_000;

/// What the child says where all is as it must be.
const CHILD_REFUSED: i32 = 7;

fn append(store: &EventStore) -> annals::Result<()> {
    store.append(&stream("order-1"), ExpectedVersion::Any, [EventData::new("OrderPlaced", "{}")]).map(drop)
}

/// Appends until the log has so many segments. Returns how many events it has.
fn write_segments(
    store: &EventStore,
    path: &Path,
    segments: usize,
) -> Result<usize, Box<dyn std::error::Error>> {
    let mut events = 0;
    // An event a segment: what has no room in a segment begins the next.
    let payload_bytes = usize::try_from(SEGMENT_BYTES_MIN)? / 2;
    while events < 4 * segments && !path.join(format!("segments/{segments:012}.log")).exists() {
        let event = EventData::new("Large", vec![b'1'; payload_bytes]);
        store.append(&stream("order-1"), ExpectedVersion::Any, [event])?;
        events += 1;
    }
    assert!(events < 4 * segments, "{events} events, and no segment {segments}");
    Ok(events)
}

/// Says what isn't shown on this machine, past the test harness, which keeps what tests print to itself.
fn say(what: &str, obstacle: &io::Error) -> Outcome {
    Ok(writeln!(io::stderr(), "{what}: nothing can be mounted ({obstacle})")?)
}

fn annals(store: &Path, words: &[&str]) -> std::io::Result<Output> {
    Command::new(PROGRAM).args(words).env("ANNALS_STORE", store).output()
}

fn check_whole(store: &Path) -> Outcome {
    let output = annals(store, &["verify"])?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

#[test]
fn a_second_program_is_told_who_has_the_store_whichever_link_it_came_by__F30() -> Outcome {
    let directory = tempfile::tempdir()?;
    let (path, link) = (directory.path().join("store"), directory.path().join("link"));
    let store = EventStore::open(&path)?;
    std::os::unix::fs::symlink(&path, &link)?;
    for way in [&path, &link] {
        let refused = annals(way, &["append", "order-1", "--type", "OrderPaid", "--wait", "0"])?;
        let told = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(5), "{told}");
        assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
    }
    let refused = EventStore::open(&link).expect_err("it is open");
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    append(&store)?;
    store.close()?;
    assert_eq!(EventStore::open(&link)?.last_position().get(), 1);
    Ok(())
}

/// The program below, where it was started for it; an empty test otherwise.
#[test]
fn a_program_that_forks_with_a_store_open() -> Outcome {
    let Some(path) = env::var_os(STORE) else { return Ok(()) };
    let store = EventStore::open(&path)?;
    append(&store)?;
    match fork()? {
        Fork::Child => {
            let is_refused = matches!(append(&store), Err(Error::Forked));
            // It lets go of nothing that is its parent's.
            drop(store);
            std::process::exit(if is_refused { CHILD_REFUSED } else { 1 });
        }
        Fork::Parent(child) => {
            let status = waitpid(child)?;
            assert_eq!(status >> 8, CHILD_REFUSED, "the child ended with {status:#x}");
        }
    }
    assert!(matches!(EventStore::open(&path), Err(Error::Locked { .. })), "the child let go of the lock");
    append(&store)?;
    Ok(store.close()?)
}

#[test]
fn a_forked_child_cant_append_and_disturbs_nothing__F31() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    let output = Command::new(env::current_exe()?)
        .args(["--exact", "surroundings::a_program_that_forks_with_a_store_open", "--nocapture"])
        .env(STORE, &path)
        .output()?;
    assert!(output.status.success(), "{output:?}");
    check_whole(&path)?;
    assert_eq!(EventStore::open(&path)?.last_position().get(), 2);
    Ok(())
}

/// What was acknowledged is where the directory is, whatever its name is now, and nowhere is half a store.
#[test]
fn a_directory_that_is_renamed_while_it_is_open_ends_in_an_error_and_loses_nothing__F32() -> Outcome {
    let directory = tempfile::tempdir()?;
    let (path, moved) = (directory.path().join("store"), directory.path().join("moved"));
    let store = EventStore::open_with(&path, buffered().segment_bytes(SEGMENT_BYTES_MIN))?;
    append(&store)?;
    OsDisk.rename(&path, &moved)?;
    let mut acknowledged = 1;
    let mut refused = None;
    while refused.is_none() && acknowledged < APPENDS_MAX {
        match append(&store) {
            Ok(()) => acknowledged += 1,
            Err(error) => refused = Some(error),
        }
    }
    let refused = refused.ok_or("a segment has no end")?;
    assert!(
        matches!(refused, Error::Io { .. } | Error::Failed { .. } | Error::OutcomeUnknown { .. }),
        "{refused}"
    );
    assert!(matches!(EventStore::open(&moved), Err(Error::Locked { .. })), "two write to one log");
    assert_eq!(store.read_all().flatten().count(), acknowledged, "what is stored is read");
    drop(store);
    assert!(!path.exists(), "half a store is where it was");
    let store = EventStore::open(&moved)?;
    assert!(store.read_all().collect::<annals::Result<Vec<_>>>()?.len() >= acknowledged);
    append(&store)?;
    store.close()?;
    check_whole(&moved)?;
    Ok(())
}

#[test]
fn what_isnt_the_log_may_be_deleted_beside_an_open_store__F32() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    let store = EventStore::open_with(&path, buffered().segment_bytes(SEGMENT_BYTES_MIN))?;
    write_segments(&store, &path, 4)?;
    for entry in fs::read_dir(&path)?.chain(fs::read_dir(path.join("segments"))?) {
        let entry = entry?.path();
        let is_kept =
            entry.is_dir() || entry.ends_with("store.meta") || entry.extension() == Some("log".as_ref());
        if !is_kept {
            fs::remove_file(entry)?;
        }
    }
    assert!(matches!(EventStore::open(&path), Err(Error::Locked { .. })), "two write to one log");
    let events = write_segments(&store, &path, 8)?;
    let last = store.last_position();
    assert!(last.get() > events as u64);
    store.close()?;
    check_whole(&path)?;
    assert_eq!(EventStore::open(&path)?.last_position(), last);
    Ok(())
}

/// It says so and passes where nothing can be mounted.
#[test]
fn a_store_on_a_read_only_disk_is_read_and_an_append_says_why_not__F35() -> Outcome {
    let directory = tempfile::tempdir()?;
    let _memory = match Memory::mount(directory.path(), 8 << 20) {
        Ok(memory) => memory,
        Err(obstacle) => return say("a store on a read-only disk: skipped", &obstacle),
    };
    let path = directory.path().join("store");
    // One that was closed, and one that was cut off, which an opening would finish.
    let cut_off = directory.path().join("cut-off");
    let store = EventStore::open(&path)?;
    append(&store)?;
    fs::create_dir_all(cut_off.join("segments"))?;
    for name in ["store.meta", "segments/000000000001.log"] {
        fs::copy(path.join(name), cut_off.join(name))?;
    }
    store.close()?;
    mount_remount(directory.path(), MountFlags::RDONLY, "")?;
    for path in [&path, &cut_off] {
        let read = annals(path, &["read", "order-1"])?;
        assert!(
            read.status.success() && String::from_utf8_lossy(&read.stdout).contains("OrderPlaced"),
            "{read:?}"
        );
        check_whole(path)?;
        let refused = annals(path, &["append", "order-1", "--type", "OrderPaid"])?;
        let told = String::from_utf8(refused.stderr)?;
        assert!(!refused.status.success());
        assert!(
            told.contains("Read-only file system") && told.contains("mount that disk for writing"),
            "{told}"
        );
        assert_eq!(Follower::open(path)?.last_position().get(), 1);
    }
    Ok(())
}

#[test]
fn a_file_that_is_cut_short_under_a_reader_is_an_error__F39() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    let options = || buffered().segment_bytes(SEGMENT_BYTES_MIN).read(ReadMode::Pread);
    let store = EventStore::open_with(&path, options())?;
    let events = write_segments(&store, &path, 3)?;
    let follower = Follower::open_with(&path, Options::new().read(ReadMode::Pread))?;
    for shown in [store.read_all().count(), follower.read_all().count()] {
        assert_eq!(shown, events);
    }
    let first = fs::OpenOptions::new().write(true).open(path.join("segments/000000000001.log"))?;
    first.set_len(200)?;
    for mut read in [store.read_all(), follower.read_all()] {
        let refused = read.find_map(Result::err).expect("an event is gone");
        assert!(matches!(refused, Error::Corrupt { .. } | Error::Io { .. }), "{refused}");
        assert!(refused.to_string().contains("000000000001.log"), "it says where: {refused}");
    }
    Ok(())
}

#[test]
fn ten_thousand_segments_need_few_open_files__F40() -> Outcome {
    // A disk with heads or a wire takes minutes for so many segments.
    let mut directory = tempfile::tempdir()?;
    let mut segments = 10_000;
    let memory = Memory::mount(directory.path(), 256 << 20);
    if let Err(obstacle) = &memory {
        if let Ok(shared) = tempfile::tempdir_in(SHARED_MEMORY) {
            directory = shared;
        } else {
            segments = 500;
            say("few open files: 500 segments, and not 10,000", obstacle)?;
        }
    }
    let (path, saved) = (directory.path().join("store"), directory.path().join("saved"));
    let store = EventStore::open_with(&path, buffered().segment_bytes(SEGMENT_BYTES_MIN))?;
    let events = write_segments(&store, &path, segments)?;
    store.close()?;
    let saved_word = saved.to_str().ok_or("a path that is text")?;
    for (words, lines) in [
        (&["append", "order-1", "--type", "OrderPaid"][..], 1),
        (&["read", "--all", "--format", "json"], events + 1),
        (&["read", "order-1", "--format", "json", "--limit", "2000"], segments.min(2_000)),
        (&["read", "order-1", "--format", "json", "--backwards", "--limit", "2000"], segments.min(2_000)),
        (&["verify", "--format", "json"], 1),
        (&["backup", saved_word], 1),
    ] {
        let output = run_with_open_files(32, words).env("ANNALS_STORE", &path).output()?;
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout.split(|byte| *byte == b'\n').count() - 1, lines, "{words:?}");
    }
    assert!(saved.join(format!("segments/{segments:012}.log")).exists());
    Ok(())
}

#[test]
fn a_group_that_can_read_a_stores_directory_can_follow_it() -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    fs::create_dir(&path)?;
    // What the umask leaves.
    let left = fs::metadata(&path)?.permissions().mode();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750))?;
    let store = EventStore::open_with(&path, buffered().segment_bytes(SEGMENT_BYTES_MIN))?;
    write_segments(&store, &path, 4)?;
    let order = stream("order-1");
    store.save_snapshot(&order, Version::new(1), SnapshotData::new("Order", b"{}"))?;
    store.close()?;
    let mut directories = vec![path];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            let is_directory = entry.file_type()?.is_dir();
            let wanted = left & if is_directory { 0o750 } else { 0o640 };
            assert_eq!(entry.metadata()?.permissions().mode() & 0o777, wanted, "{}", entry.path().display());
            if is_directory {
                directories.push(entry.path());
            }
        }
    }
    Ok(())
}
