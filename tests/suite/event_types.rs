//! What is registered of event types, and what appends are held to.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Barrier, Mutex},
    thread,
};

use annals::{
    Commit, DESCRIPTION_BYTES_MAX, Error, EventData, EventId, EventStore, EventTypeDefinition,
    ExpectedVersion, Follower, Judgement, Options, PowerCuts, Query, RegistrationOutcome, SCHEMA_BYTES_MAX,
    SchemaViolation, StreamFilter, Validation,
};
use serde_json::json;

use crate::support::{Outcome, all, buffered, event, small_segments, store, store_with, stream, types};

/// A definition of a type that no schema narrows: its events go into streams of the category `order`.
fn of_orders(event_type: &str, validation: Validation) -> EventTypeDefinition {
    EventTypeDefinition::new(event_type).with_category("order").with_validation(validation)
}

fn placed() -> EventTypeDefinition {
    let schema =
        json!({ "type": "object", "properties": { "total": { "type": "number" } }, "required": ["total"] });
    EventTypeDefinition::new("OrderPlaced").with_schema(schema).with_description("Somebody wants something.")
}

/// What a store tells of events that aren't as their types are registered.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<SchemaViolation>>>);

impl Told {
    fn options(&self) -> Options {
        let told = Arc::clone(&self.0);
        buffered().on_schema_warning(move |violation| {
            told.lock().expect("no test panics with it").push(violation.clone());
        })
    }

    /// What was told since it was asked last.
    fn take(&self) -> Vec<SchemaViolation> {
        std::mem::take(&mut self.0.lock().expect("no test panics with it"))
    }
}

#[track_caller]
fn violation<T: std::fmt::Debug>(result: Result<T, Error>) -> SchemaViolation {
    match result {
        Err(Error::SchemaViolation(violation)) => *violation,
        other => panic!("it should be refused: {other:?}"),
    }
}

#[test]
fn a_definition_has_all_that_a_registry_keeps__D05() -> Outcome {
    let store = store();
    assert_eq!(store.registered_event_types()?, []);
    assert_eq!(store.registered_event_type("OrderPlaced")?, None);
    let definition = placed().with_category("order").with_validation(Validation::Warn).with_schema_version(3);
    let registration = store.register_event_type(definition.clone())?;
    assert_eq!((registration.outcome, registration.compatibility), (RegistrationOutcome::NewType, None));
    let registered = store.registered_event_type("OrderPlaced")?.expect("it is registered");
    assert_eq!(registered.newest().definition, definition);
    assert_eq!(registered.created, registered.newest().registered);
    assert_eq!(registered.newest().updated, registered.created);
    // It is an event of the store's own, as old as it says.
    let own = all(store.read_stream(&stream("$event-types")));
    assert_eq!((own.len(), own[0].timestamp), (1, registered.created));
    assert_eq!(
        own[0].json::<serde_json::Value>()?,
        json!({
            "type": "OrderPlaced", "category": "order", "schemaVersion": 3, "schema": definition.schema,
            "description": "Somebody wants something.", "validation": "warn"
        })
    );
    assert_eq!(types(store.read_all()), [""; 0]);
    assert_eq!((store.streams(&StreamFilter::all())?.len(), store.event_types()?.len()), (0, 0));
    let forged = store.append(&stream("$event-types"), ExpectedVersion::Any, [event("$EventTypeRegistered")]);
    assert!(matches!(forged, Err(Error::ReservedStream { .. })));
    Ok(())
}

#[test]
fn the_same_definition_again_writes_nothing__D05() -> Outcome {
    let mut store = store();
    store.register_event_type(placed())?;
    for _ in 0..2 {
        let registration = store.register_event_type(placed())?;
        assert_eq!(registration.outcome, RegistrationOutcome::Repeated);
        store = store.reopen()?;
    }
    assert_eq!(store.stream_version(&stream("$event-types"))?.get(), 1);
    Ok(())
}

