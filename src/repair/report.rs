//! What a repair would do, or has done, as JSON and as text.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    inspect::{
        report::{Listed, LostVersions, PositionRange},
        report_json::{DamageJson, LostIdJson, RangeJson, VersionsJson, named},
    },
    repair::{
        plan::{RepairPlan, RepairStep},
        planned_end::PlannedEnd,
    },
};

/// How many entries of a list the text names.
const NAMED_MAX: usize = 20;

/// The names of the files with the events that are set aside.
pub(crate) const EVENTS: &str = "events.jsonl";
pub(crate) const SYSTEM_EVENTS: &str = "system-events.jsonl";

/// What stands in report.json, and in the event that tells of the repair.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// The repair's number.
    pub(crate) repair: u64,
    /// The last position that stays.
    pub(crate) kept: u64,
    /// The first position that goes; none: none does.
    pub(crate) cut_from: Option<u64>,
    /// None: nobody knows how many.
    pub(crate) events_lost: Option<u64>,
    pub(crate) events_set_aside: u64,
    /// None: nothing was done, so nobody has counted them.
    pub(crate) streams_set_aside: Option<u64>,
    pub(crate) events_restored: u64,
    pub(crate) backup: Option<String>,
    /// Repairs before it that were cut off: what they had taken out of the log is in their folders.
    pub(crate) unfinished: Vec<u64>,
}

/// What is said beside the summary.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    lost: Vec<RangeJson>,
    lost_versions: Vec<VersionsJson<'a>>,
    lost_ids: Vec<LostIdJson>,
    set_aside: Vec<RangeJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set_aside_in: Vec<&'static str>,
    restored: Vec<RangeJson>,
    damage: Vec<DamageJson<'a>>,
    /// Why the log is cut off where more of it might be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unnamed: Option<UnnamedReport>,
    steps: Vec<StepReport>,
    /// Where the log is to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<PlannedEnd>,
    /// An earlier repair that the store tells of now.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<u64>,
}

/// How many entries each list leaves out; none: all are named.
#[derive(PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct UnnamedReport {
    lost: u64,
    lost_versions: u64,
    lost_ids: u64,
    set_aside: u64,
    restored: u64,
    damage: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepReport {
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_as: Option<String>,
}

impl UnnamedReport {
    fn of(plan: &RepairPlan) -> Option<Self> {
        let unnamed = Self {
            lost: plan.lost.unnamed(),
            lost_versions: plan.lost_versions.unnamed(),
            lost_ids: plan.lost_ids.unnamed(),
            set_aside: plan.set_aside.unnamed(),
            restored: plan.restored.unnamed(),
            damage: plan.verification.damage.unnamed(),
        };
        (unnamed != Self::default()).then_some(unnamed)
    }
}

impl Summary {
    /// What a plan would do.
    pub(crate) fn of(plan: &RepairPlan, backup: Option<&Path>) -> Self {
        Self {
            repair: 0,
            kept: plan.kept.get(),
            cut_from: plan.cuts.then(|| plan.kept.next().get()),
            events_lost: plan.events_lost,
            events_set_aside: plan.events_set_aside,
            streams_set_aside: (plan.events_set_aside == 0).then_some(0),
            events_restored: plan.events_restored,
            backup: backup.map(|path| path.to_string_lossy().into_owned()),
            unfinished: Vec::new(),
        }
    }
}

/// All of it as JSON, on one line without its end. `kept_as` has the name of the copy for each step, `end` is where the log is to
/// end, and `told` an earlier repair that the store tells of now.
pub(crate) fn to_json(
    plan: &RepairPlan,
    summary: &Summary,
    folder: Option<&Path>,
    kept_as: &[Option<String>],
    end: Option<PlannedEnd>,
    told: Option<u64>,
) -> String {
    let steps = plan.steps.iter().enumerate().map(|(number, step)| StepReport {
        step: step.to_string(),
        kept_as: kept_as.get(number).cloned().flatten(),
    });
    let set_aside_in = if summary.events_set_aside > 0 { vec![EVENTS, SYSTEM_EVENTS] } else { Vec::new() };
    let report = Report {
        summary,
        folder: folder.map(|folder| folder.to_string_lossy().into_owned()),
        lost: named(&plan.lost),
        lost_versions: named(&plan.lost_versions),
        lost_ids: named(&plan.lost_ids),
        set_aside: named(&plan.set_aside),
        set_aside_in,
        restored: named(&plan.restored),
        damage: named(&plan.verification.damage),
        limit: plan.limit.as_deref(),
        unnamed: UnnamedReport::of(plan),
        steps: steps.collect(),
        end,
        told,
    };
    serde_json::to_string(&report).expect("numbers and texts always encode")
}

