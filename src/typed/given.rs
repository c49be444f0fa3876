//! Tests of aggregates, without a store: given events, when a command comes, then events or a refusal.

use std::fmt::{Debug, Write};

use crate::{
    event::{EventRef, StoredEvent},
    event_id::EventId,
    invalid::Invalid,
    position::{Position, Version},
    stream::{StreamId, check_name},
    time::Timestamp,
    typed::{
        aggregate::{Aggregate, Handle},
        codec::Codec,
        event_codec::EventCodec,
    },
};

/// What has happened to an aggregate before a test's command.
///
/// All events of the test, those that are given and those that the command leads to, must also be the same after they were
/// encoded and decoded: an event that can't be read again is found in the test, and not in the store.
///
/// ```
/// use annals::{Aggregate, Given, Handle};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default)]
/// struct Door {
///     is_open: bool,
/// }
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// #[serde(tag = "type", content = "data")]
/// enum DoorEvent {
///     DoorOpened,
///     DoorClosed { by: String },
/// }
///
/// impl Aggregate for Door {
///     type Event = DoorEvent;
///     const CATEGORY: &'static str = "door";
///
///     fn apply(&mut self, event: DoorEvent) {
///         self.is_open = event == DoorEvent::DoorOpened;
///     }
/// }
///
/// struct Close {
///     by: String,
/// }
///
/// #[derive(PartialEq, Debug)]
/// struct AlreadyClosed;
///
/// impl Handle<Close> for Door {
///     type Error = AlreadyClosed;
///
///     fn handle(&self, command: &Close) -> Result<Vec<DoorEvent>, AlreadyClosed> {
///         if !self.is_open {
///             return Err(AlreadyClosed);
///         }
///         Ok(vec![DoorEvent::DoorClosed { by: command.by.clone() }])
///     }
/// }
///
/// let close = Close { by: "ana".into() };
/// Given::<Door>::nothing().when(&close).then_rejected(&AlreadyClosed);
/// let door = Given::<Door>::events([DoorEvent::DoorOpened])
///     .when(&close)
///     .then([DoorEvent::DoorClosed { by: "ana".into() }]);
/// assert!(!door.is_open);
/// ```
#[derive(Debug)]
#[must_use = "nothing is tested until a command comes"]
pub struct Given<A: Aggregate> {
    events: Vec<A::Event>,
    codec: EventCodec<A::Event>,
}

/// What a test's command led to, to be compared with what it should lead to.
#[derive(Debug)]
#[must_use = "nothing is tested until it is said what the command leads to"]
pub struct When<A: Aggregate, R> {
    state: A,
    outcome: Result<Vec<A::Event>, R>,
    codec: EventCodec<A::Event>,
}

impl<A: Aggregate> Given<A> {
    /// Nothing has happened.
    pub fn nothing() -> Self {
        Self::events([])
    }

    /// These events have happened.
    pub fn events(events: impl IntoIterator<Item = A::Event>) -> Self {
        Self { events: events.into_iter().collect(), codec: EventCodec::default() }
    }

    /// The same, with events written by another codec than JSON.
    pub fn codec<C: Codec>(mut self) -> Self {
        self.codec = EventCodec::of::<C>();
        self
    }
}

impl<A: Aggregate> Given<A>
where
    A::Event: PartialEq + Debug,
{
    /// The state that the events lead to.
    ///
    /// # Panics
    ///
    /// If an event isn't the same after it was encoded and decoded.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a test may be about nothing but the events' encoding")]
    pub fn state(self) -> A {
        let mut state = A::default();
        for event in self.events {
            check_again::<A>(&event, self.codec);
            state.apply(event);
        }
        state
    }

    /// Lets the aggregate handle a command.
    ///
    /// # Panics
    ///
    /// As [`state`](Self::state).
    #[track_caller]
    pub fn when<C>(self, command: &C) -> When<A, A::Error>
    where
        A: Handle<C>,
    {
        let codec = self.codec;
        let state = self.state();
        let outcome = state.handle(command);
        When { state, outcome, codec }
    }
}

impl<A: Aggregate, R> When<A, R> {
    /// What came of it, for what the other methods can't say.
    ///
    /// # Errors
    ///
    /// The aggregate's refusal.
    pub fn outcome(self) -> Result<Vec<A::Event>, R> {
        self.outcome
    }
}

impl<A: Aggregate, R: Debug> When<A, R>
where
    A::Event: PartialEq + Debug,
{
    /// The command led to exactly these events, in this order. Returns the state behind them.
    ///
    /// # Panics
    ///
    /// If it led to others or was refused, and if an event isn't the same after it was encoded and decoded.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> A {
        let Self { mut state, outcome, codec } = self;
        let expected: Vec<A::Event> = expected.into_iter().collect();
        let found = match outcome {
            Ok(found) => found,
            Err(rejection) => panic!("the command was refused: {rejection:?}\nexpected: {expected:#?}"),
        };
        assert!(found == expected, "{}", difference(&expected, &found));
        for event in found {
            check_again::<A>(&event, codec);
            state.apply(event);
        }
        state
    }

    /// The command was accepted and led to no events. Returns the state.
    ///
    /// # Panics
    ///
    /// As [`then`](Self::then).
    #[track_caller]
    pub fn then_nothing(self) -> A {
        self.then([])
    }

    /// The command was refused, and this is why.
    ///
    /// # Panics
    ///
    /// If it was accepted, or refused for another reason.
    #[track_caller]
    pub fn then_rejected(self, expected: &R)
    where
        R: PartialEq,
    {
        match self.outcome {
            Ok(found) => panic!("the command was accepted, and led to {found:#?}\nexpected: {expected:?}"),
            Err(rejection) => assert!(
                rejection == *expected,
                "the command was refused for another reason\nexpected: {expected:?}\n   found: {rejection:?}"
            ),
        }
    }
}

/// The events that are the same, and those that were expected (`-`) and found (`+`) instead of each other.
fn difference<E: PartialEq + Debug>(expected: &[E], found: &[E]) -> String {
    let mut text = String::from("the command led to other events: - expected, + found\n");
    for index in 0..expected.len().max(found.len()) {
        let (expected, found) = (expected.get(index), found.get(index));
        let marks =
            if expected == found { [(' ', expected), (' ', None)] } else { [('-', expected), ('+', found)] };
        for (mark, event) in marks {
            if let Some(event) = event {
                writeln!(text, "{mark} {}: {event:?}", index + 1).expect("a text takes all");
            }
        }
    }
    text
}

/// Encodes an event and decodes it again, as a store would.
#[track_caller]
fn check_again<A: Aggregate>(event: &A::Event, codec: EventCodec<A::Event>)
where
    A::Event: PartialEq + Debug,
{
    match decoded_again::<A>(event, codec) {
        Ok(again) => assert!(
            again == *event,
            "the event isn't the same after it was encoded and decoded\nbefore: {event:?}\n after: {again:?}"
        ),
        Err(invalid) => panic!("the event can't be stored and read again: {invalid}\nevent: {event:?}"),
    }
}

fn decoded_again<A: Aggregate>(event: &A::Event, codec: EventCodec<A::Event>) -> Result<A::Event, Invalid> {
    let data = codec.encode(event)?;
    check_name("event type", &data.event_type)?;
    let (stream, id) = (StreamId::from_parts(A::CATEGORY, "1")?, EventId::new("1")?);
    let (position, version, time) = (Position::FIRST, Version::FIRST, Timestamp::from_micros(0));
    codec.decode(&EventRef::from(&StoredEvent::new(position, stream, version, time, id, data)))
}
