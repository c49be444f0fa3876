//! The registry behind upcasters: schemas, and the steps that lead from one to others.
//!
//! Steps never lead in a circle, so whoever follows them comes to an end: each is looked at when it is registered, and
//! refused if its source can be reached from one of its targets.

use std::{collections::BTreeMap, error, iter, slice, sync::Arc};

use crate::{
    event_content::EventContent,
    invalid::Invalid,
    stream::{check_name, is_system},
};

/// What a step says when it fails.
pub(crate) type StepError = Box<dyn error::Error + Send + Sync>;

/// Changes a payload alone.
pub(crate) type ConvertData = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, StepError> + Send + Sync>;

/// Changes one event into another.
pub(crate) type Convert = Arc<dyn Fn(EventContent) -> Result<EventContent, StepError> + Send + Sync>;

/// Changes one event into several.
pub(crate) type Split = Arc<dyn Fn(EventContent) -> Result<Vec<EventContent>, StepError> + Send + Sync>;

/// What is done with events of a schema. Targets are numbers of schemas.
#[derive(Clone)]
pub(crate) enum Step {
    /// Nothing, as far as anybody has said.
    Open,
    /// Nothing, and no step may be added.
    Known,
    Json {
        to: usize,
        convert: ConvertData,
    },
    Convert {
        to: usize,
        convert: Convert,
    },
    Rename {
        to: usize,
    },
    Split {
        to: Vec<usize>,
        split: Split,
    },
    Discard,
}

impl Step {
    /// Where it leads.
    fn targets(&self) -> &[usize] {
        match self {
            Self::Open | Self::Known | Self::Discard => &[],
            Self::Json { to, .. } | Self::Convert { to, .. } | Self::Rename { to } => slice::from_ref(to),
            Self::Split { to, .. } => to,
        }
    }
}

/// A version of an event type.
#[derive(Clone)]
pub(crate) struct Schema {
    pub(crate) event_type: String,
    pub(crate) version: u32,
    pub(crate) step: Step,
    /// The schemas whose steps lead here.
    sources: Vec<usize>,
}

/// Schemas, by their numbers and by their names.
#[derive(Clone, Default)]
pub(crate) struct Steps {
    schemas: Vec<Schema>,
    types: BTreeMap<String, BTreeMap<u32, usize>>,
}

impl Steps {
    pub(crate) fn is_empty(&self) -> bool {
        self.schemas.is_empty()
    }

    /// The schema with a number that this registry gave.
    pub(crate) fn schema(&self, number: usize) -> &Schema {
        &self.schemas[number]
    }

    /// Whether no step leads on from a schema.
    pub(crate) fn is_end(&self, number: usize) -> bool {
        matches!(self.schemas[number].step, Step::Open | Step::Known)
    }

    /// The versions of a type that are named, and the numbers of their schemas; none if the type isn't named.
    pub(crate) fn versions(&self, event_type: &str) -> Option<&BTreeMap<u32, usize>> {
        self.types.get(event_type)
    }

    /// Adds what is done with events of a schema.
    pub(crate) fn add(
        &mut self,
        source: &(String, u32),
        targets: &[(String, u32)],
        step: impl FnOnce(Vec<usize>) -> Step,
    ) -> Result<(), Invalid> {
        let from = self.number_of(source)?;
        let mut to = Vec::with_capacity(targets.len());
        for target in targets {
            let number = self.number_of(target)?;
            if !to.contains(&number) {
                to.push(number);
            }
        }
        let step = step(to);
        self.check_only(from, &step)?;
        self.check_circle(from, &step)?;
        for target in step.targets() {
            self.schemas[*target].sources.push(from);
        }
        self.schemas[from].step = step;
        Ok(())
    }

    /// The schema's number; a new one if it wasn't named before.
    fn number_of(&mut self, (event_type, version): &(String, u32)) -> Result<usize, Invalid> {
        check_name("event type", event_type)?;
        if is_system(event_type.as_bytes()) {
            return Err(refused(event_type, "types that begin with '$' are the store's own"));
        }
        let next = self.schemas.len();
        let versions = self.types.entry(event_type.clone()).or_default();
        let number = *versions.entry(*version).or_insert(next);
        if number == next {
            let (event_type, version) = (event_type.clone(), *version);
            self.schemas.push(Schema { event_type, version, step: Step::Open, sources: Vec::new() });
        }
        Ok(number)
    }

    /// Refuses a second step from a schema, and one from a schema that is known to have none.
    fn check_only(&self, from: usize, step: &Step) -> Result<(), Invalid> {
        let reason = match (&self.schemas[from].step, step) {
            (Step::Open, _) | (Step::Known, Step::Known) => return Ok(()),
            (Step::Known, _) => "it is registered as known, with no step from it".to_owned(),
            _ => format!("there is a step from it already: {}", self.step_name(from)),
        };
        Err(refused(&self.name_of(from), reason))
    }

    /// Refuses a step that leads back to where it comes from.
    fn check_circle(&self, from: usize, step: &Step) -> Result<(), Invalid> {
        let Some(chain) = step.targets().iter().find_map(|target| self.chain(*target, from)) else {
            return Ok(());
        };
        let names: Vec<String> = iter::once(from).chain(chain).map(|number| self.name_of(number)).collect();
        let reason = format!("its step would go in a circle: {}", names.join(" -> "));
        Err(refused(&self.name_of(from), reason))
    }

    /// The schemas on the way from one to another, both included; none if no steps lead there.
    fn chain(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let mut before = vec![None; self.schemas.len()];
        let mut waiting = vec![from];
        while let Some(number) = waiting.pop() {
            if number == to {
                let back = iter::successors(Some(to), |at| before[*at].filter(|_| *at != from));
                let mut chain: Vec<usize> = back.collect();
                chain.reverse();
                return Some(chain);
            }
            for target in self.schemas[number].step.targets() {
                if before[*target].is_none() {
                    before[*target] = Some(number);
                    waiting.push(*target);
                }
            }
        }
        None
    }

    /// The types that events may be stored with which come out as one of these: these themselves, and all from which
    /// steps lead to them.
    pub(crate) fn stored_types(&self, event_types: &[String]) -> Vec<String> {
        let mut is_reached = vec![false; self.schemas.len()];
        let versions = event_types.iter().filter_map(|event_type| self.types.get(event_type));
        let mut waiting: Vec<usize> = versions.flat_map(BTreeMap::values).copied().collect();
        let mut found = event_types.to_vec();
        while let Some(number) = waiting.pop() {
            if is_reached[number] {
                continue;
            }
            is_reached[number] = true;
            let schema = &self.schemas[number];
            if !found.contains(&schema.event_type) {
                found.push(schema.event_type.clone());
            }
            waiting.extend(&schema.sources);
        }
        found
    }

    fn name_of(&self, number: usize) -> String {
        let Schema { event_type, version, .. } = &self.schemas[number];
        format!("{event_type} {version}")
    }

    /// A step, as messages name it; the schema's name where there is none.
    pub(crate) fn step_name(&self, number: usize) -> String {
        let (name, step) = (self.name_of(number), &self.schemas[number].step);
        let targets: Vec<String> = step.targets().iter().map(|target| self.name_of(*target)).collect();
        match step {
            Step::Open | Step::Known => name,
            Step::Discard => format!("{name} -> nothing"),
            _ => format!("{name} -> {}", targets.join(" + ")),
        }
    }

    /// All steps, and the schemas that are known without one.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        (0..self.schemas.len()).map(|number| self.step_name(number))
    }
}

fn refused(schema: &str, reason: impl Into<String>) -> Invalid {
    Invalid::new("upcaster of", schema, reason)
}
