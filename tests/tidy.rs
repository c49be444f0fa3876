//! The house's rules, as tests.
//!
//! A rule is a function over text that returns what breaks it, as `path:line: what to do`. It has two tests:
//! one shows on a small bad sample that the rule finds something, the other holds the repository to it.
//!
//! ```text
//! tidy       the reading order, and the repository held to the rules
//! rules      the rules, and their limits
//! code       how the rules read code
//! samples    what each rule must find
//! ```

use std::{env, fs, path::Path, process::Command};

use crate::rules::{
    CONTENTS_PAGES, check_contents, check_crates, check_file_length, check_floors, check_function_lengths,
    check_imports, check_printed_floors, check_restricted, check_top_level, check_unfinished,
};

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/samples.rs"]
mod samples;

/// The reading order. A file imports only from files that stand before it here. To add a file, write its path
/// below src, without `.rs`, at its place, and the same into docs/architecture.md; a floor is a line.
const FLOORS: &[(&str, &[&str])] = &[
    (
        "Vocabulary",
        &[
            "trace",
            "sync",
            "invalid",
            "stream",
            "group",
            "position",
            "cursor",
            "time",
            "metadata",
            "event_id",
            "event",
            "event_content",
            "snapshot",
            "schema_violation",
            "backup_error",
            "error",
            "error_message",
            "checkpoint",
            "upcast_steps",
            "upcast_parts",
            "upcast",
            "naming",
            "compatibility",
            "schema_keywords",
            "schema_compatibility",
            "event_type_definition",
            "schema_shape",
            "schema",
            "options",
        ],
    ),
    (
        "Disk",
        &[
            "disk/contract",
            "disk/shared_futex",
            "disk/os_lock",
            "disk/os",
            "disk/process",
            "disk/sim/random",
            "disk/sim/survival",
            "disk/sim/faults",
            "disk/sim/content",
            "disk/sim/directory",
            "disk/sim/state",
            "disk/sim/operations",
            "disk/sim/simulated",
        ],
    ),
    (
        "Format",
        &[
            "format/layout",
            "format/frame",
            "format/control_frame",
            "format/record",
            "format/segment_header",
            "format/binary",
            "format/control",
            "format/snapshot",
            "format/manifest",
            "format/head_page",
            "format/paged",
            "format/paged_file",
        ],
    ),
    (
        "Log",
        &[
            "log/window",
            "log/view",
            "log/segment",
            "log/fetch",
            "log/verdict",
            "log/scan",
            "log/mark",
            "log/head",
            "log/followed_head",
            "log/quarantine",
            "log/creation",
            "log/hand_over",
            "log/visiting",
            "log/recovery",
            "log/segmented_log",
        ],
    ),
    (
        "Index",
        &[
            "index/key",
            "index/part",
            "index/column",
            "index/names",
            "index/memory",
            "index/lookup",
            "index/chain_end",
            "index/sealed_layout",
            "index/sealed_names",
            "index/sealed_writer",
            "index/sealed",
            "index/directory",
            "index/files",
            "index/read_progress",
            "index/scanning",
            "index/sealed_parts",
            "index/folding",
            "index/settled",
            "index/loading",
            "writer/futex",
            "writer/bell",
            "listeners",
            "committed",
            "indexing",
        ],
    ),
    (
        "Engines",
        &[
            "writer/request",
            "writer/plan",
            "writer/answer",
            "writer/core",
            "background",
            "writer/thread",
            "selection",
            "query",
            "records",
            "upcasting",
            "events",
            "stream_list",
            "catalog",
            "news",
            "snapshot_file",
            "snapshots",
            "storage",
            "log_extent",
            "stream_lengths",
            "subscription",
            "delivery_stream",
            "reader",
            "statistics",
            "event_types",
            "companions",
            "appender",
            "interface",
        ],
    ),
    (
        "Store",
        &[
            "opening",
            "chase",
            "following",
            "follower",
            "store",
            "inspect/report",
            "inspect/report_json",
            "inspect/losses",
            "inspect/tolerant_file",
            "inspect/ordering",
            "inspect/allowance",
            "inspect/newer",
            "inspect/search",
            "inspect/salvage",
            "inspect/walk",
            "inspect/stream_table",
            "inspect/marks",
            "inspect/index_check",
            "inspect/survey",
            "inspect/damaged_segment",
            "inspect/census",
            "inspect/gaps",
            "inspect/lookup",
            "inspect/cache_check",
            "inspect/inspection",
            "inspect/verify",
            "backup/transfer",
            "backup/source",
            "backup/destination",
            "backup/history",
            "backup/making",
            "backup/cut",
            "backup/placing",
            "backup/restoring",
            "repair/options",
            "repair/event_line",
            "repair/progress",
            "repair/overlay",
            "repair/mending",
            "repair/backup_run",
            "repair/restored",
            "repair/judge",
            "repair/planned_end",
            "repair/merged_segment",
            "repair/merged",
            "repair/plan",
            "repair/planned_disk",
            "repair/rehearsal",
            "repair/report",
            "repair/keeping",
            "repair/surgery",
            "repair/repair_event",
            "repair/run",
            "simulation/failure",
            "simulation/history",
            "simulation/answers",
            "simulation/session",
            "simulation/watcher",
            "simulation/scenario",
            "simulation/loops",
            "simulation/moments",
            "simulation/errors",
            "simulation/reference",
            "simulation/surgery",
        ],
    ),
    (
        "Typed",
        &[
            "typed/element_limit",
            "typed/codec",
            "typed/tagged_encoding",
            "typed/tagged_content",
            "typed/tagged_decoding",
            "typed/coded_event",
            "typed/correction",
            "typed/context",
            "typed/context_layer",
            "typed/power_cuts",
            "typed/snapshot_policy",
            "typed/retry",
            "typed/aggregate",
            "typed/event_codec",
            "typed/state_codec",
            "typed/loaded",
            "typed/repository",
            "typed/saving",
            "typed/execute",
            "typed/given",
            "typed/on_error",
            "typed/run_error",
            "typed/projection",
            "typed/work",
            "typed/process_manager",
            "typed/notes",
            "typed/control",
            "typed/settings",
            "typed/batch",
            "typed/skips",
            "typed/session",
            "typed/failing",
            "typed/finishing",
            "typed/running",
            "typed/runner",
        ],
    ),
];

