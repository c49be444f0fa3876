//! Links, and whatever else is no directory, where directories of a store, of a backup or of a restore belong: refused before
//! anything is changed, and nothing beyond a link is touched.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::PathBuf,
};

use annals::{
    BackupError, BackupOptions, Disk, Error, EventStore, ExistingStore, ExpectedVersion, Follower, OsDisk,
    RepairOptions, RestoreOptions, SnapshotData, backup, repair, restore, verify,
};

use crate::{
    backup::{check_store, everything, on},
    repair::accepting,
    support::{Outcome, event, events, small_segments, stream},
};

/// What messages say to do with what isn't the store's.
const MOVE_AWAY: &str = "move it away";

/// And with a link to a directory of the store's own.
const MOUNT: &str = "put the directory itself here, or mount it here (a bind mount)";

/// A store, a backup of it, and files that are nobody's but their owner's.
struct Place {
    directory: tempfile::TempDir,
    /// What isn't looked at.
    left_out: &'static [&'static str],
}

/// What an open store changes at moments of its own: its log grows ahead of what is written, and the mark follows it.
const CHANGED_WHILE_OPEN: &[&str] = &["store/segments", "store/durable.mark"];

impl Place {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let place = Self { directory: tempfile::tempdir()?, left_out: &[] };
        let store = EventStore::open_with(place.path("store"), small_segments())?;
        for number in 1..=50 {
            store.append(&stream("a"), ExpectedVersion::Any, events(number, 1))?;
        }
        store.close()?;
        backup(place.path("store"), place.path("saved"), &BackupOptions::new(), &mut on)?;
        fs::create_dir_all(place.path("precious/segments.restoring"))?;
        for name in [
            "letter",
            "store.meta",
            "000000000001.log",
            "000000000001.log.tmp",
            "segments.restoring/000000000001.log",
        ] {
            fs::write(place.path("precious").join(name), format!("mine: {name}"))?;
        }
        Ok(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn link(&self, target: &str, link: &str) -> Outcome {
        let link = self.path(link);
        fs::create_dir_all(link.parent().expect("it has one"))?;
        Ok(symlink(self.path(target), link)?)
    }

    /// Puts what is there elsewhere, and a link to it in its place.
    fn lead_elsewhere(&self, name: &str) -> Outcome {
        OsDisk.rename(&self.path(name), &self.path("elsewhere"))?;
        self.link("elsewhere", name)
    }

    /// Puts it in the link's place again.
    fn put_back(&self, name: &str) -> Outcome {
        fs::remove_file(self.path(name))?;
        Ok(OsDisk.rename(&self.path("elsewhere"), &self.path(name))?)
    }

    /// All that is there and isn't left out, with what is in it; links are not followed.
    fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut directories = vec![self.directory.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                let kind = fs::symlink_metadata(&path).expect("it is there").file_type();
                let content = if kind.is_symlink() {
                    fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
                } else if kind.is_dir() {
                    directories.push(path.clone());
                    b"a directory".to_vec()
                } else {
                    fs::read(&path).expect("a file")
                };
                // These are notes for other programs, and say nothing of the store.
                let is_note = path.ends_with("writer.pid") || path.ends_with("head");
                if !is_note && !self.left_out.iter().any(|name| path.starts_with(self.path(name))) {
                    found.insert(path, content);
                }
            }
        }
        found
    }

    /// Expects a refusal that names what is in the way and says what to do, and that nothing is changed.
    #[track_caller]
    fn refused<T>(&self, obstacle: &str, advice: &str, run: impl FnOnce() -> annals::Result<T>) {
        let before = self.everything();
        let Err(error) = run() else { panic!("{obstacle} is gone along with") };
        let because = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        let told = format!("{error}: {because}");
        assert!(told.contains(&*self.path(obstacle).to_string_lossy()), "{obstacle}: {told}");
        assert!(told.contains(advice), "{obstacle}: {told}");
        assert!(self.everything() == before, "{obstacle}: something was changed");
    }

    fn restore(&self, options: RestoreOptions) -> annals::Result<()> {
        restore(self.path("saved"), self.path("shop"), &options, &mut on).map(drop)
    }

    /// Expects that nothing is restored while this is in the way, and that all is when it isn't any more.
    #[track_caller]
    fn restores_only_without(&self, obstacle: &str) {
        self.refused(obstacle, MOVE_AWAY, || {
            let restored = self.restore(RestoreOptions::new());
            let is_taken = matches!(restored, Err(Error::Backup(BackupError::DestinationTaken { .. })));
            assert!(is_taken, "{obstacle}: {restored:?}");
            restored
        });
        OsDisk.rename(&self.path(obstacle), &self.path("moved away")).expect("it can be moved");
        self.restore(RestoreOptions::new()).expect("nothing is in the way");
        let events = everything(&Follower::open(self.path("store")).expect("the store"));
        check_store(&self.path("shop"), &events);
        assert_eq!(fs::read(self.path("precious/letter")).expect("it is there"), b"mine: letter");
    }
}

