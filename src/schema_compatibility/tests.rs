//! Pairs of schemas, and what is found when the one follows the other.

use serde_json::json;

use super::*;

/// What is found when `new` follows `old`: `b` or `f` for the direction, `!` for a break or `?` for what isn't judged,
/// and the place.
fn found(old: &Value, new: &Value) -> Vec<String> {
    let findings = schema_compatibility(old, new).findings;
    let shown = findings.iter().map(|finding| {
        let direction = match finding.direction {
            CompatibilityDirection::Backward => 'b',
            CompatibilityDirection::Forward => 'f',
        };
        let judgement = if finding.judgement == Judgement::Breaks { '!' } else { '?' };
        format!("{direction}{judgement}{}", finding.pointer)
    });
    shown.collect()
}

#[track_caller]
fn check(old: &Value, new: &Value, expected: &[&str]) {
    assert_eq!(found(old, new), expected, "{old}\n{new}");
    // Backward one way is forward the other way.
    let mut turned: Vec<String> = found(new, old)
        .iter()
        .map(|finding| {
            let (direction, rest) = finding.split_at(1);
            format!("{}{rest}", if direction == "b" { "f" } else { "b" })
        })
        .collect();
    turned.sort();
    assert_eq!(turned, expected, "turned around");
}

#[test]
fn equal_schemas_fit() {
    for schema in [
        json!(true),
        json!({}),
        json!({ "type": "object", "properties": { "a": { "type": ["string", "null"] } }, "required": ["a"] }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "items": { "$ref": "#" } } } }),
        json!({ "if": { "required": ["a"] }, "then": { "required": ["b"] }, "not": { "maxProperties": 1 } }),
        json!({ "patternProperties": { "^x": { "type": "string" } }, "additionalProperties": false }),
        json!({ "oneOf": [{ "type": "string", "pattern": "a" }, { "enum": [1, 2] }] }),
        json!({ "items": [{ "type": "string" }], "additionalItems": false }),
        json!({ "format": "date-time", "contains": { "const": 1 }, "minContains": 2 }),
    ] {
        check(&schema, &schema, &[]);
    }
}

#[test]
fn required_properties_break_readers_of_older_data__X28() {
    let with = |required: &[&str]| json!({ "properties": { "a": {}, "b": {} }, "required": required });
    check(&with(&["a"]), &with(&["a", "b"]), &["b!/required"]);
    check(&with(&[]), &with(&["a"]), &["b!/required"]);
    check(&with(&["a"]), &with(&["b"]), &["b!/required", "f!/required"]);
}

#[test]
fn types_that_are_narrowed_break__X28() {
    let of = |kind: Value| json!({ "properties": { "a": { "type": kind } } });
    check(&of(json!("number")), &of(json!("integer")), &["b!/properties/a/type"]);
    check(&of(json!(["string", "null"])), &of(json!("string")), &["b!/properties/a/type"]);
    check(&of(json!("string")), &of(json!("number")), &["b!/properties/a/type", "f!/properties/a/type"]);
    check(&json!({}), &json!({ "type": "object" }), &["b!/type"]);
    let findings = schema_compatibility(&of(json!("number")), &of(json!("integer"))).findings;
    assert_eq!(findings[0].reason, "the new schema doesn't allow number with a fraction");
    let text = findings[0].to_string();
    assert!(text.starts_with("backward breaks at /properties/a/type: the new schema"), "{text}");
}

#[test]
fn values_that_are_taken_away_break__X28() {
    check(&json!({ "enum": ["a", "b"] }), &json!({ "enum": ["a"] }), &["b!"]);
    check(&json!({ "type": "string" }), &json!({ "type": "string", "enum": ["a"] }), &["b!/enum"]);
    check(&json!({ "const": 1 }), &json!({ "enum": [1, 2] }), &["f!"]);
    check(&json!({ "enum": [1, 2] }), &json!({ "type": "integer", "minimum": 1 }), &["f!/enum"]);
    check(&json!({ "enum": [true, false] }), &json!({ "type": "boolean" }), &[]);
    check(&json!({ "enum": ["a"] }), &json!({ "type": "string", "pattern": "a" }), &["b?", "f!/enum"]);
    check(
        &json!({ "enum": [0, "x"] }),
        &json!({ "type": "integer", "maximum": -1 }),
        &["b!", "b!", "f!/enum"],
    );
}

