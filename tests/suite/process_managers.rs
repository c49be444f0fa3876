//! Process managers: each answer exactly once, whatever comes between.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, mpsc::channel},
    thread,
};

use annals::{
    Commit, Context, Durability, Error, EventData, EventId, EventStore, ExpectedVersion, Invalid, Metadata,
    OnError, Options, Output, Position, ProcessManager, Query, RunError, Runner, SEGMENT_BYTES_MIN, SimDisk,
    StoredEvent, Upcasters, Version,
};

use crate::{
    projection_support::{PATIENCE, append},
    support::{
        Outcome, TestStore, buffered, event, event_with_id, positions, store, store_with, stream, types,
        version,
    },
};

/// Answers each event of category `ask` in the stream `answers`, with its number there.
#[derive(Default)]
struct Answers {
    rolled_back: u32,
}

fn answer(event: &StoredEvent) -> EventData {
    EventData::new(format!("{}/{}", event.stream, event.version), "{}")
}

impl ProcessManager for Answers {
    type Error = Error;

    fn query(&self) -> Query<Position> {
        Query::all().category("ask")
    }

    fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), Error> {
        let answers = stream("answers");
        let seen = output.reader().stream_version(&answers)?;
        output.append(&answers, seen, [answer(event)]);
        Ok(())
    }

    fn roll_back(&mut self) {
        self.rolled_back += 1;
    }
}

/// What the answers have to be.
fn wanted(store: &EventStore) -> Vec<String> {
    let asked = store.read(Query::all().category("ask")).map(|event| event.expect("readable"));
    asked.map(|event| answer(&event).event_type).collect()
}

#[test]
fn every_event_is_answered_once_in_one_commit_with_the_checkpoint() -> Outcome {
    let store = store();
    append(&store, "ask-1", 3);
    let runner = Runner::new(&store, "answers")?;
    let progress = runner.run_process_to_end(&mut Answers::default())?;
    assert_eq!(progress.handled, 3);
    append(&store, "ask-2", 2);
    runner.run_process_to_end(&mut Answers::default())?;
    runner.run_process_to_end(&mut Answers::default())?;
    assert_eq!(types(store.read_stream(&stream("answers"))), wanted(&store));
    let saved: Vec<u64> = positions(store.read(Query::stream(&stream("$checkpoint-answers"))));
    for answered in positions(store.read_stream(&stream("answers"))) {
        assert!(saved.contains(&(answered + 1)), "{answered}: its checkpoint is right behind it");
    }
    Ok(())
}

#[test]
fn output_is_of_the_context_of_its_event__C15() -> Outcome {
    let store = store();
    let context = Context::new().correlation_id("c-1").user_id("ann").tenant_id("t");
    let asked = event_with_id("first").with_metadata(&context.metadata())?;
    store.append(&stream("ask-1"), ExpectedVersion::NoStream, [asked, event_with_id("second")])?;
    Runner::new(&store, "answers")?.run_process_to_end(&mut Answers::default())?;
    let metadata: Vec<Option<Metadata>> = store
        .read_stream(&stream("answers"))
        .map(|event| Ok(event?.metadata()?))
        .collect::<annals::Result<_>>()?;
    let of = |cause: &str, correlation: &str| Metadata {
        causation_id: Some(cause.to_owned()),
        correlation_id: Some(correlation.to_owned()),
        ..Metadata::default()
    };
    let first = Metadata { user_id: Some("ann".into()), tenant_id: Some("t".into()), ..of("first", "c-1") };
    assert_eq!(metadata, [Some(first), Some(of("second", "second"))]);
    Ok(())
}

/// Lets another one be first, so many times.
struct Late {
    store: Arc<EventStore>,
    others: u32,
    answers: Answers,
}

impl ProcessManager for Late {
    type Error = Error;

    fn query(&self) -> Query<Position> {
        self.answers.query()
    }

    fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), Error> {
        self.answers.handle(event, output)?;
        if self.others > 0 {
            self.others -= 1;
            self.store.append(&stream("answers"), ExpectedVersion::Any, [crate::support::event("other")])?;
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        self.answers.roll_back();
    }
}

#[test]
fn where_another_was_first_the_event_is_handled_again_with_what_is_there_then() -> Outcome {
    let directory = tempfile::tempdir()?;
    let options = Options::new().durability(Durability::Buffered);
    let store = Arc::new(EventStore::open_with(directory.path().join("store"), options)?);
    append(&store, "ask-1", 2);
    let mut late = Late { store: Arc::clone(&store), others: 25, answers: Answers::default() };
    Runner::new(&store, "answers")?.run_process_to_end(&mut late)?;
    assert_eq!(late.answers.rolled_back, 25);
    let answers = types(store.read_stream(&stream("answers")));
    assert_eq!(answers[..25], ["other"; 25]);
    assert_eq!(answers[25..], ["ask-1/1", "ask-1/2"]);

    // Who is never first is an error at some time, and can be left out.
    let mut late = Late { store: Arc::clone(&store), others: u32::MAX, answers: Answers::default() };
    append(&store, "ask-1", 1);
    let runner = Runner::new(&store, "answers")?;
    let failed = runner.run_process_to_end(&mut late).expect_err("never first");
    let RunError::Event { source, .. } = &failed else { panic!("{failed:?}") };
    assert!(source.downcast_ref::<Error>().is_some_and(Error::is_conflict));
    let progress = runner.on_error(OnError::Skip).run_process_to_end(&mut late)?;
    assert_eq!((progress.handled, progress.skipped), (0, 1));
    assert!(store.skipped("answers")?[0].error.starts_with("Expected version "));
    Ok(())
}

/// A store whose events `Moved` come out as three.
fn store_of_split_events(count: u64) -> annals::Result<TestStore> {
    let becomes = [("Opened", 1), ("Filled", 1), ("Shut", 1)];
    let upcasters = Upcasters::new().split("Moved", 1, &becomes, move |moved| {
        Ok::<_, Invalid>(becomes.map(|(part, version)| moved.clone().with_type(part, version)).to_vec())
    })?;
    let store = store_with(buffered().upcasters(upcasters));
    for _ in 0..count {
        store.append(&stream("ask-1"), ExpectedVersion::Any, [event("Moved")])?;
    }
    Ok(store)
}

/// Answers each part of an event in the same stream; one part fails halfway, and says so or not.
struct AnswersParts {
    tells: bool,
}

impl ProcessManager for AnswersParts {
    type Error = Error;

    fn query(&self) -> Query<Position> {
        Query::all().category("ask")
    }

    fn handle(&mut self, asked: &StoredEvent, output: &mut Output<'_>) -> Result<(), Error> {
        let answers = stream("answers");
        let seen = output.reader().stream_version(&answers)?;
        output.append(&answers, seen, [event(&format!("{}/{}", asked.event_type, asked.version))]);
        output.check(&stream("limit"), ExpectedVersion::NoStream);
        if asked.event_type == "Filled" {
            let failed = output.add(|_| Err(Error::QueueFull)).expect_err("it fails");
            return if self.tells { Err(failed) } else { Ok(()) };
        }
        Ok(())
    }
}

#[test]
fn the_parts_of_an_event_may_answer_in_one_stream__X22() -> Outcome {
    let store = store_of_split_events(2)?;
    let runner = Runner::new(&store, "answers")?;
    runner.run_process_to_end(&mut AnswersParts { tells: false })?;
    let answers = || types(store.read_stream(&stream("answers")));
    assert_eq!(answers(), ["Opened/1", "Shut/1", "Opened/2", "Shut/2"]);
    let saved = store.stream_version(&stream("$checkpoint-answers"))?;
    assert_eq!(saved, version(3), "one with all answers to each event, and one at the end");

    // Where a part is left out, the others are answered.
    store.append(&stream("ask-1"), ExpectedVersion::Any, [event("Moved")])?;
    let progress = runner.on_error(OnError::Skip).run_process_to_end(&mut AnswersParts { tells: true })?;
    assert_eq!((progress.handled, progress.skipped), (2, 1));
    assert_eq!(answers()[4..], ["Opened/3", "Shut/3"]);
    let skipped = &store.skipped("answers")?[0];
    assert_eq!((skipped.event_type.as_str(), skipped.part), ("Filled", 2));
    Ok(())
}

