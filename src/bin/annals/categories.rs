//! `annals categories`: the categories there are, and how many events each has.

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

pub(crate) fn run(store: &Path, arguments: &NamesArguments) -> anyhow::Result<()> {
    let categories = opening::for_reading(store)?.categories()?;
    let mut output = Output::new();
    match arguments.format {
        Format::Json => {
            for NameCount { name, events, .. } in &categories {
                output.json(&CategoryReport { category: name, events: *events })?;
            }
        }
        Format::Text => {
            let names: Vec<String> = categories.iter().map(|count| output::safe(&count.name)).collect();
            let width = output::column_width(&names);
            let events_width =
                categories.iter().map(|count| count.events.to_string().len()).max().unwrap_or(0);
            for (count, name) in categories.iter().zip(&names) {
                output.line(format_args!("{name:width$}  {:>events_width$}", count.events))?;
            }
        }
    }
    Ok(output.flush()?)
}
