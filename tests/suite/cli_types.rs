//! `types`: listing, registering, showing, and what appends say of what is registered.

use serde_json::{Value, json};

use crate::cli::Place;

const SCHEMA: &str = r#"{"type":"object","properties":{"total":{"type":"number"}}}"#;

#[test]
fn types_are_registered_shown_and_listed__D05() {
    let place = Place::new();
    let register = ["types", "register", "OrderPlaced", "--category", "order", "--schema", SCHEMA];
    assert_eq!(place.prints(&register), "OrderPlaced: schema version 1 registered\n");
    assert_eq!(place.prints(&register), "OrderPlaced: schema version 1 was registered so already\n");
    place.prints(&["append", "order-1", "--type", "OrderPlaced"]);
    place.prints(&["append", "order-1", "--type", "Noted"]);
    for list in [&["types"] as &[&str], &["types", "list"]] {
        let text = place.prints(list);
        assert_eq!(text, "Noted        1\nOrderPlaced  1  schema version 1, off\n");
        let json = place.json(&[list, &["--format", "json"]].concat());
        assert_eq!(json[0], json!({ "type": "Noted", "events": 1 }));
        assert_eq!(
            json[1],
            json!({
                "type": "OrderPlaced", "events": 1, "schemaVersion": 1, "category": "order", "validation": "off"
            })
        );
    }
    let shown = place.json(&["types", "show", "OrderPlaced", "--format", "json"]);
    let mut expected = json!({
        "type": "OrderPlaced", "schemaVersion": 1, "category": "order", "validation": "off",
        "schema": serde_json::from_str::<Value>(SCHEMA).expect("JSON"),
    });
    for time in ["created", "registered", "updated"] {
        expected[time] = shown[0]["created"].clone();
    }
    assert_eq!(shown, [expected]);
    let text = place.prints(&["types", "show", "OrderPlaced"]);
    assert!(text.contains("\n  category     order\n") && text.contains("\"total\""), "{text}");
}

#[test]
fn what_is_not_said_stays_as_it_is_registered__D05() {
    let place = Place::new();
    place.prints(&["types", "register", "OrderPlaced", "--schema", SCHEMA, "--description", "Wanted."]);
    // Built without the feature `schema`, the program also says that it can't check data.
    let changed = place.run(&["types", "register", "OrderPlaced", "--validation", "warn"]);
    assert_eq!(changed.stdout, "OrderPlaced: schema version 1 changed\n");
    let second = ["types", "register", "OrderPlaced", "--schema-version", "2", "--category", "order"];
    let run = place.run(&[&second[..], &["--format", "json"]].concat());
    assert!(run.stderr.starts_with("annals: warning: schema version 2 has no schema"), "{}", run.stderr);
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&json["outcome"], &json["schemaVersion"]), (&json!("newVersion"), &json!(2)));
    let shown = place.json(&["types", "show", "OrderPlaced", "--format", "json"]);
    assert_eq!((&shown[0]["validation"], &shown[1]["validation"]), (&json!("warn"), &json!("warn")));
    assert_eq!(shown[1]["description"], "Wanted.");
    assert_eq!((shown[0].get("category"), &shown[1]["category"]), (None, &json!("order")));
    assert_eq!((shown[1].get("schema"), &shown[1]["compatibility"]["backward"]), (None, &json!("notJudged")));
    place.prints(&["types", "register", "OrderPlaced", "--description", ""]);
    // Where a version has a schema, or nobody looks, no lack of one is told.
    let third = place.run(&["types", "register", "OrderPlaced", "--schema-version", "3", "--schema", SCHEMA]);
    assert!(!third.stderr.contains("has no schema"), "{}", third.stderr);
    place.prints(&["types", "register", "OrderPlaced", "--schema-version", "4", "--validation", "off"]);
    assert_eq!(place.json(&["types", "show", "OrderPlaced", "--format", "json"])[1].get("description"), None);
}

#[test]
fn a_new_version_says_whom_it_breaks__X28() {
    let place = Place::new();
    place.write("first.json", SCHEMA);
    let second = r#"{"type":"object","properties":{"total":{"type":"integer"}},"required":["total"]}"#;
    place.prints(&["types", "register", "OrderPlaced", "--schema", "@first.json"]);
    let register = ["types", "register", "OrderPlaced", "--schema-version", "2", "--schema", "-"];
    let text = place.prints_with(&register, second);
    assert_eq!(
        text,
        "OrderPlaced: schema version 2 registered\n\
         new readers, old data: breaking; old readers, new data: compatible\n  \
           backward breaks at /required: the new schema requires the property \"total\"\n  \
           backward breaks at /properties/total/type: the new schema doesn't allow number with a fraction\n"
    );
    let shown = place.prints(&["types", "show", "OrderPlaced"]);
    assert!(
        shown.contains("\n  new readers, old data: breaking; old readers, new data: compatible\n"),
        "{shown}"
    );
    let json = place.json(&["types", "show", "OrderPlaced", "--format", "json"]);
    assert_eq!(
        json[1]["compatibility"]["findings"][0],
        json!({
            "direction": "backward", "judgement": "breaks", "pointer": "/required",
            "reason": "the new schema requires the property \"total\""
        })
    );
}