#[test]
fn a_new_version_is_compared_with_the_one_before__X28() -> Outcome {
    let store = store();
    store.register_event_type(placed())?;
    let schema =
        json!({ "type": "object", "properties": { "total": { "type": "integer" } }, "required": ["total"] });
    let registration = store.register_event_type(placed().with_schema_version(5).with_schema(schema))?;
    assert_eq!(registration.outcome, RegistrationOutcome::NewVersion);
    let compatibility = registration.compatibility.expect("there was a version before");
    assert_eq!((compatibility.backward(), compatibility.forward()), (Judgement::Breaks, Judgement::Holds));
    assert_eq!(compatibility.findings[0].pointer, "/properties/total/type");
    let registered = store.registered_event_type("OrderPlaced")?.expect("it is registered");
    assert_eq!(registered.compatibility(5), Some(compatibility));
    assert_eq!((registered.compatibility(1), registered.compatibility(2)), (None, None));
    assert_eq!(registered.version(1).map(|version| version.definition.clone()), Some(placed()));
    // Both are still there as they were, and can be registered again by a program that starts.
    for definition in [placed(), registered.newest().definition.clone()] {
        assert_eq!(store.register_event_type(definition)?.outcome, RegistrationOutcome::Repeated);
    }
    Ok(())
}

#[test]
fn what_events_were_stored_by_is_not_changed__D05() -> Outcome {
    let store = store();
    store.register_event_type(placed().with_schema_version(2))?;
    for (definition, newest, said) in [
        (placed().with_schema_version(2).with_schema(true), 2, "with another schema"),
        (placed().with_schema_version(2).with_category("order"), 2, "with another category"),
        (placed().with_schema_version(1), 2, "later than a higher one"),
    ] {
        let error = store.register_event_type(definition).expect_err("it contradicts");
        let Error::EventTypeConflict { event_type, newest: told, .. } = &error else {
            return Err(error.into());
        };
        assert_eq!((event_type.as_str(), *told), ("OrderPlaced", newest));
        assert!(error.to_string().contains(said), "{error}");
    }
    let changed =
        placed().with_schema_version(2).with_description("Paid later.").with_validation(Validation::Warn);
    assert_eq!(store.register_event_type(changed.clone())?.outcome, RegistrationOutcome::Changed);
    let registered = store.registered_event_type("OrderPlaced")?.expect("it is registered");
    assert_eq!((registered.versions.len(), &registered.newest().definition), (1, &changed));
    assert_eq!(registered.newest().registered, registered.created);
    assert!(registered.newest().updated >= registered.created);
    assert_eq!(store.stream_version(&stream("$event-types"))?.get(), 2);
    Ok(())
}

