//! How much can be registered.

use super::*;
use crate::{event_type_definition::RegisteredVersion, time::Timestamp};

#[test]
fn there_are_so_many_definitions_and_no_more() {
    let count = u32::try_from(DEFINITIONS_MAX).expect("the limit fits");
    let of = |number: u32| EventTypeDefinition::new("OrderPlaced").with_schema_version(number);
    let now = Timestamp::from_micros(0);
    let version = |number| RegisteredVersion { definition: of(number), registered: now, updated: now };
    let known = |count: u32| {
        let versions = (1..=count).map(version).collect();
        let registered = RegisteredEventType { event_type: "OrderPlaced".to_owned(), created: now, versions };
        let types = [(registered.event_type.clone(), registered)].into();
        Known { registered: Registered { types }, version: Version::NONE }
    };
    let outcome = |definition| known(count).decide(&definition).map(|(registration, _)| registration.outcome);
    for too_many in [of(count + 1), EventTypeDefinition::new("OrderPaid")] {
        let error = outcome(too_many.clone()).expect_err("it is one too many");
        assert!(error.to_string().contains("10000 definitions already"), "{error}");
        assert!(known(count - 1).decide(&too_many).is_ok());
    }
    // Those that are there can be changed and repeated.
    assert_eq!(outcome(of(count)).ok(), Some(RegistrationOutcome::Repeated));
    let changed = of(count).with_validation(Validation::Warn);
    assert_eq!(outcome(changed).ok(), Some(RegistrationOutcome::Changed));
}
