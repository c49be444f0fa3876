//! `annals stats`: its numbers, its charts, its plots.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    sync::Arc,
};

use annals::{Clock, Cursor, EventData, EventStore, ExpectedVersion, Options, StreamId, Timestamp};
use serde_json::{Value, json};

use crate::cli::Place;

/// Twelve events of the store's times in three streams, on four days of which two have most; and a checkpoint.
fn with_days() -> Place {
    let place = Place::new();
    let mut lines = String::new();
    let days = [
        ("2025-10-01", "order-1", 2),
        ("2025-11-19", "order-2", 1),
        ("2025-11-21", "order-1", 6),
        ("2025-11-22", "cart-1", 3),
    ];
    for (day, stream, count) in days {
        for hour in 0..count {
            let time = format!("{day}T1{hour}:00:00Z");
            let line = json!({ "stream": stream, "type": format!("T{hour}"), "occurredAt": time });
            lines.extend([line.to_string(), "\n".to_owned()]);
        }
    }
    place.prints_with(&["import", "-", "--time-from", "occurredAt"], &lines);
    let store = EventStore::open(place.store()).expect("it opens");
    store.save_checkpoint("mailer", Cursor::START).expect("a checkpoint");
    store.close().expect("it closes");
    place
}

fn stats(place: &Place) -> Value {
    let mut reports = place.json(&["stats", "--format", "json"]);
    assert_eq!(reports.len(), 1, "one line");
    reports.remove(0)
}

/// The fields of an object, sorted.
fn fields(object: &Value) -> Vec<&str> {
    let mut fields: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    fields.sort_unstable();
    fields
}

#[test]
fn the_store_is_counted_without_its_own_events() {
    let report = stats(&with_days());
    let counts = ["events", "systemEvents", "streams", "systemStreams", "categories", "eventTypes", "days"];
    assert_eq!(counts.map(|name| report[name].as_u64()), [12, 1, 3, 1, 2, 6, 53].map(Some));
    assert_eq!(report["firstTime"], "2025-10-01T10:00:00.000000Z");
    assert_eq!(report["lastTime"], "2025-11-22T12:00:00.000000Z");
}

#[test]
fn days_and_growth_count_back_from_the_last_event() {
    let report = stats(&with_days());
    let days: Vec<_> = report["lastDays"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|day| (&day["day"], &day["events"]))
        .collect();
    let wanted = [("2025-11-22", 3), ("2025-11-21", 6), ("2025-11-19", 1), ("2025-10-01", 2)];
    let wanted = wanted.map(|(day, events)| (json!(day), json!(events)));
    assert_eq!(days, wanted.iter().map(|(day, events)| (day, events)).collect::<Vec<_>>());
    let growth = report["growth"].as_array().expect("a list");
    let of = |name: &str| growth.iter().map(|it| it[name].as_u64().expect("a number")).collect::<Vec<_>>();
    assert_eq!((of("daysMax"), of("days"), of("events")), (vec![7, 30], vec![7, 30], vec![10, 10]));
    let bytes = of("bytes");
    assert!(
        0 < bytes[0] && bytes[0] == bytes[1] && bytes[1] < report["sizes"]["log"].as_u64().expect("a number")
    );
}

#[test]
fn a_store_of_one_day_grew_in_one_day() {
    let place = Place::new();
    place.prints(&["append", "a", "--type", "T"]);
    let report = stats(&place);
    let growth: Vec<_> = report["growth"].as_array().expect("a list").iter().map(|it| &it["days"]).collect();
    assert_eq!((&report["days"], growth), (&json!(1), vec![&json!(1), &json!(1)]));
    let text = place.prints(&["stats"]);
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("Growth")).take(2).collect();
    assert!(lines[1].starts_with("all 1 day       1    1.0  "), "{text}");
}

#[test]
fn the_largest_streams_come_first_and_lengths_are_counted() {
    let place = with_days();
    let report = stats(&place);
    let largest = report["largestStreams"].as_array().expect("a list");
    let named: Vec<_> = largest.iter().map(|it| (it["stream"].as_str(), it["events"].as_u64())).collect();
    assert_eq!(named, [(Some("order-1"), Some(8)), (Some("cart-1"), Some(3)), (Some("order-2"), Some(1))]);
    let ranges = json!([
        {"eventsMin": 1, "eventsMax": 1, "streams": 1}, {"eventsMin": 2, "eventsMax": 3, "streams": 1},
        {"eventsMin": 4, "eventsMax": 7, "streams": 0}, {"eventsMin": 8, "eventsMax": 15, "streams": 1}
    ]);
    assert_eq!(report["streamLengths"], ranges);
    let report = place.json(&["stats", "--format", "json", "--top", "1"]).remove(0);
    assert_eq!(report["largestStreams"].as_array().map(Vec::len), Some(1));
}

