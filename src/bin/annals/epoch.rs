//! Times as numbers, counted from the beginning of 1970 in UTC.

use annals::{OccurredAt, Timestamp};

use crate::clock_text;

/// What such a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

impl Unit {
    /// How many digits behind the point of such a number a microsecond has.
    fn digits(self) -> usize {
        match self {
            Self::Seconds => 6,
            Self::Milliseconds => 3,
            Self::Microseconds => 0,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
        }
    }

    /// What helps where numbers are too large.
    fn advice(self) -> &'static str {
        match self {
            Self::Seconds => ": ms: is for milliseconds, us: for microseconds",
            Self::Milliseconds => ": us: is for microseconds",
            Self::Microseconds => ", and there is no unit below: divide nanoseconds by 1000 before",
        }
    }
}

/// Reads `1763710200`, `1763710200.5`, `-1`; digits behind the microsecond are dropped.
///
/// What comes out beyond the years that RFC 3339 can say is a number in another unit, not a time: the store could keep it, and
/// its own time, which never goes back, would stay there.
pub(crate) fn parse(text: &str, unit: Unit) -> Result<OccurredAt, String> {
    let (sign, number) = match text.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", text),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) {
        return Err("a number since 1970 is wanted, without exponent".to_owned());
    }
    let digits = unit.digits();
    let kept = &fraction[..fraction.len().min(digits)];
    // All its digits are digits: what can't be read is too large.
    let micros = format!("{sign}{whole}{kept:0<digits$}").parse();
    let time = micros.ok().map(Timestamp::from_micros).filter(|time| clock_text::is_in_rfc3339(*time));
    let time = time.ok_or_else(|| {
        format!("as a number of {} that is no time from the year 0 to 9999{}", unit.name(), unit.advice())
    })?;
    Ok(OccurredAt { time, offset_minutes: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_time_in_its_unit() {
        for (text, unit, micros) in [
            ("1763710200", Unit::Seconds, 1_763_710_200_000_000),
            ("1763710200.5", Unit::Seconds, 1_763_710_200_500_000),
            ("1763710200.123456789", Unit::Seconds, 1_763_710_200_123_456),
            ("1763710200123", Unit::Milliseconds, 1_763_710_200_123_000),
            ("1763710200123.25", Unit::Milliseconds, 1_763_710_200_123_250),
            ("1763710200123456", Unit::Microseconds, 1_763_710_200_123_456),
            ("1763710200123456.9", Unit::Microseconds, 1_763_710_200_123_456),
            ("-1", Unit::Seconds, -1_000_000),
            ("-0.5", Unit::Seconds, -500_000),
            ("0", Unit::Microseconds, 0),
        ] {
            let time = parse(text, unit).expect(text);
            assert_eq!((time.time.micros(), time.offset_minutes), (micros, 0), "{text}");
        }
    }

    #[track_caller]
    fn check_refused(text: &str, unit: Unit, said: &str) {
        let message = parse(text, unit).expect_err(text);
        assert!(message.contains(said), "{text}: {message}");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "-", "1e9", "1.", ".5", "1,5", "+1", "--1", "noon"] {
            check_refused(text, Unit::Seconds, "a number since 1970 is wanted");
        }
    }

    #[test]
    fn what_is_beyond_all_years_of_rfc_3339_is_in_another_unit() {
        check_refused("1763710200123", Unit::Seconds, "as a number of seconds that is no time");
        check_refused("1763710200123", Unit::Seconds, "ms: is for milliseconds, us: for microseconds");
        check_refused("1763710200123456", Unit::Milliseconds, "us: is for microseconds");
        check_refused("1763710200123456789", Unit::Microseconds, "divide nanoseconds by 1000");
        for (last, beyond, unit) in [
            ("253402214399.999999", "253402214400", Unit::Seconds),
            ("-62167132800", "-62167132800.000001", Unit::Seconds),
            ("253402214399999.999", "253402214400000", Unit::Milliseconds),
            ("253402214399999999", "253402214400000000", Unit::Microseconds),
        ] {
            assert!(parse(last, unit).is_ok(), "{last}");
            check_refused(beyond, unit, "from the year 0 to 9999");
        }
        check_refused("9223372036855", Unit::Seconds, "from the year 0 to 9999");
        check_refused(&"9".repeat(100), Unit::Microseconds, "from the year 0 to 9999");
    }
}
