//! The testing aid: it passes what is right, and panics where something is wrong, saying what.

use std::panic::{AssertUnwindSafe, catch_unwind};

use annals::{Aggregate, Bincode, Given};
use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountEvent, Act, Deposit, Open, Refused, Withdraw, deposited, withdrawn};

fn opened() -> Given<Account> {
    Given::events([AccountEvent::AccountOpened, deposited(10)])
}

/// What a test that fails says.
#[track_caller]
fn failure<T>(test: impl FnOnce() -> T) -> String {
    let failed = catch_unwind(AssertUnwindSafe(test)).err().expect("the test should fail");
    match failed.downcast::<String>() {
        Ok(said) => *said,
        Err(other) => other.downcast_ref::<&str>().expect("a text").to_string(),
    }
}

#[test]
fn a_rule_is_tested_with_events_a_command_and_events() {
    Given::<Account>::nothing().when(&Open).then([AccountEvent::AccountOpened]);
    opened().when(&Open).then_rejected(&Refused::AlreadyOpen);
    opened().when(&Withdraw(11)).then_rejected(&Refused::InsufficientFunds);
    assert_eq!(opened().when(&Deposit(0)).then_nothing().cents, 10);
    assert_eq!(opened().when(&Withdraw(7)).then([withdrawn(7)]).cents, 3);
    assert_eq!(opened().state().seen, 2);
    assert_eq!(opened().when(&Withdraw(11)).outcome(), Err(Refused::InsufficientFunds));
    opened().codec::<Bincode>().when(&Withdraw(7)).then([withdrawn(7)]);
}

#[test]
fn other_events_than_expected_are_shown_side_by_side() {
    let several = Act(|_: &Account| Ok(vec![deposited(1), deposited(2), deposited(3)]));
    let said = failure(|| opened().when(&several).then([deposited(1), withdrawn(2)]));
    let lines: Vec<&str> = said.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "  1: MoneyDeposited { cents: 1 }",
            "- 2: MoneyWithdrawn { cents: 2 }",
            "+ 2: MoneyDeposited { cents: 2 }",
            "+ 3: MoneyDeposited { cents: 3 }",
        ]
    );
    let said = failure(|| opened().when(&several).then_nothing());
    assert_eq!(said.lines().filter(|line| line.starts_with('+')).count(), 3, "{said}");
}

#[test]
fn another_outcome_than_expected_is_told() {
    let said = failure(|| opened().when(&Open).then([AccountEvent::AccountOpened]));
    assert!(said.starts_with("the command was refused: AlreadyOpen"), "{said}");
    let said = failure(|| opened().when(&Open).then_rejected(&Refused::NotOpen));
    assert!(said.contains("expected: NotOpen\n   found: AlreadyOpen"), "{said}");
    let said = failure(|| opened().when(&Deposit(5)).then_rejected(&Refused::NotOpen));
    assert!(said.contains("the command was accepted") && said.contains("MoneyDeposited"), "{said}");
}

/// Its events are what goes wrong in a store.
#[derive(Default, Debug)]
struct Careless;

#[derive(PartialEq, Debug, Serialize, Deserialize)]
enum CarelessEvent {
    /// The field is lost.
    Forgetful {
        #[serde(skip)]
        number: u32,
    },
    /// It is written otherwise than it is read.
    Unreadable {
        #[serde(serialize_with = "as_text")]
        number: u32,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it like this")]
fn as_text<S: serde::Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&number.to_string())
}

impl Aggregate for Careless {
    type Event = CarelessEvent;
    const CATEGORY: &'static str = "careless";

    fn apply(&mut self, _event: CarelessEvent) {}
}

#[test]
fn an_event_that_a_store_would_change_or_lose_fails_the_test() {
    Given::<Careless>::events([CarelessEvent::Forgetful { number: 0 }]).state();
    let said = failure(|| Given::<Careless>::events([CarelessEvent::Forgetful { number: 7 }]).state());
    assert!(said.contains("before: Forgetful { number: 7 }\n after: Forgetful { number: 0 }"), "{said}");
    let said = failure(|| Given::<Careless>::events([CarelessEvent::Unreadable { number: 7 }]).state());
    assert!(said.contains("can't be stored and read again"), "{said}");
}
