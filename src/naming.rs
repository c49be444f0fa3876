//! Guidance for the names of event types: what happened, in the past tense, specific. Never more than a hint.

use std::fmt;

/// What could be better about the name of an event type.
///
/// ```
/// use annals::{NamingConcern, naming_hint};
///
/// assert_eq!(naming_hint("OrderPlaced"), None);
/// let hint = naming_hint("CreateOrder").expect("a command isn't what happened");
/// assert_eq!(hint.concerns, [NamingConcern::Command]);
/// println!("{hint}");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NamingHint {
    /// The name.
    pub event_type: String,
    /// What could be better, the most important first; at least one.
    pub concerns: Vec<NamingConcern>,
}

/// Something that could be better about the name of an event type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum NamingConcern {
    /// It tells somebody to do something: `CreateOrder`.
    Command,
    /// It isn't in the past tense: `OrderPlacement`.
    NotPastTense,
    /// It doesn't say what happened: `Updated`, `OrderChanged`.
    Generic,
    /// It says that it is an event: `OrderPlacedEvent`.
    EventInName,
    /// It isn't written as one word of capitalised words: `order_placed`.
    NotCamelCase,
}

impl NamingConcern {
    fn advice(self) -> &'static str {
        match self {
            Self::Command => "it is a command: say what has happened, as OrderPlaced for PlaceOrder",
            Self::NotPastTense => "it isn't in the past tense: an event has happened, as OrderPlaced",
            Self::Generic => "it is generic: say what happened, as OrderAddressCorrected for OrderUpdated",
            Self::EventInName => "it says that it is an event, as all are: leave the word out",
            Self::NotCamelCase => "it isn't in CamelCase, as OrderPlaced is",
        }
    }
}

impl fmt::Display for NamingHint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the event type {:?} could be named better: ", self.event_type)?;
        for (place, concern) in self.concerns.iter().enumerate() {
            let separator = if place > 0 { "; " } else { "" };
            write!(formatter, "{separator}{}", concern.advice())?;
        }
        Ok(())
    }
}

/// Says what could be better about an event type's name; none if it is well. The tense is judged as in English, and only
/// of names in ASCII.
#[must_use]
pub fn naming_hint(event_type: &str) -> Option<NamingHint> {
    let words = words_of(event_type);
    let mut concerns = Vec::new();
    let without_event: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "event").collect();
    if event_type.is_ascii() {
        concerns.extend(tense_concern(&without_event));
    }
    if is_generic(&without_event) {
        concerns.push(NamingConcern::Generic);
    }
    if words.len() > without_event.len() && !without_event.is_empty() {
        concerns.push(NamingConcern::EventInName);
    }
    if !is_camel_case(event_type) {
        concerns.push(NamingConcern::NotCamelCase);
    }
    let event_type = event_type.to_owned();
    (!concerns.is_empty()).then_some(NamingHint { event_type, concerns })
}

/// The words of a name, in small letters: `OrderPlaced`, `order_placed` and `order.placed` have the same.
fn words_of(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (place, &character) in characters.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| characters[place]);
        let is_after_small = before.is_some_and(|before| before.is_lowercase() || before.is_numeric());
        let is_before_small = characters.get(place + 1).is_some_and(|next| next.is_lowercase());
        let begins = character.is_uppercase()
            && (is_after_small || (is_before_small && before.is_some_and(char::is_uppercase)));
        if (begins || !character.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn is_camel_case(name: &str) -> bool {
    let is_shouted = name.chars().count() > 1 && !name.chars().any(char::is_lowercase);
    let has_case = name.chars().any(|character| character.is_uppercase() || character.is_lowercase());
    let begins_large = name.chars().next().is_some_and(|first| first.is_uppercase() || !has_case);
    begins_large && !(is_shouted && has_case) && name.chars().all(char::is_alphanumeric)
}

fn tense_concern(words: &[&str]) -> Option<NamingConcern> {
    let (first, last) = (words.first()?, words.last()?);
    let is_past =
        is_past_tense(last) || words.windows(2).any(|pair| is_past_tense(pair[0]) && may_follow(pair[1]));
    if is_past {
        return None;
    }
    let is_command = words.len() > 1 && lists(COMMANDS, first);
    Some(if is_command { NamingConcern::Command } else { NamingConcern::NotPastTense })
}

fn is_past_tense(word: &str) -> bool {
    let is_regular =
        word.len() > 3 && word.ends_with("ed") && !word.ends_with("eed") && !lists(NOT_PAST, word);
    is_regular
        || lists(IRREGULAR, word)
        || PREFIXES.split_whitespace().any(|prefix| has_irregular(word, prefix))
}

/// `overpaid`, `resent`, `withdrawn`: an irregular verb behind a prefix.
fn has_irregular(word: &str, prefix: &str) -> bool {
    word.strip_prefix(prefix).is_some_and(|rest| lists(IRREGULAR, rest))
}

/// Whether a word may stand behind the verb: `PaymentFailedTwice`, `OrderPaidByCard`, `OrderPlacedV2`.
fn may_follow(word: &str) -> bool {
    let is_version = word.strip_prefix('v').is_some_and(|number| number.chars().all(char::is_numeric));
    is_version || lists(FOLLOWERS, word)
}

/// Whether a word is one of those that a text lists.
fn lists(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|listed| listed == word)
}

