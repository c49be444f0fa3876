//! Times and durations as text: RFC 3339, with microseconds and the zone's offset.
//!
//! Where a time bounds what is read, it can also be a date, which is that whole day in UTC, or how long ago it was.
//!
//! RFC 3339 can't say every time that a store can hold (years above 9999, offsets of days). Such a time is
//! printed as `@` with its microseconds since 1970 and its offset in minutes, `@253402300800000000us+0m`,
//! and read back from that, so that one odd event doesn't make a store impossible to export.

use std::time::Duration;

pub(crate) use annals::print_timestamp;
use annals::{AsOf, OccurredAt, Position, Timestamp};
use jiff::{
    SignedDuration, Span,
    civil::{Date, DateTime, Time},
    fmt::temporal::Pieces,
    tz::{Offset, TimeZone},
};

const SECONDS_PER_MINUTE: i32 = 60;
const NANOSECONDS_PER_MICROSECOND: i128 = 1_000;

/// Reads `500ms`, `10s`, `2m`, and plain `0`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let duration = text.parse::<SignedDuration>().ok();
    duration
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "it is a duration, such as 500ms, 10s or 2m".to_owned())
}

fn parse_odd(text: &str) -> Option<OccurredAt> {
    let (micros, offset) = text.strip_prefix('@')?.strip_suffix('m')?.split_once("us")?;
    let time = Timestamp::from_micros(micros.parse().ok()?);
    Some(OccurredAt { time, offset_minutes: offset.parse().ok()? })
}

/// Reads a time with its offset. Digits behind the microsecond are dropped.
pub(crate) fn parse_occurred_at(text: &str) -> Result<OccurredAt, String> {
    if let Some(odd) = parse_odd(text) {
        return Ok(odd);
    }
    let wanted = "it is a time with its offset, such as 2025-11-21T09:30:00+01:00 or 2025-11-21T08:30:00Z";
    let pieces = Pieces::parse(text).map_err(|error| format!("{wanted} ({error})"))?;
    if pieces.time_zone_annotation().is_some() {
        return Err(format!("{wanted} (a zone's name in brackets isn't kept)"));
    }
    let (Some(time), Some(offset)) = (pieces.time(), pieces.to_numeric_offset()) else {
        return Err(wanted.to_owned());
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

/// Reads the first moment that a bound names: a date's midnight.
pub(crate) fn parse_since(text: &str) -> Result<Timestamp, String> {
    parse_bound(text, jiff::Timestamp::now()).map(|bound| bound.first)
}

/// Reads the last moment that a bound names: the end of a date.
pub(crate) fn parse_until(text: &str) -> Result<Timestamp, String> {
    parse_bound(text, jiff::Timestamp::now()).map(|bound| bound.last)
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

/// What a bound names: a moment, or a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct TimeBound {
    first: Timestamp,
    last: Timestamp,
}

impl TimeBound {
    fn moment(time: Timestamp) -> Self {
        Self { first: time, last: time }
    }
}

fn parse_bound(text: &str, now: jiff::Timestamp) -> Result<TimeBound, String> {
    if text == "now" {
        return Ok(TimeBound::moment(Timestamp::from_micros(now.as_microsecond())));
    }
    if let Some(bound) = parse_ago(text, now).or_else(|| parse_day(text)) {
        return Ok(bound);
    }
    let time = parse_occurred_at(text).map(|time| TimeBound::moment(time.time));
    time.map_err(|_| {
        "it is a time with its offset, such as 2025-11-21T09:30:00+01:00, a date, such as 2025-11-21, or how long \
         ago it was, such as 2h ago"
            .to_owned()
    })
}

/// `2h ago`, `3 days ago`; days are those of UTC.
fn parse_ago(text: &str, now: jiff::Timestamp) -> Option<TimeBound> {
    let span: Span = text.ends_with("ago").then(|| text.parse().ok())??;
    let time = now.to_zoned(TimeZone::UTC).checked_add(span).ok()?.timestamp();
    Some(TimeBound::moment(Timestamp::from_micros(time.as_microsecond())))
}

/// A date, which is all of that day in UTC.
fn parse_day(text: &str) -> Option<TimeBound> {
    let pieces = Pieces::parse(text).ok()?;
    let is_date = pieces.time().is_none()
        && pieces.to_numeric_offset().is_none()
        && pieces.time_zone_annotation().is_none();
    let begin = |date: Date| micros_of(date.to_datetime(Time::midnight()), Offset::UTC);
    let first = is_date.then(|| begin(pieces.date()))??;
    let next = pieces.date().tomorrow().ok().and_then(begin)?;
    Some(TimeBound { first: Timestamp::from_micros(first), last: Timestamp::from_micros(next - 1) })
}

fn micros_of(local: DateTime, offset: Offset) -> Option<i64> {
    let nanoseconds = offset.to_timestamp(local).ok()?.as_nanosecond();
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
    }

    #[track_caller]
    fn check_bound(text: &str, first: &str, last: &str) {
        let now = "2025-11-21T12:00:00.5Z".parse().expect("a time");
        let TimeBound { first: found_first, last: found_last } = parse_bound(text, now).expect("a bound");
        assert_eq!((print_timestamp(found_first), print_timestamp(found_last)), (first.into(), last.into()));
    }

    #[test]
    fn a_bound_is_a_time_a_day_or_how_long_ago() {
        let moment = |text, printed| check_bound(text, printed, printed);
        moment("2016-02-27T11:07:26-05:00", "2016-02-27T16:07:26.000000Z");
        moment("@-1us+0m", "1969-12-31T23:59:59.999999Z");
        moment("now", "2025-11-21T12:00:00.500000Z");
        moment("2h ago", "2025-11-21T10:00:00.500000Z");
        moment("1 month 1 day ago", "2025-10-20T12:00:00.500000Z");
        check_bound("2016-02-28", "2016-02-28T00:00:00.000000Z", "2016-02-28T23:59:59.999999Z");
    }

    #[test]
    fn what_could_be_another_time_is_refused_as_a_bound() {
        for text in ["", "2h", "-2h", "ago", "yesterday", "2016-02-27T11:07:26", "2016-02-30", "11:07"] {
            assert!(parse_since(text).is_err(), "{text}");
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
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for text in ["", "10", "-1s", "soon"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
