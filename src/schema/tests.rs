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
    assert_eq!(check_schema(&json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" })), Ok(()));
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

#[test]
fn references_that_multiply_are_refused_and_circles_end() {
    let twice = |number: u32| {
        let reference = json!({ "$ref": format!("#/$defs/{number}") });
        json!({ "anyOf": [reference, reference] })
    };
    let mut definitions: serde_json::Map<String, Value> =
        (1..40_u32).map(|number| (number.to_string(), twice(number - 1))).collect();
    definitions.insert("0".to_owned(), json!({ "type": "string" }));
    check_refused(&json!({ "$ref": "#/$defs/39", "$defs": definitions }), "1000000 schemas");
    for schema in [json!({ "$ref": "#" }), json!({ "allOf": [{ "$ref": "#" }, { "type": "object" }] })] {
        let schema = CompiledSchema::new(&schema).expect("a schema");
        assert_eq!(schema.check(b"{}"), Ok(()));
    }
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
