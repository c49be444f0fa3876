//! Registering upcasters: what is refused, and what the registry tells.

use annals::{EventData, ExpectedVersion, Invalid, Upcasters};
use serde_json::Value;

use crate::{
    support::{Outcome, all, stream},
    upcasting::{orders, store_of},
};

#[test]
fn circles_of_every_length_are_refused_with_the_chain__X23() -> Outcome {
    for length in 1..=12_u32 {
        let mut upcasters = Upcasters::new();
        let name = |number: u32| format!("Type{}", number % length);
        for number in 0..length - 1 {
            let next = name(number + 1);
            upcasters = match number % 3 {
                0 => upcasters.rename(name(number), 1, (&next, 1))?,
                1 => {
                    let split = |_| Ok::<_, Invalid>(Vec::new());
                    upcasters.split(name(number), 1, &[("Aside", 1), (&next, 1)], split)?
                }
                _ => {
                    let upcasters = upcasters.json(name(number), 1, Ok::<Value, Invalid>)?;
                    upcasters.rename(name(number), 2, (&next, 1))?
                }
            };
        }
        let closing = upcasters.rename(name(length - 1), 1, (&name(length), 1));
        let refused = closing.expect_err("it closes a circle").to_string();
        let mut chain: Vec<String> = vec![format!("{} 1", name(length - 1))];
        for number in 0..length {
            chain.push(format!("{} 1", name(number)));
            if number % 3 == 2 && number < length - 1 {
                chain.push(format!("{} 2", name(number)));
            }
        }
        let expected = format!("its step would go in a circle: {}", chain.join(" -> "));
        assert!(refused.ends_with(&expected), "{refused}\n{expected}");
    }
    Ok(())
}

#[test]
fn what_says_two_things_of_a_version_is_refused__X23() -> Outcome {
    let refused = |upcasters: Result<Upcasters, Invalid>| upcasters.expect_err("refused").to_string();
    assert_eq!(
        refused(orders().discard("OrderMade", 1)),
        "invalid upcaster of \"OrderMade 1\": there is a step from it already: OrderMade 1 -> OrderPlaced 1"
    );
    let text = refused(orders().knows("OrderPlaced", 1));
    assert!(text.ends_with("there is a step from it already: OrderPlaced 1 -> OrderPlaced 2"), "{text}");
    let text = refused(orders().knows("OrderPlaced", 2)?.discard("OrderPlaced", 2));
    assert!(text.ends_with("it is registered as known, with no step from it"), "{text}");
    let text = refused(orders().discard("Peeked", 1)?.discard("Peeked", 1));
    assert!(text.ends_with("Peeked 1 -> nothing"), "{text}");
    let twice = orders().knows("OrderPlaced", 2)?.knows("OrderPlaced", 2)?;
    assert_eq!(twice.current_version("OrderPlaced"), Some(2));
    Ok(())
}

#[test]
fn what_cant_be_an_events_type_or_is_the_stores_own_is_refused__X23() {
    for (upcasters, reason) in [
        (Upcasters::new().discard("$CheckpointSaved", 1), "the store's own"),
        (Upcasters::new().rename("Saved", 1, ("$CheckpointSaved", 1)), "the store's own"),
        (Upcasters::new().knows("", 1), "it is empty"),
        (Upcasters::new().knows("a\nb", 1), "control character"),
        (Upcasters::new().json("Placed", u32::MAX, Ok::<Value, Invalid>), "no version behind it"),
        (Upcasters::new().split("Placed", 1, &[], |_| Ok::<_, Invalid>(vec![])), "declares no type"),
    ] {
        let text = upcasters.expect_err(reason).to_string();
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn the_registry_tells_the_newest_version_of_a_type__D20() -> Outcome {
    let upcasters = orders().knows("Paid", 7)?.knows("Paid", 3)?;
    let versions = ["OrderPlaced", "OrderMade", "Paid", "Sent"].map(|name| upcasters.current_version(name));
    assert_eq!(versions, [Some(2), None, Some(7), None]);
    assert!(Upcasters::new().is_empty() && !upcasters.is_empty());
    assert_eq!(
        format!("{upcasters:?}"),
        "{\"OrderPlaced 1 -> OrderPlaced 2\", \"OrderPlaced 2\", \"OrderMade 1 -> OrderPlaced 1\", \"Paid 7\", \"Paid 3\"}"
    );
    let store = store_of(upcasters, &[]);
    assert_eq!(store.upcasters().current_version("OrderPlaced"), Some(2));
    assert_eq!(store.reader().clone().upcasters().current_version("Paid"), Some(7));
    Ok(())
}

#[test]
fn the_newest_version_is_one_that_is_read_as_it_is__D20() -> Outcome {
    let gone = orders().discard("OrderPlaced", 3)?.rename("OrderPlaced", 5, ("OrderMade", 1))?;
    let split = gone.split("OrderPlaced", 7, &[("Paid", 1)], |_| Ok::<_, Invalid>(vec![]))?;
    assert_eq!(split.current_version("OrderPlaced"), Some(2));
    assert_eq!(split.clone().knows("OrderPlaced", 6)?.current_version("OrderPlaced"), Some(6));
    let none = Upcasters::new().discard("Peeked", 1)?.discard("Peeked", 2)?;
    assert_eq!(none.current_version("Peeked"), None);
    let stamped = |upcasters: &Upcasters, event_type: &str| {
        EventData::new(event_type, "{}").with_schema_version(4).with_current_version(upcasters).schema_version
    };
    assert_eq!(
        [stamped(&split, "OrderPlaced"), stamped(&split, "Sent"), stamped(&none, "Peeked")],
        [2, 4, 4]
    );
    // What is written so is read as it is.
    let store = store_of(split, &[]);
    let placed = EventData::new("OrderPlaced", "{\"new\":true}").with_current_version(store.upcasters());
    store.append(&stream("order-1"), ExpectedVersion::Any, [placed])?;
    assert_eq!(all(store.read_all())[0].data, b"{\"new\":true}");
    Ok(())
}
