//! Times and durations as text, in all forms that the program takes and prints.
//!
//! What is stored with an event, when it happened, is RFC 3339 with the zone's offset, to the microsecond. It says the same wherever
//! it is read, so an offset is never made up.
//!
//! A time that bounds what is read, or says how far back something goes, is asked by somebody here and now. So it is also taken
//! without an offset, in the system's zone; as a date, `today` or `yesterday`, which are whole days of that zone; or
//! as how long ago it was. What names several moments (a day, the hour that an autumn night has twice) is all of them:
//! `--since` means the first, `--until` the last.
//!
//! RFC 3339 can't say every time that a store can hold (years above 9999, offsets of days). Such a time is
//! printed as `@` with its microseconds since 1970 and its offset in minutes, `@253402300800000000us+0m`,
//! and read back from that, so that one odd event doesn't make a store impossible to export.

use std::time::Duration;

pub(crate) use annals::print_timestamp;
use annals::{AsOf, OccurredAt, Position, Timestamp};
use jiff::{
    Span, SpanRelativeTo, Zoned,
    civil::{Date, DateTime, Time},
    fmt::temporal::Pieces,
    tz::{Offset, TimeZone},
};

const SECONDS_PER_MINUTE: i32 = 60;
const NANOSECONDS_PER_MICROSECOND: i128 = 1_000;

/// Reads `500ms`, `90s`, `1h30m`, `1.5h`, `2 days` of 24 hours each, and plain `0`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span = text.parse::<Span>().ok().filter(|_| !text.ends_with("ago"));
    let duration = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    duration
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "it is a duration, such as 500ms, 90s, 10m, 1h30m, 1.5h or 2d".to_owned())
}

/// A time without the parts of its second, for who looks at many of them.
pub(crate) fn print_to_the_second(time: Timestamp) -> String {
    let text = print_timestamp(time);
    // An odd one has no point.
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// Whether RFC 3339 can say a time in every zone: whether it is printed so.
pub(crate) fn is_in_rfc3339(time: Timestamp) -> bool {
    !print_timestamp(time).starts_with('@')
}

/// Whether a text would be the time of something that is stored, if it only had an offset.
pub(crate) fn lacks_offset_alone(text: &str) -> bool {
    parse_occurred_at(text).is_err() && parse_occurred_at(&format!("{text}Z")).is_ok()
}

fn parse_odd(text: &str) -> Option<OccurredAt> {
    let (micros, offset) = text.strip_prefix('@')?.strip_suffix('m')?.split_once("us")?;
    let time = Timestamp::from_micros(micros.parse().ok()?);
    Some(OccurredAt { time, offset_minutes: offset.parse().ok()? })
}

/// Reads the time of something that is stored, with its offset. Digits behind the microsecond are dropped.
pub(crate) fn parse_occurred_at(text: &str) -> Result<OccurredAt, String> {
    if let Some(odd) = parse_odd(text) {
        return Ok(odd);
    }
    let wanted = "it is a time with its offset, such as 2025-11-21T09:30:00+01:00 or 2025-11-21T08:30:00Z";
    let pieces = Pieces::parse(text).map_err(|_| wanted.to_owned())?;
    if pieces.time_zone_annotation().is_some() {
        return Err(format!("{wanted} (a zone's name in brackets isn't kept)"));
    }
    let Some(time) = pieces.time() else { return Err(wanted.to_owned()) };
    let Some(offset) = pieces.to_numeric_offset() else {
        return Err(format!("{wanted}: its offset is missing"));
    };
    if offset.seconds() % SECONDS_PER_MINUTE != 0 {
        return Err(format!("{wanted} (an offset is whole minutes)"));
    }
    let offset_minutes = i16::try_from(offset.seconds() / SECONDS_PER_MINUTE);
    let micros = micros_of(DateTime::from_parts(pieces.date(), time), offset);
    match (micros, offset_minutes) {
        (Some(micros), Ok(offset_minutes)) => {
            Ok(OccurredAt { time: Timestamp::from_micros(micros), offset_minutes })
        }
        _ => Err(wanted.to_owned()),
    }
}

/// Reads the first moment that a bound names: the beginning of a day.
pub(crate) fn parse_since(text: &str) -> Result<Timestamp, String> {
    parse_bound(text, &Zoned::now()).map(|bound| bound.first)
}

/// Reads the last moment that a bound names: the end of a day.
pub(crate) fn parse_until(text: &str) -> Result<Timestamp, String> {
    parse_bound(text, &Zoned::now()).map(|bound| bound.last)
}

/// Reads a position, which is a plain number, or the last moment that a bound names.
pub(crate) fn parse_as_of(text: &str) -> Result<AsOf, String> {
    match text.parse() {
        Ok(position) => Ok(AsOf::Position(Position::new(position))),
        Err(_) => parse_until(text).map(AsOf::Time).map_err(|wrong| format!("{wrong}; or a position")),
    }
}

/// Where a reader begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Beginning {
    /// With the first event.
    Start,
    /// With what comes from now on.
    Now,
    /// At a version or a position.
    Number(u64),
    /// With what was stored at this time, or later.
    Time(Timestamp),
}

