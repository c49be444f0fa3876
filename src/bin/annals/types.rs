//! `annals types`: the event types there are, and what is registered of them.

use std::{collections::BTreeMap, path::Path};

use annals::{
    Compatibility, CompatibilityDirection, EventTypeDefinition, Judgement, NameCount, RegisteredEventType,
    RegisteredVersion, Registration, RegistrationOutcome, Validation, naming_hint,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    arguments::Format,
    clock_text,
    failure::{self, NotFound},
    input::parse_json,
    opening,
    output::{Column, Output, OutputError, safe},
    types_arguments::{RegisterTypeArguments, ShowTypeArguments, TypesArguments, TypesCommand},
};

pub(crate) fn run(store: &Path, arguments: &TypesArguments) -> anyhow::Result<()> {
    match &arguments.command {
        None => list(store, arguments.format),
        Some(TypesCommand::List(arguments)) => list(store, arguments.format),
        Some(TypesCommand::Register(arguments)) => register(store, arguments),
        Some(TypesCommand::Show(arguments)) => show(store, arguments),
    }
}

/// An event type as JSON. What is registered of it, if anything is, is that of its newest version.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TypeReport<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<Validation>,
}

impl<'a> TypeReport<'a> {
    fn of_unregistered(event_type: &'a str) -> Self {
        Self { event_type, events: 0, schema_version: None, category: None, validation: None }
    }

    fn of_registered(registered: &'a RegisteredEventType) -> Self {
        let newest = &registered.newest().definition;
        Self {
            event_type: &registered.event_type,
            events: 0,
            schema_version: Some(newest.schema_version),
            category: newest.category.as_deref(),
            validation: Some(newest.validation),
        }
    }

    fn columns(&self) -> [String; 3] {
        let registered = match (self.schema_version, self.validation) {
            (Some(version), Some(validation)) => format!("schema version {version}, {validation}"),
            _ => String::new(),
        };
        [safe(self.event_type), self.events.to_string(), registered]
    }
}

fn list(store: &Path, format: Format) -> anyhow::Result<()> {
    let store = opening::for_reading(store)?;
    let (counts, registered) = (store.event_types()?, store.registered_event_types()?);
    let mut reports: BTreeMap<&str, TypeReport<'_>> =
        registered.iter().map(|it| (it.event_type.as_str(), TypeReport::of_registered(it))).collect();
    for NameCount { name, events, .. } in &counts {
        reports.entry(name).or_insert_with(|| TypeReport::of_unregistered(name)).events = *events;
    }
    let reports: Vec<TypeReport<'_>> = reports.into_values().collect();
    Ok(Output::new().list(format, &reports, |output, reports| {
        let columns = [Column::Name, Column::Number, Column::Rest];
        output.table(columns, &reports.iter().map(TypeReport::columns).collect::<Vec<_>>())
    })?)
}

fn register(store: &Path, arguments: &RegisterTypeArguments) -> anyhow::Result<()> {
    // It is read before the store is opened, so that it isn't locked while somebody types.
    let schema: Option<Value> = match &arguments.schema {
        Some(schema) => Some(parse_json("--schema", 1, &schema.read("--schema")?)?),
        None => None,
    };
    let store = opening::for_writing(store, &arguments.writing)?;
    let registered = store.registered_event_type(&arguments.event_type)?;
    let definition = definition_of(registered.as_ref(), arguments, schema);
    let warning = registered.as_ref().and_then(|registered| lost_schema(registered, &definition));
    let unchecked = unchecked_schema(&definition);
    let registration = store.register_event_type(definition)?;
    if registration.outcome == RegistrationOutcome::NewVersion
        && let Some(warning) = warning
    {
        failure::tell(&format!("warning: {warning}"));
    }
    if let Some(warning) = unchecked {
        failure::tell(&format!("warning: {warning}"));
    }
    if registration.outcome == RegistrationOutcome::NewType
        && let Some(hint) = naming_hint(&arguments.event_type)
    {
        failure::tell(&format!("hint: {hint}"));
    }
    let printed = print_registration(&registration, arguments.format);
    store.close()?;
    printed
}

