//! What a stored event is read as: from its schema along the steps, to the parts where no step applies.

use crate::{
    error::{Error, Result},
    event::{ContentType, EventRef},
    event_content::EventContent,
    invalid::Invalid,
    upcast_steps::{Schema, Step, StepError, Steps},
};

/// The most events that one stored event may be read as.
const PARTS_MAX: usize = 1 << 16;

/// One of the events that a stored one is read as.
#[derive(Debug)]
pub(crate) struct Part {
    schema: usize,
    /// What steps made of the payload and of the metadata; none: they are as they are stored.
    data: Option<Changed>,
    metadata: Option<Changed>,
}

#[derive(Debug)]
struct Changed {
    bytes: Vec<u8>,
    content_type: ContentType,
}

impl Part {
    /// The stored event, as this part.
    pub(crate) fn show<'a>(&'a self, steps: &'a Steps, stored: &EventRef<'a>) -> EventRef<'a> {
        let schema = steps.schema(self.schema);
        let mut event =
            EventRef { event_type: &schema.event_type, schema_version: schema.version, ..stored.clone() };
        if let Some(Changed { bytes, content_type }) = &self.data {
            (event.data, event.content_type) = (bytes, *content_type);
        }
        if let Some(Changed { bytes, content_type }) = &self.metadata {
            (event.metadata_bytes, event.metadata_content_type) = (bytes, *content_type);
        }
        event
    }

    /// What a step is given.
    fn content(&self, steps: &Steps, stored: &EventRef<'_>) -> EventContent {
        let shown = self.show(steps, stored);
        EventContent {
            event_type: shown.event_type.to_owned(),
            schema_version: shown.schema_version,
            data: shown.data.to_vec(),
            content_type: shown.content_type,
            metadata: shown.metadata_bytes.to_vec(),
            metadata_content_type: shown.metadata_content_type,
        }
    }

    /// What a step gave back.
    fn changed(schema: usize, content: EventContent) -> Self {
        let EventContent { data, content_type, metadata, metadata_content_type, .. } = content;
        Self {
            schema,
            data: Some(Changed { bytes: data, content_type }),
            metadata: Some(Changed { bytes: metadata, content_type: metadata_content_type }),
        }
    }
}

/// Adds what a stored event is read as, whose type the registry names.
pub(crate) fn unfold(steps: &Steps, stored: &EventRef<'_>, parts: &mut Vec<Part>) -> Result<()> {
    let schema = schema_of(steps, stored)?;
    Walk { steps, stored, parts }.follow(Part { schema, data: None, metadata: None })
}

fn schema_of(steps: &Steps, stored: &EventRef<'_>) -> Result<usize> {
    let versions = steps.versions(stored.event_type);
    let found = versions.and_then(|versions| versions.get(&stored.schema_version));
    found.copied().ok_or_else(|| Error::UnknownSchemaVersion {
        event_type: stored.event_type.to_owned(),
        found: stored.schema_version,
        newest: versions.and_then(|versions| versions.last_key_value()).map_or(0, |(newest, _)| *newest),
        position: stored.position,
    })
}

/// One event on its way along the steps.
struct Walk<'a> {
    steps: &'a Steps,
    stored: &'a EventRef<'a>,
    parts: &'a mut Vec<Part>,
}

impl Walk<'_> {
    /// Follows the steps until none applies. There are no circles, so it comes to an end, and calls itself no deeper
    /// than there are splits.
    fn follow(&mut self, mut part: Part) -> Result<()> {
        loop {
            let Schema { event_type, step, .. } = self.steps.schema(part.schema);
            let failed = |error| self.failed(part.schema, error);
            match step {
                Step::Open | Step::Known => {
                    if self.parts.len() == PARTS_MAX {
                        return Err(failed(format!("the event has more than {PARTS_MAX} parts").into()));
                    }
                    self.parts.push(part);
                    return Ok(());
                }
                Step::Discard => return Ok(()),
                Step::Rename { to } => part.schema = *to,
                Step::Json { to, convert } => {
                    let shown = part.show(self.steps, self.stored);
                    let new = check_json(&shown).and_then(|()| convert(shown.data)).map_err(failed)?;
                    part.data = Some(Changed { bytes: new, content_type: ContentType::JSON });
                    part.schema = *to;
                }
                Step::Convert { to, convert } => {
                    let new = convert(part.content(self.steps, self.stored)).map_err(failed)?;
                    if new.event_type != *event_type {
                        return Err(failed(undeclared(&new)));
                    }
                    part = Part::changed(*to, new);
                }
                Step::Split { to, split } => {
                    let contents = split(part.content(self.steps, self.stored)).map_err(failed)?;
                    let schemas = contents.iter().map(|content| self.declared(to, content));
                    let schemas: Vec<usize> = schemas.collect::<Result<_, _>>().map_err(failed)?;
                    for (schema, content) in schemas.into_iter().zip(contents) {
                        self.follow(Part::changed(schema, content))?;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// The schema of what a split gave, which has to be one of those that it declares.
    fn declared(&self, to: &[usize], content: &EventContent) -> Result<usize, StepError> {
        let is_it = |number: &&usize| {
            let schema = self.steps.schema(**number);
            schema.event_type == content.event_type && schema.version == content.schema_version
        };
        to.iter().find(is_it).copied().ok_or_else(|| undeclared(content))
    }

    fn failed(&self, schema: usize, source: StepError) -> Error {
        Error::UpcastFailed {
            event_type: self.stored.event_type.to_owned(),
            schema_version: self.stored.schema_version,
            position: self.stored.position,
            step: self.steps.step_name(schema),
            source: source.into(),
        }
    }
}

fn check_json(shown: &EventRef<'_>) -> Result<(), StepError> {
    if [ContentType::JSON, ContentType::BYTES].contains(&shown.content_type) {
        return Ok(());
    }
    let content_type = shown.content_type.number().to_string();
    Err(Invalid::new("content type", &content_type, "the step is for payloads of JSON").into())
}

fn undeclared(content: &EventContent) -> StepError {
    let EventContent { event_type, schema_version, .. } = content;
    let schema = format!("{event_type} {schema_version}");
    Invalid::new("event of an upcaster", &schema, "the step doesn't declare that it leads there").into()
}