#[test]
fn an_event_whose_output_is_refused_is_left_out_with_each_part_by_its_type() -> Outcome {
    struct Twice;
    impl ProcessManager for Twice {
        type Error = Error;
        fn handle(&mut self, asked: &StoredEvent, output: &mut Output<'_>) -> Result<(), Error> {
            if asked.event_type == "Filled" {
                let answers = stream("answers");
                output.append(&answers, ExpectedVersion::Any, [event("once")]);
                output.append(&answers, ExpectedVersion::Any, [event("twice")]);
            }
            Ok(())
        }
    }
    let store = store_of_split_events(1)?;
    let runner = Runner::new(&store, "twice")?.on_error(OnError::Skip);
    assert_eq!(runner.run_process_to_end(&mut Twice)?.skipped, 3);
    let skipped = store.skipped("twice")?;
    let skipped: Vec<(u64, &str)> = skipped.iter().map(|it| (it.part, it.event_type.as_str())).collect();
    assert_eq!(skipped, [(1, "Opened"), (2, "Filled"), (3, "Shut")]);
    assert!(!store.stream_exists(&stream("answers"))?);
    Ok(())
}

#[test]
fn output_that_the_store_refuses_is_the_events_error() -> Outcome {
    struct Twice;
    impl ProcessManager for Twice {
        type Error = Error;
        fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), Error> {
            if event.event_type == "2" {
                let answers = stream("answers");
                output.append(&answers, ExpectedVersion::Any, [crate::support::event("once")]);
                output.append(&answers, ExpectedVersion::Any, [crate::support::event("twice")]);
            }
            Ok(())
        }
    }
    let store = store();
    append(&store, "ask-1", 3);
    let failed = Runner::new(&store, "twice")?.run_process_to_end(&mut Twice).expect_err("refused");
    assert!(failed.with_sources().contains("stands twice in one commit"), "{failed:?}");
    assert_eq!(store.checkpoint("twice")?.map(|it| it.cursor.position.get()), Some(1));
    let runner = Runner::new(&store, "twice")?.on_error(OnError::Skip);
    assert_eq!(runner.run_process_to_end(&mut Twice)?.skipped, 1);
    assert!(!store.stream_exists(&stream("answers"))?);
    Ok(())
}

#[test]
fn checks_and_the_events_of_others_are_part_of_the_output() -> Outcome {
    struct Guarded;
    impl ProcessManager for Guarded {
        type Error = Error;
        fn query(&self) -> Query<Position> {
            Query::all().category("ask")
        }
        fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), Error> {
            output.check(&stream("limit"), ExpectedVersion::NoStream);
            let add = |commit: Commit| {
                Ok::<_, Error>(commit.append(&stream("answers"), ExpectedVersion::Any, [answer(event)]))
            };
            output.add(add)?;
            Ok(())
        }
    }
    let store = store();
    append(&store, "ask-1", 1);
    let runner = Runner::new(&store, "guarded")?;
    runner.run_process_to_end(&mut Guarded)?;
    append(&store, "limit", 1);
    append(&store, "ask-1", 1);
    assert!(runner.run_process_to_end(&mut Guarded).is_err());
    assert_eq!(types(store.read_stream(&stream("answers"))), ["ask-1/1"]);
    Ok(())
}

