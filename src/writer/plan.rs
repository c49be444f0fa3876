//! The plan of a commit: heads in; write it, it is a repetition, or the conflict out. Pure.

use crate::{
    error::{Error, Result},
    event_id::{EventId, EventIdRef},
    format::record::{self, IdForm},
    position::{Position, Version},
    writer::request::{AppendKind, Appended, EncodedAppend, EncodedCommit, Reached},
};

/// What the plan asks of the store: everything committed, and what stands before this commit in its frame.
pub(crate) trait Heads {
    /// The version of the append's stream.
    fn version(&mut self, append: &EncodedAppend) -> Result<Version>;

    /// The stream's event with the id that this record's caller gave; none if there is none.
    fn find(&mut self, append: &EncodedAppend, record: &[u8]) -> Result<Option<KnownEvent>>;
}

/// An event that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KnownEvent {
    pub(crate) version: Version,
    pub(crate) position: Position,
    pub(crate) content: KnownContent,
}

/// Whether an event that is there says the same as the one that is to be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KnownContent {
    Same,
    Other,
}

/// What is to be done with a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Plan {
    /// It is new, and its expected versions are met.
    Write,
    /// All of it is there already; what it reached then.
    Repeated(Reached),
}

/// Decides about a commit. An error means that nothing of it is to be written.
pub(crate) fn plan(commit: &EncodedCommit, heads: &mut impl Heads) -> Result<Plan> {
    if commit.appends.iter().any(|append| append.given_ids > 0)
        && let Some(repeated) = find_repetition(commit, heads)?
    {
        return Ok(Plan::Repeated(repeated));
    }
    for append in &commit.appends {
        let actual = heads.version(append)?;
        if !append.expected.is_met_by(actual) {
            let (stream, expected) = (append.stream.clone(), append.expected);
            return Err(Error::VersionConflict { stream, expected, actual });
        }
    }
    Ok(Plan::Write)
}

/// What the commit reached when it was made before; none if it wasn't.
fn find_repetition(commit: &EncodedCommit, heads: &mut impl Heads) -> Result<Option<Reached>> {
    let mut reached = Reached::with_capacity(commit.appends.len());
    let (mut repeated, mut new) = (None, None);
    // What the store adds itself, such as a checkpoint, was written with the appends or wasn't, as they were.
    for (append, records) in commit.parts().filter(|(append, _)| append.kind == AppendKind::Append) {
        if append.events == 0 {
            reached.push(Appended::nothing(heads.version(append)?));
            continue;
        }
        match find_append(append, records, heads)? {
            Some(appended) => {
                repeated = repeated.or(Some(&append.stream));
                reached.push(appended);
            }
            None => new = new.or(Some(&append.stream)),
        }
    }
    match (repeated, new) {
        (None, _) => Ok(None),
        (Some(_), None) => Ok(Some(reached)),
        (Some(repeated), Some(new)) => {
            Err(Error::MixedRepeat { repeated: repeated.clone(), new: new.clone() })
        }
    }
}

/// Where an append stands that was made before: all its ids, consecutive and in order. None if none of them
/// is there; everything between is an error.
fn find_append(append: &EncodedAppend, records: &[u8], heads: &mut impl Heads) -> Result<Option<Appended>> {
    let mut appended: Option<Appended> = None;
    let mut first_known = None;
    let mut is_whole = append.given_ids == append.events;
    for record in record::split(records) {
        let Some((id, form)) = record::given_id(record) else { continue };
        let Some(known) = heads.find(append, record)? else {
            is_whole = false;
            continue;
        };
        let (stream, version) = (append.stream.clone(), known.version);
        if known.content == KnownContent::Other {
            return Err(Error::IdTaken { stream, id: owned_id(id, form), version });
        }
        first_known.get_or_insert((id, form, version));
        match &mut appended {
            None => {
                appended = Some(Appended {
                    first_version: version,
                    version,
                    first_position: known.position,
                    position: known.position,
                    repeated: true,
                });
            }
            Some(appended) => {
                is_whole &= version == appended.version.next();
                (appended.version, appended.position) = (version, known.position);
            }
        }
    }
    let Some((id, form, version)) = first_known else { return Ok(None) };
    if is_whole {
        return Ok(appended);
    }
    Err(Error::PartialRepeat { stream: append.stream.clone(), id: owned_id(id, form), version })
}

/// The id as callers know it, from the bytes that this program encoded.
fn owned_id(id: &[u8], form: IdForm) -> EventId {
    match (form, <[u8; 16]>::try_from(id)) {
        (IdForm::Uuid, Ok(bytes)) => EventIdRef::Uuid(uuid::Uuid::from_bytes(bytes)).to_owned(),
        _ => EventIdRef::Text(&String::from_utf8_lossy(id)).to_owned(),
    }
}
