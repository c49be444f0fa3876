//! `annals bench`: each workload runs, its figures are whole and plausible, and nothing is left behind.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::cli::{Place, Run, json_lines};

const WORKLOADS: [&str; 6] = ["append", "load", "read-stream", "read-all", "subscribe", "open"];

/// What makes a run short.
const SHORT: [&str; 6] = ["--duration", "20ms", "--events", "300", "--payload", "8KiB"];

/// Runs a short measurement.
fn bench(place: &Place, arguments: &[&str]) -> Run {
    let run = place.run(&[&["bench"], arguments, &SHORT].concat());
    assert_eq!(run.code, Some(0), "{arguments:?} said {}", run.stderr);
    let warnings =
        run.stderr.lines().filter(|line| line.contains("debug build") || line.contains("in memory"));
    assert_eq!(warnings.count(), run.stderr.lines().count(), "{}", run.stderr);
    run
}

/// The rows of a run, behind the line that says what it ran on.
fn rows(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let mut lines = json_lines(&bench(place, &[arguments, &["--format", "json"]].concat()).stdout);
    assert_eq!(lines.remove(0)["kind"], "run");
    assert!(lines.iter().all(|line| line["kind"] == "result"), "{lines:?}");
    lines
}

#[track_caller]
fn check_nothing_is_left(place: &Place) {
    let left: Vec<_> = fs::read_dir(place.path()).expect("readable").collect();
    assert!(left.is_empty(), "{left:?}");
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name} is a number in {row}"))
}

/// The latencies of a row, or of the disk beside it, are there and grow.
#[track_caller]
fn check_latencies(row: &Value) {
    let latencies = ["p50Micros", "p99Micros", "p999Micros", "maxMicros"].map(|name| number(row, name));
    assert!(latencies.is_sorted(), "{row}");
    // A delivery may come before its acknowledgement; anything else takes time.
    assert!(latencies[3] > 0.0 || row["operation"] == "delivery", "{row}");
    assert!(number(row, "operations") >= 1.0, "{row}");
}

/// A row's figures are there, and fit each other.
#[track_caller]
fn check_row(row: &Value) {
    check_latencies(row);
    let (events, seconds) = (number(row, "events"), number(row, "seconds"));
    assert!(events >= 1.0, "{row}");
    if row["workload"] == "open" {
        assert_eq!(row.get("eventsPerSecond"), None, "{row}");
        return;
    }
    let rate = number(row, "eventsPerSecond");
    // Seconds are printed with three digits behind the point.
    assert!(events / (seconds + 0.001) <= rate && rate <= events / (seconds - 0.001).max(1e-9), "{row}");
    let megabytes = rate * (8_192.0 + 57.0) / 1e6;
    assert!((number(row, "megabytesPerSecond") - megabytes).abs() < 0.01, "{row}");
}

#[test]
fn every_workload_prints_figures_that_fit_each_other() {
    let place = Place::new();
    let rows = rows(&place, &["--callers", "1,3", "--streams", "5"]);
    let mut seen = BTreeMap::<_, usize>::new();
    for row in &rows {
        check_row(row);
        *seen.entry(row["workload"].as_str().expect("a name")).or_default() += 1;
        let has_raw = row["workload"] == "append" && row["durability"] == "fsync";
        assert_eq!(row.get("raw").is_some(), has_raw, "{row}");
        if has_raw {
            check_latencies(&row["raw"]);
            let times = number(row, "eventsPerSecond") / number(&row["raw"], "writesPerSecond");
            assert!((number(&row["raw"], "timesRaw") - times).abs() < 0.01, "{row}");
            assert!((8_192.0 + 57.0..9_000.0).contains(&number(&row["raw"], "frameBytes")), "{row}");
        }
    }
    // Two numbers of callers, two durabilities, two batches, two paces.
    let wanted =
        [("append", 4), ("load", 8), ("open", 2), ("read-all", 2), ("read-stream", 2), ("subscribe", 4)];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), wanted);
    check_nothing_is_left(&place);
}

