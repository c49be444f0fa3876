//! `annals backup` and `annals restore`.

use std::{fs, io::Read, path::Path, process::Stdio};

use annals::EventStore;
use serde_json::{Value, json};

use crate::{
    backup::everything,
    cli::{Place, history},
    support::{small_segments, stream},
};

/// A store with the history of a repository, and a backup of it.
fn with_backup() -> Place {
    let place = Place::new();
    place.prints_with(&["import", "-"], &history());
    place.prints(&["backup", "saved"]);
    place
}

fn exported(place: &Place, store: &str) -> String {
    place.prints(&["--store", store, "export"])
}

#[test]
fn a_backup_is_a_store_and_is_restored_as_it_was() {
    let place = with_backup();
    let all = exported(&place, "annals-data");
    assert_eq!(exported(&place, "saved"), all);
    let verified = &place.json(&["--store", "saved", "verify", "--format", "json"])[0];
    assert_eq!((&verified["damage"], &verified["interruptedBytes"]), (&json!([]), &json!(0)));
    let report = &place.json(&["restore", "saved", "again", "--format", "json"])[0];
    assert_eq!((&report["lastPosition"], &report["backupPosition"]), (&json!(5_407), &json!(5_407)));
    assert_eq!(report["setAside"], Value::Null);
    assert_eq!(exported(&place, "again"), all);
    // It goes on.
    place.prints(&["--store", "again", "append", "a", "--type", "T"]);
    assert!(place.prints(&["--store", "again", "verify"]).contains("is whole: 5408 events"));
}

#[test]
fn writing_to_a_backup_is_warned_of() {
    let place = with_backup();
    let written = place.run(&["--store", "saved", "append", "a", "--type", "T"]);
    assert!(written.stderr.starts_with("annals: warning: saved is a backup: "), "{}", written.stderr);
    let said = place.fails(1, &["backup", "saved"]);
    assert!(said.contains("history"), "{said}");
    // It is one warning, though the checkpoint is looked at, and saved.
    let followed = place.run(&["--store", "saved", "tail", "--checkpoint", "mailer"]);
    assert_eq!((followed.code, followed.stderr.matches("saved is a backup").count()), (Some(0), 1));
}

#[test]
fn without_a_destination_the_store_itself_is_restored() {
    let place = with_backup();
    let all = exported(&place, "annals-data");
    fs::remove_dir_all(place.store()).expect("the store is lost");
    let said = place.prints(&["restore", "saved"]);
    assert!(
        said.starts_with("./annals-data is restored from saved, up to position 5407 of 5407, of "),
        "{said}"
    );
    assert_eq!(exported(&place, "annals-data"), all);
}

#[test]
fn a_backup_is_made_beside_a_writer() {
    let place = Place::new();
    let mut holder = place.hold_store();
    let report = &place.json(&["backup", "saved", "--format", "json"])[0];
    assert_eq!(report["lastPosition"], 1);
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
    assert_eq!(exported(&place, "saved"), exported(&place, "annals-data"));
}

#[test]
fn the_next_backup_takes_what_is_new() {
    let place = with_backup();
    let report = &place.json(&["backup", "saved", "--format", "json"])[0];
    assert_eq!(
        (&report["kept"], &report["copied"], &report["bytesCopied"]),
        (&json!(1), &json!(0), &json!(0))
    );
    place.prints(&["append", "a", "--type", "T"]);
    let report = &place.json(&["backup", "saved", "--format", "json"])[0];
    assert_eq!(
        (&report["kept"], &report["copied"], &report["lastPosition"]),
        (&json!(0), &json!(1), &json!(5_408))
    );
    assert_eq!(exported(&place, "saved"), exported(&place, "annals-data"));
}

#[test]
fn links_are_made_unless_copies_are_wanted() {
    let place = Place::new();
    // The program makes segments of 64 MiB; a program of somebody's may make smaller ones.
    let store = EventStore::open_with(place.store(), small_segments()).expect("a store");
    for number in 0..60_u8 {
        let event = annals::EventData::new("T", vec![number; 100]);
        store.append(&stream("a"), annals::ExpectedVersion::Any, [event]).expect("appended");
    }
    store.close().expect("closed");
    let linked = &place.json(&["backup", "linked", "--format", "json"])[0];
    let copied = &place.json(&["backup", "copied", "--copy", "--format", "json"])[0];
    assert_eq!(linked["linked"].as_u64().map(|linked| linked + 1), copied["copied"].as_u64());
    assert_eq!((&linked["copied"], &copied["linked"]), (&json!(1), &json!(0)));
    assert_eq!(copied["bytesCopied"], copied["logBytes"]);
    assert_eq!(exported(&place, "linked"), exported(&place, "copied"));
}