#[test]
fn json_is_one_object_with_these_fields() {
    let report = stats(&with_days());
    let named = [
        "categories",
        "days",
        "eventTypes",
        "events",
        "firstTime",
        "growth",
        "largestStreams",
        "lastDays",
        "lastTime",
        "segments",
        "sizes",
        "store",
        "streamLengths",
        "streams",
        "systemEvents",
        "systemStreams",
    ];
    assert_eq!(fields(&report), named);
    let sizes = ["indexes", "log", "other", "prepared", "snapshots", "streamDirectory", "total"];
    assert_eq!(fields(&report["sizes"]), sizes);
    let segment = &report["segments"][0];
    let named =
        ["bytes", "events", "fileBytes", "firstPosition", "indexBytes", "segment", "state", "systemEvents"];
    assert_eq!(fields(segment), named);
    assert_eq!(fields(&report["growth"][0]), ["bytes", "days", "daysMax", "events"]);
    assert_eq!(fields(&report["lastDays"][0]), ["bytes", "day", "events"]);
    assert_eq!(
        (&segment["state"], &segment["events"], &segment["systemEvents"]),
        (&json!("active"), &json!(13), &json!(1))
    );
    let sum: u64 = sizes[..6].iter().map(|name| report["sizes"][name].as_u64().expect("a number")).sum();
    assert_eq!(report["sizes"]["total"], sum);
    assert_eq!(report["sizes"]["log"], segment["bytes"]);
}

#[test]
fn a_store_without_events_is_told_and_drawn() {
    let place = Place::new();
    place.prints(&["import", "-"]);
    let report = stats(&place);
    assert_eq!(
        (&report["events"], &report["firstTime"], &report["days"]),
        (&json!(0), &Value::Null, &json!(0))
    );
    assert_eq!((&report["growth"], &report["lastDays"]), (&json!([]), &json!([])));
    let text = place.prints(&["stats", "--chart", "--svg", "empty.svg"]);
    assert!(
        text.contains("\nlast event   -\n") && text.ends_with("\nThere is no event to draw.\n"),
        "{text}"
    );
    check_svg(&fs::read_to_string(place.path().join("empty.svg")).expect("it is written"), 0);
}

#[test]
fn it_counts_beside_a_program_that_writes() {
    let place = Place::new();
    let mut holder = place.hold_store();
    let report = stats(&place);
    assert_eq!((&report["events"], &report["streams"]), (&json!(1), &json!(1)));
    assert!(report["sizes"]["prepared"].as_u64() > Some(0), "the writer has prepared its segment: {report}");
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
}

#[test]
fn without_a_store_there_is_nothing_to_count() {
    let told = Place::new().fails(4, &["stats"]);
    assert!(told.contains("there is no store to read"), "{told}");
}

#[test]
fn a_chart_fits_eighty_columns_and_shows_each_event() {
    let place = with_days();
    let text = place.prints(&["stats", "--chart"]);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let (_, charts) = text.split_once("\nEvents ").expect("a chart");
    let (over_time, lengths) = charts.split_once("\nStreams by length (events, streams)\n").expect("another");
    assert!(over_time.starts_with("a day\n"), "{over_time}");
    let axis = over_time.lines().last().expect("the times below the axis");
    assert!(axis.starts_with("  2025-10-01  ") && axis.ends_with("  2025-11-22"), "{axis}");
    // A bar a day, of 53 days: those with events reach the axis.
    let lowest = over_time.lines().rev().nth(2).expect("the line on the axis");
    assert_eq!(lowest.chars().filter(|it| ('\u{2581}'..='\u{2588}').contains(it)).count(), 4, "{over_time}");
    let named: Vec<&str> = lengths.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(named, ["1", "2-3", "4-7", "8-15"]);
}

#[test]
fn events_of_one_second_are_one_bar() {
    let place = Place::new();
    let line = "{\"stream\":\"a\",\"type\":\"T\",\"occurredAt\":\"2025-11-22T10:00:00.25Z\"}\n";
    place.prints_with(&["import", "-", "--time-from", "occurredAt"], &line.repeat(5));
    let text = place.prints(&["stats", "--chart"]);
    let (_, charts) = text.split_once("\nEvents ").expect("a chart");
    assert!(charts.starts_with("a second\n5 │██████\n"), "{charts}");
    assert!(charts.contains("\n0 └───────\n  2025-11-22 10:00:00\n"), "{charts}");
}

/// A clock that shows one time.
#[derive(Debug)]
struct StandingClock(i64);

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0)
    }
}

