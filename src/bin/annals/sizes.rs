//! Sizes as text: `200`, `4k`, `64MiB`, `1.5GB`.

/// What a unit is in bytes. A plain `K`, `M`, `G` or `T` means what computers mean by it.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

/// No unit is so large that more digits behind the point would say anything.
const FRACTION_DIGITS_MAX: usize = 18;

/// Reads `200`, `4k`, `64MiB`, `1.5GB`; what is less than a byte is dropped.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text[number.len()..].trim().to_ascii_lowercase();
    let factor = UNITS.iter().find_map(|(name, factor)| (*name == unit).then_some(*factor));
    factor
        .and_then(|factor| bytes_of(number.trim_start(), factor))
        .ok_or_else(|| "it is a size in bytes, such as 200, 4k, 64MiB or 1.5GB".to_owned())
}

/// So many times a unit: digits, and maybe more behind a point.
fn bytes_of(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let parts = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let below_one = u64::try_from(fraction.parse::<u128>().ok()? * u128::from(factor) / parts).ok()?;
    whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(below_one)
}

/// Prints a size in the largest unit of 1,024 that it has one of, with a digit behind the point where that isn't bytes.
pub(crate) fn print(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >> shift > 0 {
            // Tenths, rounded down.
            let tenths = (u128::from(bytes) * 10) >> shift;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_or_without_a_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("200", 200),
            ("200b", 200),
            ("4KiB", 4_096),
            ("4 kB", 4_000),
            ("2M", 2 << 20),
            ("1gb", 1_000_000_000),
            ("64MiB", 64 << 20),
            ("1.5GB", 1_500_000_000),
            ("0.5k", 512),
            ("1.0009kB", 1_000),
            ("2T", 2 << 40),
            (" 4 KiB ", 4_096),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_size() {
        for text in
            ["", "KiB", "-1", "+1", ".5k", "1.k", "1.2.3", "1,5k", "4 apples", "99999999999GiB", "1MiB2"]
        {
            assert!(parse(text).expect_err(text).contains("64MiB"), "{text}");
        }
    }

    #[test]
    fn a_size_is_printed_in_its_largest_unit() {
        let printed = [0, 1_023, 1_024, 1_536, (4 << 30) - 1, u64::MAX].map(print);
        assert_eq!(printed, ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "3.9 GiB", "17179869183.9 GiB"]);
    }
}
