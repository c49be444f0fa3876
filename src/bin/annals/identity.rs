//! Ids for lines that have none, so that importing them again doesn't double them.
//!
//! An id is `import-` and 32 hexadecimal digits: a hash of what the line says (with `--map`, of its text) and of how many equal lines
//! came before it. So the same input always gets the same ids, and equal lines different ones. What is hashed, and
//! how, can't change without doubling what was imported by an older version.

use std::collections::{HashMap, HashSet};

use annals::{EventData, EventId, Invalid, StreamId};
use xxhash_rust::xxh3::Xxh3;

/// What the equal lines of one input are told apart by. It takes some 10 to 20 bytes of memory a line.
#[derive(Default)]
pub(crate) struct Identities {
    /// Hashes of lines. Two unlike lines with the same hash only make the second one count from 1.
    seen: HashSet<u64>,
    /// How often a line came again.
    repeats: HashMap<u64, u64>,
}

impl Identities {
    /// The id of the input's next line, which describes an event without an id.
    pub(crate) fn next(&mut self, stream: &StreamId, event: &EventData) -> Result<EventId, Invalid> {
        let mut hasher = Xxh3::new();
        hash_line(&mut hasher, stream, event);
        self.next_of(hasher)
    }

    /// The id of the input's next line, where what an event has of it depends on more than the line: this is made of the
    /// line as it stands there.
    pub(crate) fn next_of_text(&mut self, line: &[u8]) -> Result<EventId, Invalid> {
        let mut hasher = Xxh3::new();
        hash_part(&mut hasher, line);
        self.next_of(hasher)
    }

    fn next_of(&mut self, mut hasher: Xxh3) -> Result<EventId, Invalid> {
        let line = hasher.digest();
        let equal_lines_before = if self.seen.insert(line) {
            0
        } else {
            let repeats = self.repeats.entry(line).or_default();
            *repeats += 1;
            *repeats
        };
        hasher.update(&equal_lines_before.to_le_bytes());
        EventId::new(&format!("import-{:032x}", hasher.digest128()))
    }
}

fn hash_line(hasher: &mut Xxh3, stream: &StreamId, event: &EventData) {
    let mut part = |bytes: &[u8]| hash_part(hasher, bytes);
    part(stream.as_str().as_bytes());
    part(event.event_type.as_bytes());
    part(&[event.content_type.number()]);
    part(&event.data);
    part(&[event.metadata_content_type.number()]);
    part(&event.metadata);
    part(&event.schema_version.to_le_bytes());
    match event.occurred_at {
        Some(occurred_at) => {
            part(&occurred_at.time.micros().to_le_bytes());
            part(&occurred_at.offset_minutes.to_le_bytes());
        }
        None => part(&[]),
    }
}

fn hash_part(hasher: &mut Xxh3, bytes: &[u8]) {
    // With its length before it, no part can be taken for the end of another.
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    hasher.update(&length.to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use annals::ContentType;

    use super::*;

    fn ids(lines: &[(&str, &str)]) -> Vec<String> {
        let mut identities = Identities::default();
        let id = |(stream, data): &(&str, &str)| {
            let event = EventData::new("Noted", *data).with_content_type(ContentType::JSON);
            let stream = StreamId::new(stream).expect("a name");
            identities.next(&stream, &event).expect("an id").to_string()
        };
        lines.iter().map(id).collect()
    }

    #[test]
    fn the_same_input_gets_the_same_ids() {
        let lines = [("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "1")];
        assert_eq!(ids(&lines), ids(&lines));
    }

    #[test]
    fn equal_lines_get_different_ids() {
        let lines = [("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "1"), ("a1", "")];
        let ids: HashSet<String> = ids(&lines).into_iter().collect();
        assert_eq!(ids.len(), lines.len());
    }

    #[test]
    fn a_line_of_another_kind_does_not_change_the_ids_of_the_others() {
        let with = ids(&[("a", "1"), ("b", "9"), ("a", "1")]);
        let without = ids(&[("a", "1"), ("a", "1")]);
        assert_eq!([&with[0], &with[2]], [&without[0], &without[1]]);
    }

    fn ids_of_texts(lines: &[&str]) -> Vec<String> {
        let mut identities = Identities::default();
        let id = |line: &&str| identities.next_of_text(line.as_bytes()).expect("an id").to_string();
        lines.iter().map(id).collect()
    }

    #[test]
    fn texts_of_lines_get_ids_in_the_same_way() {
        let lines = ["1", "1", "2", "1", ""];
        let ids = ids_of_texts(&lines);
        assert_eq!(ids, ids_of_texts(&lines));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), lines.len());
    }

    #[test]
    fn ids_are_the_same_in_every_version() {
        assert_eq!(ids(&[("order-1", r#"{"n":1}"#)]), ["import-352daa0012190ad9e56953f2f2335eea"]);
        assert_eq!(ids_of_texts(&[r#"{"n":1}"#]), ["import-77469582bfc28eb98d485c680a347f95"]);
    }
}
