//! Who wants a command and what brought it about, from the command to its events and to what answers them.

use annals::{
    ContentType, Context, Correction, EventData, ExpectedVersion, Invalid, Metadata, OccurredAt, StoredEvent,
    Timestamp,
};
use serde_json::json;

use crate::{
    account::{Deposit, Open, accounts},
    support::{Outcome, all, event, store, stream},
};

/// Stores events in one stream and reads them.
fn stored<const N: usize>(events: [EventData; N]) -> [StoredEvent; N] {
    let store = store();
    store.append(&stream("a-1"), ExpectedVersion::NoStream, events).expect("an append");
    all(store.read_stream(&stream("a-1"))).try_into().expect("as many as were appended")
}

fn in_context(context: &Context) -> Result<Metadata, Invalid> {
    let [event] = stored([event("A").with_context(context)?]);
    Ok(event.metadata()?.unwrap_or_default())
}

#[test]
fn a_command_is_the_cause_of_its_events_unless_another_is_named__C15() -> Outcome {
    let alone = in_context(&Context::new().command_id("c"))?;
    assert_eq!((alone.causation_id.as_deref(), alone.correlation_id.as_deref()), (Some("c"), Some("c")));
    let correlated = in_context(&Context::new().command_id("c").correlation_id("r"))?;
    assert_eq!(
        (correlated.causation_id.as_deref(), correlated.correlation_id.as_deref()),
        (Some("c"), Some("r"))
    );
    let caused = in_context(&Context::new().causation_id("e").command_id("c"))?;
    assert_eq!((caused.causation_id.as_deref(), caused.correlation_id.as_deref()), (Some("e"), None));
    assert_eq!(caused.custom["commandId"], "c");
    assert_eq!(Context::new().command_id("c").command(), Some("c"));
    let [plain] = stored([event("A").with_context(&Context::new())?]);
    assert_eq!((plain.metadata()?, plain.metadata_bytes.len()), (None, 0));
    Ok(())
}

#[test]
fn an_answer_carries_correlation_user_and_tenant_on__C15_A20() -> Outcome {
    let context = Context::new().correlation_id("r").user_id("u").tenant_id("t").with("region", "eu");
    let [asked, bare] = stored([event("Asked").with_context(&context)?, event("Bare")]);
    let answer = Context::caused_by(&asked)?.metadata();
    let wanted = Metadata {
        correlation_id: Some("r".into()),
        causation_id: Some(asked.id.to_string()),
        user_id: Some("u".into()),
        tenant_id: Some("t".into()),
        ..Metadata::default()
    };
    assert_eq!(answer, wanted);
    let id = Some(bare.id.to_string());
    let begun = Context::caused_by(&bare)?.metadata();
    assert_eq!((&begun.correlation_id, &begun.causation_id), (&id, &id));
    let [foreign] = stored([event("A").with_metadata_bytes("?", ContentType::BYTES)]);
    assert!(Context::caused_by(&foreign).is_err());
    Ok(())
}

#[test]
fn an_event_says_who_did_it_and_from_where__D25() -> Outcome {
    let address: std::net::IpAddr = "203.0.113.7".parse()?;
    let context =
        Context::new().user_id("ann").ip_address(address.to_string()).user_agent("till/2").with("shift", 3);
    let said = in_context(&context)?;
    assert_eq!(said.user_id.as_deref(), Some("ann"));
    let custom = json!({"ipAddress": "203.0.113.7", "userAgent": "till/2", "shift": 3});
    assert_eq!(serde_json::Value::from(said.custom), custom);
    let [event] = stored([event("A").with_context(&context)?]);
    assert!(event.timestamp.micros() > 0, "the time is the store's");
    Ok(())
}

