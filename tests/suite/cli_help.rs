//! What the program explains: help, its examples, which all do what they say, and what is said to who mistypes.

use std::{
    fs,
    process::{Child, Command},
};

use annals::{EventStore, OnError, Projection, Runner, SavedCursor, StoredEvent};

use crate::{
    cli::Place,
    shell::{is_installed, put_program, run_shell, shell},
    support::Outcome,
};

/// How many events are stored at most for one that follows.
const FOLLOWED_MAX: usize = 1_000;

const COMMANDS: [&str; 22] = [
    "append",
    "read",
    "tail",
    "streams",
    "categories",
    "types",
    "info",
    "stats",
    "checkpoints",
    "projections",
    "snapshot",
    "import",
    "export",
    "verify",
    "backup",
    "restore",
    "repair",
    "bench",
    "selftest",
    "help",
    "completions",
    "man",
];

const BELOW: [&str; 10] = [
    "types list",
    "types register",
    "types show",
    "checkpoints list",
    "checkpoints delete",
    "projections list",
    "projections skipped",
    "snapshot list",
    "snapshot show",
    "snapshot delete",
];

const TOPICS: [&str; 11] = [
    "start",
    "stores",
    "versions",
    "ids",
    "durability",
    "queries",
    "times",
    "consumers",
    "json",
    "exit-codes",
    "environment",
];

/// The texts whose examples begin with a store's first event.
const BEGINNINGS: [&str; 6] = ["append", "start", "versions", "ids", "durability", "stores"];

const ORDERS: &str = r#"{"stream":"order-17","type":"OrderPlaced","id":"order-17-placed","data":{"total":1200}}
{"stream":"order-17","type":"OrderPaid","id":"order-17-paid","metadata":{"correlationId":"c-9"}}
{"stream":"order-18","type":"OrderPlaced","id":"order-18-placed","data":{"total":250}}
"#;

const ITEMS: &str = "{\"type\":\"ItemAdded\",\"data\":{\"sku\":\"mug\"}}\n{\"type\":\"ItemAdded\"}\n";

/// Takes no event.
struct Mails;

impl Projection for Mails {
    type Error = std::io::Error;

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

    fn handle(&mut self, _event: &StoredEvent) -> Result<(), std::io::Error> {
        Err(std::io::Error::other("no such address"))
    }

    fn reset(&mut self) -> Result<(), std::io::Error> {
        Ok(())
    }
}

/// The lines of a text that are commands.
fn examples(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    let is_command = |line: &&str| {
        let mut words = line.split(' ').skip_while(|word| word.contains('='));
        words.next() == Some("annals") || line.contains("| annals ")
    };
    lines.filter(is_command).map(str::to_owned).collect()
}

/// A directory with what the examples of a text speak of.
fn place_for(name: &str) -> Result<Place, Box<dyn std::error::Error>> {
    let place = Place::new();
    fs::create_dir(place.path().join("mnt"))?;
    put_program(&place, "mailer", "exec cat")?;
    if !is_installed("jq") {
        put_program(&place, "jq", "exec cat")?;
    }
    place.write("events.ndjson", ORDERS);
    place.write("items.ndjson", ITEMS);
    place.write("paid.json", "{\"cents\":1200}");
    place.write("order-placed.json", "{\"type\":\"object\"}");
    fs::copy("docs/cli.in/order-placed-2.json", place.path().join("order-placed-2.json"))?;
    run_shell(&place, "gzip --keep events.ndjson")?;
    if name.starts_with("snapshot") {
        let copied =
            Command::new("cp").args(["-r", "docs/cli.in/bank.annals"]).arg(place.store()).status()?;
        assert!(copied.success());
    } else if !BEGINNINGS.contains(&name) {
        fill(&place)?;
        if name != "types register" {
            place.prints(&["types", "register", "OrderPlaced", "--category", "order"]);
        }
    }
    Ok(place)
}

