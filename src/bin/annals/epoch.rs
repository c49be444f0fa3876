//! Times as numbers, counted from the beginning of 1970 in UTC.

use annals::{OccurredAt, Timestamp};

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
}

/// Reads `1763710200`, `1763710200.5`, `-1`; digits behind the microsecond are dropped. None: it is no such number.
pub(crate) fn parse(text: &str, unit: Unit) -> Option<OccurredAt> {
    let (sign, number) = match text.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", text),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let digits = unit.digits();
    let kept = &fraction[..fraction.len().min(digits)];
    let micros: i64 = format!("{sign}{whole}{kept:0<digits$}").parse().ok()?;
    Some(OccurredAt { time: Timestamp::from_micros(micros), offset_minutes: 0 })
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

    #[test]
    fn anything_else_is_none() {
        for text in ["", "-", "1e9", "1.", ".5", "1,5", "+1", "--1", "9223372036855", "noon"] {
            assert_eq!(parse(text, Unit::Seconds), None, "{text}");
        }
    }
}