#[test]
fn definitions_have_bounds() -> Outcome {
    let store = store();
    let schema_of =
        |bytes: usize| json!({ "description": "d".repeat(bytes - r#"{"description":""}"#.len()) });
    store.register_event_type(placed().with_schema(schema_of(SCHEMA_BYTES_MAX)))?;
    let described = |bytes: usize| placed().with_schema_version(2).with_description("d".repeat(bytes));
    store.register_event_type(described(DESCRIPTION_BYTES_MAX))?;
    let mut deep = json!({});
    for _ in 0..200 {
        deep = json!({ "items": deep });
    }
    let of = EventTypeDefinition::new;
    for (definition, said) in [
        (of("A").with_schema(schema_of(SCHEMA_BYTES_MAX + 1)), "the limit is 1048576"),
        (described(DESCRIPTION_BYTES_MAX + 1), "the limit is 65536"),
        (of(""), "invalid event type"),
        (of("a\nb"), "control character"),
        (of("$Own"), "the store's own"),
        (of("A").with_category("a-b"), "invalid stream category"),
        (of("A").with_category(""), "invalid stream category"),
        (of("A").with_category("$own"), "the store's own"),
        (of("A").with_schema(json!([])), "an object, true or false"),
        (of("A").with_schema(json!(null)), "an object, true or false"),
        (of("A").with_schema(deep), "recursion limit"),
    ] {
        let error = store.register_event_type(definition).expect_err(said);
        assert!(matches!(&error, Error::Invalid(_)) && error.to_string().contains(said), "{error}");
    }
    assert_eq!(store.stream_version(&stream("$event-types"))?.get(), 2);
    Ok(())
}

#[test]
fn registered_types_survive_reopening_and_followers_see_them__D05() -> Outcome {
    let mut store = store();
    let follower = Follower::open(store.path())?;
    store.register_event_type(of_orders("OrderPaid", Validation::Enforce))?;
    store.register_event_type(placed())?;
    let names = |registered: Vec<annals::RegisteredEventType>| -> Vec<String> {
        registered.into_iter().map(|registered| registered.event_type).collect()
    };
    assert_eq!(names(follower.registered_event_types()?), ["OrderPaid", "OrderPlaced"]);
    assert_eq!(follower.registered_event_types()?, store.registered_event_types()?);
    let before = store.registered_event_types()?;
    store = store.reopen()?;
    assert_eq!(store.registered_event_types()?, before);
    let refused = violation(store.append(&stream("cart-1"), ExpectedVersion::Any, [event("OrderPaid")]));
    assert_eq!(refused.event_type, "OrderPaid");
    Ok(())
}

#[test]
fn what_is_registered_survives_a_power_cut_at_each_operation__D05() -> Outcome {
    const NAMES: [&str; 2] = ["OrderPaid", "OrderSent"];
    let mut found = BTreeSet::new();
    PowerCuts::new(7).run(
        |_| Ok::<_, Error>(0),
        |store, acknowledged| {
            for name in NAMES {
                store.register_event_type(of_orders(name, Validation::Enforce))?;
                *acknowledged += 1;
            }
            Ok(())
        },
        |store, acknowledged| {
            let there = store.registered_event_types()?.len();
            assert!(there >= *acknowledged, "{there} of {acknowledged}");
            for (number, name) in NAMES.into_iter().enumerate() {
                let appended = store.append(&stream("cart-1"), ExpectedVersion::Any, [event(name)]);
                let is_refused = matches!(appended, Err(Error::SchemaViolation(_)));
                assert_eq!(is_refused, number < there, "{appended:?}");
            }
            found.insert((*acknowledged, there));
            Ok(())
        },
    )?;
    // Between them are cuts of which the store's own threads decide where they are.
    assert!(found.len() > 2 && found.contains(&(0, 0)) && found.contains(&(2, 2)), "{found:?}");
    Ok(())
}

#[test]
fn where_it_cannot_be_read_what_is_registered_nothing_is_appended__X28() -> Outcome {
    let store = store_with(small_segments());
    store.register_event_type(of_orders("OrderPaid", Validation::Enforce))?;
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::Any, (0..200).map(|_| event("OrderPaid")))?;
    store.append(&order, ExpectedVersion::Any, [event("OrderPaid")])?;
    let (store, directory) = store.into_parts();
    store.close()?;
    let path = directory.path().join("store");
    let mut segments: Vec<_> = fs::read_dir(path.join("segments"))?.collect::<Result<_, _>>()?;
    segments.sort_by_key(fs::DirEntry::file_name);
    let first =
        segments.iter().map(fs::DirEntry::path).find(|path| path.extension().is_some_and(|it| it == "log"));
    let first = first.expect("a segment");
    let mut bytes = fs::read(&first)?;
    let payload = b"\"category\":\"order\"";
    let place = bytes.windows(payload.len()).position(|window| window == payload).expect("the definition");
    bytes[place] ^= 1;
    fs::write(&first, bytes)?;
    let store = EventStore::open_with(&path, small_segments())?;
    assert_eq!(store.read_stream(&order).count(), 201);
    let refused = store.append(&order, ExpectedVersion::Any, [event("OrderPaid")]);
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    let refused = store.register_event_type(placed());
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    Ok(())
}

#[test]
fn an_enforced_category_refuses_the_whole_append__X28() -> Outcome {
    let store = store();
    store.register_event_type(of_orders("OrderPaid", Validation::Enforce))?;
    let (order, cart) = (stream("order-1"), stream("cart-1"));
    store.append(&order, ExpectedVersion::NoStream, [event("OrderPaid"), event("Other")])?;
    let refused = violation(store.append(&cart, ExpectedVersion::Any, [event("Other"), event("OrderPaid")]));
    assert_eq!((refused.stream, refused.index, refused.schema_version), (cart.clone(), 1, 1));
    assert!(refused.reason.contains("the category \"order\""), "{}", refused.reason);
    let commit = Commit::new().append(&order, ExpectedVersion::Any, [event("OrderPaid")]).append(
        &cart,
        ExpectedVersion::Any,
        [event("OrderPaid")],
    );
    violation(store.commit(commit));
    violation(store.submit(&cart, ExpectedVersion::Any, [event("OrderPaid")]));
    violation(store.try_submit(&cart, ExpectedVersion::Any, [event("OrderPaid")]));
    assert_eq!((store.stream_version(&order)?.get(), store.stream_exists(&cart)?), (2, false));
    // A type of which nothing is registered is free.
    store.append(&cart, ExpectedVersion::Any, [event("CartFilled")])?;
    Ok(())
}

#[test]
fn a_warning_is_told_and_the_event_appended__X28() -> Outcome {
    let told = Told::default();
    let store = store_with(told.options());
    store.register_event_type(of_orders("OrderPaid", Validation::Warn))?;
    store.append(&stream("cart-1"), ExpectedVersion::Any, [event("OrderPaid")])?;
    store.append(&stream("order-1"), ExpectedVersion::Any, [event("OrderPaid")])?;
    let warnings = told.take();
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].to_string(),
        "event OrderPaid (schema version 1, number 1 for stream \"cart-1\") isn't as its type is registered: such \
         events are for streams of the category \"order\""
    );
    assert_eq!(store.read(Query::all()).count(), 2);
    store.register_event_type(of_orders("OrderPaid", Validation::Off))?;
    store.append(&stream("cart-1"), ExpectedVersion::Any, [event("OrderPaid")])?;
    assert_eq!(told.take(), []);
    Ok(())
}

