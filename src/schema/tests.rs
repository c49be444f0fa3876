//! What schemas are refused, and what data by those that aren't.

#![cfg(feature = "schema")]
#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]

use serde_json::json;

use super::*;

#[track_caller]
fn check_refused(schema: &Value, reason: &str) {
    let said = check_schema(schema).expect_err("it can't be used");
    assert!(said.contains(reason), "{schema}\n{said}");
}

#[test]
fn nothing_is_fetched() {
    for reference in ["http://127.0.0.1:9/x.json", "file:///etc/hostname", "other.json"] {
        check_refused(&json!({ "$ref": reference }), reference);
    }
    check_refused(&json!({ "$schema": "https://example.com/own" }), "https://example.com/own");
    check_refused(&json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }), "isn't followed");
}

#[test]
fn what_is_wrong_with_a_schema_is_said_with_its_place__X28() {
    check_refused(&json!({ "properties": { "a": { "type": "text" } } }), "at /properties/a/type");
    check_refused(&json!({ "minLength": -1 }), "at /minLength");
    check_refused(&json!({ "$ref": "#/$defs/missing" }), "/$defs/missing");
}

#[test]
fn patterns_that_could_run_away_are_refused() {
    for pattern in ["(?=a)b", "(a)\\1", "(a{1000}){1000}", "("] {
        check_refused(&json!({ "pattern": pattern }), "at /pattern");
    }
    let schema = CompiledSchema::new(&json!({ "pattern": "^(a+)+$" })).expect("it runs in linear time");
    let breach = schema.check(json!("a".repeat(100_000) + "b").to_string().as_bytes());
    let breach = breach.expect_err("it ends with b");
    assert!(breach.reason.len() < MESSAGE_BYTES_MAX + 10, "{}", breach.reason.len());
}

/// `leaf` within as many objects with a property `x`, as text.
fn nested(depth: usize, leaf: &str) -> String {
    format!("{}{leaf}{}", r#"{"x":"#.repeat(depth), "}".repeat(depth))
}

#[test]
fn circles_that_double_at_each_level_are_checked_in_time__X28() {
    let to_itself = json!({ "properties": { "x": { "$ref": "#/$defs/n" } } });
    let to_another = json!({ "properties": { "x": { "$ref": "#/$defs/m" } } });
    let number = json!({ "type": "number" });
    let object = json!({ "type": "object" });
    for definition in [
        json!({ "allOf": [to_itself, to_itself] }),
        json!({ "allOf": [to_itself, to_another] }),
        json!({ "anyOf": [{ "allOf": [to_itself, number] }, { "allOf": [to_itself, object] }, number] }),
        json!({ "oneOf": [{ "allOf": [to_itself, number] }, { "allOf": [to_itself, object] }, number] }),
        json!({ "oneOf": [number, { "required": ["y"], "allOf": [to_itself] }, { "allOf": [to_another, object] }] }),
        json!({ "if": to_itself, "then": to_another, "else": { "not": to_itself } }),
        json!({ "anyOf": [to_itself, number], "unevaluatedProperties": false }),
        json!({ "allOf": [{ "anyOf": [to_itself, number] }], "unevaluatedProperties": { "$ref": "#/$defs/n" } }),
    ] {
        let definitions = json!({ "n": definition, "m": { "anyOf": [to_itself, { "$ref": "#/$defs/n" }] } });
        let schema = json!({ "$ref": "#/$defs/n", "$defs": definitions });
        let compiled = CompiledSchema::new(&schema).expect("a schema");
        for leaf in ["1", "\"wrong\"", "{}", "[1]"] {
            // Whether it fits differs; that it is told is what counts.
            if let Err(breach) = compiled.check(nested(60, leaf).as_bytes()) {
                assert_eq!(breach.path, "");
                assert!(breach.reason.contains("refers back to itself"), "{}", breach.reason);
            }
        }
    }
    let tree = json!({ "type": ["object", "integer"], "allOf": [to_itself, to_itself], "$defs": { "n": { "$ref": "#" } } });
    let compiled = CompiledSchema::new(&tree).expect("a schema");
    assert_eq!(compiled.check(nested(60, "1").as_bytes()), Ok(()));
    compiled.check(nested(60, "\"wrong\"").as_bytes()).expect_err("no integer");
}

#[test]
fn the_deepest_schema_checks_the_deepest_data_on_a_thread_s_stack() {
    let mut schema = json!({ "properties": { "x": { "$ref": "#" } }, "type": ["object", "integer"] });
    for _ in 0..14 {
        schema = json!({ "anyOf": [schema] });
    }
    assert!(check_schema(&json!({ "anyOf": [schema] })).is_err(), "it would be deeper than is allowed");
    let compiled = CompiledSchema::new(&schema).expect("a schema");
    let checked = std::thread::spawn(move || compiled.check(nested(126, "1").as_bytes()));
    assert_eq!(checked.join().expect("it has room"), Ok(()));
}

#[test]
fn the_place_is_looked_for_in_moderate_data_alone() {
    let schema = json!({ "items": { "type": "string" } });
    let compiled = CompiledSchema::new(&schema).expect("a schema");
    let with_wrong_end = |count: usize| format!("[{}1]", r#""a","#.repeat(count));
    assert_eq!(compiled.check(with_wrong_end(1_000).as_bytes()).expect_err("a number").path, "/1000");
    let breach = compiled.check(with_wrong_end(1_000_000).as_bytes()).expect_err("a number");
    assert!(breach.path.is_empty() && breach.reason.contains("are large"), "{breach:?}");
}

#[test]
fn patterns_take_a_share_of_what_all_may_take() {
    let of = |count: usize| -> Value {
        // Each compiles to more than a hundred kilobytes.
        let schemas: Vec<Value> =
            (0..count).map(|number| json!({ "pattern": format!("^\\p{{L}}{{9}}{number}$") })).collect();
        json!({ "anyOf": schemas })
    };
    assert_eq!(check_schema(&of(20)), Ok(()));
    check_refused(&of(900), "of moderate size");
}

#[test]
fn a_breach_names_the_place_in_the_data__X28() {
    let schema = json!({ "properties": { "lines": { "items": { "required": ["sku"] } } } });
    let schema = CompiledSchema::new(&schema).expect("a schema");
    let breach = schema.check(br#"{"lines":[{"sku":1},{}]}"#).expect_err("the second has none");
    assert_eq!(
        (breach.path.as_str(), breach.reason.as_str()),
        ("/lines/1", "\"sku\" is a required property")
    );
    assert!(schema.check(b"{").expect_err("no JSON").reason.contains("as JSON"));
}