/// A store with events, checkpoints, a projection that left something out, and a backup.
fn fill(place: &Place) -> Outcome {
    place.prints(&["import", "events.ndjson"]);
    for checkpoint in ["mailer", "reports-1"] {
        place.prints(&["tail", "--limit", "1", "--checkpoint", checkpoint]);
    }
    let store = EventStore::open(place.store())?;
    Runner::new(&store, "mails")?.on_error(OnError::Skip).run_to_end(&mut Mails)?;
    store.close()?;
    for backup in ["mnt/shop", "saved"] {
        place.prints(&["backup", backup]);
    }
    Ok(())
}

/// An example as it is run: with the directory of backups below that of the test.
fn adapted(place: &Place, example: &str) -> String {
    let backups = place.path().join("mnt");
    // The backup of the test isn't as long as that.
    example
        .replace("/mnt/backups", &backups.to_string_lossy())
        .replace("--to-position 4210", "--to-position 2")
}

/// Runs what would go on for ever until it has seen an event, of which there is one after the other. It may begin late, and has to see one
/// of so many that are stored while it runs.
fn follow(place: &Place, example: &str) -> Outcome {
    let limited = example.replacen("--follow", "--follow --limit 1", 1);
    let mut child: Child = shell(place, &limited)?.spawn()?;
    for _ in 0..FOLLOWED_MAX {
        if let Some(status) = child.try_wait()? {
            assert!(status.success(), "{limited}");
            return Ok(());
        }
        place.prints(&["append", "order-17", "--type", "OrderPaid"]);
    }
    child.kill()?;
    child.wait()?;
    panic!("{limited} has seen none of {FOLLOWED_MAX} events");
}

/// Runs the examples of one text, one after the other.
fn run_examples(name: &str, text: &str) -> Outcome {
    let place = place_for(name)?;
    for example in examples(text) {
        // These take minutes: that they make sense is tested beside their definitions.
        if example.starts_with("annals bench") || example.starts_with("annals selftest") {
            continue;
        }
        // Only fish and PowerShell understand these.
        if example.ends_with("| source") || example.ends_with("| Invoke-Expression") {
            continue;
        }
        let example = adapted(&place, &example);
        if example.contains("--follow") { follow(&place, &example)? } else { run_shell(&place, &example)? }
    }
    Ok(())
}

#[test]
fn every_example_of_a_commands_help_runs() -> Outcome {
    let place = Place::new();
    for name in COMMANDS.into_iter().chain(BELOW) {
        let words = name.split(' ').chain(["--help"]).collect::<Vec<_>>();
        let help = place.prints(&words);
        let (_, text) = help.split_once("\nExamples:\n").ok_or("help has examples")?;
        assert!(!examples(text).is_empty(), "{name}");
        run_examples(name, text)?;
    }
    Ok(())
}

#[test]
fn every_example_of_a_topic_runs() -> Outcome {
    let place = Place::new();
    for name in TOPICS {
        run_examples(name, &place.prints(&["help", name]))?;
    }
    Ok(())
}

#[test]
fn help_lists_the_commands_in_groups_and_the_topics() {
    let place = Place::new();
    let help = place.prints(&["help"]);
    assert_eq!(place.prints(&["--help"]), help);
    let listed: Vec<&str> =
        help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    for name in COMMANDS.into_iter().chain(TOPICS) {
        assert_eq!(listed.iter().filter(|listed| **listed == name).count(), 1, "{name}\n{help}");
    }
    assert!(help.contains("\nEvents:\n  append  ") && help.contains("\nCare:\n  verify  "), "{help}");
    // The short one has the commands too, and says where there is more.
    let short = place.prints(&["-h"]);
    assert!(short.contains("\nEvents:\n  append  ") && short.contains("annals help start"), "{short}");
    assert!(short.lines().count() <= 50, "{short}");
}

#[test]
fn help_of_a_command_is_the_commands_own() {
    let place = Place::new();
    assert_eq!(place.prints(&["help", "types", "register"]), place.prints(&["types", "register", "--help"]));
    assert!(place.prints(&["read", "--help"]).ends_with('\n'));
    // What every command has stands behind what is the command's own.
    let help = place.prints(&["help", "read"]);
    let own = help.find("--as-of").expect("an option");
    let shared = help.find("\nOptions of every command:\n").expect("a heading");
    assert!(own < shared && shared < help.find("--store").expect("an option"), "{help}");
}

