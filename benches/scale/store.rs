//! A store that is measured: how it is made, and how it is opened again and again in the same state.

#![allow(clippy::disallowed_methods, reason = "copies are brought to the disk before they are opened")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    End, Make, Outcome, Probe, Probed,
    appends::{AppendOn, AppendedOn},
    child::Ending,
    files,
    job::Job,
    make::Made,
    probe::Dropping,
    reads::{ReadStreams, Reads},
    work::Work,
};

pub(crate) struct Bench {
    directory: PathBuf,
    pub(crate) work: Work,
    appends: u64,
    pub(crate) segments: u64,
    pub(crate) log_bytes: u64,
    end: End,
}

impl Bench {
    /// Makes a store in a process of its own.
    pub(crate) fn make(directory: &Path, work: Work, end: End) -> Outcome<Self> {
        let (appends, segments, log_bytes) = (0, 0, 0);
        let mut bench = Self { directory: directory.to_owned(), work, appends, segments, log_bytes, end };
        bench.go_on(end)?;
        Ok(bench)
    }

    /// Appends on, until a new segment is nearly full, and is killed.
    pub(crate) fn go_on_until_killed(&mut self) -> Outcome<()> {
        self.go_on(End::Killed)
    }

    fn go_on(&mut self, end: End) -> Outcome<()> {
        let (directory, work) = (self.directory.clone(), self.work.clone());
        let job = Job::Make(Make { directory, work, appends_before: self.appends, end });
        let made: Made = job.start(if end == End::Close { Ending::ByItself } else { Ending::Kill })?;
        (self.appends, self.segments, self.log_bytes) = (made.appends, made.segments, made.log_bytes);
        self.end = end;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn events(&self) -> u64 {
        self.appends * self.work.batch
    }

    /// How many streams there are, but for the scattered one.
    pub(crate) fn streams(&self) -> u64 {
        self.work.window_streams(self.appends).end
    }

    /// A stream that has events, another one in each round.
    pub(crate) fn stream_by_chance(&self, round: u64) -> u64 {
        self.work.stream_by_chance(round, self.appends)
    }

    /// What index files and the stream directory take, in bytes.
    pub(crate) fn index_bytes(&self) -> Outcome<u64> {
        let mut bytes = 0;
        for file in files::list(&self.directory)? {
            let is_directory = file.file_name().is_some_and(|name| name == "streams.dir");
            if is_directory || file.extension().is_some_and(|extension| extension == "idx") {
                bytes += file.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    /// Opens the store as its maker left it, and reads a stream.
    pub(crate) fn probe(&mut self, stream: u64, dropping: Dropping) -> Outcome<Probed> {
        // Opening and closing a closed store changes nothing; opening a killed one mends it.
        let copy = match self.end {
            End::Close => None,
            End::Killed => Some(self.copy("killed")?),
        };
        let job = Job::Probe(Probe {
            directory: copy.clone().unwrap_or_else(|| self.directory.clone()),
            segment_bytes: self.work.segment_bytes,
            stream,
            truth: self.work.truth(stream, self.appends),
            last_position: self.events(),
            dropping,
        });
        let probed = job.start(Ending::ByItself);
        if let Some(copy) = copy {
            fs::remove_dir_all(copy)?;
        }
        probed
    }

    /// Reads streams at random, in a process of its own.
    pub(crate) fn read_streams(&self, round: u64) -> Outcome<ReadStreams> {
        let (directory, work) = (self.directory.clone(), self.work.clone());
        Job::Reads(Reads { directory, work, appends: self.appends, round }).start(Ending::ByItself)
    }

    /// Appends to a copy, which is removed again: the store stays as large as it is.
    pub(crate) fn append_on(&self) -> Outcome<AppendedOn> {
        let copy = self.copy("appended")?;
        let (directory, work) = (copy.clone(), self.work.clone());
        let appended = Job::AppendOn(AppendOn { directory, work, appends_before: self.appends });
        let appended = appended.start(Ending::ByItself);
        fs::remove_dir_all(copy)?;
        appended
    }

    /// The same state in another directory: what opening may change is copied, and sealed segments, which
    /// nothing changes in place, are linked.
    fn copy(&self, extension: &str) -> Outcome<PathBuf> {
        let copy = self.directory.with_extension(extension);
        let active = format!("{:012}", self.segments);
        for file in files::list(&self.directory)? {
            let to = copy.join(file.strip_prefix(&self.directory)?);
            fs::create_dir_all(to.parent().ok_or("a copy is below a directory")?)?;
            let number = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let is_in_segments = file.parent().is_some_and(|parent| parent.ends_with("segments"));
            if is_in_segments && number < active.as_str() {
                fs::hard_link(&file, &to)?;
            } else {
                fs::copy(&file, &to)?;
                File::open(&to)?.sync_all()?;
            }
        }
        Ok(copy)
    }
}
