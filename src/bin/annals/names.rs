//! `annals categories` and `annals types`: the names there are, and how many events each has.

use std::path::Path;

use annals::NameCount;
use serde::Serialize;

use crate::{
    arguments::Format,
    opening,
    output::{self, Output},
    reading_arguments::NamesArguments,
};

/// A category as JSON.
#[derive(Serialize)]
struct CategoryReport<'a> {
    category: &'a str,
    events: u64,
}

/// An event type as JSON.
#[derive(Serialize)]
struct TypeReport<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    events: u64,
}

pub(crate) fn categories(store: &Path, arguments: &NamesArguments) -> anyhow::Result<()> {
    let categories = opening::for_reading(store)?.categories()?;
    print(&categories, arguments.format, |it| CategoryReport { category: &it.name, events: it.events })
}

pub(crate) fn types(store: &Path, arguments: &NamesArguments) -> anyhow::Result<()> {
    let types = opening::for_reading(store)?.event_types()?;
    print(&types, arguments.format, |it| TypeReport { event_type: &it.name, events: it.events })
}

fn print<'a, R: Serialize>(
    counts: &'a [NameCount],
    format: Format,
    report: impl Fn(&'a NameCount) -> R,
) -> anyhow::Result<()> {
    let mut output = Output::new();
    match format {
        Format::Json => {
            for count in counts {
                output.json(&report(count))?;
            }
        }
        Format::Text => {
            let names: Vec<String> = counts.iter().map(|count| output::safe(&count.name)).collect();
            let width = output::column_width(&names);
            let events_width = counts.iter().map(|count| count.events.to_string().len()).max().unwrap_or(0);
            for (count, name) in counts.iter().zip(&names) {
                output.line(format_args!("{name:width$}  {:>events_width$}", count.events))?;
            }
        }
    }
    Ok(output.flush()?)
}
