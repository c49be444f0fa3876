//! How a store grew: events over time, on its last days, and in its last week and month.

use annals::{LogExtent, Query, Reader, Timestamp};
use serde::Serialize;

use crate::clock_text;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// How long a bar of a chart can be, in microseconds, and how events in it are called.
const STEPS: &[(i64, &str)] = &[
    (SECOND, "a second"),
    (10 * SECOND, "in 10 seconds"),
    (MINUTE, "a minute"),
    (5 * MINUTE, "in 5 minutes"),
    (15 * MINUTE, "in 15 minutes"),
    (30 * MINUTE, "in 30 minutes"),
    (HOUR, "an hour"),
    (3 * HOUR, "in 3 hours"),
    (6 * HOUR, "in 6 hours"),
    (12 * HOUR, "in 12 hours"),
    (DAY, "a day"),
    (WEEK, "a week"),
    (4 * WEEK, "in 4 weeks"),
    (13 * WEEK, "in 13 weeks"),
    (26 * WEEK, "in 26 weeks"),
    (52 * WEEK, "in 52 weeks"),
    (520 * WEEK, "in 520 weeks"),
    (52_000 * WEEK, "in 52000 weeks"),
    // With this one, all times that a store can have are fewer than 20 bars.
    (2_000_000 * WEEK, "in 2000000 weeks"),
];

/// From a Monday on, so that weeks begin on Mondays: 1970 began on a Thursday.
const MONDAY: i64 = -3 * DAY;

/// How many days with events are listed.
const DAYS_MAX: usize = 7;

/// Over how many days growth is told.
const GROWTH_DAYS: [u64; 2] = [7, 30];

/// When the store took its first and its last event, its own left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Life {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl Life {
    /// None: there is no event.
    pub(crate) fn of(store: &Reader) -> annals::Result<Option<Self>> {
        let first = time_of_next(store, Query::all())?;
        let last = time_of_next(store, Query::all().backwards())?;
        Ok(first.zip(last).map(|(first, last)| Self { first, last }))
    }

    /// How many days it has, the first and the last among them.
    pub(crate) fn days(self) -> u64 {
        day_of(self.first).abs_diff(day_of(self.last)) + 1
    }
}

fn time_of_next(store: &Reader, query: Query<annals::Position>) -> annals::Result<Option<Timestamp>> {
    let mut events = store.read(query.limit(1));
    Ok(events.try_next()?.map(|event| event.timestamp))
}

/// The number of a time's day, from 1970 on.
fn day_of(time: Timestamp) -> i64 {
    time.micros().div_euclid(DAY)
}

fn beginning_of(day: i64) -> Timestamp {
    Timestamp::from_micros(day.saturating_mul(DAY))
}

/// A day's date, as `2026-11-22`.
pub(crate) fn print_date(time: Timestamp) -> String {
    print_part(time, "2026-11-22".len())
}

fn print_part(time: Timestamp, characters: usize) -> String {
    let text = clock_text::print_timestamp(time);
    // A time that no date can say is printed as its microseconds, whole.
    let is_date = !text.starts_with('@');
    text.get(..characters).filter(|_| is_date).map_or_else(|| text.clone(), str::to_owned)
}

/// What came on a day.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct DayReport {
    pub(crate) day: String,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

/// What came in a number of days up to that of the last event.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrowthReport {
    /// 7 or 30, and what was asked for; fewer if the store is younger.
    pub(crate) days_max: u64,
    pub(crate) days: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

/// The last days that have events, the newest first.
pub(crate) fn last_days(store: &Reader, life: Life) -> annals::Result<Vec<DayReport>> {
    let mut days = vec![day_of(life.last)];
    while let Some(day) = days.last().filter(|_| days.len() < DAYS_MAX) {
        let Some(before) = beginning_of(*day).micros().checked_sub(1) else { break };
        let query = Query::all().until(Timestamp::from_micros(before)).backwards();
        let Some(time) = time_of_next(store, query)? else { break };
        days.push(day_of(time));
    }
    let bounds: Vec<Timestamp> =
        days.iter().flat_map(|day| [beginning_of(*day), beginning_of(day.saturating_add(1))]).collect();
    let extents = store.extents_before(&bounds)?;
    let report = |(day, extents): (&i64, &[LogExtent])| {
        let (events, bytes) = between(extents);
        DayReport { day: print_date(beginning_of(*day)), events, bytes }
    };
    Ok(days.iter().zip(extents.chunks(2)).map(report).collect())
}

/// What came in the last week, and in the last month.
pub(crate) fn growth(store: &Reader, life: Life) -> annals::Result<Vec<GrowthReport>> {
    let behind = day_of(life.last).saturating_add(1);
    let days = GROWTH_DAYS.map(|days_max| days_max.min(life.days()));
    let begin = |days: u64| beginning_of(behind.saturating_sub_unsigned(days));
    let extents = store.extents_before(&[begin(days[0]), begin(days[1]), beginning_of(behind)])?;
    let report = |(number, days_max): (usize, u64)| {
        let (events, bytes) = between(&[extents[number], extents[GROWTH_DAYS.len()]]);
        GrowthReport { days_max, days: days[number], events, bytes }
    };
    Ok(GROWTH_DAYS.into_iter().enumerate().map(report).collect())
}

