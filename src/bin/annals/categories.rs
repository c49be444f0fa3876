//! `annals categories`: the categories there are, and how many events each has.

use std::path::Path;

use annals::NameCount;
use serde::Serialize;

use crate::{
    opening,
    output::{Column, Output, safe},
    reading_arguments::NamesArguments,
};

/// A category as JSON.
#[derive(Serialize)]
struct CategoryReport<'a> {
    category: &'a str,
    events: u64,
}

impl<'a> CategoryReport<'a> {
    fn of(count: &'a NameCount) -> Self {
        Self { category: &count.name, events: count.events }
    }
}

pub(crate) fn run(store: &Path, arguments: &NamesArguments) -> anyhow::Result<()> {
    let categories = opening::for_reading(store)?.categories()?;
    let reports: Vec<CategoryReport<'_>> = categories.iter().map(CategoryReport::of).collect();
    Ok(Output::new().list(arguments.format, &reports, |output, reports| {
        let rows: Vec<_> = reports.iter().map(|it| [safe(it.category), it.events.to_string()]).collect();
        output.table([Column::Name, Column::Number], &rows)
    })?)
}
