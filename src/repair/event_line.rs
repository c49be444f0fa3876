//! Events as JSON lines, as `annals export` prints them and `annals import` takes them: for what is set aside, and for the program.
//!
//! ```text
//! position  stream  version  type  id  timestamp  occurredAt  schemaVersion  data  metadata
//! ```
//!
//! In this order; `occurredAt` and `metadata` only where the event has them. JSON goes out as it was stored, digit by digit; only
//! line ends in it become spaces. What isn't JSON goes out as `dataBase64` and `metadataBase64`. `contentType` and `metadataContentType` (the
//! library's numbers) stand behind them only where they say something else than JSON for JSON and bytes for base64. So whatever
//! a store holds can be printed, taken in again, and is the same.
//!
//! RFC 3339 can't say every time that a store can hold (years above 9999, offsets of days). Such a time is printed as `@` with its
//! microseconds since 1970 and its offset in minutes, `@253402300800000000us+0m`.

use std::{
    borrow::Cow,
    fmt::{Display, Write},
};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    event::{ContentType, EventRef},
    event_id::EventIdRef,
    time::{OccurredAt, Timestamp},
};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// The years that RFC 3339 can say, in seconds, with a day left at both ends, so that it holds in every zone.
const SECONDS_FIRST: i64 = -62_167_132_800;
const SECONDS_END: i64 = 253_402_214_400;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(serialize_with = "as_text")]
    id: EventIdRef<'a>,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<String>,
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_content_type: Option<u8>,
}

fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// An event's bytes: JSON, base64, and the number of their content type where the form doesn't say it.
type Payload<'a> = (Option<Cow<'a, RawValue>>, Option<String>, Option<u8>);

/// Appends the event's line to `line`, with its end.
pub fn write_event_line(event: &EventRef<'_>, line: &mut Vec<u8>) {
    let (data, data_base64, content_type) = payload(event.data, event.content_type, false);
    let (metadata, metadata_base64, metadata_content_type) = if event.metadata_bytes.is_empty() {
        let content_type = event.metadata_content_type;
        (None, None, (content_type != ContentType::JSON).then(|| content_type.number()))
    } else {
        payload(event.metadata_bytes, event.metadata_content_type, true)
    };
    let outgoing = Line {
        position: event.position.get(),
        stream: event.stream,
        version: event.version.get(),
        event_type: event.event_type,
        id: event.id,
        timestamp: print_timestamp(event.timestamp),
        occurred_at: event.occurred_at.map(print_occurred_at),
        schema_version: event.schema_version,
        data,
        data_base64,
        content_type,
        metadata,
        metadata_base64,
        metadata_content_type,
    };
    let written = serde_json::to_writer(&mut *line, &outgoing);
    debug_assert!(written.is_ok(), "numbers and texts always encode, and memory takes them");
    line.push(b'\n');
}

fn payload(content: &[u8], content_type: ContentType, must_be_object: bool) -> Payload<'_> {
    let json = serde_json::from_slice::<&RawValue>(content).ok().filter(|value| {
        content_type == ContentType::JSON && (!must_be_object || value.get().starts_with('{'))
    });
    if let Some(value) = json {
        return (Some(on_one_line(value)), None, None);
    }
    let number = (content_type != ContentType::BYTES).then(|| content_type.number());
    (None, Some(base64(content)), number)
}

/// Inside its strings JSON has no line ends, so those outside can be spaces.
fn on_one_line(value: &RawValue) -> Cow<'_, RawValue> {
    if !value.get().contains(['\n', '\r']) {
        return Cow::Borrowed(value);
    }
    let line = value.get().replace(['\n', '\r'], " ");
    RawValue::from_string(line).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// The store's time of an event: UTC, always six digits behind the second.
#[must_use]
pub fn print_timestamp(time: Timestamp) -> String {
    match civil(time.micros()) {
        Some(text) => format!("{text}.{:06}Z", time.micros().rem_euclid(MICROS_PER_SECOND)),
        None => print_odd(time, 0),
    }
}

/// The source's time of an event, with its offset; as many digits behind the second as it needs.
#[must_use]
pub fn print_occurred_at(occurred_at: OccurredAt) -> String {
    let OccurredAt { time, offset_minutes } = occurred_at;
    let offset = i64::from(offset_minutes);
    if civil(time.micros()).is_none() || offset.abs() >= 24 * 60 {
        return print_odd(time, offset_minutes);
    }
    let local = time.micros() + offset * 60 * MICROS_PER_SECOND;
    let Some(mut text) = civil_any(local) else { return print_odd(time, offset_minutes) };
    let fraction = time.micros().rem_euclid(MICROS_PER_SECOND);
    if fraction > 0 {
        text.push('.');
        text.push_str(format!("{fraction:06}").trim_end_matches('0'));
    }
    if offset == 0 {
        text.push('Z');
    } else {
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
        // Writing to a String can't fail.
        write!(text, "{sign}{hours:02}:{minutes:02}").ok();
    }
    text
}

/// A time that RFC 3339 can't say.
fn print_odd(time: Timestamp, offset_minutes: i16) -> String {
    format!("@{}us{offset_minutes:+}m", time.micros())
}

/// `2026-01-02T03:04:05`, for times that can be said so in every zone.
fn civil(micros: i64) -> Option<String> {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    (SECONDS_FIRST..SECONDS_END).contains(&seconds).then(|| civil_any(micros)).flatten()
}

/// The calendar's day by the count of days since 1970: eras of 400 years, whose years begin in March.
fn civil_any(micros: i64) -> Option<String> {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    (0..=9_999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"))
}

/// Base64 with the usual alphabet and padding (RFC 4648, 4).
fn base64(content: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(content.len().div_ceil(3) * 4);
    for group in content.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = usize::try_from(bits >> (18 - 6 * digit) & 63).expect("six bits");
            let is_there = usize::try_from(digit).expect("up to 3") <= group.len();
            text.push(if is_there { char::from(ALPHABET[value]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_its_padding() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (content, text) in cases {
            assert_eq!(base64(content.as_bytes()), text);
        }
        assert_eq!(base64(&[0xFF, 0xEF, 0xBE]), "/+++");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let check =
            |micros, wanted: &str| assert_eq!(print_timestamp(Timestamp::from_micros(micros)), wanted);
        check(0, "1970-01-01T00:00:00.000000Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
        check(1_767_323_046_000_006, "2026-01-02T03:04:06.000006Z");
        check(951_827_696_000_000, "2000-02-29T12:34:56.000000Z");
        check(4_107_542_399_000_000, "2100-02-28T23:59:59.000000Z");
        check(4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z");
        check(253_402_300_800_000_000, "@253402300800000000us+0m");
        check(i64::MIN, "@-9223372036854775808us+0m");
    }

    #[test]
    fn a_sources_time_keeps_its_offset() {
        let check = |micros, offset, wanted: &str| {
            assert_eq!(
                print_occurred_at(OccurredAt {
                    time: Timestamp::from_micros(micros),
                    offset_minutes: offset
                }),
                wanted
            );
        };
        check(0, 0, "1970-01-01T00:00:00Z");
        check(500_000, 60, "1970-01-01T01:00:00.5+01:00");
        check(0, -570, "1969-12-31T14:30:00-09:30");
        check(0, 1_440, "@0us+1440m");
    }
}
