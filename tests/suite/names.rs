//! Names are data: whatever they are, they come back byte for byte or are refused, and never become paths.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use annals::{Error, EventData, EventId, EventStore, ExpectedVersion, StreamFilter, StreamId};
use proptest::{
    prelude::{Just, Strategy, any, prop_oneof},
    prop_assert, prop_assert_eq,
    test_runner::TestCaseError,
};

use crate::support::{Outcome, all, buffered, check_property, event, small_segments, store_with, stream};

/// Any text at all, and those that have hurt others.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<String>(),
        2 => "\\PC{1,40}",
        1 => "[./\\\\~$%*?<>|:\"' -]{1,12}",
        1 => Just(String::new()),
        3 => proptest::sample::select(hostile()),
    ]
}

fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "../../../../tmp/escaped",
        "/etc/passwd",
        "..",
        ".",
        "a/b",
        "a\\b",
        "C:\\x",
        "nul\0byte",
        "\0",
        "line\nfeed",
        "\u{1b}[31mred",
        "\u{7f}",
        "\u{85}",
        "\u{feff}bom",
        "\u{202e}right to left",
        "e\u{301}",
        "\u{e9}",
        "\u{10ffff}",
        "$system",
        "store.meta",
        "-",
        " ",
        "%00",
        "CON",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(2_048));
    names.push("x".repeat(2_049));
    names
}

/// The rule, said once more.
fn is_allowed(name: &str) -> bool {
    (1..=2_048).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn failed(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// The names of everything below a directory.
fn paths(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut paths(&path)?);
        }
        found.insert(path);
    }
    Ok(found)
}

/// Appends to a stream, or is refused as the rule says.
fn try_append(store: &EventStore, name: &str, event_type: &str, id: &str) -> Result<bool, TestCaseError> {
    let stream = match StreamId::new(name) {
        Ok(stream) => stream,
        Err(invalid) => {
            prop_assert!(!is_allowed(name), "{}", invalid);
            return Ok(false);
        }
    };
    prop_assert!(is_allowed(name), "{:?} is taken", name);
    let mut event = EventData::new(event_type, name);
    match EventId::new(id) {
        Ok(id) => event = event.with_id(id),
        Err(_) => prop_assert!(id.is_empty() || id.len() > 255 || id.chars().any(char::is_control)),
    }
    match store.append(&stream, ExpectedVersion::Any, [event]) {
        Ok(_) => {
            prop_assert!(is_allowed(event_type) && !name.starts_with('$'));
            Ok(true)
        }
        Err(Error::Invalid(_)) => {
            prop_assert!(!is_allowed(event_type));
            Ok(false)
        }
        Err(Error::ReservedStream { .. }) => {
            prop_assert!(name.starts_with('$'));
            Ok(false)
        }
        Err(error) => Err(failed(error)),
    }
}

#[test]
fn any_name_comes_back_byte_for_byte_or_is_refused_and_makes_no_path__F36__X12_X25() {
    let strategy = proptest::collection::vec((names(), names(), names()), 1..12);
    check_property(48, &strategy, |appends| {
        let mut store = store_with(buffered());
        let directory = store.path().parent().expect("it stands in a directory").to_owned();
        let before = paths(&directory).map_err(failed)?;
        let mut wanted: Vec<(String, String)> = Vec::new();
        for (name, event_type, id) in appends {
            let is_repeated = wanted.iter().any(|(known, _)| *known == name);
            // A stream twice may have an id twice: that is another test's.
            if !is_repeated && try_append(&store, &name, &event_type, &id)? {
                wanted.push((name, event_type));
            }
        }
        prop_assert_eq!(paths(&directory).map_err(failed)?, before);
        store = store.reopen().map_err(failed)?;
        let found: Vec<(String, String)> = all(store.read_all())
            .into_iter()
            .map(|event| (event.stream.to_string(), event.event_type))
            .collect();
        prop_assert_eq!(&found, &wanted);
        for (name, _) in &wanted {
            let stream = StreamId::new(name).map_err(failed)?;
            let events = all(store.read_stream(&stream));
            prop_assert_eq!(events.len(), 1);
            prop_assert_eq!(&events[0].data, name.as_bytes());
        }
        let mut sorted: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        sorted.sort_unstable();
        let listed = store.streams(&StreamFilter::all())?;
        let listed: Vec<&str> = listed.iter().map(|info| info.stream.as_str()).collect();
        prop_assert_eq!(listed, sorted);
        Ok(())
    });
}

#[test]
fn every_hostile_name_is_a_stream_of_its_own_or_refused__F36__X12_B10() -> Outcome {
    let mut store = store_with(small_segments());
    let mut allowed = Vec::new();
    for name in hostile() {
        match StreamId::new(&name) {
            Ok(stream) if stream.is_system() => {}
            Ok(stream) => {
                assert!(is_allowed(&name), "{name:?}");
                store.append(&stream, ExpectedVersion::NoStream, [event(&name)])?;
                allowed.push(name);
            }
            Err(invalid) => assert!(!is_allowed(&name) && invalid.what == "stream id", "{name:?}"),
        }
    }
    assert!(allowed.len() > 15);
    // Composed and decomposed letters are two names: bytes are compared.
    assert!(allowed.contains(&"e\u{301}".to_owned()) && allowed.contains(&"\u{e9}".to_owned()));
    store = store.reopen()?;
    let found: Vec<String> = all(store.read_all()).into_iter().map(|event| event.event_type).collect();
    assert_eq!(found, allowed);
    assert!(
        allowed
            .iter()
            .all(|name| store.stream_version(&stream(name)).expect("it can be looked up").get() == 1)
    );
    Ok(())
}