/// Reads `start`, `now`, a number, or the first moment that a bound names.
pub(crate) fn parse_beginning(text: &str) -> Result<Beginning, String> {
    match (text, text.parse()) {
        ("start", _) => Ok(Beginning::Start),
        ("now", _) => Ok(Beginning::Now),
        (_, Ok(number)) => Ok(Beginning::Number(number)),
        (_, Err(_)) => parse_since(text)
            .map(Beginning::Time)
            .map_err(|wrong| format!("{wrong}; or start, now, a version or a position")),
    }
}

/// What a bound names, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct TimeBound {
    first: Timestamp,
    last: Timestamp,
}

impl TimeBound {
    fn moment(time: jiff::Timestamp) -> Option<Self> {
        let time = timestamp_of(time)?;
        Some(Self { first: time, last: time })
    }
}

/// Reads a bound, as who asks means it `now`, in the zone that they are in.
fn parse_bound(text: &str, now: &Zoned) -> Result<TimeBound, String> {
    let text = text.trim();
    let bound = parse_relative(text, now)
        .or_else(|| parse_occurred_at(text).ok().map(|it| TimeBound { first: it.time, last: it.time }))
        .or_else(|| text.parse::<Zoned>().ok().and_then(|zoned| TimeBound::moment(zoned.timestamp())))
        .or_else(|| parse_local(text, now.time_zone()));
    bound.ok_or_else(|| {
        "it is a time, such as 2025-11-21T09:30:00+01:00 or 2025-11-21 09:30 (in this system's zone), a date, such as 2025-11-21, \
         how long ago it was, such as 2h ago, or now, today, yesterday, yesterday 17:00"
            .to_owned()
    })
}

/// `now`, `today`, `yesterday`, either with a time of that day, `2h ago`, `3 days ago`.
fn parse_relative(text: &str, now: &Zoned) -> Option<TimeBound> {
    if text == "now" {
        return TimeBound::moment(now.timestamp());
    }
    if text.ends_with("ago") {
        let span: Span = text.parse().ok()?;
        return TimeBound::moment(now.checked_add(span).ok()?.timestamp());
    }
    let (day, time) = match text.split_once(' ') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let date = match day {
        "today" => now.date(),
        "yesterday" => now.date().yesterday().ok()?,
        _ => return None,
    };
    match time {
        Some(time) => of_local(date.to_datetime(time.trim().parse::<Time>().ok()?), now.time_zone()),
        None => of_day(date, now.time_zone()),
    }
}

/// A date, or a date and a time, of this zone.
fn parse_local(text: &str, zone: &TimeZone) -> Option<TimeBound> {
    let pieces = Pieces::parse(text).ok()?;
    if pieces.to_numeric_offset().is_some() || pieces.time_zone_annotation().is_some() {
        return None;
    }
    match pieces.time() {
        Some(time) => of_local(pieces.date().to_datetime(time), zone),
        None => of_day(pieces.date(), zone),
    }
}

/// All of a day, which may have 23 or 25 hours.
fn of_day(date: Date, zone: &TimeZone) -> Option<TimeBound> {
    let begin = |date: Date| date.to_zoned(zone.clone()).ok().and_then(|day| timestamp_of(day.timestamp()));
    let (first, next) = (begin(date)?, begin(date.tomorrow().ok()?)?);
    Some(TimeBound { first, last: Timestamp::from_micros(next.micros() - 1) })
}

/// What a clock in this zone shows. It shows some times twice, when it is put back, and leaves others out, when it is put forward: of these,
/// the bound is what it would be by the zone's time before and after.
fn of_local(local: DateTime, zone: &TimeZone) -> Option<TimeBound> {
    let moment = zone.to_ambiguous_timestamp(local);
    let (earlier, later) = (moment.earlier().ok()?, moment.later().ok()?);
    Some(TimeBound { first: timestamp_of(earlier)?, last: timestamp_of(later)? })
}

fn timestamp_of(time: jiff::Timestamp) -> Option<Timestamp> {
    micros_of_nanoseconds(time.as_nanosecond()).map(Timestamp::from_micros)
}

fn micros_of(local: DateTime, offset: Offset) -> Option<i64> {
    micros_of_nanoseconds(offset.to_timestamp(local).ok()?.as_nanosecond())
}