#[test]
fn times_that_no_date_can_say_are_drawn_too() {
    let place = Place::new();
    for micros in [i64::MIN, 0, i64::MAX] {
        let options = Options::new().clock(Arc::new(StandingClock(micros)));
        let store = EventStore::open_with(place.store(), options).expect("it opens");
        let stream = StreamId::new(format!("a-{micros}")).expect("a name");
        store.append(&stream, ExpectedVersion::Any, [EventData::new("T", "{}")]).expect("it takes it");
        store.close().expect("it closes");
    }
    let text = place.prints(&["stats", "--chart", "--svg", "plots.svg"]);
    assert!(
        text.contains("\nevents       3\n") && text.contains("\nlast event   @9223372036854775807us+0m\n"),
        "{text}"
    );
    let report = stats(&place);
    assert_eq!((&report["events"], &report["days"]), (&json!(3), &json!(213_503_984)));
}

#[test]
fn a_chart_is_no_json() {
    let told = Place::new().fails(2, &["stats", "--chart", "--format", "json"]);
    assert!(told.contains("--chart draws for people"), "{told}");
}

/// It is an SVG whose tags are closed, with so many bars.
#[track_caller]
fn check_svg(svg: &str, bars: usize) {
    assert!(svg.starts_with("<svg width=\"960\" height=\"720\""), "{svg}");
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().expect("a name")),
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "all tags are closed");
    let drawn =
        svg.lines().filter(|line| line.starts_with("<rect") && line.contains("fill=\"#2B6CB0\"")).count();
    assert_eq!(drawn, bars, "{svg}");
}

#[test]
fn plots_are_written_as_svg_over_what_was_there() {
    let place = with_days();
    place.write("plots.svg", &"old".repeat(100_000));
    let text = place.prints(&["stats", "--svg", "plots.svg"]);
    let svg = fs::read_to_string(place.path().join("plots.svg")).expect("it is written");
    assert!(svg.contains("Events in 12 hours") && svg.contains("Streams by length"), "{svg}");
    // The half days that have events, and the ranges of lengths that have streams.
    check_svg(&svg, 6 + 3);
    assert_eq!(text, place.prints(&["stats"]));
    let mut names: Vec<_> =
        fs::read_dir(place.path()).expect("a listing").map(|it| it.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["annals-data", "plots.svg"], "no temporary file is left");
}

#[test]
#[cfg(unix)]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let place = with_days();
    place.write("real.svg", "old");
    let link = place.path().join("link.svg");
    std::os::unix::fs::symlink("real.svg", &link).expect("a link");
    place.prints(&["stats", "--svg", "link.svg"]);
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    check_svg(&fs::read_to_string(place.path().join("real.svg")).expect("it is written"), 9);
}

#[test]
#[cfg(unix)]
fn a_pipe_gets_the_plots_and_stays_a_pipe() {
    let place = with_days();
    let pipe = place.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let mut program =
        place.command(&["stats", "--svg", "pipe"]).stdout(Stdio::null()).spawn().expect("it runs");
    let mut svg = String::new();
    fs::File::open(&pipe).expect("a reader").read_to_string(&mut svg).expect("readable");
    assert!(program.wait().expect("it ends").success());
    check_svg(&svg, 9);
}

#[test]
fn where_plots_cant_be_written_the_path_is_told_and_nothing_is_printed() {
    let place = with_days();
    let run = place.run(&["stats", "--svg", "nowhere/plots.svg"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.starts_with("annals: can't write nowhere/plots.svg"), "{}", run.stderr);
}

#[test]
fn a_name_that_a_terminal_would_act_on_is_escaped() {
    let place = Place::new();
    place.prints(&["append", "a\u{202e}b", "--type", "T"]);
    let text = place.prints(&["stats", "--chart"]);
    assert!(text.contains("a\\u202eb") && !text.contains('\u{202e}'), "{text}");
}

#[test]
fn many_segments_are_printed_from_the_newest_back() {
    let place = Place::new();
    let options = annals::Options::new().segment_bytes(annals::SEGMENT_BYTES_MIN);
    let store = EventStore::open_with(place.store(), options).expect("a new store");
    let order = crate::support::stream("order-1");
    for _ in 0..30 {
        let event = annals::EventData::new("T", vec![0; 3_000]);
        store.append(&order, annals::ExpectedVersion::Any, [event]).expect("an append");
    }
    store.close().expect("it closes");
    let text = place.prints(&["stats"]);
    let (_, table) = text.split_once("\nSegments  ").expect("a table");
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(rows.len(), 21, "{table}");
    assert!(rows[19].starts_with("30") && rows[19].ends_with("  active"), "{table}");
    assert_eq!(rows[20], "and 10 before them, which --format json names");
    assert_eq!(stats(&place)["segments"].as_array().map(Vec::len), Some(30));
}
