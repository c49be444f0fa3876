//! Sizes as text: `200`, `4KiB`, `1.5GB` printed, whole numbers read.

/// What a unit is in bytes. A plain `K`, `M` or `G` means what computers mean by it.
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
];

/// Reads `200`, `4KiB`, `64MB`.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text[digits.len()..].trim_start().to_ascii_lowercase();
    let factor = UNITS.iter().find_map(|(name, factor)| (*name == unit).then_some(*factor));
    let size = digits.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    size.ok_or_else(|| "it is a size in bytes, such as 200, 4KiB or 1MB".to_owned())
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
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_size() {
        for text in ["", "KiB", "-1", "1.5MiB", "4 apples", "99999999999GiB", "1MiB2"] {
            parse(text).expect_err(text);
        }
    }

    #[test]
    fn a_size_is_printed_in_its_largest_unit() {
        let printed = [0, 1_023, 1_024, 1_536, (4 << 30) - 1, u64::MAX].map(print);
        assert_eq!(printed, ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "3.9 GiB", "17179869183.9 GiB"]);
    }
}
