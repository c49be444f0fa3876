//! The documents' commands for a shell, where other programs stand beside `annals`: each is run as it stands. What needs a
//! server gets a program of its name that looks at what it is asked, and prints what the server would.

use std::{
    fs,
    io::{self, Write},
};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    cli::{Place, history, json_lines},
    shell::{is_installed, put_program, run_shell},
    support::Outcome,
};

/// The block for a shell of a document that has this in it.
fn block_with(document: &str, part: &str) -> Result<String, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(format!("docs/{document}.md"))?;
    let mut blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains(part)).ok_or("no such block for a shell")?;
    Ok(block.to_owned())
}

/// The lines that the guide imports.
fn lines(name: &str) -> Result<String, io::Error> {
    fs::read_to_string(format!("docs/guide.in/{name}.ndjson"))
}

/// Puts a program in place that prints a text if all of this is among its arguments.
fn put_answer(place: &Place, program: &str, asked: &[&str], answer: &str) -> Outcome {
    place.write("answer", answer);
    let is_asked = |part: &&str| format!("case \"$*\" in *'{part}'*) ;; *) exit 1;; esac\n");
    let asked: String = asked.iter().map(is_asked).collect();
    put_program(place, program, &format!("{asked}exec cat answer"))
}

/// Whether a program that the documents name is here. Without it its commands can't be run.
fn has(program: &str) -> io::Result<bool> {
    let is_here = is_installed(program);
    if !is_here {
        writeln!(io::stderr(), "a command of the documents: skipped, it needs {program}")?;
    }
    Ok(is_here)
}

/// What a command of the guide leaves in the file that the guide then imports is what is imported.
fn check_lines(place: &Place, name: &str, command: &str) -> Outcome {
    run_shell(place, command)?;
    let made = fs::read_to_string(place.path().join(format!("{name}.ndjson")))?;
    assert_eq!(json_lines(&made), json_lines(&lines(name)?));
    Ok(())
}

#[test]
fn pages_of_kurrentdb_become_the_lines_that_the_guide_imports() -> Outcome {
    if !has("jq")? {
        return Ok(());
    }
    let newest_first: Vec<Value> = json_lines(&lines("kurrentdb")?).into_iter().rev().collect();
    let page = json!({ "title": "Event stream 'order-17'", "links": [], "entries": newest_first });
    let place = Place::new();
    let asked = ["application/vnd.eventstore.atom+json", "/streams/order-17/0/forward/100?embed=body"];
    put_answer(&place, "curl", &asked, &page.to_string())?;
    check_lines(&place, "kurrentdb", &block_with("guide", "localhost:2113")?)
}

#[test]
fn events_of_eventsourcingdb_become_the_lines_that_the_guide_imports() -> Outcome {
    if !has("jq")? {
        return Ok(());
    }
    let others = "{\"type\":\"heartbeat\",\"payload\":{}}\n";
    let answer = format!("{others}{}{others}", lines("eventsourcingdb")?);
    let place = Place::new();
    let asked = ["-X POST", r#"{"subject":"/","options":{"recursive":true}}"#, "/api/v1/read-events"];
    put_answer(&place, "curl", &asked, &answer)?;
    check_lines(&place, "eventsourcingdb", &block_with("guide", "localhost:3000")?)
}

#[test]
fn rows_of_postgresql_become_the_lines_that_the_guide_imports() -> Outcome {
    let place = Place::new();
    put_answer(&place, "psql", &["-At", "select row_to_json(e) from events e"], &lines("postgresql")?)?;
    check_lines(&place, "postgresql", &block_with("guide", "psql ")?)
}

#[test]
fn rows_of_sqlite_become_the_lines_that_the_guide_imports() -> Outcome {
    if !has("sqlite3")? {
        return Ok(());
    }
    let place = Place::new();
    let database = Connection::open(place.path().join("shop.db"))?;
    database.execute_batch("CREATE TABLE events (id INTEGER PRIMARY KEY, stream, type, data, created_at)")?;
    for row in json_lines(&lines("sqlite")?) {
        let texts = ["stream", "type", "data", "created_at"].map(|name| row[name].as_str());
        let insert = "INSERT INTO events (stream, type, data, created_at) VALUES (?1, ?2, ?3, ?4)";
        database.execute(insert, texts)?;
    }
    drop(database);
    check_lines(&place, "sqlite", &block_with("guide", "sqlite3 ")?)
}

#[test]
fn operators_see_how_a_store_grows_by_the_commands_of_their_document() -> Outcome {
    if !has("jq")? {
        return Ok(());
    }
    let place = Place::new();
    place.prints_with(&["import", "-"], &history());
    run_shell(&place, &block_with("operations", "annals stats")?)?;
    assert!(place.path().join("stats.svg").is_file());
    Ok(())
}