#[test]
fn the_table_says_what_was_measured_on_what() {
    let place = Place::new();
    let run = bench(&place, &["append", "read-all", "--callers", "2", "--batch", "3"]);
    let head: Vec<&str> = run.stdout.lines().take(8).collect();
    for (line, begin) in head.iter().zip([
        "annals     0.",
        "machine    ",
        "system     ",
        "directory  /",
        "events     8192 bytes of data",
        "rows       0.02 s each",
        "durable    Ok means that the disk",
        "buffered   Ok means that the operating system",
    ]) {
        assert!(line.starts_with(begin), "{line}\n{begin}");
    }
    assert!(head[0].contains(" build, 20"), "{}", head[0]);
    assert!(
        head[3].contains(place.path().file_name().and_then(|name| name.to_str()).expect("a name")),
        "{}",
        head[3]
    );
    for name in [
        "append: latency of an append",
        "raw disk: writes and syncs of ",
        "durable, 2 callers, 3 events an append ",
        "buffered, 2 callers, 3 events an append ",
        "read-all: latency of reading all",
        "2 threads ",
    ] {
        assert_eq!(
            run.stdout.lines().filter(|line| line.starts_with(name)).count(),
            1,
            "{name}\n{}",
            run.stdout
        );
    }
    assert_eq!(run.stdout.lines().count(), 8 + 2 + 6, "{}", run.stdout);
}

/// A row of the table has a figure for a percentile if it has operations enough for it.
#[track_caller]
fn check_percentiles(line: &str) {
    let figures = line[46..].replace(" µs", "µs").replace(" ms", "ms").replace(" s ", "s ");
    let figures: Vec<&str> = figures.split_whitespace().collect();
    let operations: u64 = figures[2].parse().expect("a count");
    assert_ne!(figures[3], "-", "{line}");
    assert_eq!(figures[4] == "-", operations < 100, "{line}");
    assert_eq!(figures[5] == "-", operations < 1_000, "{line}");
    assert_ne!(figures[6], "-", "{line}");
}

#[test]
fn the_table_has_no_percentile_of_fewer_operations_than_it_takes() {
    let place = Place::new();
    // Each opening is one operation: a few of one reading, many of one stream.
    let run = bench(&place, &["open", "read-stream", "--callers", "1", "--streams", "300"]);
    let rows: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.starts_with("after ") || line.starts_with("1 thread"))
        .collect();
    assert_eq!(rows.len(), 3, "{}", run.stdout);
    rows.into_iter().for_each(check_percentiles);
}

#[test]
fn what_is_asked_for_is_what_is_measured() {
    let place = Place::new();
    let rows = rows(
        &place,
        &["load", "append", "load", "--durability", "buffered", "--batch", "7", "--callers", "2"],
    );
    let names: Vec<_> =
        rows.iter().map(|row| (&row["workload"], &row["durability"], &row["batch"])).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for (row, workload) in rows.iter().zip(["load", "append"]) {
        assert_eq!((&row["workload"], &row["durability"]), (&workload.into(), &"buffered".into()));
        assert_eq!((&row["batch"], &row["callers"], &row["streams"]), (&7.into(), &2.into(), &2.into()));
        assert_eq!(row["events"].as_u64(), row["operations"].as_u64().map(|appends| appends * 7), "{row}");
    }
    check_nothing_is_left(&place);
}