/// What is finer than a microsecond is dropped towards the past.
fn micros_of_nanoseconds(nanoseconds: i128) -> Option<i64> {
    i64::try_from(nanoseconds.div_euclid(NANOSECONDS_PER_MICROSECOND)).ok()
}

#[cfg(test)]
mod tests {
    use annals::print_occurred_at;

    use super::*;

    fn check_occurred_at(text: &str, printed: &str) {
        let occurred_at = parse_occurred_at(text).expect("a time");
        assert_eq!(print_occurred_at(occurred_at), printed, "{text}");
        assert_eq!(parse_occurred_at(printed), Ok(occurred_at), "{text}");
    }

    #[test]
    fn a_time_is_printed_with_the_offset_it_came_with() {
        check_occurred_at("2016-02-27T11:07:26-05:00", "2016-02-27T11:07:26-05:00");
        check_occurred_at("2016-02-27T11:07:26.5+05:45", "2016-02-27T11:07:26.5+05:45");
        check_occurred_at("2016-02-27t11:07:26.000001z", "2016-02-27T11:07:26.000001Z");
        check_occurred_at("1969-12-31T23:59:59.999999+00:00", "1969-12-31T23:59:59.999999Z");
        check_occurred_at("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z");
    }

    #[test]
    fn digits_behind_the_microsecond_are_dropped_towards_the_past() {
        check_occurred_at("2016-02-27T11:07:26.1234567Z", "2016-02-27T11:07:26.123456Z");
        check_occurred_at("1960-01-01T00:00:00.1234567Z", "1960-01-01T00:00:00.123456Z");
    }

    #[test]
    fn times_that_rfc_3339_cannot_say_come_back_too() {
        for (micros, offset_minutes) in [(i64::MIN, 0), (i64::MAX, -7), (0, i16::MIN), (0, 1_440)] {
            let occurred_at = OccurredAt { time: Timestamp::from_micros(micros), offset_minutes };
            let printed = print_occurred_at(occurred_at);
            assert!(printed.starts_with('@'), "{printed}");
            assert_eq!(parse_occurred_at(&printed), Ok(occurred_at));
        }
        assert_eq!(print_timestamp(Timestamp::MIN), "@-9223372036854775808us+0m");
    }

    #[test]
    fn a_time_without_all_its_parts_is_refused() {
        for text in ["", "2016-02-27", "2016-02-27T11:07:26", "11:07:26Z", "2016-02-30T00:00:00Z", "@5us"] {
            assert!(parse_occurred_at(text).is_err(), "{text}");
        }
        let named = parse_occurred_at("2016-02-27T11:07:26-05:00[America/New_York]");
        assert!(named.expect_err("a name").contains("brackets"));
    }