#[test]
fn a_store_is_restored_to_a_position_or_a_time() {
    let place = with_backup();
    let said = place.prints(&["restore", "saved", "by-position", "--to-position", "100"]);
    assert!(
        said.starts_with("by-position is restored from saved, up to position 100 of 5407, of "),
        "{said}"
    );
    let events = place.json(&["--store", "annals-data", "export", "--to", "100"]);
    assert_eq!(place.json(&["--store", "by-position", "export"]), events);
    let time = events[99]["timestamp"].as_str().expect("a time").to_owned();
    let report = &place.json(&["restore", "saved", "by-time", "--to-time", &time, "--format", "json"])[0];
    assert_eq!(report["lastTimestamp"], time);
    let last = report["lastPosition"].as_u64().expect("a position");
    let to = last.to_string();
    assert!(last >= 100);
    assert_eq!(exported(&place, "by-time"), place.prints(&["export", "--to", &to]));
    let next = place.json(&["export", "--from", &(last + 1).to_string(), "--to", &(last + 1).to_string()]);
    assert!(next.first().is_none_or(|next| next["timestamp"].as_str() > Some(&time)));
    for wrong in [
        &["restore", "saved", "x", "--to-time", "soon"] as &[&str],
        &["restore", "saved", "x", "--to-time", "1h ago", "--to-position", "3"],
        &["restore"],
        &["backup"],
    ] {
        place.fails(2, wrong);
    }
}

#[test]
fn a_store_that_is_there_is_refused_unless_it_is_forced_and_kept_then() {
    let place = with_backup();
    place.prints(&["append", "a", "--type", "T"]);
    let newer = exported(&place, "annals-data");
    let said = place.fails(1, &["restore", "saved"]);
    assert!(said.starts_with("annals: nothing was written to ./annals-data: a store is there; "), "{said}");
    let mut holder = place.hold_store();
    let said = place.fails(5, &["restore", "saved", "--force"]);
    assert!(said.contains("is open for writing by "), "{said}");
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
    let said = place.prints(&["restore", "saved", "--force"]);
    assert!(said.ends_with("the store that was there is now ./annals-data.before-restore-1\n"), "{said}");
    assert!(exported(&place, "annals-data.before-restore-1").starts_with(&newer));
    assert_eq!(exported(&place, "annals-data"), exported(&place, "saved"));
}

#[test]
fn what_is_refused_is_told_with_what_to_do() {
    let place = with_backup();
    place.prints(&["--store", "other", "append", "a", "--type", "T"]);
    for (code, arguments, said) in [
        (1, &["--store", "other", "backup", "saved"] as &[&str], "has backups of another store"),
        (1, &["backup", "other"], "choose an empty or a new one"),
        (1, &["backup", "annals-data/backup"], "it is in the store that is to be backed up"),
        (
            1,
            &["--store", "annals-data/", "backup", "./annals-data/segments"],
            "it is in the store that is to be backed up",
        ),
        (4, &["restore", "other", "new"], "can't be used as a backup"),
        (4, &["restore", "missing", "new"], "nothing is there"),
        (4, &["--store", "missing", "backup", "new"], "there is no store to read"),
    ] {
        let told = place.fails(code, arguments);
        assert!(told.contains(said), "{told}");
    }
    assert!(!place.path().join("new").exists());
    let store = EventStore::open(place.path().join("saved")).expect("a store");
    place.fails(5, &["backup", "saved"]);
    place.fails(5, &["restore", "saved", "new"]);
    assert_eq!(everything(&store).len(), 5_407);
}