#[test]
fn imports_point_upwards() {
    hold(&code_files(&["src"]), |path, text| check_imports(path, text, &order()));
}

#[test]
fn every_file_has_its_place_in_the_order() {
    let paths: Vec<String> = code_files(&["src"]).into_iter().map(|(path, _)| path).collect();
    report(&check_floors(&order(), &paths));
}

#[test]
fn the_architecture_prints_the_floors() {
    let path = "docs/architecture.md";
    report(&check_printed_floors(path, &read(path), FLOORS));
}

#[test]
fn contents_pages_hold_no_code() {
    let mut files = code_files(&["src"]);
    files.retain(|(path, _)| CONTENTS_PAGES.contains(&path.as_str()));
    hold(&files, check_contents);
}

#[test]
fn files_have_up_to_500_lines() {
    hold(&code_files(&["src", "tests", "benches"]), check_file_length);
}

#[test]
fn functions_have_up_to_60_lines() {
    hold(&code_files(&["src", "tests", "benches"]), check_function_lengths);
}

#[test]
fn restricted_words_stay_at_home() {
    hold(&code_files(&["src", "tests", "benches"]), check_restricted);
}

#[test]
fn nothing_is_unfinished() {
    let mut files = files_below(&["src", "tests", "benches", "docs"], &["rs", "md", "toml", "trycmd"]);
    files.extend(root().join("README.md").exists().then(|| ("README.md".to_owned(), read("README.md"))));
    hold(&files, check_unfinished);
}

#[test]
fn the_top_level_is_short() {
    let names: Vec<String> = entries(root()).iter().map(name_of).collect();
    assert!(
        names.contains(&"Cargo.toml".to_owned()),
        "the repository isn't where it was when this was built"
    );
    report(&check_top_level(&names));
}

#[test]
fn an_embedded_store_has_few_crates() {
    let cargo = env::var_os("CARGO").expect("cargo, which runs the tests, says where it is");
    let output = Command::new(cargo)
        .args(["tree", "--no-default-features", "-e", "normal", "--prefix", "none", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("names of crates are UTF-8");
    assert!(tree.starts_with("annals v"), "cargo tree should begin with the store itself:\n{tree}");
    report(&check_crates(&tree));
}

fn order() -> Vec<&'static str> {
    FLOORS.iter().flat_map(|(_, files)| *files).copied().collect()
}

/// Holds each file to a rule.
#[track_caller]
fn hold(files: &[(String, String)], rule: impl Fn(&str, &str) -> Vec<String>) {
    assert!(!files.is_empty(), "a rule that looks at no file says nothing");
    let found: Vec<String> = files.iter().flat_map(|(path, text)| rule(path, text)).collect();
    report(&found);
}

#[track_caller]
fn report(found: &[String]) {
    assert!(found.is_empty(), "{} to mend:\n{}", found.len(), found.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn code_files(folders: &[&str]) -> Vec<(String, String)> {
    files_below(folders, &["rs"])
}

/// The files with one of these extensions: path from the root, and text.
fn files_below(folders: &[&str], extensions: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut waiting: Vec<String> = folders.iter().map(|folder| (*folder).to_owned()).collect();
    while let Some(path) = waiting.pop() {
        let full = root().join(&path);
        if full.is_dir() && is_built(&full) {
            continue;
        }
        if full.is_dir() {
            waiting.extend(entries(&full).iter().map(|entry| format!("{path}/{}", name_of(entry))));
        } else if full.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted)) {
            files.push((path.clone(), read(&path)));
        }
    }
    files.sort();
    files
}

/// Whether a folder is what cargo built of a package: it lies beside the package's manifest.
fn is_built(folder: &Path) -> bool {
    folder.ends_with("target") && folder.with_file_name("Cargo.toml").exists()
}

fn entries(folder: &Path) -> Vec<fs::DirEntry> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect);
    entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

fn name_of(entry: &fs::DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}
