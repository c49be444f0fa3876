//! All that docs/guide.md shows, as one program: the box office of a theatre.

use std::{
    collections::BTreeMap, convert::Infallible, error::Error, fmt, path::Path, sync::Arc, thread,
    time::Duration,
};

use annals::{
    Aggregate, Bincode, Commit, Context, Cursor, Delivery, Durability, EventData, EventStore,
    EventTypeDefinition, EveryNEvents, ExecuteError, ExpectedVersion, Follower, Given, Handle, Options,
    Output, Position, ProcessManager, Projection, Query, Repository, Retry, Runner, SavedCursor, SimDisk,
    StoredEvent, StreamId, Upcasters, Validation, Version, naming_hint, project,
};
use serde::{Deserialize, Serialize};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let path = Path::new("theatre.annals");
    open_and_append(path)?;
    read(path)?;
    typed_events(path)?;
    commands(path)?;
    snapshots(path)?;
    change_a_schema(path)?;
    register_types(path)?;
    correct(path)?;
    subscribe(path)?;
    read_models(path)?;
    answer_events(path)?;
    from_another_process(path)?;
    on_a_simulated_disk()
}

fn open_and_append(path: &Path) -> Outcome {
    let store = EventStore::open(path)?;

    let play = StreamId::new("play-hamlet")?;
    let staged = EventData::json("PlayStaged", &serde_json::json!({ "director": "Ann" }))?;
    let appended = store.append(&play, ExpectedVersion::NoStream, [staged])?;
    assert_eq!(appended.version, Version::new(1));

    let moved = EventData::json("PlayMoved", &serde_json::json!({ "hall": 2 }))?
        .with_id("move-1".parse::<annals::EventId>()?);
    store.append(&play, appended.version, [moved.clone()])?;

    // The same again, as after a failure that left the outcome open: it is there already.
    assert!(store.append(&play, appended.version, [moved])?.repeated);

    let late = EventData::json("PlayCancelled", &serde_json::json!({}))?;
    let error = store.append(&play, appended.version, [late]).expect_err("somebody was first");
    assert!(error.is_conflict());

    store.close()?;
    Ok(())
}

fn read(path: &Path) -> Outcome {
    let fast = Options::new().durability(Durability::Buffered);
    let store = EventStore::open_with(path, fast)?;
    let play = StreamId::new("play-hamlet")?;

    for event in store.read_stream(&play) {
        let event = event?;
        let data: serde_json::Value = event.json()?;
        assert!(data.is_object(), "{} {}", event.version, event.event_type);
    }

    // The newest first, at most ten.
    let newest = store.read(Query::stream(&play).backwards().limit(10));
    assert_eq!(newest.count(), 2);

    // All streams of a category, one type of event, behind a position: `try_next` lends events and copies nothing.
    let mut moves = store.read(Query::all().category("play").event_type("PlayMoved").after(Position::new(1)));
    while let Some(event) = moves.try_next()? {
        assert_eq!(event.json::<serde_json::Value>()?["hall"], 2);
    }

    // The stream as it was.
    assert_eq!(store.stream_version_as_of(&play, Position::new(1))?, Version::new(1));
    Ok(())
}

/// What can happen to a show. The names of the variants are the event types.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
#[serde(tag = "type", content = "data")]
enum ShowEvent {
    ShowPlanned { seats: u32 },
    SeatsReserved { seats: u32, guest: String },
    ReservationCancelled { seats: u32, guest: String },
}