#[test]
fn a_restore_follows_no_link_in_the_place_of_what_it_makes() -> Outcome {
    for (target, link) in [
        ("precious", "shop.restoring/segments.restoring"),
        ("precious", "shop/segments.restoring"),
        ("precious", "shop.restoring"),
        ("precious/segments.restoring", "shop.restoring"),
        ("nowhere", "shop.restoring"),
        ("precious/letter", "shop.restoring"),
    ] {
        let place = Place::new()?;
        place.link(target, link)?;
        place.restores_only_without(link);
    }
    Ok(())
}

#[test]
fn a_restore_follows_no_link_among_what_an_earlier_one_has_left() -> Outcome {
    for (target, link) in [
        ("precious/letter", "shop.restoring/segments.restoring/000000000001.log"),
        ("precious", "shop/segments.restoring/000000000002.log"),
        ("precious/store.meta", "shop.restoring/store.meta"),
        ("precious/letter", "shop/durable.mark"),
    ] {
        let place = Place::new()?;
        for site in ["shop", "shop.restoring"] {
            if link.split('/').next() == Some(site) {
                fs::create_dir_all(place.path(site).join("segments.restoring"))?;
                fs::write(place.path(site).join("segments.restoring/000000000003.log"), "begun")?;
            }
        }
        place.link(target, link)?;
        place.restores_only_without(link);
    }
    Ok(())
}

#[test]
fn a_restore_removes_nothing_that_no_restore_has_left() -> Outcome {
    for name in
        ["shop.restoring", "shop.restoring/segments.restoring/letter", "shop/segments.restoring/1.log"]
    {
        let place = Place::new()?;
        fs::create_dir_all(place.path(name).parent().expect("it has one"))?;
        fs::write(place.path(name), "mine")?;
        place.restores_only_without(name);
    }
    let place = Place::new()?;
    fs::create_dir_all(place.path("shop.restoring/segments.restoring/000000000001.log"))?;
    place.restores_only_without("shop.restoring/segments.restoring/000000000001.log");
    Ok(())
}

#[test]
fn a_store_isnt_set_aside_where_a_link_is_in_the_way() -> Outcome {
    for link in ["shop.restoring", "shop.restoring/segments.restoring"] {
        let place = Place::new()?;
        place.restore(RestoreOptions::new())?;
        place.link("precious", link)?;
        let aside = RestoreOptions::new().existing(ExistingStore::SetAside);
        place.refused(link, MOVE_AWAY, || place.restore(aside));
        fs::remove_file(place.path(link))?;
        place.restore(aside)?;
        assert!(place.path("shop.before-restore-1").exists());
    }
    Ok(())
}

#[test]
fn a_restore_makes_no_store_in_a_directory_that_others_may_change() -> Outcome {
    let site = "shop.restoring";
    for mode in [0o777, 0o1777, 0o770, 0o702] {
        let place = Place::new()?;
        fs::create_dir(place.path(site))?;
        fs::set_permissions(place.path(site), fs::Permissions::from_mode(mode))?;
        let restored = || place.restore(RestoreOptions::new());
        place.refused(site, "must belong to the user who restores", restored);
        place.refused(site, "if a restore has left it, remove it and restore again", restored);
        place.restores_only_without(site);
    }
    let place = Place::new()?;
    fs::create_dir(place.path(site))?;
    // Only root can give it to somebody else.
    if chown(place.path(site), Some(65_534), None).is_ok() {
        place.restores_only_without(site);
    }
    Ok(())
}

#[test]
fn a_backup_follows_no_link_in_the_place_of_its_segments() -> Outcome {
    let place = Place::new()?;
    let back_up = || backup(place.path("store"), place.path("saved"), &BackupOptions::new(), &mut on);
    place.lead_elsewhere("saved/segments")?;
    fs::write(place.path("elsewhere/000000000001.log.tmp"), "mine")?;
    place.refused("saved/segments", MOUNT, back_up);
    place.put_back("saved/segments")?;
    back_up()?;
    Ok(())
}