/// What a program that can't check schemas makes of one that is to be checked.
fn unchecked_schema(definition: &EventTypeDefinition) -> Option<&'static str> {
    match definition.validation {
        _ if cfg!(feature = "schema") || definition.schema.is_none() => None,
        Validation::Off => None,
        Validation::Warn => Some(
            "this program was built without the feature `schema`: it hasn't checked the schema, and checks no data by it",
        ),
        Validation::Enforce => Some(
            "this program was built without the feature `schema`: it hasn't checked the schema, and refuses to append \
             events of this version, whatever they are",
        ),
    }
}

/// What the options say, and where they say nothing, what is registered.
fn definition_of(
    registered: Option<&RegisteredEventType>,
    arguments: &RegisterTypeArguments,
    schema: Option<Value>,
) -> EventTypeDefinition {
    let mut definition = match registered {
        Some(registered) => {
            let newest = &registered.newest().definition;
            let wanted = arguments.schema_version.unwrap_or(newest.schema_version);
            registered.version(wanted).map_or_else(|| next_of(newest, wanted), |same| same.definition.clone())
        }
        None => EventTypeDefinition::new(&arguments.event_type)
            .with_schema_version(arguments.schema_version.unwrap_or(1)),
    };
    if let Some(schema) = schema {
        definition.schema = Some(schema);
    }
    let unless_empty = |text: &String| (!text.is_empty()).then(|| text.clone());
    if let Some(category) = &arguments.category {
        definition.category = unless_empty(category);
    }
    if let Some(description) = &arguments.description {
        definition.description = unless_empty(description);
    }
    if let Some(validation) = arguments.validation {
        definition.validation = validation.into();
    }
    definition
}

/// What is said of a version that looks validated and has no schema, where the one before has one.
fn lost_schema(registered: &RegisteredEventType, definition: &EventTypeDefinition) -> Option<String> {
    let before = &registered.newest().definition;
    let is_validated = definition.validation != Validation::Off;
    (is_validated && definition.schema.is_none() && before.schema.is_some()).then(|| {
        format!(
            "schema version {} has no schema, so the data of its events aren't checked by one, as those of version {} \
             are: to give them one, register a higher --schema-version with --schema",
            definition.schema_version, before.schema_version
        )
    })
}

/// A higher version, of which nothing is said yet but what holds for the type.
fn next_of(newest: &EventTypeDefinition, schema_version: u32) -> EventTypeDefinition {
    let mut next = newest.clone().with_schema_version(schema_version);
    next.schema = None;
    next
}

/// A registration as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegistrationReport<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    schema_version: u32,
    /// `newType`, `newVersion`, `changed` or `repeated`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility: Option<CompatibilityReport<'a>>,
}

/// How a version's schema fits that of the version before, as JSON.
#[derive(Serialize)]
struct CompatibilityReport<'a> {
    /// `holds`, `notJudged` or `breaks`.
    backward: &'static str,
    forward: &'static str,
    findings: Vec<FindingReport<'a>>,
}

#[derive(Serialize)]
struct FindingReport<'a> {
    direction: &'static str,
    judgement: &'static str,
    pointer: &'a str,
    reason: &'a str,
}

impl<'a> CompatibilityReport<'a> {
    fn of(compatibility: &'a Compatibility) -> Self {
        let findings = compatibility.findings.iter().map(|finding| FindingReport {
            direction: match finding.direction {
                CompatibilityDirection::Backward => "backward",
                CompatibilityDirection::Forward => "forward",
            },
            judgement: judgement_key(finding.judgement),
            pointer: &finding.pointer,
            reason: &finding.reason,
        });
        Self {
            backward: judgement_key(compatibility.backward()),
            forward: judgement_key(compatibility.forward()),
            findings: findings.collect(),
        }
    }
}

fn judgement_key(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Holds => "holds",
        Judgement::NotJudged => "notJudged",
        Judgement::Breaks => "breaks",
    }
}

fn judgement_text(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Holds => "compatible",
        Judgement::NotJudged => "not judged",
        Judgement::Breaks => "breaking",
    }
}

