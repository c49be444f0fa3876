//! Data that must be forgotten, one day: an event says whose they are and has a token for them, and the data are in a table
//! from which they can be deleted. Or the token is a ciphertext, and the table has the person's key.

use std::{collections::BTreeMap, error::Error};

use annals::{EventData, EventStore, ExpectedVersion, StreamId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text of a person's, as an event has it.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
struct Sealed {
    person: String,
    token: String,
}

/// What opens it. Here a map, so that the program can be run; in use a table, in a database that deletes rows when it is
/// told to, and outlives the program.
#[derive(Default)]
struct Vault {
    texts: BTreeMap<(String, String), String>,
}

impl Vault {
    /// Keeps the text. To be called before the event is made that has what comes back.
    fn seal(&mut self, person: &str, text: &str) -> Sealed {
        let (person, token) = (person.to_owned(), Uuid::now_v7().to_string());
        self.texts.insert((person.clone(), token.clone()), text.to_owned());
        Sealed { person, token }
    }

    /// The text; none if its person was forgotten.
    fn open(&self, sealed: &Sealed) -> Option<&str> {
        self.texts.get(&(sealed.person.clone(), sealed.token.clone())).map(String::as_str)
    }

    fn forget(&mut self, person: &str) {
        self.texts.retain(|(of, _), _| of != person);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum GuestEvent {
    GuestRegistered { name: Sealed },
}

fn main() -> Result<(), Box<dyn Error>> {
    let store = EventStore::open("guests.annals")?;
    let mut vault = Vault::default();

    // The stream is named by a number that was drawn, and not by an e-mail address: names can't be forgotten.
    let person = Uuid::now_v7().to_string();
    let guest = StreamId::from_parts("guest", &person)?;
    let registered = GuestEvent::GuestRegistered { name: vault.seal(&person, "Ann Miller") };
    store.append(&guest, ExpectedVersion::NoStream, [EventData::encode(&registered)?])?;

    let event = store.read_stream(&guest).next().ok_or("a guest")??;
    let GuestEvent::GuestRegistered { name } = event.decode()?;
    assert_eq!(vault.open(&name), Some("Ann Miller"));

    vault.forget(&person);
    assert_eq!(vault.open(&name), None, "the event is there, and says no more who it was");
    store.close()?;
    Ok(())
}
