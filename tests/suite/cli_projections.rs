//! `annals projections` beside a program that runs some.

use annals::{EventStore, OnError, Projection, Runner, SavedCursor, StoredEvent};

use crate::{
    cli::Place,
    projection_support::{Database, append},
    support::Outcome,
};

/// Can't take what begins with a 2.
struct Mails;

impl Projection for Mails {
    type Error = std::io::Error;

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), std::io::Error> {
        if event.event_type.starts_with('2') {
            return Err(std::io::Error::other("no such\naddress"));
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), std::io::Error> {
        Ok(())
    }
}

/// The lines with `[..]` for times and ids, as the document has them.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| word.len() == 27 && word.ends_with('Z') && word.contains('T');
    let replaced = |line: &str| {
        let words = line.split(' ').map(|word| if is_time(word) { "[..]Z" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(|line| replaced(line) + "\n").collect()
}

#[test]
fn projections_are_listed_beside_the_program_that_runs_them_as_the_document_shows() -> Outcome {
    let place = Place::new();
    let store = EventStore::open(place.store())?;
    append(&store, "order-17", 3);
    Runner::new(&store, "mails")?.on_error(OnError::Skip).run_to_end(&mut Mails)?;
    Runner::new(&store, "balances")?.run_to_end(&mut Database::default())?;
    append(&store, "order-18", 1);

    let document = std::fs::read_to_string("docs/cli.md")?;
    for arguments in [&["projections"][..], &["projections", "skipped", "mails"][..]] {
        let printed = without_times(&place.prints(arguments));
        let shown = format!("$ annals {}\n{printed}", arguments.join(" "));
        assert!(document.contains(&shown), "docs/cli.md should show:\n{shown}");
    }
    assert_eq!(place.prints(&["projections", "list"]), place.prints(&["projections"]));
    Ok(())
}

#[test]
fn projections_are_json_for_programs() -> Outcome {
    let place = Place::new();
    let store = EventStore::open(place.store())?;
    append(&store, "order-17", 2);
    Runner::new(&store, "mails")?.on_error(OnError::Skip).run_to_end(&mut Mails)?;
    Runner::new(&store, "balances")?.run_to_end(&mut Database::default())?;

    let listed = place.json(&["projections", "--format", "json"]);
    assert_eq!(listed[0]["projection"], "balances");
    assert_eq!(listed[0]["cursorKeptBy"], "projection");
    assert!(listed[0]["position"].is_null() && listed[0]["behind"].is_null() && listed[0]["saved"].is_null());
    assert_eq!((&listed[1]["projection"], &listed[1]["cursorKeptBy"]), (&"mails".into(), &"store".into()));
    assert_eq!((&listed[1]["position"], &listed[1]["behind"]), (&2.into(), &0.into()));
    assert_eq!(listed[1]["skipped"], 1);
    assert!(listed[1]["saved"].is_string());

    let skipped = place.json(&["projections", "skipped", "mails", "--format", "json"]);
    assert_eq!(skipped.len(), 1);
    assert_eq!((&skipped[0]["position"], &skipped[0]["stream"]), (&2.into(), &"order-17".into()));
    assert_eq!((&skipped[0]["type"], &skipped[0]["error"]), (&"2".into(), &"no such\naddress".into()));
    assert_eq!(skipped[0]["part"], 1);
    assert_eq!((&skipped[0]["version"], &skipped[0]["tries"]), (&2.into(), &1.into()));
    Ok(())
}

#[test]
fn what_was_never_started_isnt_found_and_an_empty_store_has_none() -> Outcome {
    let place = Place::new();
    EventStore::open(place.store())?.close()?;
    assert_eq!(place.prints(&["projections"]), "");
    let message = place.fails(4, &["projections", "skipped", "mails"]);
    assert!(
        message.contains("there is no projection \"mails\": it was never started on this store"),
        "{message}"
    );
    Ok(())
}
