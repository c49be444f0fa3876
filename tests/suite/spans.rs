//! What `tracing` has to do with a store: a context that comes from the current span, and what operators are told.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use annals::{Context, ContextLayer, EveryNEvents, Metadata, Repository, SnapshotData};
use tracing::{
    Dispatch, Subscriber, dispatcher::with_default, field::Field, info_span, subscriber::NoSubscriber,
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
    filter::filter_fn,
    layer::{self, Identity, SubscriberExt},
    registry,
};

use crate::{
    aggregate_snapshots::{Shy, ShyEvent},
    support::{Outcome, all, event, store, stream},
};

fn with_layer(action: impl FnOnce()) {
    with_default(&Dispatch::new(registry().with(ContextLayer::new())), action);
}

fn current() -> Metadata {
    Context::current().metadata()
}

#[test]
fn a_context_has_what_its_span_says__C15() {
    with_layer(|| {
        let span = info_span!(
            "request",
            correlation_id = "r",
            causation_id = %"c",
            user_id = 17,
            tenant_id = ?Some(1),
            trace_id = "4bf92f",
            ip_address = %std::net::Ipv4Addr::LOCALHOST,
            user_agent = "till",
            other = "not taken"
        );
        let said = span.in_scope(current);
        assert_eq!((said.correlation_id.as_deref(), said.causation_id.as_deref()), (Some("r"), Some("c")));
        assert_eq!((said.user_id.as_deref(), said.tenant_id.as_deref()), (Some("17"), Some("Some(1)")));
        let custom = serde_json::json!({"traceId": "4bf92f", "ipAddress": "127.0.0.1", "userAgent": "till"});
        assert_eq!(serde_json::Value::from(said.custom), custom);
        let command = info_span!("command", command_id = "pay-1").in_scope(Context::current);
        assert_eq!(command.command(), Some("pay-1"));
    });
}

#[test]
fn the_trace_is_the_correlation_where_no_other_is_said__C15() {
    with_layer(|| {
        let traced = info_span!("request", trace_id = "4bf92f", command_id = "c").in_scope(current);
        assert_eq!(traced.correlation_id.as_deref(), Some("4bf92f"));
        assert_eq!(
            (traced.causation_id.as_deref(), &traced.custom["traceId"]),
            (Some("c"), &"4bf92f".into())
        );
    });
}

#[test]
fn an_inner_span_counts_more_than_the_one_around_it__C15() {
    with_layer(|| {
        let outer =
            info_span!("request", user_id = "outer", tenant_id = "t", correlation_id = tracing::field::Empty);
        let _outer = outer.enter();
        let inner = info_span!("command", user_id = "inner");
        let _between = info_span!("nothing of interest").entered();
        let _inner = inner.enter();
        outer.record("correlation_id", "late");
        let said = current();
        assert_eq!((said.user_id.as_deref(), said.tenant_id.as_deref()), (Some("inner"), Some("t")));
        assert_eq!(said.correlation_id.as_deref(), Some("late"), "a value may come when the span is open");
        inner.record("user_id", "changed");
        assert_eq!(current().user_id.as_deref(), Some("changed"));
    });
}

#[test]
fn without_the_layer_or_outside_of_spans_a_context_is_empty__C15() {
    assert_eq!(Context::current(), Context::new());
    with_layer(|| assert_eq!(Context::current(), Context::new()));
    for subscriber in [Dispatch::new(registry()), Dispatch::new(NoSubscriber::new())] {
        with_default(&subscriber, || {
            let said = info_span!("request", user_id = "u").in_scope(Context::current);
            assert_eq!(said, Context::new());
        });
    }
}

#[test]
fn the_layer_is_found_wherever_it_stands__C15() {
    let subscribers = [
        Dispatch::new(registry().with(Identity::new()).with(ContextLayer::new()).with(LevelFilter::INFO)),
        Dispatch::new(registry().with(ContextLayer::new()).with(Identity::new())),
        Dispatch::new(
            registry().with(ContextLayer::new().with_filter(filter_fn(|span| span.name() != "hidden"))),
        ),
        Dispatch::new(registry().with(ContextLayer::new().boxed())),
        Dispatch::new(registry().with(Some(ContextLayer::new()))),
        Dispatch::new(registry().with(vec![ContextLayer::new()])),
    ];
    for (index, subscriber) in subscribers.iter().enumerate() {
        with_default(subscriber, || {
            let outer = info_span!("request", user_id = "u").entered();
            let said = info_span!("hidden").in_scope(current);
            assert_eq!(said.user_id.as_deref(), Some("u"), "subscriber {index}");
            drop(outer);
        });
    }
}

#[test]
fn an_empty_field_is_none__C15() {
    with_layer(|| {
        let outer = info_span!("request", user_id = "ann", command_id = "").entered();
        let said = info_span!("command", user_id = "", tenant_id = %"").in_scope(Context::current);
        assert_eq!((said.command(), said.metadata().user_id.as_deref()), (None, Some("ann")));
        assert_eq!(said.metadata().tenant_id, None);
        drop(outer);
    });
}

#[test]
fn events_of_a_request_carry_its_trace__C15_D25() -> Outcome {
    let store = store();
    let mut outcome = Ok(());
    with_layer(|| {
        let _request =
            info_span!("request", trace_id = "4bf92f", user_id = "ann", tenant_id = "shop").entered();
        outcome = event("A")
            .with_context(&Context::current().command_id("c"))
            .map_err(annals::Error::from)
            .and_then(|event| {
                store.append(&stream("a-1"), annals::ExpectedVersion::NoStream, [event]).map(|_| ())
            });
    });
    outcome?;
    let found = all(store.read_stream(&stream("a-1"))).remove(0).metadata()?.expect("metadata");
    assert_eq!((found.user_id.as_deref(), found.tenant_id.as_deref()), (Some("ann"), Some("shop")));
    assert_eq!((found.correlation_id.as_deref(), found.causation_id.as_deref()), (Some("4bf92f"), Some("c")));
    Ok(())
}

/// Keeps what is told to operators.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
            write!(line, " {field}={value:?}").expect("a text");
        });
        self.0.lock().expect("no one panics with it").push(line);
    }
}

#[test]
fn operators_are_told_of_snapshots_that_are_not_taken_or_not_used__B15_B16() -> Outcome {
    let told = Told::default();
    let store = store();
    let shy = Repository::<Shy, _>::new(&*store).snapshots(EveryNEvents(1));
    let said = |part: &str| {
        let lines = std::mem::take(&mut *told.0.lock().expect("no one panics with it"));
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.starts_with("WARN") && line.contains("stream shy-1") && line.contains(part), "{line}");
        assert!(line.contains("snapshots"), "it names the directory: {line}");
    };
    let run = || -> annals::Result<()> {
        let mut loaded = shy.load("1")?;
        shy.save(&mut loaded, [ShyEvent::Looked, ShyEvent::Looked, ShyEvent::Looked], &Context::new())?;
        said("a snapshot can't be taken");
        let data = SnapshotData::json("shy", &"another state")?;
        store.save_snapshot(loaded.stream(), loaded.version(), data)?;
        shy.load("1")?;
        said("isn't this program's");
        let data = SnapshotData::json("shy", &0)?.with_schema_version(2);
        store.save_snapshot(loaded.stream(), loaded.version(), data)?;
        shy.load("1")?;
        said("has version 2 of the state");
        Ok(())
    };
    with_default(&Dispatch::new(registry().with(told.clone())), run)?;
    Ok(())
}