fn typed_events(path: &Path) -> Outcome {
    let store = EventStore::open(path)?;
    let show = StreamId::new("show-gala")?;

    let planned = EventData::encode(&ShowEvent::ShowPlanned { seats: 80 })?;
    assert_eq!(
        (planned.event_type.as_str(), planned.data.as_slice()),
        ("ShowPlanned", &br#"{"seats":80}"#[..])
    );
    store.append(&show, ExpectedVersion::NoStream, [planned])?;

    // bincode is smaller, and the event says which it is: both are read alike.
    let event = ShowEvent::SeatsReserved { seats: 2, guest: "Bo".into() };
    store.append(&show, ExpectedVersion::StreamExists, [EventData::encode_with::<Bincode, _>(&event)?])?;

    let events: Vec<ShowEvent> =
        store.read_stream(&show).map(|event| Ok(event?.decode()?)).collect::<annals::Result<_>>()?;
    assert_eq!(events, [ShowEvent::ShowPlanned { seats: 80 }, event]);
    Ok(())
}

/// What the events of a show add up to.
#[derive(Default, PartialEq, Serialize, Deserialize, Debug)]
struct Show {
    seats: u32,
    reserved: u32,
}

impl Aggregate for Show {
    type Event = ShowEvent;
    const CATEGORY: &'static str = "show";

    fn apply(&mut self, event: ShowEvent) {
        match event {
            ShowEvent::ShowPlanned { seats } => self.seats = seats,
            ShowEvent::SeatsReserved { seats, .. } => self.reserved += seats,
            ShowEvent::ReservationCancelled { seats, .. } => self.reserved -= seats,
        }
    }
}

/// A command: what somebody wants.
struct Reserve {
    seats: u32,
    guest: String,
}

/// Why it can't be.
#[derive(PartialEq, Debug)]
struct SoldOut {
    left: u32,
}

impl Handle<Reserve> for Show {
    type Error = SoldOut;

    fn handle(&self, command: &Reserve) -> Result<Vec<ShowEvent>, SoldOut> {
        let left = self.seats - self.reserved;
        if command.seats > left {
            return Err(SoldOut { left });
        }
        Ok(vec![ShowEvent::SeatsReserved { seats: command.seats, guest: command.guest.clone() }])
    }
}

impl fmt::Display for SoldOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "only {} seats are left", self.left)
    }
}

impl Error for SoldOut {}

/// Plans a show; only a new one.
struct Plan {
    seats: u32,
}

impl Handle<Plan> for Show {
    type Error = Infallible;

    fn handle(&self, command: &Plan) -> Result<Vec<ShowEvent>, Infallible> {
        let is_new = self.seats == 0;
        Ok(is_new.then_some(ShowEvent::ShowPlanned { seats: command.seats }).into_iter().collect())
    }
}

fn commands(path: &Path) -> Outcome {
    let store = Arc::new(EventStore::open(path)?);
    let shows = Repository::<Show>::new(Arc::clone(&store));

    shows.execute("premiere", &Plan { seats: 3 }, &Context::new())?;
    let done = shows.execute("premiere", &Reserve { seats: 2, guest: "Cy".into() }, &Context::new())?;
    assert_eq!(done.aggregate.state().reserved, 2);

    match shows.execute("premiere", &Reserve { seats: 2, guest: "Di".into() }, &Context::new()) {
        Err(ExecuteError::Rejected(SoldOut { left })) => assert_eq!(left, 1),
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Ok(_) => unreachable!("one seat is left"),
    }

    let patient = shows.clone().retry(Retry::new().tries(8).backoff(Duration::from_millis(5)));
    patient.execute("premiere", &Reserve { seats: 1, guest: "Di".into() }, &Context::new())?;

    // A client that got no answer sends its command again, with the id that it gave it.
    shows.execute("matinee", &Plan { seats: 10 }, &Context::new())?;
    let reserve = Reserve { seats: 4, guest: "Ed".into() };
    let context = Context::new().command_id("reserve-81").user_id("ed").ip_address("203.0.113.7");
    shows.execute("matinee", &reserve, &context)?;
    let again = shows.execute("matinee", &reserve, &context)?;
    assert!(again.appended.repeated);
    assert_eq!(again.aggregate.state().reserved, 4);

    // By hand: load, decide, save. The version that was loaded is the one that is expected.
    let mut show = shows.load_for_writing("matinee")?;
    if show.state().reserved > 3 {
        let cancelled = ShowEvent::ReservationCancelled { seats: 4, guest: "Ed".into() };
        shows.save(&mut show, [cancelled], &Context::new())?;
    }

    // Two at once, all or nothing.
    let (premiere, matinee) = (shows.load("premiere")?, shows.load("matinee")?);
    let context = Context::new().command_id("swap-7");
    let leave = ShowEvent::ReservationCancelled { seats: 2, guest: "Cy".into() };
    let enter = ShowEvent::SeatsReserved { seats: 2, guest: "Cy".into() };
    let commit = shows.add_to(Commit::new(), &premiere, [leave], &context)?;
    store.commit(shows.add_to(commit, &matinee, [enter], &context)?)?;

    // Who holds the store in an `Arc`, and so a repository, lets go of it first.
    drop((shows, patient));
    Arc::into_inner(store).ok_or("somebody still has the store")?.close()?;

    test_an_aggregate();
    Ok(())
}

fn test_an_aggregate() {
    let full =
        [ShowEvent::ShowPlanned { seats: 2 }, ShowEvent::SeatsReserved { seats: 2, guest: "Ann".into() }];
    Given::<Show>::events(full)
        .when(&Reserve { seats: 1, guest: "Bo".into() })
        .then_rejected(&SoldOut { left: 0 });
}