#[test]
fn a_schema_version_that_is_not_registered_is_told__X28_D20() -> Outcome {
    let told = Told::default();
    let store = store_with(told.options());
    store.register_event_type(EventTypeDefinition::new("OrderPaid").with_validation(Validation::Warn))?;
    let of_version = |version| event("OrderPaid").with_schema_version(version);
    store.append(&stream("order-1"), ExpectedVersion::Any, [of_version(1), of_version(2)])?;
    let warnings = told.take();
    assert_eq!((warnings.len(), warnings[0].index), (1, 1));
    assert_eq!(warnings[0].reason, "this schema version isn't registered; the newest is 1");
    // Each version has its own validation; the newest has a say where none is registered.
    let second = EventTypeDefinition::new("OrderPaid").with_schema_version(2);
    store.register_event_type(second.with_validation(Validation::Enforce))?;
    let refused = violation(store.append(&stream("order-1"), ExpectedVersion::Any, [of_version(3)]));
    assert_eq!(refused.schema_version, 3);
    store.append(&stream("order-1"), ExpectedVersion::Any, [of_version(1), of_version(2)])?;
    assert_eq!(told.take(), []);
    Ok(())
}

#[test]
fn an_append_that_repeats_an_earlier_one_is_still_a_repetition__D06_X9_X28() -> Outcome {
    let told = Told::default();
    let mut store = store_with(told.options());
    let paid = |id: &str| EventData::new("OrderPaid", "{}").with_id(EventId::new(id).expect("a valid id"));
    let cart = stream("cart-1");
    let first = store.append(&cart, ExpectedVersion::Any, [paid("1"), paid("2")])?;
    for validation in [Validation::Warn, Validation::Enforce] {
        store.register_event_type(of_orders("OrderPaid", validation))?;
        let again = store.append(&cart, ExpectedVersion::Any, [paid("1"), paid("2")])?;
        assert_eq!((again.repeated, again.position, again.version), (true, first.position, first.version));
        let commit = Commit::new().append(&cart, ExpectedVersion::Any, [paid("1"), paid("2")]);
        assert!(store.commit(commit)?[0].repeated);
        assert_eq!(told.take(), []);
        store = store.reopen()?;
    }
    // What isn't a whole repetition is refused for that, and another stream's ids are no repetition.
    let partly = store.append(&cart, ExpectedVersion::Any, [paid("2"), paid("3")]);
    assert!(matches!(partly, Err(Error::PartialRepeat { .. })), "{partly:?}");
    violation(store.append(&cart, ExpectedVersion::Any, [paid("3"), paid("2")]));
    violation(store.append(&stream("cart-2"), ExpectedVersion::Any, [paid("1")]));
    assert_eq!(store.stream_version(&cart)?.get(), 2);
    Ok(())
}