#[test]
fn what_an_event_says_itself_counts_more_than_its_context__C15_D25() -> Outcome {
    let mut own = Metadata { user_id: Some("own".into()), ..Metadata::default() };
    own.custom.insert("a".into(), 1.into());
    let context = Context::new().user_id("context").tenant_id("t").with("a", 2).with("b", 3);
    let [event] = stored([event("A").with_metadata(&own)?.with_context(&context)?]);
    let found = event.metadata()?.expect("metadata");
    assert_eq!((found.user_id.as_deref(), found.tenant_id.as_deref()), (Some("own"), Some("t")));
    assert_eq!((&found.custom["a"], &found.custom["b"]), (&json!(1), &json!(3)));
    Ok(())
}

#[test]
fn a_context_refuses_what_no_metadata_can_hold__C15() {
    let refused =
        event("A").with_context(&Context::new().with("userId", "u")).expect_err("it is a field's key");
    assert_eq!(refused.value, "userId");
    let bytes = event("A").with_metadata_bytes([1, 2], ContentType::BINCODE);
    let refused = bytes.with_context(&Context::new()).expect_err("nothing can be added to bincode");
    assert!(refused.reason.contains("content type 2"), "{refused}");
}

#[test]
fn a_compensating_event_names_the_one_it_corrects__D24() -> Outcome {
    let store = store();
    let account = stream("account-1");
    store.append(&account, ExpectedVersion::NoStream, [event("Opened"), event("Deposited")])?;
    let wrong = all(store.read_stream(&account)).remove(1);
    let context = Context::new().user_id("clerk");
    let reversed = event("DepositReversed").corrects(&wrong)?.with_context(&context)?;
    let entered = event("Deposited").with_context(&context.clone().corrects(&wrong))?;
    store.append(&account, wrong.version, [reversed, entered])?;

    let events = all(store.read_stream(&account));
    assert_eq!(events[1], wrong, "what was stored stays");
    assert_eq!((events[0].correction()?, events[1].correction()?), (None, None));
    for event in &events[2..] {
        let Correction { event_id, position, .. } = event.correction()?.expect("it corrects one");
        assert_eq!((&event_id, position), (&wrong.id, Some(wrong.position)));
        assert_eq!(store.event(&event_id)?.expect("the original is there"), wrong);
        assert_eq!(event.metadata()?.and_then(|metadata| metadata.user_id).as_deref(), Some("clerk"));
    }
    Ok(())
}

#[test]
fn a_correction_may_come_from_elsewhere_and_must_be_one__D24() -> Outcome {
    let corrected = |custom: serde_json::Value| -> Result<Option<Correction>, Invalid> {
        let [event] = stored([event("A").with_metadata_bytes(custom.to_string(), ContentType::JSON)]);
        event.correction()
    };
    let by_id = corrected(json!({"correctsEventId": "e"}))?.expect("it corrects one");
    assert_eq!((by_id.event_id.to_string().as_str(), by_id.position), ("e", None));
    assert!(corrected(json!({"correctsEventId": 3})).is_err());
    assert!(corrected(json!({"correctsEventId": ""})).is_err());
    assert!(corrected(json!({"correctsEventId": "e", "correctsPosition": -1})).is_err());
    Ok(())
}

#[test]
fn a_context_says_when_it_happened__B05() -> Outcome {
    let scanned = OccurredAt { time: Timestamp::from_micros(1_000), offset_minutes: 120 };
    let other = OccurredAt { time: Timestamp::from_micros(2_000), offset_minutes: 0 };
    let context = Context::new().occurred_at(scanned);
    assert_eq!((context.occurred(), Context::new().occurred()), (Some(scanned), None));
    let [of_context, own] = stored([
        event("A").with_context(&context)?,
        event("B").with_occurred_at(other).with_context(&context)?,
    ]);
    assert_eq!((of_context.occurred_at, own.occurred_at), (Some(scanned), Some(other)));
    assert_eq!(of_context.metadata()?, None, "it is no part of the metadata");
    // What answers the event happens when it does.
    assert_eq!(Context::caused_by(&of_context)?.occurred(), None);
    // The events of a command have it too.
    let store = store();
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &context)?;
    accounts.execute("1", &Deposit(1), &Context::new())?;
    let times: Vec<_> = all(store.read_all()).iter().map(|event| event.occurred_at).collect();
    assert_eq!(times, [Some(scanned), None]);
    Ok(())
}
