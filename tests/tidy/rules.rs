//! The rules. Each is a function over text that returns what breaks it, as `path:line: what to do`.

use std::collections::BTreeSet;

use crate::code::{
    code_of, declares_module, is_word, item_end, line_at, occurrences, paths_below, without_test_modules,
};

/// The folders' files: what always holds, a picture, `mod` lines, no code.
pub(crate) const CONTENTS_PAGES: &[&str] = &[
    "src/disk.rs",
    "src/disk/sim.rs",
    "src/format.rs",
    "src/log.rs",
    "src/index.rs",
    "src/inspect.rs",
    "src/repair.rs",
    "src/writer.rs",
    "src/backup.rs",
    "src/simulation.rs",
    "src/typed.rs",
];

/// What a program that embeds the store builds, besides the store itself.
const CRATES_MAX: usize = 29;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;

/// Words that code may have only in their homes: the word, its homes, and why.
const RESTRICTED: &[(&str, &[&str], &str)] = &[
    (
        "unsafe",
        UNSAFE_HOMES,
        "unsafe code lives in src/disk/os.rs, benches/peers/src/engines/lmdb.rs and tests/system/shutdown.rs alone",
    ),
    ("bincode", &["src/format/binary.rs"], "src/format/binary.rs alone speaks bincode"),
    ("memmap2", SYSTEM_HOMES, "src/disk/os.rs maps files, and src/disk/process.rs a page"),
    ("rustix", RUSTIX_HOMES, "src/disk/os.rs, the two futex.rs and three of the tests alone call the system"),
    ("println!", &[], "write to a locked stdout handle, and return its error"),
    ("print!", &[], "write to a locked stdout handle, and return its error"),
    ("eprintln!", &[], "write to a locked stderr handle, and return its error"),
    ("eprint!", &[], "write to a locked stderr handle, and return its error"),
    ("dbg!", &[], "take it out"),
];

/// Where code may be unsafe: of the store one file; of the benchmarks what opens LMDB, whose interface is; and of the tests a call
/// to the kernel that no library has.
const UNSAFE_HOMES: &[&str] =
    &["src/disk/os.rs", "benches/peers/src/engines/lmdb.rs", "tests/system/shutdown.rs"];

/// Where the operating system's files may be touched. Tests write below temporary directories.
const SYSTEM_HOMES: &[&str] = &[
    "src/disk/os.rs",
    "src/disk/os/",
    "src/disk/os_lock.rs",
    "src/disk/process.rs",
    "src/bin/",
    "tests/",
    "benches/",
];

/// Where rustix may be spoken: also where threads sleep on a word.
const RUSTIX_HOMES: &[&str] = &[
    "src/disk/os.rs",
    "src/disk/os/",
    "src/disk/shared_futex.rs",
    "src/writer/futex.rs",
    "src/bin/",
    "tests/suite/terminal.rs",
    "tests/suite/surroundings.rs",
    "tests/system/",
];

/// What says that something isn't finished; in two parts, so that this file doesn't break its own rule.
const UNFINISHED: &[&str] = &[
    concat!("#[", "ignore"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
    concat!("in a real ", "implementation"),
    concat!("In a real ", "implementation"),
    concat!("for ", "now"),
    concat!("For ", "now"),
];

const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "benches",
    "tests",
    "docs",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "deny.toml",
];

/// What stands at the top level without being part of the repository.
const TOP_LEVEL_IGNORED: &[&str] = &["target", "annals-data"];

