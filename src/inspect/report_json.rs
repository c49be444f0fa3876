//! What a verification says, as JSON: one object on one line. A repair's report has the same parts.

use serde::Serialize;

use crate::{
    inspect::report::{Damage, Extent, Finding, Listed, LostId, LostVersions, PositionRange, Verification},
    position::{Position, Version},
    stream::StreamId,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationJson<'a> {
    /// Whether a writer went on beside it, so that only what it had committed was read.
    beside_writer: bool,
    /// Whether the caller stopped it, so that only what is counted here was read.
    stopped: bool,
    segments: u64,
    frames: u64,
    events: u64,
    streams: u64,
    bytes: u64,
    last_position: Position,
    interrupted_bytes: u64,
    index_files: u64,
    snapshots: u64,
    checkpoints: u64,
    damage: Vec<DamageJson<'a>>,
    /// None: that isn't known.
    events_lost: Option<u64>,
    lost: Vec<RangeJson>,
    lost_versions: Vec<VersionsJson<'a>>,
    lost_ids: Vec<LostIdJson>,
    intact: Vec<RangeJson>,
    findings: Vec<FindingJson<'a>>,
    /// How many entries of each list aren't named; none: all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    unnamed: Option<UnnamedJson>,
}

#[derive(PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct UnnamedJson {
    damage: u64,
    lost: u64,
    lost_versions: u64,
    lost_ids: u64,
    intact: u64,
    findings: u64,
}

/// A place that is damaged.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DamageJson<'a> {
    path: String,
    offset: u64,
    reason: &'a str,
    /// The last position before the damage, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    intact: Option<Position>,
    events_lost: Option<u64>,
}

/// Positions without a gap.
#[derive(Serialize)]
pub(crate) struct RangeJson {
    first: Position,
    /// None: nobody knows where it ends.
    last: Option<Position>,
}

/// Versions of a stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionsJson<'a> {
    stream: Option<&'a str>,
    stream_hash: String,
    first: Version,
    last: Version,
}

/// An event that is lost, by what is left of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LostIdJson {
    position: Position,
    /// Not checked in any way.
    seeming_id: String,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    kind: String,
    path: String,
    reason: &'a str,
    consequence: &'static str,
}

impl<'a> From<&'a Damage> for DamageJson<'a> {
    fn from(damage: &'a Damage) -> Self {
        Self {
            path: damage.path.to_string_lossy().into_owned(),
            offset: damage.offset,
            reason: &damage.reason,
            intact: damage.intact,
            events_lost: damage.events_lost,
        }
    }
}

impl From<&PositionRange> for RangeJson {
    fn from(range: &PositionRange) -> Self {
        Self { first: range.first, last: range.last }
    }
}

impl<'a> From<&'a LostVersions> for VersionsJson<'a> {
    fn from(lost: &'a LostVersions) -> Self {
        Self {
            stream: lost.stream.as_ref().map(StreamId::as_str),
            stream_hash: format!("{:016x}", lost.stream_hash),
            first: lost.first,
            last: lost.last,
        }
    }
}

impl From<&LostId> for LostIdJson {
    fn from(lost: &LostId) -> Self {
        Self { position: lost.position, seeming_id: lost.seeming_id.to_string() }
    }
}

impl<'a> From<&'a Finding> for FindingJson<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            kind: finding.kind.to_string(),
            path: finding.path.to_string_lossy().into_owned(),
            reason: &finding.reason,
            consequence: finding.consequence(),
        }
    }
}

/// What a list names, for JSON.
pub(crate) fn named<'a, T, J: From<&'a T>>(items: &'a Listed<T>) -> Vec<J> {
    items.iter().map(J::from).collect()
}

impl UnnamedJson {
    fn of(found: &Verification) -> Option<Self> {
        let unnamed = Self {
            damage: found.damage.unnamed(),
            lost: found.lost.unnamed(),
            lost_versions: found.lost_versions.unnamed(),
            lost_ids: found.lost_ids.unnamed(),
            intact: found.intact.unnamed(),
            findings: found.findings.unnamed(),
        };
        (unnamed != Self::default()).then_some(unnamed)
    }
}

impl Verification {
    /// All of it as one line of JSON, as `annals verify --format json` prints it.
    ///
    /// # Panics
    ///
    /// Never: numbers and texts always encode.
    #[must_use]
    pub fn to_json(&self) -> String {
        let report = VerificationJson {
            beside_writer: self.extent == Extent::Committed,
            stopped: self.extent == Extent::Stopped,
            segments: self.segments,
            frames: self.frames,
            events: self.events,
            streams: self.streams,
            bytes: self.bytes,
            last_position: self.last_position,
            interrupted_bytes: self.interrupted_bytes,
            index_files: self.index_files,
            snapshots: self.snapshots,
            checkpoints: self.checkpoints,
            damage: named(&self.damage),
            events_lost: self.events_lost,
            lost: named(&self.lost),
            lost_versions: named(&self.lost_versions),
            lost_ids: named(&self.lost_ids),
            intact: named(&self.intact),
            findings: named(&self.findings),
            unnamed: UnnamedJson::of(self),
        };
        serde_json::to_string(&report).expect("numbers and texts always encode")
    }
}