/// The events and the bytes between two extents.
fn between(extents: &[LogExtent]) -> (u64, u64) {
    match extents {
        [from, to] => (to.events.saturating_sub(from.events), to.log_bytes.saturating_sub(from.log_bytes)),
        _ => (0, 0),
    }
}

/// How many events came in stretches of time that are equally long, one behind the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Timeline {
    /// How long a stretch is, in microseconds.
    step: i64,
    /// `a day`, `in 3 hours`.
    pub(crate) rate: &'static str,
    /// Where the stretches begin.
    pub(crate) starts: Vec<Timestamp>,
    pub(crate) events: Vec<u64>,
}

impl Timeline {
    /// The shortest stretches of which so many span all events.
    pub(crate) fn of(store: &Reader, life: Life, stretches_max: usize) -> annals::Result<Self> {
        let (step, rate, starts) = stretches(life, stretches_max);
        let behind = starts.last().map(|last| last.micros().saturating_add(step));
        let bounds: Vec<Timestamp> =
            starts.iter().copied().chain(behind.map(Timestamp::from_micros)).collect();
        let extents = store.extents_before(&bounds)?;
        let events = extents.windows(2).map(|pair| between(pair).0).collect();
        Ok(Self { step, rate, starts, events })
    }

    /// The beginning of a stretch, as exactly as it needs: as a date, or with the time of day.
    pub(crate) fn print_start(&self, number: usize) -> String {
        let Some(start) = self.starts.get(number) else { return String::new() };
        match self.step {
            DAY.. => print_date(*start),
            MINUTE.. => print_part(*start, "2026-11-22T10:00".len()).replacen('T', " ", 1),
            _ => print_part(*start, "2026-11-22T10:00:00".len()).replacen('T', " ", 1),
        }
    }
}

fn stretches(life: Life, stretches_max: usize) -> (i64, &'static str, Vec<Timestamp>) {
    let mut starts = Vec::new();
    let (mut step, mut rate) = STEPS[0];
    for candidate in STEPS {
        (step, rate) = *candidate;
        let number_of = |time: Timestamp| time.micros().saturating_sub(MONDAY).div_euclid(step);
        let (first, last) = (number_of(life.first), number_of(life.last));
        if first.abs_diff(last) < stretches_max as u64 {
            let start = |number: i64| number.saturating_mul(step).saturating_add(MONDAY);
            starts = (first..=last).map(|number| Timestamp::from_micros(start(number))).collect();
            break;
        }
    }
    (step, rate, starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY_2025_11_17: i64 = 20_409 * DAY;

    fn life(first: i64, last: i64) -> Life {
        Life { first: Timestamp::from_micros(first), last: Timestamp::from_micros(last) }
    }

    #[track_caller]
    fn check(life: Life, stretches_max: usize, rate: &str, starts: &[i64]) {
        let (_, found, found_starts) = stretches(life, stretches_max);
        let found_starts: Vec<i64> = found_starts.iter().map(|start| start.micros()).collect();
        assert_eq!((found, found_starts.as_slice()), (rate, starts));
    }

    #[test]
    fn stretches_are_the_shortest_that_span_all() {
        let monday = MONDAY_2025_11_17;
        check(life(monday + 5, monday + 5), 60, "a second", &[monday]);
        check(life(monday - 1, monday), 60, "a second", &[monday - SECOND, monday]);
        check(life(monday, monday + 2 * SECOND), 2, "in 10 seconds", &[monday]);
        check(life(monday + HOUR, monday + 2 * DAY), 3, "a day", &[monday, monday + DAY, monday + 2 * DAY]);
    }

    #[test]
    fn weeks_begin_on_mondays() {
        let monday = MONDAY_2025_11_17;
        check(life(monday - 1, monday + 8 * DAY), 3, "a week", &[monday - WEEK, monday, monday + WEEK]);
    }

    #[test]
    fn all_times_there_are_fit_a_narrow_terminal() {
        let (_, rate, starts) = stretches(life(i64::MIN, i64::MAX), 26);
        assert_eq!((rate, starts.len()), ("in 2000000 weeks", 16));
    }

    #[test]
    fn a_day_is_printed_as_its_date_and_an_odd_one_as_it_is() {
        assert_eq!(print_date(Timestamp::from_micros(MONDAY_2025_11_17)), "2025-11-17");
        assert_eq!(print_date(Timestamp::MAX), "@9223372036854775807us+0m");
    }

    #[test]
    fn both_ends_of_a_life_count_as_days() {
        assert_eq!(life(DAY - 1, DAY).days(), 2);
        assert_eq!(life(0, DAY - 1).days(), 1);
    }
}
