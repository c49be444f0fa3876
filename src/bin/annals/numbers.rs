//! Whole numbers on the command line.

use std::{num::IntErrorKind, num::ParseIntError, str::FromStr};

/// Reads a whole number from 0 up.
pub(crate) fn parse<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => "it is larger than such a number can be",
        _ => "it is a whole number from 0 up, in digits alone, such as 100",
    })
}

/// Reads how often something is done: at least once.
pub(crate) fn parse_count(text: &str) -> Result<u64, &'static str> {
    match parse(text)? {
        0 => Err("it is at least 1"),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_isnt_a_number_is_told_in_words() {
        assert_eq!(parse::<u64>("18446744073709551615"), Ok(u64::MAX));
        for text in ["", "x", "-1", "1.5", "1,000", " 1"] {
            assert_eq!(
                parse::<u64>(text),
                Err("it is a whole number from 0 up, in digits alone, such as 100")
            );
        }
        assert_eq!(parse::<u32>("4294967296"), Err("it is larger than such a number can be"));
        assert_eq!((parse_count("0"), parse_count("1")), (Err("it is at least 1"), Ok(1)));
    }
}
