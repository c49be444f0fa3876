//! docs/requirements.md and the faults of docs/testing.md against the tests: every id, every test, in both directions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use crate::support::Outcome;

/// The demands of each letter, and how many there are.
const DEMANDS: [(char, usize); 4] = [('A', 24), ('B', 18), ('C', 19), ('D', 28)];

/// The decisions; some numbers were given up.
const DECISIONS: &[usize] =
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 27, 28];

type Shown = BTreeMap<String, BTreeSet<String>>;

/// The tests of each id, by their names: `what_it_shows__A10_D08`.
fn tests_by_id(directory: &Path, shown: &mut Shown) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            tests_by_id(&path, shown)?;
        } else if path.extension() == Some("rs".as_ref()) {
            for name in names_of_tests(&fs::read_to_string(&path)?) {
                let Some((_, ids)) = name.split_once("__") else { continue };
                for id in ids.split('_').filter(|id| is_id(id)) {
                    shown.entry(id.to_owned()).or_default().insert(name.clone());
                }
            }
        }
    }
    Ok(())
}

/// The tests of all ids.
fn all_tests() -> io::Result<Shown> {
    let mut shown = Shown::new();
    for directory in ["tests", "src"] {
        tests_by_id(Path::new(directory), &mut shown)?;
    }
    Ok(shown)
}

/// The names of the functions right behind a `#[test]`, other attributes between them or not.
fn names_of_tests(text: &str) -> impl Iterator<Item = String> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[") {
            is_test |= line == "#[test]";
            return None;
        }
        let name = line.strip_prefix("fn ").filter(|_| is_test);
        is_test = false;
        Some(name?.split(['(', '<']).next()?.to_owned())
    })
}

fn is_id(id: &str) -> bool {
    let mut characters = id.chars();
    characters.next().is_some_and(|letter| "ABCDFX".contains(letter))
        && id.len() > 1
        && characters.all(|digit| digit.is_ascii_digit())
}

/// The rows of the page: the id, and the tests that it names.
fn rows(page: &str) -> Shown {
    let mut rows = Shown::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some(id) = cells[0].strip_prefix("| ").filter(|id| is_id(id)) else { continue };
        let named = cells[cells.len() - 1].split('`').skip(1).step_by(2);
        rows.insert(id.to_owned(), named.map(str::to_owned).collect());
    }
    rows
}

#[test]
fn a_function_that_is_no_test_shows_nothing() {
    let text = "#[test]\nfn one() {\n    fn inner() {}\n}\n\nfn helper() {}\n\n#[cfg(unix)]\n#[test]\n#[should_panic]\nfn two() {}\n#[cfg(unix)]\nfn other() {}";
    assert_eq!(names_of_tests(text).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn the_page_of_demands_is_complete_and_true() -> Outcome {
    let shown = all_tests()?;
    let rows = rows(&fs::read_to_string("docs/requirements.md")?);
    let demands = DEMANDS
        .into_iter()
        .flat_map(|(letter, count)| (1..=count).map(move |number| format!("{letter}{number:02}")));
    let ids = demands.chain(DECISIONS.iter().map(|number| format!("X{number}")));
    let all: BTreeSet<String> = ids.collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), all, "a row for each id");
    for (id, named) in &rows {
        let tests = shown.get(id).cloned().unwrap_or_default();
        assert!(!tests.is_empty(), "no test shows {id}: name one after it");
        assert_eq!(named, &tests, "docs/requirements.md names other tests for {id} than carry it");
    }
    let unknown: Vec<_> = shown.keys().filter(|id| !id.starts_with('F') && !all.contains(*id)).collect();
    assert!(unknown.is_empty(), "tests carry ids that no demand has: {unknown:?}");
    Ok(())
}

/// The numbers of what must be survived.
fn faults() -> impl Iterator<Item = u32> {
    (1..=15).chain(20..=40)
}

#[test]
fn the_table_of_faults_is_complete_and_true() -> Outcome {
    let mut shown = all_tests()?;
    let page = fs::read_to_string("docs/testing.md")?;
    let (_, section) = page.split_once("\n## Faults\n").ok_or("the section of faults")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut rows = BTreeMap::new();
    for line in section.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if let [item, _, named, kind, cases] = cells[..]
            && let Ok(item) = item.parse::<u32>()
        {
            assert!(!kind.is_empty() && !cases.is_empty(), "{line}");
            rows.insert(
                item,
                named.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>(),
            );
        }
    }
    assert!(rows.keys().copied().eq(faults()), "a row for each item: {:?}", rows.keys());
    for (item, named) in rows {
        let (runs, tests): (BTreeSet<_>, BTreeSet<_>) =
            named.into_iter().partition(|name| name.starts_with("system: "));
        for run in runs {
            let path = format!("tests/system/{}.rs", run.trim_start_matches("system: "));
            assert!(Path::new(&path).exists(), "{item}: {path} isn't there");
        }
        let carried = shown.remove(&format!("F{item:02}")).unwrap_or_default();
        assert_eq!(tests, carried, "docs/testing.md names other tests for {item} than carry it");
    }
    let unknown: Vec<_> = shown.keys().filter(|id| id.starts_with('F')).collect();
    assert!(unknown.is_empty(), "tests carry items that aren't there: {unknown:?}");
    Ok(())
}