#[test]
fn ranges_and_lengths_that_are_narrowed_break__X28() {
    for (wide, narrow, keyword) in [
        (json!({ "minimum": 0 }), json!({ "minimum": 1 }), "minimum"),
        (json!({ "minimum": 0 }), json!({ "exclusiveMinimum": 0 }), "exclusiveMinimum"),
        (json!({}), json!({ "maximum": 9 }), "maximum"),
        (json!({ "exclusiveMaximum": 9 }), json!({ "exclusiveMaximum": 8 }), "exclusiveMaximum"),
        (json!({ "multipleOf": 0.1 }), json!({ "multipleOf": 0.2 }), "multipleOf"),
    ] {
        check(&wide, &narrow, &[&format!("b!/{keyword}")]);
    }
    check(&json!({ "multipleOf": 6 }), &json!({ "multipleOf": 4 }), &["b!/multipleOf", "f!/multipleOf"]);
    for keyword in ["minLength", "minItems", "minProperties"] {
        check(&json!({ keyword: 1 }), &json!({ keyword: 2 }), &[&format!("b!/{keyword}")]);
    }
    for keyword in ["maxLength", "maxItems", "maxProperties"] {
        check(&json!({ keyword: 2 }), &json!({ keyword: 1 }), &[&format!("b!/{keyword}")]);
    }
    check(&json!({}), &json!({ "uniqueItems": true }), &["b!/uniqueItems"]);
    check(&json!({}), &json!({ "pattern": "a" }), &["b!/pattern"]);
}

#[test]
fn what_says_the_same_in_other_words_fits() {
    let integer = |keyword: &str, limit: i32| json!({ "type": "integer", keyword: limit });
    check(&integer("minimum", 1), &integer("exclusiveMinimum", 0), &[]);
    check(&integer("maximum", 1), &integer("exclusiveMaximum", 2), &[]);
    check(&json!({ "type": "integer" }), &json!({ "type": "integer", "multipleOf": 1 }), &[]);
    check(&json!({ "type": ["integer", "number"] }), &json!({ "type": "number" }), &[]);
    // Lengths count only for texts.
    check(&json!({ "type": "integer" }), &json!({ "type": "integer", "minLength": 5 }), &[]);
    check(&json!({ "title": "a", "x-own": 1 }), &json!({ "description": "b", "default": 2 }), &[]);
    let named =
        json!({ "properties": { "a": { "$ref": "#/$defs/n" } }, "$defs": { "n": { "type": "number" } } });
    check(&named, &json!({ "properties": { "a": { "type": "number" } } }), &[]);
}

#[test]
fn properties_that_come_and_go__X28() {
    let closed = |names: &[&str]| {
        let members: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        json!({ "properties": members, "additionalProperties": false })
    };
    check(&closed(&["a"]), &closed(&["a", "b"]), &["f!/additionalProperties"]);
    let open = json!({ "properties": { "a": {} } });
    check(&open, &closed(&["a"]), &["b!/additionalProperties"]);
    // Old data may have had a property of this name, of which nothing was said.
    let described = json!({ "properties": { "a": {}, "b": { "type": "string" } } });
    check(&open, &described, &["b?/properties/b"]);
    let rest =
        |rest: Value| json!({ "properties": { "a": { "type": "string" } }, "additionalProperties": rest });
    check(
        &rest(json!({ "type": "number" })),
        &rest(json!({ "type": "integer" })),
        &["b!/additionalProperties/type"],
    );
    let typed = json!({ "additionalProperties": { "type": "number" } });
    let named =
        json!({ "properties": { "a": { "type": "integer" } }, "additionalProperties": { "type": "number" } });
    check(&typed, &named, &["b!/properties/a/type"]);
    check(
        &json!({ "properties": { "a/b~c": { "minimum": 0 } } }),
        &json!({ "properties": { "a/b~c": { "minimum": 1 } } }),
        &["b!/properties/a~1b~0c/minimum"],
    );
}

#[test]
fn items_are_compared_place_by_place() {
    let of = |kind: &str| json!({ "type": "array", "items": { "type": kind } });
    check(&of("number"), &of("integer"), &["b!/items/type"]);
    let tuple = |kinds: &[&str], rest: Value| {
        let places: Vec<Value> = kinds.iter().map(|kind| json!({ "type": kind })).collect();
        json!({ "type": "array", "prefixItems": places, "items": rest })
    };
    check(&tuple(&["string"], json!(false)), &tuple(&["string", "null"], json!(false)), &["f!/items"]);
    check(
        &tuple(&["string"], json!(true)),
        &tuple(&["null"], json!(true)),
        &["b!/prefixItems/0/type", "f!/prefixItems/0"],
    );
    check(&json!({ "items": [{}] }), &json!({ "items": [{}, {}] }), &["b?/items", "f?/items"]);
}