fn snapshots(path: &Path) -> Outcome {
    let store = Arc::new(EventStore::open(path)?);
    let shows = Repository::<Show>::new(store).snapshots(EveryNEvents(100));

    let mut show = shows.load("matinee")?;
    shows.take_snapshot(&mut show)?; // on demand; else the policy says when

    let show = shows.load("matinee")?;
    assert_eq!(show.snapshot_version(), Some(show.version()));
    assert_eq!(show.events_applied(), 0);

    let planned = shows.load_as_of("matinee", Version::new(1))?;
    assert_eq!(planned.state().reserved, 0);
    Ok(())
}

/// What a ticket's events are today: an amount in cents, and its currency.
#[derive(PartialEq, Serialize, Deserialize, Debug)]
#[serde(tag = "type", content = "data")]
enum TicketEvent {
    TicketSold { cents: u64, currency: String },
}

/// What it was in version 1.
#[derive(Deserialize)]
struct TicketSoldV1 {
    euros: u64,
}

fn change_a_schema(path: &Path) -> Outcome {
    let ticket = StreamId::new("ticket-1")?;
    let store = EventStore::open(path)?;
    let old = EventData::json("TicketSold", &serde_json::json!({ "euros": 12 }))?; // years ago
    store.append(&ticket, ExpectedVersion::NoStream, [old])?;
    store.close()?;

    let upcasters = Upcasters::new().json("TicketSold", 1, |old: TicketSoldV1| {
        Ok::<_, Infallible>(serde_json::json!({ "cents": old.euros * 100, "currency": "EUR" }))
    })?;
    let store = EventStore::open_with(path, Options::new().upcasters(upcasters))?;

    let sold = store.read_stream(&ticket).next().expect("an event")?;
    assert_eq!(sold.schema_version, 2);
    assert_eq!(
        sold.decode::<TicketEvent>()?,
        TicketEvent::TicketSold { cents: 1200, currency: "EUR".into() }
    );

    // What is written from now on is in the newest version.
    let sold = TicketEvent::TicketSold { cents: 900, currency: "CHF".into() };
    let sold = EventData::encode(&sold)?.with_current_version(store.upcasters());
    store.append(&StreamId::new("ticket-2")?, ExpectedVersion::NoStream, [sold])?;
    let newest = store.read_all().last().expect("an event")?;
    assert_eq!(
        newest.decode::<TicketEvent>()?,
        TicketEvent::TicketSold { cents: 900, currency: "CHF".into() }
    );

    // Nothing was rewritten.
    let stored = store.read(Query::stream(&ticket).raw()).next().expect("an event")?;
    assert_eq!(stored.data, br#"{"euros":12}"#);
    Ok(())
}

fn register_types(path: &Path) -> Outcome {
    let store = EventStore::open(path)?;
    let definition = EventTypeDefinition::new("TicketRefunded")
        .with_category("ticket")
        .with_description("The money for a ticket was given back")
        .with_schema(serde_json::json!({
            "type": "object",
            "required": ["cents"],
            "properties": { "cents": { "type": "integer", "minimum": 1 } }
        }))
        .with_validation(Validation::Warn);
    store.register_event_type(definition)?;

    assert!(naming_hint("TicketRefunded").is_none());
    assert!(naming_hint("RefundTicket").is_some(), "that is a command, not what happened");
    Ok(())
}

fn correct(path: &Path) -> Outcome {
    let store = EventStore::open(path)?;
    let ticket = StreamId::new("ticket-1")?;
    let wrong = store.read_stream(&ticket).next().expect("an event")?;

    let refunded = EventData::json("TicketRefunded", &serde_json::json!({ "cents": 1200 }))?;
    let refunded = refunded.with_context(&Context::caused_by(&wrong)?.corrects(&wrong))?;
    store.append(&ticket, wrong.version, [refunded])?;
    Ok(())
}

fn subscribe(path: &Path) -> Outcome {
    let store = EventStore::open(path)?;
    let saved = store.checkpoint("mailer")?.map(|checkpoint| checkpoint.cursor).unwrap_or_default();

    let mut subscription = store.subscribe(Query::all().category("show").after_cursor(saved));
    let mut mails = 0;
    while let Some(Delivery::Event(event)) = subscription.next().transpose()? {
        mails += u32::from(event.event_type == "SeatsReserved");
    }
    store.save_checkpoint("mailer", subscription.cursor())?;
    assert_eq!(mails, 5);

    let subscription = store.subscribe(Query::all().category("show"));
    let canceller = subscription.canceller();
    let counter = thread::spawn(move || -> annals::Result<u64> {
        let mut reservations = 0;
        for delivery in subscription {
            if let Delivery::Event(event) = delivery? {
                reservations += u64::from(event.event_type == "SeatsReserved");
            }
        }
        Ok(reservations)
    });
    canceller.cancel(); // it is woken if it waits, and its loop ends
    let reservations = counter.join().map_err(|_| "the counter panicked")??;
    assert!(reservations <= 5);
    Ok(())
}

/// A read model: how many seats each guest has. In memory, so it is made anew at each start.
#[derive(Default)]
struct SeatsByGuest {
    seats: BTreeMap<String, i64>,
}

impl Projection for SeatsByGuest {
    type Error = annals::Invalid;

    // It is in memory: each start begins with the first event.
    fn saved_cursor(&mut self) -> Result<SavedCursor, annals::Invalid> {
        Ok(SavedCursor::Own(None))
    }

    fn query(&self) -> Query<Position> {
        Query::all().category("show")
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), annals::Invalid> {
        let (guest, change) = match event.decode()? {
            ShowEvent::ShowPlanned { .. } => return Ok(()),
            ShowEvent::SeatsReserved { seats, guest } => (guest, i64::from(seats)),
            ShowEvent::ReservationCancelled { seats, guest } => (guest, -i64::from(seats)),
        };
        *self.seats.entry(guest).or_default() += change;
        Ok(())
    }

    fn reset(&mut self) -> Result<(), annals::Invalid> {
        self.seats.clear();
        Ok(())
    }
}

fn read_models(path: &Path) -> Outcome {
    let store = EventStore::open(path)?;
    let model = project(&store, SeatsByGuest::default())?;
    assert_eq!(model.seats["Cy"], 2);
    Ok(())
}

/// Thanks each guest who reserves many seats, once.
struct Thanks;

impl ProcessManager for Thanks {
    type Error = Box<dyn Error + Send + Sync>;

    fn query(&self) -> Query<Position> {
        Query::all().event_type("SeatsReserved")
    }

    fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), Self::Error> {
        if let ShowEvent::SeatsReserved { seats: 4.., guest } = event.decode()? {
            let letter = StreamId::from_parts("letter", &guest)?;
            output.append(&letter, ExpectedVersion::Any, [EventData::json("ThanksDue", &guest)?]);
        }
        Ok(())
    }
}

