//! Schemas that come to more than they show, and those that can't be followed.

use serde_json::json;

use super::*;

#[track_caller]
fn check_refused(schema: &Value, reason: &str) {
    let said = Shape::of(schema).expect_err("it can't be used");
    assert!(said.contains(reason), "{schema}\n{said}");
}

#[track_caller]
fn shape(schema: &Value) -> Shape {
    Shape::of(schema).expect("it can be used")
}

/// Schemas each of which refers twice to the one before, in a place that `hide` chooses.
fn doubling(references: u32, at: &str, hide: impl Fn(serde_json::Map<String, Value>) -> Value) -> Value {
    let twice = |number: u32| {
        let reference = json!({ "$ref": format!("{at}/{number}") });
        json!({ "anyOf": [reference, reference] })
    };
    let mut schemas: serde_json::Map<String, Value> =
        (1..references).map(|number| (number.to_string(), twice(number - 1))).collect();
    schemas.insert("0".to_owned(), json!({ "type": "string" }));
    hide(schemas)
}

#[test]
fn references_are_counted_wherever_they_stand__X28() {
    let in_definitions = |schemas| json!({ "$ref": "#/$defs/39", "$defs": schemas });
    check_refused(&doubling(40, "#/$defs", in_definitions), "1000000 schemas");
    // Below a property of that name stand schemas that are applied.
    for name in ["$defs", "definitions"] {
        let at = format!("#/properties/{name}/properties");
        let in_a_property = |schemas| json!({ "properties": { name: { "properties": schemas } } });
        check_refused(&doubling(40, &at, in_a_property), "1000000 schemas");
    }
    let elsewhere = |schemas| json!({ "items": { "$ref": "#/components/39" }, "components": schemas });
    check_refused(&doubling(40, "#/components", elsewhere), "1000000 schemas");
    let few = |schemas| json!({ "$ref": "#/$defs/9", "$defs": schemas });
    assert!((1_000..10_000).contains(&shape(&doubling(10, "#/$defs", few)).expansion));
}

#[test]
fn references_that_cannot_be_followed_are_refused__X28() {
    for reference in
        ["other.json", "#anchor", "#/$defs/a%20b", "#/$defs/%61", "https://example.com/a#/$defs/a"]
    {
        let schema = json!({ "items": { "$ref": reference }, "$defs": { "a": {} } });
        check_refused(&schema, &format!("the reference {reference:?} isn't followed"));
        // Also where nobody refers to it.
        check_refused(&json!({ "$defs": { "a": { "$ref": reference } } }), reference);
    }
    check_refused(&json!({ "$ref": "#/$defs/missing" }), "\"#/$defs/missing\" leads to nothing");
    check_refused(&json!({ "not": { "$dynamicRef": "#a" } }), "$dynamicRef");
    check_refused(&json!({ "$recursiveRef": "#" }), "$recursiveRef");
    check_refused(
        &json!({ "items": { "$id": "https://example.com/a" } }),
        "the $id \"https://example.com/a\"",
    );
    let draft_4 = "http://json-schema.org/draft-04/schema#";
    check_refused(&json!({ "$schema": draft_4, "items": { "id": "#a" } }), "the id \"#a\"");
}

#[test]
fn what_only_looks_like_a_reference_is_none() {
    for schema in [
        json!({ "properties": { "$ref": { "type": "string" }, "$id": { "type": "string" }, "$dynamicRef": {} } }),
        json!({ "enum": [{ "$ref": "other.json" }], "default": { "$ref": "other.json" } }),
        json!({ "$id": "https://example.com/a", "$ref": "#/$defs/a~1b", "$defs": { "a/b": { "$anchor": "c" } } }),
        json!({ "items": { "id": "a" }, "dependencies": { "a": ["b"], "b": { "minimum": 1 } } }),
    ] {
        assert!(!shape(&schema).has_circle, "{schema}");
    }
}

#[test]
fn circles_into_the_data_are_told_and_circles_in_place_refused__X28() {
    for schema in [
        json!({ "properties": { "next": { "$ref": "#" } } }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "items": { "$ref": "#/$defs/b" } }, "b": { "$ref": "#/$defs/a" } } }),
    ] {
        assert!(shape(&schema).has_circle, "{schema}");
    }
    let twice =
        json!({ "items": { "$ref": "#/$defs/a" }, "not": { "$ref": "#/$defs/a" }, "$defs": { "a": {} } });
    assert!(!shape(&twice).has_circle);
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "type": "object" }, { "not": { "$ref": "#" } }] }),
        json!({ "dependencies": { "a": { "$ref": "#" } } }),
        // Both ways lead back, and the one into the data is found first.
        json!({
            "items": { "$ref": "#/$defs/a" }, "then": { "$ref": "#/$defs/a" },
            "$defs": { "a": { "else": { "$ref": "#" } } }
        }),
    ] {
        check_refused(&schema, "leads back to where it stands");
    }
}

#[test]
fn schemas_are_so_deep_and_no_deeper() {
    let chain = |length: usize, way: fn(Value) -> Value| {
        let of = |number: usize| way(json!({ "$ref": format!("#/$defs/{number:04}") }));
        let mut schemas: serde_json::Map<String, Value> =
            (1..length).map(|number| (format!("{number:04}"), of(number - 1))).collect();
        schemas.insert("0000".to_owned(), json!({}));
        json!({ "$defs": schemas })
    };
    // From the short end on, each finds the next one measured.
    check_refused(&chain(70, |next| json!({ "not": next })), "128 schemas deep");
    check_refused(&chain(70, |next| json!({ "items": next })), "128 schemas deep");
    shape(&chain(60, |next| json!({ "not": next })));
    let circle = |depth: usize| {
        let mut schema = json!({ "items": { "$ref": "#" } });
        for _ in 2..depth {
            schema = json!({ "allOf": [schema] });
        }
        json!({ "allOf": [schema] })
    };
    // The reference itself is a schema too.
    shape(&circle(CIRCLE_DEPTH_MAX - 1));
    check_refused(&circle(CIRCLE_DEPTH_MAX), "16 schemas within each other");
}

#[test]
fn what_is_unevaluated_asks_again_and_counts_for_it() {
    let nested = |depth: usize| {
        let mut schema = json!({ "properties": { "a": {} } });
        for _ in 0..depth {
            schema = json!({ "allOf": [schema], "unevaluatedProperties": false });
        }
        schema
    };
    shape(&nested(5));
    check_refused(&nested(20), "1000000 schemas");
    let mut deep = json!({});
    for _ in 0..20 {
        deep = json!({ "properties": { "a": deep }, "unevaluatedProperties": false });
    }
    assert!(shape(&deep).expansion < 200);
}

#[test]
fn patterns_are_counted() {
    let many = |patterns: usize| {
        let named: serde_json::Map<String, Value> =
            (0..patterns - 1).map(|number| (format!("^{number}"), json!({}))).collect();
        json!({ "patternProperties": named, "properties": { "pattern": { "pattern": "a" } } })
    };
    assert_eq!(shape(&many(PATTERNS_MAX)).patterns, PATTERNS_MAX);
    check_refused(&many(PATTERNS_MAX + 1), "it has 1001 patterns; the limit is 1000");
}