fn print_registration(registration: &Registration, format: Format) -> anyhow::Result<()> {
    let Registration { event_type, schema_version, outcome, compatibility, .. } = registration;
    let report = RegistrationReport {
        event_type,
        schema_version: *schema_version,
        outcome: match outcome {
            RegistrationOutcome::NewType => "newType",
            RegistrationOutcome::NewVersion => "newVersion",
            RegistrationOutcome::Changed => "changed",
            RegistrationOutcome::Repeated => "repeated",
        },
        compatibility: compatibility.as_ref().map(CompatibilityReport::of),
    };
    Ok(Output::new().report(format, &report, |output, report| {
        let done = match outcome {
            RegistrationOutcome::NewType | RegistrationOutcome::NewVersion => "registered",
            RegistrationOutcome::Changed => "changed",
            RegistrationOutcome::Repeated => "was registered so already",
        };
        let name = safe(report.event_type);
        output.line(format_args!("{name}: schema version {schema_version} {done}"))?;
        compatibility.as_ref().map_or(Ok(()), |it| print_compatibility(it, "", output))
    })?)
}

fn print_compatibility(
    compatibility: &Compatibility,
    indent: &str,
    output: &mut Output,
) -> Result<(), OutputError> {
    let backward = judgement_text(compatibility.backward());
    let forward = judgement_text(compatibility.forward());
    output
        .line(format_args!("{indent}new readers, old data: {backward}; old readers, new data: {forward}"))?;
    for finding in &compatibility.findings {
        output.line(format_args!("{indent}  {}", safe(&finding.to_string())))?;
    }
    Ok(())
}

/// A registered version as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionReport<'a> {
    #[serde(flatten)]
    definition: &'a EventTypeDefinition,
    /// When the type was registered first.
    created: String,
    /// When this version was.
    registered: String,
    updated: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility: Option<CompatibilityReport<'a>>,
}

fn show(store: &Path, arguments: &ShowTypeArguments) -> anyhow::Result<()> {
    let event_type = arguments.event_type.as_str();
    let store = opening::for_reading(store)?;
    let Some(registered) = store.registered_event_type(event_type)? else {
        return Err(NotFound(format!(
            "nothing is registered of an event type {event_type:?}; \"annals types\" lists those there are"
        ))
        .into());
    };
    let created = clock_text::print_timestamp(registered.created);
    let compatibilities: Vec<Option<Compatibility>> =
        registered.versions.iter().map(|it| registered.compatibility(it.definition.schema_version)).collect();
    let versions = || registered.versions.iter().zip(&compatibilities);
    let reports: Vec<VersionReport<'_>> = versions()
        .map(|(version, compatibility)| VersionReport {
            definition: &version.definition,
            created: created.clone(),
            registered: clock_text::print_timestamp(version.registered),
            updated: clock_text::print_timestamp(version.updated),
            compatibility: compatibility.as_ref().map(CompatibilityReport::of),
        })
        .collect();
    Ok(Output::new().list(arguments.format, &reports, |output, _| {
        output.line(format_args!("type     {}", safe(event_type)))?;
        output.line(format_args!("created  {created}"))?;
        versions()
            .try_for_each(|(version, compatibility)| print_version(version, compatibility.as_ref(), output))
    })?)
}

fn print_version(
    version: &RegisteredVersion,
    compatibility: Option<&Compatibility>,
    output: &mut Output,
) -> Result<(), OutputError> {
    let RegisteredVersion { definition, registered, updated, .. } = version;
    output.line(format_args!("schema version {}", definition.schema_version))?;
    output.line(format_args!("  registered   {}", clock_text::print_timestamp(*registered)))?;
    if updated != registered {
        output.line(format_args!("  updated      {}", clock_text::print_timestamp(*updated)))?;
    }
    output.line(format_args!("  validation   {}", definition.validation))?;
    if let Some(category) = &definition.category {
        output.line(format_args!("  category     {}", safe(category)))?;
    }
    if let Some(description) = &definition.description {
        output.line(format_args!("  description  {}", safe(description)))?;
    }
    if let Some(schema) = &definition.schema {
        output.line(format_args!("  schema       {}", safe(&schema.to_string())))?;
    }
    match compatibility {
        Some(compatibility) => print_compatibility(compatibility, "  ", output),
        None => Ok(()),
    }
}