#[test]
fn what_cannot_be_judged_is_said_to_be_so__X28() {
    check(&json!({}), &json!({ "not": { "type": "null" } }), &["b?/not"]);
    check(&json!({ "pattern": "a" }), &json!({ "pattern": "b" }), &["b?/pattern", "f?/pattern"]);
    check(&json!({}), &json!({ "format": "email" }), &["b?/format"]);
    let any = |kinds: &[&str]| json!({ "anyOf": kinds.iter().map(|kind| json!({ "type": kind })).collect::<Vec<_>>() });
    check(&any(&["string"]), &any(&["string", "null"]), &["f?/anyOf"]);
    check(&json!({}), &json!({ "$ref": "other.json" }), &["b?"]);
    check(
        &json!({ "$schema": "http://json-schema.org/draft-07/schema#" }),
        &json!({}),
        &["b?/$schema", "f?/$schema"],
    );
    // The same reference, to something else.
    let combined =
        |kind: &str| json!({ "allOf": [{ "$ref": "#/$defs/a" }], "$defs": { "a": { "type": kind } } });
    check(&combined("number"), &combined("string"), &["b?/allOf", "f?/allOf"]);
    let compatibility = schema_compatibility(&json!({}), &json!({ "format": "email" }));
    assert_eq!((compatibility.backward(), compatibility.forward()), (Judgement::NotJudged, Judgement::Holds));
}

#[test]
fn what_is_unevaluated_depends_on_all_keywords_beside_it__X28() {
    let closed = |names: &[&str]| {
        let members: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        json!({ "properties": members, "unevaluatedProperties": false })
    };
    check(&closed(&["a"]), &closed(&["a", "b"]), &["b?/unevaluatedProperties", "f?/unevaluatedProperties"]);
    let places = |places: &[Value]| json!({ "prefixItems": places, "unevaluatedItems": false });
    check(
        &places(&[json!({})]),
        &places(&[json!({}), json!({})]),
        &["b?/unevaluatedItems", "f?/unevaluatedItems"],
    );
    let mut titled = closed(&["a"]);
    titled["title"] = json!("an order");
    check(&closed(&["a"]), &titled, &[]);
    let open = json!({ "properties": { "a": {} }, "unevaluatedProperties": true });
    check(&open, &json!({ "properties": { "a": {}, "b": {} } }), &[]);
}

#[test]
fn references_are_the_same_where_what_they_name_is__X28() {
    let changed = |schema: Value, place: &str, kinds: [&str; 2]| {
        kinds.map(|kind| {
            let mut schema = schema.clone();
            schema[place] = json!({ "a": { "type": kind } });
            schema
        })
    };
    let kinds = ["number", "string"];
    let [old, new] = changed(json!({ "items": [{ "$ref": "#/$defs/a" }] }), "$defs", kinds);
    check(&old, &new, &["b?/items", "f?/items"]);
    let elsewhere = json!({ "allOf": [{ "$ref": "#/components/a" }] });
    let [old, new] = changed(elsewhere, "components", kinds);
    check(&old, &new, &["b?/allOf", "f?/allOf"]);
    let through_another = json!({ "not": { "$ref": "#/b" }, "b": { "items": { "$ref": "#/$defs/a" } } });
    let [old, new] = changed(through_another, "$defs", kinds);
    check(&old, &new, &["b?/not", "f?/not"]);
    for (keyword, reference) in [("$dynamicRef", "#a"), ("$recursiveRef", "#")] {
        let [old, new] = changed(json!({ keyword: reference }), "$defs", kinds);
        let pointers = ["b", "f"].map(|direction| format!("{direction}?/{keyword}"));
        check(&old, &new, &pointers.each_ref().map(String::as_str));
    }
    // What changed isn't named by them.
    let circle = json!({ "not": { "$ref": "#/b" }, "b": { "items": { "$ref": "#/b" } } });
    let [old, new] = changed(circle, "$defs", kinds);
    check(&old, &new, &[]);
}

#[test]
fn long_enumerations_are_compared_in_time() {
    let of =
        |count: u32| json!({ "enum": (0..count).map(|number| format!("v{number}")).collect::<Vec<_>>() });
    assert_eq!(found(&of(20_000), &of(20_001)), ["f!"]);
}

#[test]
fn false_allows_nothing() {
    check(&json!(true), &json!(false), &["b!"]);
    check(&json!({ "type": "string" }), &json!(true), &["f!/type"]);
    check(&json!(false), &json!({ "type": "string" }), &["f!"]);
}

#[test]
fn versions_without_a_schema_are_not_judged() {
    let schema = json!({});
    assert_eq!(version_compatibility(None, None), Compatibility::default());
    for (old, new) in [(None, Some(&schema)), (Some(&schema), None)] {
        let compatibility = version_compatibility(old, new);
        assert_eq!(
            (compatibility.backward(), compatibility.forward()),
            (Judgement::NotJudged, Judgement::NotJudged)
        );
    }
}

#[test]
fn hostile_schemas_come_to_an_end() {
    let circle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } });
    assert_eq!(found(&circle, &json!({})), ["f?"]);
    let mut deep = json!({ "type": "string" });
    for _ in 0..500 {
        deep = json!({ "items": deep });
    }
    assert_eq!(found(&deep, &json!({ "items": true })).len(), 1);
    let many = |minimum: u32| {
        let members: Map<String, Value> =
            (0..1_000).map(|number| (number.to_string(), json!({ "minimum": minimum }))).collect();
        json!({ "properties": members })
    };
    assert_eq!(found(&many(0), &many(1)).len(), FINDINGS_MAX);
}