    #[test]
    fn timestamps_have_six_digits() {
        assert_eq!(print_timestamp(Timestamp::from_micros(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(print_timestamp(Timestamp::from_micros(-1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(print_to_the_second(Timestamp::from_micros(-1)), "1969-12-31T23:59:59Z");
        assert_eq!(print_to_the_second(Timestamp::MIN), print_timestamp(Timestamp::MIN));
    }

    fn check_bound_in(zone: &TimeZone, text: &str, first: &str, last: &str) {
        let now: jiff::Timestamp = "2025-11-21T12:00:00.5Z".parse().expect("a time");
        let bound = parse_bound(text, &now.to_zoned(zone.clone())).expect(text);
        let found = (print_timestamp(bound.first), print_timestamp(bound.last));
        assert_eq!(found, (first.into(), last.into()), "{text}");
    }

    #[test]
    fn a_bound_is_a_time_a_day_or_how_long_ago() {
        let moment = |text, printed| check_bound_in(&TimeZone::UTC, text, printed, printed);
        moment("2016-02-27T11:07:26-05:00", "2016-02-27T16:07:26.000000Z");
        moment("2016-02-27 11:07-05:00", "2016-02-27T16:07:00.000000Z");
        moment("2016-02-27T11:07[-05:00]", "2016-02-27T16:07:00.000000Z");
        moment("2016-02-27T11:07:26", "2016-02-27T11:07:26.000000Z");
        moment("2016-02-27 11:07", "2016-02-27T11:07:00.000000Z");
        moment("@-1us+0m", "1969-12-31T23:59:59.999999Z");
        moment("now", "2025-11-21T12:00:00.500000Z");
        moment("2h ago", "2025-11-21T10:00:00.500000Z");
        moment("1h30m ago", "2025-11-21T10:30:00.500000Z");
        moment("3 days ago", "2025-11-18T12:00:00.500000Z");
        moment("1 month 1 day ago", "2025-10-20T12:00:00.500000Z");
        moment("yesterday 17:00", "2025-11-20T17:00:00.000000Z");
        moment("today 09:30:15", "2025-11-21T09:30:15.000000Z");
        let day = |text, first, last| check_bound_in(&TimeZone::UTC, text, first, last);
        day("2016-02-28", "2016-02-28T00:00:00.000000Z", "2016-02-28T23:59:59.999999Z");
        day("today", "2025-11-21T00:00:00.000000Z", "2025-11-21T23:59:59.999999Z");
        day("yesterday", "2025-11-20T00:00:00.000000Z", "2025-11-20T23:59:59.999999Z");
    }

    #[test]
    fn what_has_no_offset_is_of_the_zone_of_who_asks() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let berlin = |text, first, last| check_bound_in(&zone, text, first, last);
        berlin("2025-11-21 10:00", "2025-11-21T09:00:00.000000Z", "2025-11-21T09:00:00.000000Z");
        berlin("2025-07-01", "2025-06-30T22:00:00.000000Z", "2025-07-01T21:59:59.999999Z");
        berlin("today", "2025-11-20T23:00:00.000000Z", "2025-11-21T22:59:59.999999Z");
        // The clock is put back at 3 o'clock: this day has 25 hours, and this half hour comes twice.
        berlin("2025-10-26", "2025-10-25T22:00:00.000000Z", "2025-10-26T22:59:59.999999Z");
        berlin("2025-10-26 02:30", "2025-10-26T00:30:00.000000Z", "2025-10-26T01:30:00.000000Z");
        // And put forward at 2 o'clock: this half hour never comes.
        berlin("2025-03-30 02:30", "2025-03-30T00:30:00.000000Z", "2025-03-30T01:30:00.000000Z");
        // An hour ago is an hour ago, a day ago the same time of yesterday's day.
        berlin("26 days ago", "2025-10-26T12:00:00.500000Z", "2025-10-26T12:00:00.500000Z");
        berlin("27 days ago", "2025-10-25T11:00:00.500000Z", "2025-10-25T11:00:00.500000Z");
    }

    #[test]
    fn what_could_be_another_time_is_refused_as_a_bound() {
        for text in [
            "",
            "2h",
            "-2h",
            "ago",
            "last week",
            "noon",
            "2016-02-30",
            "11:07",
            "today 25:00",
            "21.11.2025",
            "11/21/2025",
            "-2h ago now",
            "today yesterday",
        ] {
            let refused = parse_since(text).expect_err(text);
            assert!(refused.contains("2025-11-21T09:30:00+01:00") && refused.contains("2h ago"), "{refused}");
        }
        assert_eq!(parse_as_of("17"), Ok(AsOf::Position(Position::new(17))));
        let time = Timestamp::from_micros(-1);
        assert_eq!(parse_as_of("@-1us+0m"), Ok(AsOf::Time(time)));
        assert_eq!(parse_beginning("17"), Ok(Beginning::Number(17)));
        assert_eq!(parse_beginning("@-1us+0m"), Ok(Beginning::Time(time)));
        assert_eq!(
            (parse_beginning("start"), parse_beginning("now")),
            (Ok(Beginning::Start), Ok(Beginning::Now))
        );
        assert!(parse_beginning("soon").expect_err("no time").ends_with("a version or a position"));
        assert!(parse_as_of("-17").expect_err("no position").ends_with("; or a position"));
    }

    #[test]
    fn a_time_that_lacks_nothing_but_its_offset_is_told_apart() {
        for text in ["2025-11-21 08:30:00", "2025-11-21T08:30", "2025-11-21 08:30:00.25"] {
            assert!(lacks_offset_alone(text), "{text}");
        }
        for text in ["", "noon", "2025-11-21", "2025-11-21T08:30:00Z", "2025-13-21 08:30:00", "@5us+0m"] {
            assert!(!lacks_offset_alone(text), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, duration) in [
            ("500ms", Duration::from_millis(500)),
            ("10s", Duration::from_secs(10)),
            ("90s", Duration::from_secs(90)),
            ("2m", Duration::from_mins(2)),
            ("1h30m", Duration::from_mins(90)),
            ("1.5h", Duration::from_mins(90)),
            ("1 hour 30 minutes", Duration::from_mins(90)),
            ("0.5s", Duration::from_millis(500)),
            ("2d", Duration::from_hours(48)),
            ("1 week", Duration::from_hours(7 * 24)),
            ("PT10M", Duration::from_mins(10)),
            ("0", Duration::ZERO),
        ] {
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
        }
        for text in ["", "10", "-1s", "soon", "10s ago", "1 month", "1h 30"] {
            assert!(parse_duration(text).expect_err(text).contains("1h30m"), "{text}");
        }
    }
}
