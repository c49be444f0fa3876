//! What is said of two versions of a JSON Schema: whom the new one breaks, where, and why.

use std::fmt;

/// How a new version of a schema fits the old one.
///
/// ```
/// use annals::{Judgement, schema_compatibility};
/// use serde_json::json;
///
/// let old = json!({"type": "object", "properties": {"total": {"type": "number"}}});
/// let new = json!({"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]});
/// let compatibility = schema_compatibility(&old, &new);
/// assert_eq!(compatibility.backward(), Judgement::Breaks);
/// assert_eq!(compatibility.forward(), Judgement::Holds);
/// assert_eq!(compatibility.findings[0].pointer, "/required");
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Compatibility {
    /// What was found, backward before forward; nothing: it fits in both directions.
    pub findings: Vec<CompatibilityFinding>,
}

/// A place where two schemas don't fit, or where that can't be told.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CompatibilityFinding {
    /// Who is concerned.
    pub direction: CompatibilityDirection,
    /// What was found out.
    pub judgement: Judgement,
    /// The place, as a JSON pointer into the schema that refuses: backward the new one, forward the old one.
    pub pointer: String,
    /// What is so there.
    pub reason: String,
}

/// Who reads what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CompatibilityDirection {
    /// Who knows the new schema reads data of the old one.
    Backward,
    /// Who knows the old schema reads data of the new one.
    Forward,
}

/// Whether two schemas fit in one direction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Judgement {
    /// All that the one allows the other allows too.
    Holds,
    /// That can't be told from the schemas.
    NotJudged,
    /// The one allows what the other refuses.
    Breaks,
}

impl Compatibility {
    /// Whether readers that know the new schema can read the old one's data.
    #[must_use]
    pub fn backward(&self) -> Judgement {
        self.judgement(CompatibilityDirection::Backward)
    }

    /// Whether readers that know the old schema can read the new one's data.
    #[must_use]
    pub fn forward(&self) -> Judgement {
        self.judgement(CompatibilityDirection::Forward)
    }

    fn judgement(&self, direction: CompatibilityDirection) -> Judgement {
        let concerned = self.findings.iter().filter(|finding| finding.direction == direction);
        concerned.map(|finding| finding.judgement).max().unwrap_or(Judgement::Holds)
    }
}

impl fmt::Display for CompatibilityFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            CompatibilityDirection::Backward => "backward",
            CompatibilityDirection::Forward => "forward",
        };
        let verb = match self.judgement {
            Judgement::Holds => "holds",
            Judgement::NotJudged => "not judged",
            Judgement::Breaks => "breaks",
        };
        let pointer = if self.pointer.is_empty() { "the whole schema" } else { &self.pointer };
        write!(formatter, "{direction} {verb} at {pointer}: {}", self.reason)
    }
}