fn answer_events(path: &Path) -> Outcome {
    let store = EventStore::open(path)?;
    let runner = Runner::new(&store, "thanks")?;
    runner.run_process_to_end(&mut Thanks)?;
    runner.run_process_to_end(&mut Thanks)?; // nothing is left to answer
    assert_eq!(store.stream_version(&StreamId::new("letter-Ed")?)?, Version::new(1));
    Ok(())
}

fn from_another_process(path: &Path) -> Outcome {
    let follower = Follower::open(path)?;
    let last = follower.wait_beyond(Position::NONE, Duration::from_secs(10))?;
    assert_eq!(last, follower.last_position());

    // In use, a row of your database.
    let (mut reservations, mut kept) = (0, Cursor::START.to_string());

    let mut subscription = follower.subscribe(Query::all().category("show").after_cursor(kept.parse()?));
    let canceller = subscription.canceller(); // for who is to end it, such as the handler of a signal
    while let Some(delivery) = subscription.next().transpose()? {
        match delivery {
            Delivery::Event(event) => reservations += u64::from(event.event_type == "SeatsReserved"),
            _ => canceller.cancel(), // all is caught up; a program that goes on has nothing to do here
        }
        kept = subscription.cursor().to_string();
    }
    let news = follower.read(Query::all().category("show").after_cursor(kept.parse()?));
    assert_eq!((reservations, news.count()), (5, 0));
    Ok(())
}

fn on_a_simulated_disk() -> Outcome {
    let disk = SimDisk::new(1);
    let open =
        || EventStore::open_on(Arc::new(disk.mount()), "/theatre", Options::new().segment_bytes(32 << 10));
    let play = StreamId::new("play-hamlet")?;

    let store = open()?;
    store.append(&play, ExpectedVersion::NoStream, [EventData::new("PlayStaged", "")])?;
    disk.power_cut(); // the store is dead, and so is what it hadn't synced
    drop(store);
    assert_eq!(open()?.stream_version(&play)?, Version::new(1));
    Ok(())
}