#[test]
fn output_that_is_there_by_its_ids_counts_as_written() -> Outcome {
    struct ById;
    impl ProcessManager for ById {
        type Error = Error;
        fn query(&self) -> Query<Position> {
            Query::all().category("ask")
        }
        fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), Error> {
            let id = EventId::new(&format!("{}/{}", event.stream, event.version))?;
            output.append(&stream("answers"), ExpectedVersion::Any, [answer(event).with_id(id)]);
            Ok(())
        }
    }
    let store = store();
    append(&store, "ask-1", 3);
    let runner = Runner::new(&store, "by-id")?;
    runner.run_process_to_end(&mut ById)?;
    store.delete_checkpoint("by-id")?;
    runner.run_process_to_end(&mut ById)?;
    assert_eq!(store.stream_version(&stream("answers"))?, version(3));
    assert_eq!(store.checkpoint("by-id")?.map(|it| it.cursor.position.get() >= 3), Some(true));
    Ok(())
}

#[test]
fn a_process_manager_beside_writers_answers_all_of_them_once() -> Outcome {
    let store = store();
    let running = Runner::new(&store, "answers")?.start_process(Answers::default())?;
    let (done, is_done) = channel::<()>();
    thread::scope(|scope| {
        for writer in 0..4 {
            let (store, done) = (&store, done.clone());
            scope.spawn(move || {
                for number in 0..50 {
                    let ask = stream(&format!("ask-{writer}"));
                    store.append(&ask, version(number), [event("Asked")]).expect("appended");
                }
                drop(done);
            });
        }
        drop(done);
        // Another one writes where the answers go, as long as there are some to come.
        while is_done.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
            store.append(&stream("answers"), ExpectedVersion::Any, [event("other")]).expect("appended");
        }
    });
    let last = store.read(Query::all().category("ask").backwards()).next().ok_or("an event")??.position;
    assert!(running.wait_until(last, PATIENCE)?);
    running.stop()?;
    let mut answers = types(store.read_stream(&stream("answers")));
    answers.retain(|answer| answer != "other");
    assert_eq!(answers.len(), 200);
    assert_eq!(answers, wanted(&store));
    Ok(())
}

/// Asks and answers on a disk whose power may be cut, until it is.
fn ask_and_answer(disk: &SimDisk) -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::new().segment_bytes(SEGMENT_BYTES_MIN);
    // What is left of the program that the cut ended can't touch what the next one does.
    let store = EventStore::open_on(Arc::new(disk.mount()), Path::new("/store"), options)?;
    let runner = Runner::new(&store, "answers")?;
    for round in 1..=4 {
        let ask = stream("ask-1");
        if store.stream_version(&ask)? < Version::new(round * 3) {
            append_asks(&store, round)?;
        }
        runner.run_process_to_end(&mut Answers::default())?;
    }
    store.close()?;
    Ok(())
}

fn append_asks(store: &EventStore, round: u64) -> annals::Result<()> {
    let asks = (1..=3).map(|number| event(&format!("{round}.{number}")));
    store.append(&stream("ask-1"), Version::new(round * 3 - 3), asks).map(drop)
}

#[test]
fn a_power_cut_at_any_operation_leaves_every_answer_there_once() -> Outcome {
    let whole = SimDisk::new(1);
    ask_and_answer(&whole)?;
    let operations = whole.operations();
    assert!(operations > 50, "{operations}");
    let cuts = Mutex::new(BTreeSet::new());
    for nth in 1..=operations {
        let disk = SimDisk::new(nth);
        disk.cut_at(nth);
        let outcome = ask_and_answer(&disk);
        if !disk.is_cut() {
            outcome?;
            continue;
        }
        disk.power_cut();
        ask_and_answer(&disk)?;
        let options = Options::new().segment_bytes(SEGMENT_BYTES_MIN);
        let store = EventStore::open_on(Arc::new(disk.clone()), Path::new("/store"), options)?;
        let answers = types(store.read_stream(&stream("answers")));
        assert_eq!(answers.len(), 12, "cut at operation {nth}");
        assert_eq!(answers, wanted(&store), "cut at operation {nth}");
        cuts.lock().expect("one thread").insert(nth);
    }
    assert!(cuts.lock().expect("one thread").len() > 50);
    Ok(())
}