#[test]
fn a_link_in_a_directory_that_has_no_backup_doesnt_make_it_one() -> Outcome {
    let place = Place::new()?;
    place.link("precious", "letters/segments")?;
    place.refused("letters", "choose an empty or a new one", || {
        let told = backup(place.path("store"), place.path("letters"), &BackupOptions::new(), &mut on);
        let is_taken = matches!(told, Err(Error::Backup(BackupError::DestinationTaken { .. })));
        assert!(is_taken, "{told:?}");
        told
    });
    Ok(())
}

#[test]
fn nothing_is_restored_or_repaired_from_a_backup_whose_segments_are_a_link() -> Outcome {
    let place = Place::new()?;
    let saved = place.path("saved");
    place.lead_elsewhere("saved/segments")?;
    place.refused("saved/segments", MOUNT, || place.restore(RestoreOptions::new()));
    place.refused("saved/segments", MOUNT, || verify(&saved, &mut |_| ControlFlow::Continue(())));
    let options = RepairOptions::new().backup(&saved);
    place.refused("saved/segments", MOUNT, || {
        repair(place.path("store"), &options, &mut |_| ControlFlow::Continue(()))
    });
    place.put_back("saved/segments")?;
    place.restore(RestoreOptions::new())?;
    Ok(())
}

#[test]
fn a_store_whose_segments_are_a_link_is_left_alone() -> Outcome {
    let place = Place::new()?;
    let store = place.path("store");
    place.lead_elsewhere("store/segments")?;
    fs::write(place.path("elsewhere/000000000001.log.tmp"), "mine")?;
    place.refused("store/segments", MOUNT, || EventStore::open(&store));
    place.refused("store/segments", MOUNT, || Follower::open(&store));
    place.refused("store/segments", MOUNT, || verify(&store, &mut |_| ControlFlow::Continue(())));
    let accepting = accepting();
    place.refused("store/segments", MOUNT, || repair(&store, &accepting, &mut |_| ControlFlow::Continue(())));
    // So is a directory in which a store would be made.
    place.link("precious", "new/segments")?;
    place.refused("new/segments", MOUNT, || EventStore::open(place.path("new")));
    // A file leads nowhere.
    fs::create_dir(place.path("other"))?;
    fs::write(place.path("other/segments"), "mine")?;
    place.refused("other/segments", MOVE_AWAY, || EventStore::open(place.path("other")));
    Ok(())
}

#[test]
fn a_repair_keeps_nothing_beyond_a_link() -> Outcome {
    let place = Place::new()?;
    let (store, log) = (place.path("store"), place.path("store/segments/000000000001.log"));
    let mut content = fs::read(&log)?;
    content[600] ^= 1;
    // The backup has a link of the file.
    fs::remove_file(&log)?;
    fs::write(&log, content)?;
    place.link("precious", "store/quarantine")?;
    let options = accepting();
    place.refused("store/quarantine", MOUNT, || repair(&store, &options, &mut |_| ControlFlow::Continue(())));
    fs::remove_file(place.path("store/quarantine"))?;
    repair(&store, &options, &mut |_| ControlFlow::Continue(()))?;
    assert!(place.path("store/quarantine/repair-1/report.json").exists());
    Ok(())
}

#[test]
fn snapshots_are_neither_saved_nor_deleted_beyond_a_link() -> Outcome {
    let place = Place { left_out: CHANGED_WHILE_OPEN, ..Place::new()? };
    let store = EventStore::open(place.path("store"))?;
    let version = store.append(&stream("a"), ExpectedVersion::Any, [event("A")])?.version;
    let save = || store.save_snapshot(&stream("a"), version, SnapshotData::new("Totals", "state"));
    save()?;
    let of_stream = fs::read_dir(place.path("store/snapshots"))?.next().expect("one stream")?.file_name();
    let of_stream = format!("store/snapshots/{}", of_stream.to_string_lossy());
    for name in ["store/snapshots", &of_stream] {
        place.lead_elsewhere(name)?;
        place.refused(name, MOUNT, save);
        let before = place.everything();
        store.delete_snapshots(&stream("a"), None).ok();
        store.delete_all_snapshots().ok();
        assert!(store.snapshot(&stream("a"), "Totals")?.snapshot.is_none());
        assert!(place.everything() == before, "{name}: something was deleted");
        place.put_back(name)?;
    }
    assert!(store.snapshot(&stream("a"), "Totals")?.snapshot.is_some());
    Ok(())
}