#[test]
fn a_row_takes_no_more_of_the_disk_than_it_may() {
    let place = Place::new();
    let arguments =
        ["load", "--durability", "buffered", "--duration", "1m", "--space", "4MiB", "--format", "json"];
    let run = place.run(&[&["bench"], &arguments as &[&str]].concat());
    let rows = json_lines(&run.stdout);
    for row in &rows[1..] {
        assert!((4_000..10_000).contains(&row["events"].as_u64().expect("a count")), "{row}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::new();
    for (arguments, reason) in [
        (&["appendd"] as &[&str], "invalid value 'appendd'"),
        (&["--callers", "0"], "0 is not in 1..=1024"),
        (&["append", "--callers", "4", "--streams", "3"], "4 callers of append need 4 --streams at least"),
        (&["read-all", "--events", "10", "--streams", "11"], "10 --events can't be in 11 --streams"),
        (&["--payload", "10"], "--payload is from "),
        (&["--payload", "16MiB"], "--payload is from "),
        (&["--payload", "many"], "it is a size in bytes, such as 200, 4k, 64MiB or 1.5GB"),
        (&["append", "--batch", "60000", "--payload", "4KiB"], "give a smaller --batch"),
        (&["open", "--payload", "1MiB"], "1000000 --events of 1048576 bytes take more than 4.0 GiB"),
        (&["--duration", "0"], "it is longer than nothing"),
        (&["--duration", "25h"], "a day at most"),
        (&["--durability", "maybe"], "invalid value 'maybe'"),
        (&["--store", "annals-data"], "--directory says where"),
    ] {
        let said = place.fails(2, &[&["bench"], arguments].concat());
        assert!(said.contains(reason), "{arguments:?}\n{said}");
    }
    let said = place.fails(2, &["--store", "annals-data", "bench"]);
    assert!(said.contains("--directory says where"), "{said}");
    check_nothing_is_left(&place);
}

#[test]
fn a_place_that_cant_be_used_is_named() {
    let place = Place::new();
    let said = place.fails(1, &["bench", "--directory", "missing"]);
    assert!(said.contains("can't use the directory missing"), "{said}");
    place.write("file", "");
    let said = place.fails(1, &["bench", "--directory", "file"]);
    assert!(said.contains("can't make a directory in ") && said.contains("because: "), "{said}");
}

#[test]
fn a_store_that_is_there_is_never_touched() {
    let place = Place::new();
    place.prints(&["append", "order-1", "--type", "T"]);
    let before = place.prints(&["export"]);
    for inside in ["annals-data", "annals-data/segments"] {
        let said = place.fails(1, &["bench", "--directory", inside]);
        assert!(said.contains("annals-data is a store"), "{said}");
    }
    let said = place.fails(1, &["bench", "--abandon", "annals-data", "--events", "1", "--streams", "1"]);
    assert!(said.contains("--abandon is for annals bench itself"), "{said}");
    bench(&place, &["append", "--durability", "fsync", "--callers", "1"]);
    assert_eq!(fs::read_dir(place.path()).expect("readable").count(), 1);
    assert_eq!(place.prints(&["export"]), before);
    let files = fs::read_dir(place.store().join("segments")).expect("readable");
    assert!(files.count() <= 2, "the store's own files alone");
}

/// Starts a measurement that would go on for long, and waits until it has begun.
fn start_long(place: &Place, arguments: &[&str]) -> (Child, impl BufRead) {
    let arguments = [&["bench", "--duration", "1h", "--format", "json"], arguments].concat();
    let mut child = place.command(&arguments).spawn().expect("the program runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("standard output"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("readable");
    assert!(line.starts_with("{\"kind\":\"run\""), "{line}");
    assert_eq!(fs::read_dir(place.path()).expect("readable").count(), 1, "its directory is there");
    (child, stdout)
}

#[test]
fn ctrl_c_ends_it_and_removes_what_it_made() {
    for (arguments, signal) in [
        (&["append", "--durability", "buffered"] as &[&str], "INT"),
        (&["load", "--durability", "fsync"], "TERM"),
        (&["subscribe"], "INT"),
        (&["read-stream", "read-all", "--events", "100000"], "INT"),
    ] {
        let place = Place::new();
        let (child, stdout) = start_long(&place, arguments);
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().expect("kill runs").success());
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{arguments:?} said {said}");
        assert!(said.contains("annals: interrupted: "), "{arguments:?} said {said}");
        assert_eq!(stdout.lines().count(), 0, "no row was whole");
        check_nothing_is_left(&place);
    }
}

#[test]
fn a_reader_who_goes_away_ends_it_without_a_word() {
    let place = Place::new();
    let arguments = [&["bench", "subscribe", "--format", "json"] as &[&str], &SHORT].concat();
    let mut child = place.command(&arguments).stdout(Stdio::piped()).spawn().expect("the program runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    check_nothing_is_left(&place);
}

#[test]
fn a_disk_that_takes_no_more_is_an_error_and_nothing_is_left() {
    let place = Place::new();
    // A limit on the size of files stands for the full disk: no file grows beyond a megabyte.
    let script = format!("trap '' XFSZ; ulimit -f 1024; exec '{}' bench load", env!("CARGO_BIN_EXE_annals"));
    let output =
        Command::new("sh").args(["-c", &script]).current_dir(place.path()).output().expect("sh runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("annals: can't measure load\n  because: "), "{said}");
    assert!(said.contains("File too large"), "{said}");
    check_nothing_is_left(&place);
}

#[test]
fn the_help_names_every_workload() {
    let help = Place::new().prints(&["help", "bench"]);
    for workload in WORKLOADS {
        assert!(help.contains(&format!("- {workload}:")), "{workload}\n{help}");
    }
    assert!(!help.contains("--abandon"), "{help}");
}