#[test]
fn of_many_who_register_one_type_at_once_one_is_first__D05_D28() -> Outcome {
    const THREADS: usize = 8;
    let store = store();
    let barrier = Barrier::new(THREADS);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let register = |number: usize| {
            let (store, barrier) = (&store, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let mut outcomes = Vec::new();
                for round in 0..20_u32 {
                    // Each round all want the same version; half of them another schema.
                    let definition = EventTypeDefinition::new(format!("Type{}", round % 4))
                        .with_schema_version(round / 4 + 1)
                        .with_schema(json!({ "minimum": number % 2 }));
                    outcomes.push(store.register_event_type(definition).map(|it| it.outcome));
                }
                outcomes
            })
        };
        let threads: Vec<_> = (0..THREADS).map(register).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let first = |outcome: &Result<RegistrationOutcome, Error>| {
        matches!(outcome, Ok(RegistrationOutcome::NewType | RegistrationOutcome::NewVersion))
    };
    assert_eq!(outcomes.iter().filter(|outcome| first(outcome)).count(), 20);
    for outcome in &outcomes {
        let is_known = matches!(outcome, Ok(_) | Err(Error::EventTypeConflict { .. }));
        assert!(is_known, "{outcome:?}");
    }
    assert_eq!(store.stream_version(&stream("$event-types"))?.get(), 20);
    let registered = store.registered_event_types()?;
    assert_eq!(registered.iter().map(|registered| registered.versions.len()).collect::<Vec<_>>(), [5; 4]);
    Ok(())
}

#[cfg(not(feature = "schema"))]
#[test]
fn without_the_feature_an_enforced_schema_refuses_and_says_why__X28() -> Outcome {
    let told = Told::default();
    let store = store_with(told.options());
    let good = || EventData::json("OrderPlaced", &json!({ "total": 5 })).expect("JSON");
    for validation in [Validation::Off, Validation::Warn] {
        store.register_event_type(placed().with_validation(validation))?;
        store.append(&stream("order-1"), ExpectedVersion::Any, [good()])?;
        assert_eq!(told.take(), []);
    }
    store.register_event_type(placed().with_validation(Validation::Enforce))?;
    let refused = violation(store.append(&stream("order-1"), ExpectedVersion::Any, [good()]));
    assert!(refused.reason.contains("built without Annals' feature `schema`"), "{}", refused.reason);
    assert_eq!(store.stream_version(&stream("order-1"))?.get(), 2);
    Ok(())
}

#[cfg(feature = "schema")]
mod with_schemas {
    use super::*;

    fn of(total: impl Into<serde_json::Value>) -> EventData {
        EventData::json("OrderPlaced", &json!({ "total": total.into() })).expect("JSON")
    }