#[test]
fn damage_ends_with_6_and_is_named_in_store_and_backup() {
    let place = with_backup();
    for (store, arguments) in
        [("saved", &["restore", "saved", "new"] as &[&str]), ("annals-data", &["backup", "other"])]
    {
        let log = place.path().join(store).join("segments/000000000001.log");
        let mut bytes = fs::read(&log).expect("the log");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&log, bytes).expect("the damage");
        let said = place.fails(6, arguments);
        assert!(said.contains("000000000001.log, offset "), "{said}");
    }
    // Not a repair, which refuses backups.
    let run = place.run(&["--store", "saved", "verify"]);
    assert!(
        run.stderr.starts_with("annals: the backup is damaged in 1 place; restore what is intact"),
        "{run:?}"
    );
    assert!(!run.stderr.contains("annals repair"), "{run:?}");
    let said = place.fails(6, &["restore", "saved", "new"]);
    let intact = said.split("Events up to position ").nth(1).and_then(|rest| rest.split(' ').next());
    let intact = intact.unwrap_or_else(|| panic!("{said}"));
    place.prints(&["restore", "saved", "intact", "--to-position", intact]);
    assert_eq!(
        place.json(&["--store", "intact", "verify", "--format", "json"])[0]["lastPosition"].to_string(),
        intact
    );
}

/// Kills the program as soon as a path is there, or lets it end if that comes first.
fn kill_when_there(place: &Place, arguments: &[&str], path: &Path) {
    let mut child = place.command(arguments).spawn().expect("the program runs");
    while !path.exists() && child.try_wait().expect("it is ours").is_none() {
        std::thread::yield_now();
    }
    child.kill().expect("killed, or at its end");
    child.wait().expect("it ends");
}

#[test]
fn a_backup_that_is_killed_leaves_the_older_one_and_is_completed_by_the_next() {
    let place = Place::new();
    let store = EventStore::open_with(place.store(), small_segments()).expect("a store");
    let mut appended = 0;
    for round in 0..30_usize {
        for _ in 0..40 {
            let event = annals::EventData::new("T", vec![7; 100]);
            store.append(&stream("a"), annals::ExpectedVersion::Any, [event]).expect("appended");
        }
        let older = appended;
        appended += 40;
        let segments = usize::try_from(store.info().expect("known").segments).expect("few");
        let there = ["", "backup.manifest", "durable.mark"].map(str::to_owned);
        let within = (0..6).flat_map(|back| {
            let number = segments.saturating_sub(back).max(1);
            [format!("segments/{number:012}.log.tmp"), format!("segments/{number:012}.log")]
        });
        let moments: Vec<String> = there.into_iter().chain(within).collect();
        let moment = place.path().join("saved").join(&moments[round % moments.len()]);
        kill_when_there(&place, &["backup", "saved"], &moment);
        let what = format!("round {round}, {}", moment.display());
        if older > 0 {
            // What the last round has completed is there, as a store and as a backup.
            let report = &place.json(&["restore", "saved", &format!("again-{round}"), "--format", "json"])[0];
            assert!(report["lastPosition"].as_u64() >= Some(older), "{what}: {report}");
            let report = &place.json(&["--store", "saved", "verify", "--format", "json"])[0];
            assert!(report["lastPosition"].as_u64() >= Some(older), "{what}: {report}");
            assert_eq!((&report["damage"], &report["interruptedBytes"]), (&json!([]), &json!(0)), "{what}");
        }
        let report = &place.json(&["backup", "saved", "--format", "json"])[0];
        assert_eq!(report["lastPosition"].as_u64(), Some(appended), "{what}");
    }
    assert_eq!(exported(&place, "saved"), exported(&place, "annals-data"));
}

#[test]
fn ctrl_c_stops_it_and_the_same_command_completes_it() {
    let place = Place::new();
    place.prints_with(&["import", "-"], &history());
    let all = exported(&place, "annals-data");
    for round in 0..20 {
        let (to, again) = (format!("saved-{round}"), format!("again-{round}"));
        place.prints(&["backup", "whole"]);
        for arguments in [["backup", to.as_str()].as_slice(), &["restore", "whole", &again]] {
            let mut child =
                place.command(arguments).stderr(Stdio::piped()).spawn().expect("the program runs");
            let interrupt = format!("kill -INT {}", child.id());
            let sent = std::process::Command::new("sh").args(["-c", &interrupt]).status().expect("sh runs");
            assert!(sent.success());
            let mut said = String::new();
            child.stderr.take().expect("standard error").read_to_string(&mut said).expect("readable");
            let status = child.wait().expect("it ends");
            if !status.success() {
                // It comes before the program listens, or is told with what to do.
                let is_told = said.contains("the same once more completes it")
                    || said.contains(
                        "before the store was open: no event was read or written; the same command",
                    );
                assert!(status.code().is_none() || is_told, "{said}");
                place.prints(arguments);
            }
            let store = arguments[arguments.len() - 1];
            assert_eq!(exported(&place, store), all, "{arguments:?}");
        }
    }
}
