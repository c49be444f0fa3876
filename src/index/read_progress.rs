//! How far an opening is that has to read segments, and telling it.

use std::{collections::HashMap, ops::Range};

use crate::options::{OpeningProgress, Options, ProgressTeller};

/// How much is read between two tellings, in bytes. Of the last segment any opening may have to read so much, which takes no time worth
/// telling.
pub(crate) const TOLD_BYTES: u64 = 1 << 20;

/// What is to be read, and what was.
#[derive(Debug)]
pub(crate) struct ReadProgress {
    teller: Option<ProgressTeller>,
    /// What of each segment is to be read that wasn't begun yet: places in its file, by its number.
    due: HashMap<u64, Range<u64>>,
    /// What is being read.
    present: Option<(u64, Range<u64>)>,
    /// The segments that are done, and all of them.
    done: OpeningProgress,
    told: OpeningProgress,
}

impl ReadProgress {
    pub(crate) fn new(options: &Options) -> Self {
        let nothing = OpeningProgress { segments: 0, segments_total: 0, bytes: 0, bytes_total: 0 };
        let teller = options.progress.clone();
        Self { teller, due: HashMap::new(), present: None, done: nothing, told: nothing }
    }

    /// Whether anybody wants to know it.
    pub(crate) fn is_told(&self) -> bool {
        self.teller.is_some()
    }

    /// A segment will be read: this part of its file at most. It may be expected already.
    pub(crate) fn expect(&mut self, number: u64, places: Range<u64>) {
        self.due.entry(number).or_insert_with(|| {
            self.done.segments_total += 1;
            self.done.bytes_total += places.end.saturating_sub(places.start);
            places
        });
    }

    /// The same of the last segment, unless it is so little as of any store.
    pub(crate) fn expect_last(&mut self, number: u64, places: Range<u64>) {
        if places.end.saturating_sub(places.start) > TOLD_BYTES {
            self.expect(number, places);
        }
    }

    /// A segment is read from now on, which is told if it was expected.
    pub(crate) fn begin(&mut self, number: u64) {
        self.present = self.due.remove(&number).map(|places| (number, places));
        self.tell(0);
    }

    /// A segment was read up to this place in its file.
    pub(crate) fn reached(&mut self, number: u64, place: u64) {
        let Some((present, places)) = &self.present else { return };
        if *present == number {
            let bytes = place.min(places.end).saturating_sub(places.start);
            if self.done.bytes + bytes >= self.told.bytes + TOLD_BYTES {
                self.tell(bytes);
            }
        }
    }

    /// The segment that was begun was read.
    pub(crate) fn finish(&mut self) {
        if let Some((_, places)) = self.present.take() {
            self.done.segments += 1;
            self.done.bytes += places.end.saturating_sub(places.start);
            self.tell(0);
        }
    }

    /// Tells how far it is, with so many bytes of the present segment, if anything is to be read and that is news.
    pub(crate) fn tell(&mut self, bytes: u64) {
        let progress = OpeningProgress { bytes: self.done.bytes + bytes, ..self.done };
        if let Some(teller) = &self.teller
            && progress != self.told
        {
            teller.tell(progress);
            self.told = progress;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const MIB: u64 = TOLD_BYTES;

    /// What is told: segments, bytes, and the totals of both.
    fn told_by(act: impl FnOnce(&mut ReadProgress)) -> Vec<(u64, u64, u64, u64)> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&told);
        let options = Options::new().on_opening_progress(move |it| {
            let now = (it.segments, it.bytes, it.segments_total, it.bytes_total);
            ear.lock().expect("nobody panicked").push(now);
        });
        act(&mut ReadProgress::new(&options));
        told.lock().expect("nobody panicked").clone()
    }

    #[test]
    fn it_is_told_at_the_beginning_each_mebibyte_and_at_each_segments_end() {
        let told = told_by(|progress| {
            progress.expect(1, 0..3 * MIB);
            progress.expect_last(2, MIB..3 * MIB);
            progress.tell(0);
            progress.begin(1);
            for place in (0..=3 * MIB).step_by(1 << 16) {
                progress.reached(1, place);
            }
            progress.finish();
            progress.begin(2);
            progress.reached(2, 2 * MIB + 5);
            progress.finish();
        });
        let expected =
            [(0, 0), (0, MIB), (0, 2 * MIB), (0, 3 * MIB), (1, 3 * MIB), (1, 4 * MIB + 5), (2, 5 * MIB)];
        assert_eq!(told, expected.map(|(segments, bytes)| (segments, bytes, 2, 5 * MIB)));
    }

    #[test]
    fn a_segment_that_turns_out_to_be_read_adds_to_what_there_is_to_do() {
        let told = told_by(|progress| {
            progress.expect(1, 0..MIB);
            for number in [1, 2] {
                progress.expect(number, 0..MIB);
                progress.begin(number);
                progress.finish();
            }
        });
        assert_eq!(told, [(0, 0, 1, MIB), (1, MIB, 1, MIB), (1, MIB, 2, 2 * MIB), (2, 2 * MIB, 2, 2 * MIB)]);
    }

    #[test]
    fn nothing_is_told_of_an_opening_that_reads_no_more_than_any() {
        let told = told_by(|progress| {
            progress.expect_last(7, 5..5 + MIB);
            progress.tell(0);
            progress.begin(7);
            progress.reached(7, MIB);
            progress.finish();
        });
        assert_eq!(told, []);
    }
}
