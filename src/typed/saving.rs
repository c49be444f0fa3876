//! Saving what happened to aggregates, and taking their snapshots: what only the store that writes can do.

use std::ops::Deref;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::Result,
    snapshot::{Snapshot, SnapshotData},
    store::EventStore,
    trace,
    typed::{
        aggregate::Aggregate,
        codec::Json,
        context::Context,
        loaded::{Loaded, Purpose},
        repository::{Repository, Snapshots},
        state_codec::StateCodec,
    },
    writer::request::Appended,
};

impl<A: Aggregate, S: Deref<Target = EventStore>> Repository<A, S> {
    /// Saves what happened to an aggregate, all of it or nothing, and takes it into the aggregate. No events: nothing
    /// is done, but for [`load_for_writing`](Self::load_for_writing), whose version is checked.
    ///
    /// Metadata come from the context. With its [command id](Context::command_id) the events get ids of their own; a save of
    /// the same again is a success that changes nothing, and the aggregate is brought up to date.
    ///
    /// Then, if the policy says so, a snapshot is taken, also where no events were saved of an aggregate that was loaded for
    /// writing. That it fails is told by [`Loaded::snapshot_failure`]: the events are stored, whatever becomes of it.
    ///
    /// # Durability
    ///
    /// As [`EventStore::append`].
    ///
    /// # Errors
    ///
    /// [`Error::VersionConflict`](crate::Error::VersionConflict) if the stream isn't at the version that was loaded, and those of
    /// [`EventStore::append`]. The aggregate is as it was then.
    pub fn save(
        &self,
        loaded: &mut Loaded<A>,
        events: impl IntoIterator<Item = A::Event>,
        context: &Context,
    ) -> Result<Appended> {
        loaded.snapshots.failure = None;
        let events: Vec<A::Event> = events.into_iter().collect();
        if events.is_empty() && loaded.purpose == Purpose::Reading {
            return Ok(Appended::nothing(loaded.version));
        }
        let appended = self.append(loaded, events, context)?;
        self.take_snapshot_if_due(loaded);
        Ok(appended)
    }

    /// Appends events to an aggregate's stream, and takes them into the aggregate. Without events, the version is checked.
    pub(crate) fn append(
        &self,
        loaded: &mut Loaded<A>,
        events: Vec<A::Event>,
        context: &Context,
    ) -> Result<Appended> {
        let encoded = self.encode_for(&loaded.stream, &events, context)?;
        let appended = self.store.append(&loaded.stream, loaded.version, encoded)?;
        if appended.repeated {
            self.refresh(loaded)?;
            return Ok(appended);
        }
        for event in events {
            loaded.state.apply(event);
        }
        loaded.version = appended.version;
        Ok(appended)
    }

    /// Takes a snapshot if the policy says so. Of nothing there is none.
    pub(crate) fn take_snapshot_if_due(&self, loaded: &mut Loaded<A>) {
        let Some(Snapshots { policy, codec }) = &self.snapshots else { return };
        if !loaded.exists() || !policy.is_due(&loaded.moment(self.store.now())) {
            return;
        }
        match save_snapshot(&self.store, loaded, *codec) {
            Ok(snapshot) => loaded.note_snapshot(&snapshot),
            Err(error) => {
                let path = self.store.snapshot_directory(&loaded.stream);
                let stream = &loaded.stream;
                trace::warn("a snapshot can't be taken", &path, format_args!("stream {stream}: {error}"));
                loaded.snapshots.failure = Some(error);
            }
        }
    }
}

impl<A, S> Repository<A, S>
where
    A: Aggregate + Serialize + DeserializeOwned,
    S: Deref<Target = EventStore>,
{
    /// Takes a snapshot, whatever the policy says; the aggregate knows of it then. Loads use it where the repository has
    /// [`snapshots`](Self::snapshots).
    ///
    /// # Durability
    ///
    /// As [`EventStore::save_snapshot`].
    ///
    /// # Errors
    ///
    /// As [`EventStore::save_snapshot`]; [`Error::Invalid`](crate::Error::Invalid) if the state can't be encoded.
    pub fn take_snapshot(&self, loaded: &mut Loaded<A>) -> Result<Snapshot> {
        let codec = self.snapshots.as_ref().map_or_else(StateCodec::of::<Json>, |snapshots| snapshots.codec);
        loaded.snapshots.failure = None;
        let snapshot = save_snapshot(&self.store, loaded, codec)?;
        loaded.note_snapshot(&snapshot);
        Ok(snapshot)
    }
}

fn save_snapshot<A: Aggregate>(
    store: &EventStore,
    loaded: &Loaded<A>,
    codec: StateCodec<A>,
) -> Result<Snapshot> {
    let data = SnapshotData::new(A::STATE_TYPE, codec.encode(&loaded.state)?)
        .with_content_type(codec.content_type())
        .with_schema_version(A::STATE_VERSION);
    store.save_snapshot(&loaded.stream, loaded.version, data)
}