/// Whether a name says only that something happened, or happened to something.
fn is_generic(words: &[&str]) -> bool {
    match words {
        [] => true,
        [word] => lists(ALONE_GENERIC, word) || lists(CHANGES, word),
        [_, verb] => lists(CHANGES, verb),
        _ => false,
    }
}

/// What says too little, whatever it is said of.
const CHANGES: &str = "updated changed modified edited altered saved processed handled happened occurred";

/// What says too little as long as nothing is said of what.
const ALONE_GENERIC: &str = "created deleted added removed event completed done finished started failed inserted set change \
    update";

/// Ends like a verb in the past, and isn't one.
const NOT_PAST: &str = "hundred sacred naked wicked embed biped infrared newlywed";

/// Words that may stand behind the verb.
const FOLLOWERS: &str = "again after as at automatically before by down during early for from in into late manually off on \
    onto out over partially to twice under up via with without";

const PREFIXES: &str = "over re un under out mis fore with for";

/// Verbs whose past tense or participle doesn't end as others do.
const IRREGULAR: &str = "agreed arisen awoken beaten become begun began bent bet bid bound bitten blown born borne bought \
    bred broken brought built burnt cast caught chosen clung come cost crept cut dealt decreed done \
    drawn dreamt driven drunk dug eaten fallen fed felt flown forbidden forgiven forgotten fought found \
    freed frozen given gone got gotten ground grown guaranteed heard held hidden hit hung hurt kept \
    known laid learnt led left lent let lit lost made meant met overridden paid proven put quit ran read \
    refereed ridden risen rung run said sat sealed seen sent set sewn shaken shed shot shown shrunk shut \
    slept sold sought spent spilt split spoken spread spun stolen stood struck stuck sunk swept sworn \
    swung taken taught thought thrown told torn understood undone upheld upset woken won worn wound \
    woven went written";

/// Verbs that commands begin with.
const COMMANDS: &str = "accept activate add adjust allocate approve archive assign authorize begin buy cancel capture change \
    close complete confirm correct create deactivate decline delete deliver disable do edit enable end \
    fail finish generate get handle insert invite join leave lock login logout make mark merge modify \
    move notify open pay pick place process publish put receive redeem register reject release remove \
    rename renew replace reserve reset resolve restore resume revoke save schedule sell send set ship \
    sign split start stop submit suspend unlock update upgrade upload validate verify withdraw";

#[cfg(test)]
#[allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]
mod tests {
    use super::{NamingConcern::*, *};

    #[track_caller]
    fn check(names: &[&str], concerns: &[NamingConcern]) {
        for name in names {
            let found = naming_hint(name).map(|hint| hint.concerns).unwrap_or_default();
            assert_eq!(found, concerns, "{name}");
        }
    }

    #[test]
    fn names_in_the_past_tense_that_say_what_happened_are_well__D02() {
        check(
            &[
                "OrderPlaced",
                "InvoiceSent",
                "MoneyWithdrawn",
                "InvoiceOverpaid",
                "GameWon",
                "LeaseBegun",
                "KeysLost",
                "PaymentFailedTwice",
                "OrderPaidByCard",
                "OrderPlacedV2",
                "PDFSent",
                "UserLoggedIn",
                "Paid",
                "OrderAddressChanged",
                "OrderCreated",
                "SeatFreed",
                "OfferAgreed",
                "KeyRebuilt",
                "Registered",
            ],
            &[],
        );
        check(&["BestellungGeprüft", "注文確定"], &[]);
    }

    #[test]
    fn commands_are_not_what_happened__D02() {
        check(&["CreateOrder", "PayInvoice", "SendEmail", "CancelOrder"], &[Command]);
        check(&["CreateOrderEvent"], &[Command, EventInName]);
        check(&["create_order"], &[Command, NotCamelCase]);
    }

    #[test]
    fn other_tenses_are_told__D02() {
        check(
            &["OrderPlacement", "OrderPlacing", "Order", "OrderFeed", "UserNeed", "PriceHundred"],
            &[NotPastTense],
        );
    }

    #[test]
    fn names_that_say_too_little_are_told__D02() {
        check(&["Updated", "Created", "Deleted", "OrderUpdated", "OrderChanged", "CartModified"], &[Generic]);
        check(&["Event"], &[Generic]);
        check(&["Change"], &[NotPastTense, Generic]);
    }

    #[test]
    fn other_ways_to_write_are_told__D02() {
        check(
            &["order_placed", "order-placed", "orderPlaced", "order.placed", "ORDER_PLACED", "Order Placed"],
            &[NotCamelCase],
        );
        check(&["OrderPlacedEvent"], &[EventInName]);
        check(&["123"], &[NotPastTense]);
        check(&[""], &[Generic, NotCamelCase]);
    }

    #[test]
    fn a_hint_says_its_advice() {
        let hint = naming_hint("order_changed").expect("a hint");
        assert_eq!(
            hint.to_string(),
            "the event type \"order_changed\" could be named better: it is generic: say what happened, as \
             OrderAddressCorrected for OrderUpdated; it isn't in CamelCase, as OrderPlaced is"
        );
    }
}