#[test]
fn who_asks_for_nothing_is_told_how_to_begin() {
    let place = Place::new();
    for arguments in [&[] as &[&str], &["--store", "shop.annals"]] {
        let said = place.fails(2, arguments);
        assert!(said.contains("Begin with:\n  annals append order-17"), "{said}");
        assert!(said.contains("annals help") && said.lines().count() < 12, "{said}");
    }
    assert!(place.fails(2, &["snapshot"]).contains("Commands:\n  list"));
}

#[test]
fn who_mistypes_is_told_what_there_is() {
    let place = Place::new();
    for (arguments, tip) in [
        (&["raed"] as &[&str], "'read'"),
        (&["types", "shw"], "a similar subcommand exists: 'show'"),
        (&["read", "--al"], "a similar argument exists: '--all'"),
        (&["read", "--all", "--format", "jsn"], "a similar value exists: 'json'"),
        (&["help", "durabilty"], "a similar value exists: 'durability'"),
        (&["help", "apend"], "a similar value exists: 'append'"),
        (&["help", "types", "shw"], "a similar subcommand exists: 'show'"),
        (&["durability"], "\"annals help durability\" explains that"),
        (&["help", "times", "read"], "times is a topic, not a command"),
    ] {
        let said = place.fails(2, arguments);
        assert!(said.contains(tip), "{arguments:?}: {said}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_command_and_topic() -> Outcome {
    let place = Place::new();
    assert_eq!(place.prints(&["man", "manual"]), format!("{PAGES} pages written into manual\n"));
    let commands = COMMANDS.iter().chain(&BELOW).map(|name| (1, name.replace(' ', "-")));
    let topics = TOPICS.iter().map(|name| (7, (*name).to_owned()));
    for (section, name) in commands.chain(topics) {
        let path = place.path().join(format!("manual/man{section}/annals-{name}.{section}"));
        let page = fs::read_to_string(&path)?;
        let title = format!(".TH annals-{name} {section} \"version ");
        assert!(page.contains(&title), "{title}\n{page}");
        let wanted: &[&str] =
            if section == 1 { &["SYNOPSIS", "OPTIONS", "EXAMPLES"] } else { &["DESCRIPTION"] };
        for heading in ["NAME", "SEE ALSO"].iter().chain(wanted) {
            assert!(has_section(&page, heading), "{name}: {heading}\n{page}");
        }
    }
    let page = fs::read_to_string(place.path().join("manual/man1/annals.1"))?;
    for heading in ["COMMANDS", "ENVIRONMENT", "EXIT STATUS", "OPTIONS OF EVERY COMMAND"] {
        assert!(has_section(&page, heading), "{heading}\n{page}");
    }
    // Where it is written again, nothing is left of what was there.
    place.write("manual/man1/annals-read.1", &"old\n".repeat(10_000));
    place.prints(&["man", "manual"]);
    assert!(!fs::read_to_string(place.path().join("manual/man1/annals-read.1"))?.contains("old\n"));
    place.write("file", "");
    let said = place.fails(1, &["man", "file"]);
    assert!(said.contains("can't write file/man1/annals.1; name a directory"), "{said}");
    Ok(())
}

/// The program's own page, and one for each name above.
const PAGES: usize = 1 + COMMANDS.len() + BELOW.len() + TOPICS.len();

fn has_section(page: &str, heading: &str) -> bool {
    let quoted = format!(".SH \"{heading}\"");
    page.lines().any(|line| line == quoted || line == format!(".SH {heading}"))
}

/// Where groff is, it is asked; elsewhere the test above has looked at the pages' parts.
#[test]
fn groff_finds_nothing_wrong_with_the_manual() -> Outcome {
    let place = Place::new();
    place.prints(&["man", "manual"]);
    for section in ["man1", "man7"] {
        for page in fs::read_dir(place.path().join("manual").join(section))? {
            let path = page?.path();
            let checked = Command::new("groff").args(["-man", "-ww", "-z", "-Kutf8"]).arg(&path).output();
            let Ok(checked) = checked else { return Ok(()) };
            let said = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert!(checked.status.success() && said.is_empty(), "{}: {said}", path.display());
        }
    }
    Ok(())
}