impl RepairPlan {
    /// The plan as one line of JSON, as it stands in a repair's `report.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(self, &Summary::of(self, None), None, &[], None, None)
    }

    /// What the repair costs, in a few words.
    pub(crate) fn cost(&self) -> String {
        if !self.loses_events() {
            return "no event would be lost, but files would be changed".to_owned();
        }
        let lost = match self.events_lost {
            Some(0) => String::new(),
            Some(1) => ", and 1 event is lost already".to_owned(),
            Some(lost) => format!(", and {lost} events are lost already"),
            None => ", and an unknown number of events is lost already".to_owned(),
        };
        format!(
            "the log would end with position {}; {} behind it would go to quarantine/{lost}",
            self.kept,
            events(self.events_set_aside),
        )
    }
}

fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

/// A list's first entries, and how many there are more.
fn listed<T: fmt::Display>(items: &[T], total: u64) -> String {
    let named: Vec<String> = items.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = total - named.len() as u64;
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}

impl fmt::Display for RepairPlan {
    /// The plan for people: a line for each thing.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_needed() {
            return formatter.write_str("nothing is to be repaired");
        }
        let ranges = |ranges: &Listed<PositionRange>| listed(ranges, ranges.total());
        write!(formatter, "kept         events up to position {}", self.kept)?;
        if let Some(limit) = &self.limit {
            write!(formatter, "\nno more      {limit}")?;
        }
        if !self.restored.is_empty() {
            write!(formatter, "\nrestored     positions {} from the backup", ranges(&self.restored))?;
        }
        match (self.events_lost, self.lost.is_empty()) {
            (Some(0), _) => write!(formatter, "\nlost         no event")?,
            (_, true) => write!(formatter, "\nlost         events whose positions aren't known")?,
            (count, false) => {
                let count = count.map_or("events".to_owned(), events);
                write!(formatter, "\nlost         {count}: positions {}", ranges(&self.lost))?;
            }
        }
        if !self.lost_versions.is_empty() {
            let versions = listed(&self.lost_versions, self.lost_versions.total());
            write!(formatter, "\nof them      {versions}")?;
        }
        if !self.lost_ids.is_empty() {
            write!(formatter, "\nseemingly    {}", listed(&self.lost_ids, self.lost_ids.total()))?;
        }
        if self.events_set_aside > 0 {
            write!(
                formatter,
                "\nset aside    {}, which can be read: positions {}",
                events(self.events_set_aside),
                ranges(&self.set_aside)
            )?;
        }
        for step in &self.steps {
            write!(formatter, "\nstep         {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LostVersions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stream {
            Some(stream) => stream.fmt(formatter)?,
            None => write!(formatter, "a stream whose name isn't known ({:016x})", self.stream_hash)?,
        }
        if self.first == self.last {
            write!(formatter, " version {}", self.first)
        } else {
            write!(formatter, " versions {} to {}", self.first, self.last)
        }
    }
}

impl fmt::Display for RepairStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename { from, to } => write!(formatter, "rename {} to {}", from.display(), to.display()),
            Self::Write { path, bytes, bytes_before, bytes_restored, bytes_mended } => {
                let mut what = Vec::new();
                if *bytes_restored > 0 {
                    what.push(format!("{bytes_restored} bytes from the backup"));
                }
                if *bytes_mended > 0 {
                    what.push(format!("{bytes_mended} bytes as they must have been"));
                }
                if bytes_before.is_some_and(|before| before > *bytes) {
                    what.push(format!("cut off at offset {bytes}"));
                }
                if what.is_empty() {
                    what.push("in a file of its own".to_owned());
                }
                let how = if bytes_before.is_some() { "write" } else { "make" };
                write!(formatter, "{how} {}: {}", path.display(), what.join(", "))
            }
            Self::TakeOut { path } => write!(formatter, "take out {}", path.display()),
            Self::MakeAnew { path } => write!(formatter, "remove {}, which is made anew", path.display()),
            Self::WriteMeta { path } | Self::WriteMark { path } => {
                write!(formatter, "write {}", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        inspect::report::{Damage, LISTED_MAX, Verification},
        position::Position,
        repair::left_out::LeftOut,
    };

    #[test]
    fn what_lists_leave_out_is_counted_list_by_list() {
        let mut verification = Verification::default();
        for number in 0..LISTED_MAX as u64 + 7 {
            let position = Position::new(2 * number + 1);
            verification.lost.push(PositionRange::new(position, Some(position)));
        }
        for _ in 0..LISTED_MAX + 3 {
            verification.damage.push(Damage::new("a", 0, "b", None));
        }
        let mut plan = RepairPlan::new(verification, None, LeftOut::nothing(), &[]);
        plan.lost = plan.verification.lost.clone();
        let report: Value = serde_json::from_str(&plan.to_json()).expect("JSON");
        assert_eq!(report["lost"].as_array().map(Vec::len), Some(LISTED_MAX));
        let unnamed = &report["unnamed"];
        assert_eq!(
            (&unnamed["lost"], &unnamed["damage"], &unnamed["restored"]),
            (&7.into(), &3.into(), &0.into())
        );
    }
}