    #[test]
    fn data_are_held_to_the_schema_of_their_version__X28_D05() -> Outcome {
        let mut store = store();
        let order = stream("order-1");
        store.register_event_type(placed().with_validation(Validation::Enforce))?;
        let strict = json!({ "properties": { "total": { "type": "integer" } } });
        let second = placed().with_schema_version(2).with_schema(strict).with_validation(Validation::Enforce);
        store.register_event_type(second)?;
        for _ in 0..2 {
            store.append(&order, ExpectedVersion::Any, [of(1.5), of(1).with_schema_version(2)])?;
            let refused = violation(store.append(&order, ExpectedVersion::Any, [of(1), of("many")]));
            assert_eq!((refused.index, refused.path.as_str(), refused.schema_version), (1, "/total", 1));
            assert_eq!(refused.reason, "\"many\" is not of type \"number\"");
            let half = of(1.5).with_schema_version(2);
            let error = store.append(&order, ExpectedVersion::Any, [half]).expect_err("no integer");
            let said = error.to_string();
            assert!(said.contains("schema version 2") && said.contains(", at /total: 1.5"), "{said}");
            assert!(said.ends_with(
                "Nothing was written: mend the event, or register a schema version that allows it"
            ));
            store = store.reopen()?;
        }
        assert_eq!(store.stream_version(&order)?.get(), 4);
        Ok(())
    }

    #[test]
    fn data_that_are_not_json_break_a_schema__X28() -> Outcome {
        let told = Told::default();
        let store = store_with(told.options());
        store.register_event_type(placed().with_validation(Validation::Warn))?;
        let torn = EventData::new("OrderPlaced", "{\"total\":").with_content_type(annals::ContentType::JSON);
        let bytes = EventData::new("OrderPlaced", "{\"total\":1}");
        store.append(&stream("order-1"), ExpectedVersion::Any, [of(1), torn, bytes])?;
        let told: Vec<(usize, String)> = told.take().into_iter().map(|it| (it.index, it.reason)).collect();
        assert_eq!((told.len(), told[0].0, told[1].0), (2, 1, 2));
        assert!(told[0].1.contains("can't be read as JSON"), "{}", told[0].1);
        assert_eq!(told[1].1, "it has a schema, and its data aren't marked as JSON");
        Ok(())
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_refused_when_it_is_registered__X28() -> Outcome {
        let store = store();
        for (schema, said) in [
            (json!({ "type": "text" }), "at /type"),
            (json!({ "$ref": "http://127.0.0.1:9/schema.json" }), "http://127.0.0.1:9/schema.json"),
            (json!({ "$ref": "file:///etc/hostname" }), "file:///etc/hostname"),
            (json!({ "pattern": "(?=a)b" }), "patterns don't look ahead"),
            (json!({ "pattern": "(a{1000}){1000}" }), "at /pattern"),
        ] {
            let error = store.register_event_type(placed().with_schema(schema)).expect_err(said);
            let is_told = matches!(&error, Error::Invalid(invalid) if invalid.value == "OrderPlaced");
            assert!(is_told && error.to_string().contains(said), "{error}");
        }
        assert_eq!(store.registered_event_types()?, []);
        Ok(())
    }

    #[test]
    fn many_threads_append_while_a_schema_is_registered__X28() -> Outcome {
        const THREADS: usize = 4;
        let store = store();
        let order = stream("order-1");
        let (begin, done) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
        let append = || {
            for _ in 0..50 {
                store.append(&order, ExpectedVersion::Any, [of(1)]).expect("it is as registered");
            }
        };
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    append();
                    begin.wait();
                    append(); // while it is being registered
                    done.wait();
                    append();
                    violation(store.append(&order, ExpectedVersion::Any, [of("many")]));
                });
            }
            begin.wait();
            store.register_event_type(placed().with_validation(Validation::Enforce)).expect("it is new");
            done.wait();
        });
        assert_eq!(store.stream_version(&order)?.get(), 600);
        Ok(())
    }
}