/// Imports point upwards: to files before this one in the order.
pub(crate) fn check_imports(path: &str, text: &str, order: &[&str]) -> Vec<String> {
    let Some(own) = order.iter().position(|module| path == format!("src/{module}.rs")) else {
        return Vec::new();
    };
    let code = without_test_modules(&code_of(text));
    let mut found = Vec::new();
    for at in occurrences(&code, "super").filter(|at| code[at + "super".len()..].starts_with("::")) {
        found.push(format!("{path}:{}: write `crate::…` instead of `super::`", line_at(&code, at)));
    }
    for (at, _) in code.match_indices("mod ").filter(|(at, _)| declares_module(&code, *at)) {
        let line = line_at(&code, at);
        found.push(format!("{path}:{line}: declare modules in src/lib.rs or in a contents page"));
    }
    for (at, segments) in paths_below(&code, "crate") {
        let place = format!("{path}:{}: `crate::{}`", line_at(&code, at), segments.join("::"));
        match module_of(&segments, order) {
            None => found.push(format!(
                "{place} is no file in FLOORS: import from the file that has it, `crate::module::Name`"
            )),
            Some(module) if module == own => {
                found.push(format!("{place} is this file: leave the path out"));
            }
            Some(module) if module > own => found.push(format!(
                "{place} points down: src/{}.rs stands below; move what both need up, or the file in FLOORS",
                order[module]
            )),
            Some(_) => {}
        }
    }
    found
}

/// FLOORS has each file once, and no other.
pub(crate) fn check_floors(order: &[&str], files: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let listed: Vec<String> = order.iter().map(|module| format!("src/{module}.rs")).collect();
    for (index, path) in listed.iter().enumerate() {
        if listed[..index].contains(path) {
            found.push(format!("tests/tidy.rs: FLOORS has {path} twice: take one out"));
        }
        if !files.contains(path) {
            found.push(format!("tests/tidy.rs: FLOORS has {path}, which isn't there: take it out"));
        }
    }
    for path in files.iter().filter(|path| is_ordered(path) && !listed.contains(path)) {
        found.push(format!("{path}:1: isn't in FLOORS of tests/tidy.rs: give it its place in the order"));
    }
    found
}

/// The page prints the floors as they are.
pub(crate) fn check_printed_floors(path: &str, text: &str, floors: &[(&str, &[&str])]) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let marker = |marker: &str| lines.iter().position(|line| line.trim() == marker);
    let (Some(start), Some(end)) = (marker("<!-- floors -->"), marker("<!-- /floors -->")) else {
        return vec![format!("{path}:1: print the floors between `<!-- floors -->` and `<!-- /floors -->`")];
    };
    let mut wanted = vec!["```text".to_owned()];
    for (index, (name, files)) in floors.iter().enumerate() {
        wanted.push(format!("{} {name} {}", index + 1, files.join(" ")));
    }
    wanted.push("```".to_owned());
    let mut printed: Vec<String> = Vec::new();
    for line in &lines[start + 1..end.max(start + 1)] {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        match printed.last_mut() {
            // A line that begins with a space goes on with the floor above it.
            Some(floor) if line.starts_with(' ') => *floor = format!("{floor} {words}"),
            _ => printed.push(words),
        }
    }
    if printed == wanted {
        return Vec::new();
    }
    let same = printed.iter().zip(&wanted).take_while(|(printed, wanted)| printed == wanted).count();
    vec![format!("{path}:{}: between the markers, write:\n{}", start + 2 + same, wanted.join("\n"))]
}

/// A contents page has `//!` lines, `mod` lines and attributes.
pub(crate) fn check_contents(path: &str, text: &str) -> Vec<String> {
    let is_contents = |line: &str| {
        let module = line.strip_prefix("pub(crate) ").unwrap_or(line).strip_prefix("mod ");
        line.is_empty()
            || line.starts_with("//!")
            || ((line.starts_with("#[") || line.starts_with("#![")) && line.ends_with(']'))
            || module.and_then(|rest| rest.strip_suffix(';')).is_some_and(|name| name.chars().all(is_word))
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| !is_contents(line.trim()))
        .map(|(index, _)| {
            format!("{path}:{}: a contents page holds no code: move it into a file of the folder", index + 1)
        })
        .collect()
}