#[test]
fn a_hint_about_the_name_is_no_failure__D02() {
    let place = Place::new();
    let run = place.run(&["types", "register", "CreateOrder"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "CreateOrder: schema version 1 registered\n"));
    assert_eq!(
        run.stderr,
        "annals: hint: the event type \"CreateOrder\" could be named better: it is a command: say what has happened, \
         as OrderPlaced for PlaceOrder\n"
    );
    // It was said once.
    place.prints(&["types", "register", "CreateOrder", "--validation", "warn"]);
}

#[test]
fn appends_warn_or_refuse_as_a_type_is_registered__X28() {
    let place = Place::new();
    place.prints(&["types", "register", "OrderPaid", "--category", "order", "--validation", "warn"]);
    let run = place.run(&["append", "cart-1", "--type", "OrderPaid"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "cart-1: version 1, position 2\n"));
    assert!(
        run.stderr.starts_with("annals: warning: event OrderPaid (schema version 1, number 1"),
        "{}",
        run.stderr
    );
    let lines =
        "{\"stream\":\"cart-2\",\"type\":\"OrderPaid\"}\n{\"stream\":\"cart-3\",\"type\":\"Noted\"}\n";
    let run = place.run_with(&["import", "-"], lines);
    assert_eq!((run.code, run.stderr.lines().count()), (Some(0), 1), "{}", run.stderr);
    // It is there already.
    assert!(place.prints_with(&["import", "-"], lines).starts_with("imported 0 events"));

    place.prints(&["types", "register", "OrderPaid", "--validation", "enforce"]);
    let said = place.fails(1, &["append", "cart-1", "--type", "OrderPaid"]);
    assert!(said.contains("the category \"order\". Nothing was written"), "{said}");
    let said = place.fails_with(1, &["import", "-"], "{\"stream\":\"cart-4\",\"type\":\"OrderPaid\"}\n");
    assert!(said.contains("mend the line and import again"), "{said}");
    assert!(place.prints_with(&["import", "-"], lines).starts_with("imported 0 events"));
}

#[test]
fn what_cannot_be_registered_or_shown_is_said__D05() {
    let place = Place::new();
    place.prints(&["types", "register", "OrderPaid", "--schema", SCHEMA]);
    let said = place.fails(1, &["types", "register", "OrderPaid", "--schema", "true"]);
    assert!(said.contains("can't be registered with another schema"), "{said}");
    let said = place.fails(1, &["types", "register", "OrderPaid", "--schema", "[]"]);
    assert!(said.contains("an object, true or false"), "{said}");
    let said = place.fails(1, &["types", "register", "OrderPaid", "--schema", "{"]);
    assert!(said.contains("this isn't JSON"), "{said}");
    let said = place.fails(4, &["types", "show", "Other"]);
    assert_eq!(
        said,
        "annals: nothing is registered of an event type \"Other\"; \"annals types\" lists those there are\n"
    );
    place.fails(4, &["--store", "elsewhere", "types", "show", "OrderPaid"]);
    place.fails(2, &["types", "register"]);
    place.fails(2, &["types", "register", "OrderPaid", "--validation", "loud"]);
    assert!(!place.path().join("elsewhere").exists());
}

#[test]
fn what_a_terminal_would_act_on_is_escaped() {
    let place = Place::new();
    let description = "a\u{1b}[2Jb";
    place.prints(&["types", "register", "OrderPaid", "--description", description]);
    let shown = place.prints(&["types", "show", "OrderPaid"]);
    assert!(shown.contains("a\\u001b[2Jb"), "{shown}");
    assert_eq!(
        place.json(&["types", "show", "OrderPaid", "--format", "json"])[0]["description"],
        description
    );
}

#[cfg(feature = "schema")]
#[test]
fn an_enforced_schema_names_the_place_in_the_data__X28() {
    let place = Place::new();
    place.prints(&["types", "register", "OrderPlaced", "--schema", SCHEMA, "--validation", "enforce"]);
    let said =
        place.fails(1, &["append", "order-1", "--type", "OrderPlaced", "--data", "{\"total\":\"many\"}"]);
    assert!(said.contains("at /total: \"many\" is not of type \"number\""), "{said}");
    place.prints(&["append", "order-1", "--type", "OrderPlaced", "--data", "{\"total\":5}"]);
    let said = place.fails(1, &["types", "register", "Other", "--schema", "{\"type\":\"text\"}"]);
    assert!(!said.is_empty(), "{said}");
}

#[cfg(not(feature = "schema"))]
#[test]
fn without_the_feature_an_enforced_schema_refuses_appends__X28() {
    let place = Place::new();
    let run = place.run(&["types", "register", "OrderPlaced", "--schema", SCHEMA, "--validation", "enforce"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("it hasn't checked the schema, and refuses to append"), "{}", run.stderr);
    let said = place.fails(1, &["append", "order-1", "--type", "OrderPlaced", "--data", "{\"total\":5}"]);
    assert!(said.contains("built without Annals' feature `schema`"), "{said}");
}