/// Files have a length that can be read in one sitting.
pub(crate) fn check_file_length(path: &str, text: &str) -> Vec<String> {
    let count = text.lines().count();
    if count <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!(
        "{path}:{FILE_LINES_MAX}: has {count} lines, {FILE_LINES_MAX} are allowed: split it by idea"
    )]
}

/// Functions fit on a screen.
pub(crate) fn check_function_lengths(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let mut found = Vec::new();
    for at in occurrences(&code, "fn") {
        let name: String = code[at + "fn".len()..].trim_start().chars().take_while(|c| is_word(*c)).collect();
        let Some(end) = item_end(&code, at, &[';', '}']).filter(|_| !name.is_empty()) else { continue };
        let (first, last) = (line_at(&code, at), line_at(&code, end));
        let count = last - first + 1;
        if count > FUNCTION_LINES_MAX {
            found.push(format!(
                "{path}:{first}: function `{name}` has {count} lines, {FUNCTION_LINES_MAX} are allowed: \
                 leave the branches, move the arithmetic into functions of its own"
            ));
        }
    }
    found
}

/// Words with a home stay there, and so does `std::fs`.
pub(crate) fn check_restricted(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let mut found = Vec::new();
    for (word, homes, reason) in RESTRICTED {
        if !homes.iter().any(|home| path.starts_with(home)) {
            found.extend(
                occurrences(&code, word)
                    .map(|at| format!("{path}:{}: `{word}`: {reason}", line_at(&code, at))),
            );
        }
    }
    if !SYSTEM_HOMES.iter().any(|home| path.starts_with(home)) {
        for (at, segments) in paths_below(&code, "std").into_iter().filter(|(_, path)| path.contains(&"fs")) {
            let (line, name) = (line_at(&code, at), segments.join("::"));
            found.push(format!("{path}:{line}: `std::{name}`: go through `crate::disk::contract::Disk`"));
        }
    }
    found
}

/// Nothing is left for later without a word to its user.
pub(crate) fn check_unfinished(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for phrase in UNFINISHED {
        found.extend(
            occurrences(text, phrase)
                .map(|at| format!("{path}:{}: `{phrase}`: finish it, or take it out", line_at(text, at))),
        );
    }
    found
}

/// The top level is short enough to be read.
pub(crate) fn check_top_level(names: &[String]) -> Vec<String> {
    let is_known =
        |name: &str| name.starts_with('.') || TOP_LEVEL.contains(&name) || TOP_LEVEL_IGNORED.contains(&name);
    names
        .iter()
        .filter(|name| !is_known(name))
        .map(|name| format!("{name}:1: doesn't belong to the top level: move it into a folder"))
        .collect()
}

/// A program that embeds the store builds few crates. `tree` is what `cargo tree --prefix none` prints.
pub(crate) fn check_crates(tree: &str) -> Vec<String> {
    // What follows name and version says where a crate comes from, or that it was printed before.
    let crates: BTreeSet<String> =
        tree.lines().skip(1).map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    if crates.len() <= CRATES_MAX {
        return Vec::new();
    }
    let names = crates.into_iter().collect::<Vec<_>>();
    vec![format!(
        "Cargo.toml:1: without default features {} crates are built, {CRATES_MAX} are allowed: do without one \
         of {}",
        names.len(),
        names.join(", ")
    )]
}

/// The place in the order of the file that a path leads into.
fn module_of(segments: &[&str], order: &[&str]) -> Option<usize> {
    let leads_into = |module: &str| {
        let module: Vec<&str> = module.split('/').collect();
        segments.starts_with(&module)
    };
    (0..order.len()).filter(|index| leads_into(order[*index])).max_by_key(|index| order[*index].len())
}

/// Whether a file has a place in the reading order.
fn is_ordered(path: &str) -> bool {
    path != "src/lib.rs"
        && !path.starts_with("src/bin/")
        && !path.ends_with("/tests.rs")
        && !CONTENTS_PAGES.contains(&path)
}
