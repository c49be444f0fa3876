//! Whether data of one JSON Schema can be read by who knows another: a pure comparison of two schemas.
//!
//! All rests on one question, asked in both directions: what does the *strict* schema refuse that the *loose* one
//! allows? Backward, the new schema is the strict one: can new readers read old data? Forward, the old one is:
//! can old readers read new data? What can't be answered by looking at keywords is said to be not judged.

use std::{collections::HashSet, ptr};

use serde_json::{Map, Value};

use crate::{
    compatibility::{Compatibility, CompatibilityDirection, CompatibilityFinding, Judgement},
    schema_keywords::{Keywords, Kinds, OPAQUE, References, are_all_equal, follow, is_multiple},
};

/// How many findings a comparison has at most in each direction.
const FINDINGS_MAX: usize = 200;

/// How many pairs of schemas are compared at most in each direction, since references can multiply them.
const PAIRS_MAX: usize = 50_000;

/// How deep schemas are followed into each other.
const DEPTH_MAX: usize = 100;

/// The longest text that a finding quotes, in characters.
const TEXT_CHARACTERS_MAX: usize = 200;

/// Keywords whose absence counts too, since another keyword says what applies without them.
const NEEDED_BY_OTHERS: [&str; 2] = ["minContains", "patternProperties"];

/// Compares two versions of a JSON Schema by their keywords.
///
/// Types, enumerations, ranges, lengths, required and closed properties, items and local references are judged;
/// combinations (`allOf`, `if`, `not`, …), patterns and references elsewhere only where they are equal. Keywords that
/// no draft knows and annotations count for nothing.
#[must_use]
pub fn schema_compatibility(old: &Value, new: &Value) -> Compatibility {
    let mut findings = Vec::new();
    for direction in [CompatibilityDirection::Backward, CompatibilityDirection::Forward] {
        let (loose, strict, names) = match direction {
            CompatibilityDirection::Backward => (old, new, ["the old schema", "the new schema"]),
            CompatibilityDirection::Forward => (new, old, ["the new schema", "the old schema"]),
        };
        let mut comparison = Comparison::new(direction, loose, strict, names);
        comparison.compare(loose, strict, "", 0);
        findings.append(&mut comparison.findings);
    }
    Compatibility { findings }
}

/// The same where a version may have no schema.
pub(crate) fn version_compatibility(old: Option<&Value>, new: Option<&Value>) -> Compatibility {
    let reason = match (old, new) {
        (Some(old), Some(new)) => return schema_compatibility(old, new),
        (None, None) => return Compatibility::default(),
        (None, Some(_)) => "the version before has no schema",
        (Some(_), None) => "the new version has no schema",
    };
    let finding = |direction| CompatibilityFinding {
        direction,
        judgement: Judgement::NotJudged,
        pointer: String::new(),
        reason: reason.to_owned(),
    };
    let both = [CompatibilityDirection::Backward, CompatibilityDirection::Forward];
    Compatibility { findings: both.map(finding).into() }
}

/// One direction's comparison.
struct Comparison<'a> {
    direction: CompatibilityDirection,
    loose_root: &'a Value,
    strict_root: &'a Value,
    loose_name: &'static str,
    strict_name: &'static str,
    references: References<'a>,
    seen: HashSet<(*const Value, *const Value)>,
    findings: Vec<CompatibilityFinding>,
}

/// The value of a keyword that isn't there and allows everything.
static ANYTHING: Value = Value::Bool(true);

impl<'a> Comparison<'a> {
    fn new(
        direction: CompatibilityDirection,
        loose_root: &'a Value,
        strict_root: &'a Value,
        [loose_name, strict_name]: [&'static str; 2],
    ) -> Self {
        let is_equal = |keyword: &str| loose_root.get(keyword) == strict_root.get(keyword);
        let references = References::new(loose_root, strict_root);
        let (seen, findings) = (HashSet::new(), Vec::new());
        let mut comparison =
            Self { direction, loose_root, strict_root, loose_name, strict_name, references, seen, findings };
        if !is_equal("$schema") {
            comparison.not_judged("/$schema", "the schemas are of different drafts of JSON Schema");
        }
        comparison
    }

    /// Finds what the strict schema refuses and the loose one allows. `pointer` is the strict one's place.
    fn compare(&mut self, loose: &'a Value, strict: &'a Value, pointer: &str, depth: usize) {
        if !self.seen.insert((ptr::from_ref(loose), ptr::from_ref(strict))) {
            return;
        }
        if allows_all(strict) {
            return;
        }
        if depth > DEPTH_MAX || self.seen.len() > PAIRS_MAX {
            self.not_judged(pointer, "the schemas are too large or too deep to be compared to the end");
            return;
        }
        let (Some(loose), Some(strict)) = (follow(self.loose_root, loose), follow(self.strict_root, strict))
        else {
            if !self.is_same("", loose, strict) {
                self.not_judged(pointer, "a reference isn't followed here");
            }
            return;
        };
        let (loose, strict) = match (loose, strict) {
            (Value::Bool(false), _) | (_, Value::Bool(true)) => return,
            (_, Value::Bool(false)) => {
                return self.breaks(pointer, format!("{} allows nothing here", self.strict_name));
            }
            (Value::Bool(true), Value::Object(strict)) => (Keywords(None), Keywords(Some(strict))),
            (Value::Object(loose), Value::Object(strict)) => (Keywords(Some(loose)), Keywords(Some(strict))),
            _ => return self.not_judged(pointer, "this isn't a JSON Schema"),
        };
        if let Some(values) = loose.values() {
            return self.compare_values(&values, strict, pointer);
        }
        let kinds = self.compare_kinds(loose, strict, pointer);
        if kinds.has_any(Kinds::NUMBER) {
            self.compare_numbers(loose, strict, kinds, pointer);
        }
        self.compare_counts(loose, strict, kinds, pointer);
        if kinds.has_any(Kinds::STRING) {
            self.compare_texts(loose, strict, pointer);
        }
        if kinds.has_any(Kinds::ARRAY) {
            self.compare_arrays(loose, strict, pointer, depth + 1);
        }
        if kinds.has_any(Kinds::OBJECT) {
            self.compare_properties(loose, strict, pointer, depth + 1);
        }
        self.compare_opaque(loose, strict, pointer);
    }

    /// The loose schema allows these values alone.
    fn compare_values(&mut self, values: &[Value], strict: Keywords<'_>, pointer: &str) {
        let admitted: Option<HashSet<Value>> = strict.values().map(|values| values.into_iter().collect());
        for value in values {
            let shown = shorten(&value.to_string());
            match strict.admits(value, admitted.as_ref()) {
                Some(true) => {}
                Some(false) => {
                    self.breaks(pointer, format!("{} doesn't allow the value {shown}", self.strict_name));
                }
                None => self.not_judged(pointer, &format!("whether the value {shown} is allowed isn't told")),
            }
        }
    }

    /// Compares types and enumerations; returns the kinds of values that both allow.
    fn compare_kinds(&mut self, loose: Keywords<'a>, strict: Keywords<'a>, pointer: &str) -> Kinds {
        let lost = loose.kinds().without(strict.kinds());
        if !lost.is_empty() {
            let pointer = format!("{pointer}/type");
            self.breaks(&pointer, format!("{} doesn't allow {}", self.strict_name, lost.names()));
        }
        for keyword in ["enum", "const"] {
            if strict.get(keyword).is_some() {
                let pointer = format!("{pointer}/{keyword}");
                self.breaks(&pointer, format!("{} allows the listed values alone", self.strict_name));
            }
        }
        loose.kinds().without(lost)
    }

    fn compare_numbers(&mut self, loose: Keywords<'a>, strict: Keywords<'a>, kinds: Kinds, pointer: &str) {
        let is_tighter = match (loose.lower_bound(kinds), strict.lower_bound(kinds)) {
            (loose, Some(strict)) => loose.is_none_or(|loose| strict.is_above(loose)),
            (_, None) => false,
        };
        if is_tighter {
            self.narrower(strict, &["minimum", "exclusiveMinimum"], pointer, "refuses smaller numbers");
        }
        let is_tighter = match (loose.upper_bound(kinds), strict.upper_bound(kinds)) {
            (loose, Some(strict)) => loose.is_none_or(|loose| strict.is_below(loose)),
            (_, None) => false,
        };
        if is_tighter {
            self.narrower(strict, &["maximum", "exclusiveMaximum"], pointer, "refuses larger numbers");
        }
        if let Some(of) = strict.number("multipleOf") {
            let step = loose.number("multipleOf").or((!kinds.has_any(Kinds::FRACTION)).then_some(1.0));
            if step.is_none_or(|step| !is_multiple(step, of)) {
                self.narrower(strict, &["multipleOf"], pointer, "refuses numbers between the steps");
            }
        }
        let is_of_draft_4 = |side: Keywords<'_>, keyword| side.get(keyword).is_some_and(Value::is_boolean);
        for keyword in ["exclusiveMinimum", "exclusiveMaximum"] {
            let differs = loose.get(keyword) != strict.get(keyword);
            if differs && (is_of_draft_4(loose, keyword) || is_of_draft_4(strict, keyword)) {
                self.not_judged(&format!("{pointer}/{keyword}"), "it is written as in draft 4");
            }
        }
    }

    /// Lengths of texts, arrays and objects.
    fn compare_counts(&mut self, loose: Keywords<'a>, strict: Keywords<'a>, kinds: Kinds, pointer: &str) {
        const COUNTS: [(Kinds, &str, &str); 3] = [
            (Kinds::STRING, "minLength", "maxLength"),
            (Kinds::ARRAY, "minItems", "maxItems"),
            (Kinds::OBJECT, "minProperties", "maxProperties"),
        ];
        for (kind, least, most) in COUNTS {
            if !kinds.has_any(kind) {
                continue;
            }
            if strict.number(least).unwrap_or(0.0) > loose.number(least).unwrap_or(0.0) {
                self.narrower(strict, &[least], pointer, "asks for more");
            }
            if strict.number(most).unwrap_or(f64::INFINITY) < loose.number(most).unwrap_or(f64::INFINITY) {
                self.narrower(strict, &[most], pointer, "allows less");
            }
        }
    }

    fn compare_texts(&mut self, loose: Keywords<'a>, strict: Keywords<'a>, pointer: &str) {
        match (loose.get("pattern"), strict.get("pattern")) {
            (None, Some(_)) => {
                self.narrower(strict, &["pattern"], pointer, "refuses texts unlike its pattern");
            }
            (Some(loose), Some(strict)) if loose != strict => {
                self.not_judged(
                    &format!("{pointer}/pattern"),
                    "which texts the two patterns allow isn't compared",
                );
            }
            _ => {}
        }
        if strict.get("format").is_some() && strict.get("format") != loose.get("format") {
            self.not_judged(
                &format!("{pointer}/format"),
                "whether a format is checked depends on the reader",
            );
        }
    }

    fn compare_arrays(&mut self, loose: Keywords<'a>, strict: Keywords<'a>, pointer: &str, depth: usize) {
        let is_true = |side: Keywords<'_>| side.get("uniqueItems") == Some(&Value::Bool(true));
        if is_true(strict) && !is_true(loose) {
            self.narrower(strict, &["uniqueItems"], pointer, "refuses equal items");
        }
        if [loose, strict].iter().any(|side| side.get("items").is_some_and(Value::is_array)) {
            // Each place has its schema, as drafts before 2020-12 write it.
            if !self.is_same_keyword("items", loose, strict) {
                self.not_judged(
                    &format!("{pointer}/items"),
                    "lists of items as in older drafts aren't compared",
                );
            }
            return;
        }
        let (loose_first, strict_first) = (loose.elements("prefixItems"), strict.elements("prefixItems"));
        let loose_rest = loose.get("items").unwrap_or(&ANYTHING);
        let strict_rest = strict.get("items").unwrap_or(&ANYTHING);
        for place in 0..loose_first.len().max(strict_first.len()) {
            let strict_pointer = match strict_first.get(place) {
                Some(_) => format!("{pointer}/prefixItems/{place}"),
                None => format!("{pointer}/items"),
            };
            let (loose, strict) = (loose_first.get(place), strict_first.get(place));
            self.compare(loose.unwrap_or(loose_rest), strict.unwrap_or(strict_rest), &strict_pointer, depth);
        }
        self.compare(loose_rest, strict_rest, &format!("{pointer}/items"), depth);
    }

    fn compare_properties(&mut self, loose: Keywords<'a>, strict: Keywords<'a>, pointer: &str, depth: usize) {
        for name in strict.required() {
            if !loose.required().any(|required| required == name) {
                let reason = format!("{} requires the property {}", self.strict_name, quoted(name));
                self.breaks(&format!("{pointer}/required"), reason);
            }
        }
        let (loose_members, strict_members) = (loose.members("properties"), strict.members("properties"));
        let loose_rest = loose.get("additionalProperties").unwrap_or(&ANYTHING);
        let strict_rest = strict.get("additionalProperties").unwrap_or(&ANYTHING);
        let has_patterns = [loose, strict].iter().any(|side| side.get("patternProperties").is_some());
        let is_newly_required = |name: &str| {
            strict.required().any(|required| required == name)
                && !loose.required().any(|required| required == name)
        };
        for name in strict_members.names() {
            let Some(strict_schema) = strict_members.get(name) else { continue };
            let pointer = format!("{pointer}/properties/{}", escaped(name));
            match loose_members.get(name) {
                Some(loose_schema) => self.compare(loose_schema, strict_schema, &pointer, depth),
                None if allows_all(strict_schema) || is_newly_required(name) => {}
                None if has_patterns || allows_all(loose_rest) => {
                    let reason = format!("{} says nothing of it and has room for it", self.loose_name);
                    self.not_judged(&pointer, &reason);
                }
                None => self.compare(loose_rest, strict_schema, &pointer, depth),
            }
        }
        let rest_pointer = format!("{pointer}/additionalProperties");
        for name in loose_members.names().filter(|name| strict_members.get(name).is_none()) {
            let Some(loose_schema) = loose_members.get(name) else { continue };
            if has_patterns {
                let reason = format!("whether a pattern fits the property {} isn't told", quoted(name));
                self.not_judged(&rest_pointer, &reason);
            } else if *strict_rest == Value::Bool(false) && *loose_schema != Value::Bool(false) {
                let reason = format!("{} doesn't allow the property {}", self.strict_name, quoted(name));
                self.breaks(&rest_pointer, reason);
            } else {
                self.compare(loose_schema, strict_rest, &rest_pointer, depth);
            }
        }
        if *strict_rest == Value::Bool(false) && *loose_rest != Value::Bool(false) {
            let reason = format!("{} allows no other properties", self.strict_name);
            self.breaks(&rest_pointer, reason);
        } else {
            self.compare(loose_rest, strict_rest, &rest_pointer, depth);
        }
    }

    /// What is only looked at for being equal.
    fn compare_opaque(&mut self, loose: Keywords<'a>, strict: Keywords<'a>, pointer: &str) {
        for keyword in OPAQUE {
            self.compare_opaque_keyword(keyword, loose, strict, pointer);
        }
        for keyword in ["unevaluatedItems", "unevaluatedProperties"] {
            self.compare_unevaluated(keyword, loose, strict, pointer);
        }
        let alternatives = (loose.elements("anyOf"), strict.elements("anyOf"));
        let is_there = |loose: &Value| alternatives.1.iter().any(|strict| self.is_same("", loose, strict));
        let is_wider = !alternatives.0.is_empty() && alternatives.0.iter().all(is_there);
        if strict.get("anyOf").is_some() && !is_wider {
            self.not_judged(&format!("{pointer}/anyOf"), "the alternatives aren't those of the other schema");
        }
    }

    fn compare_opaque_keyword(
        &mut self,
        keyword: &str,
        loose: Keywords<'a>,
        strict: Keywords<'a>,
        pointer: &str,
    ) {
        let counts = strict.get(keyword).is_some() || NEEDED_BY_OTHERS.contains(&keyword);
        if counts && !self.is_same_keyword(keyword, loose, strict) {
            let reason = "what this keyword says is only compared for being equal";
            self.not_judged(&format!("{pointer}/{keyword}"), reason);
        }
    }

    /// What such a keyword refuses depends on all keywords beside it.
    fn compare_unevaluated(
        &mut self,
        keyword: &str,
        loose: Keywords<'a>,
        strict: Keywords<'a>,
        pointer: &str,
    ) {
        let is_strict = strict.get(keyword).is_some_and(|schema| !allows_all(schema));
        if is_strict && !are_all_equal(loose, strict, |name| self.is_same_keyword(name, loose, strict)) {
            let reason = "what is left for this keyword depends on those beside it, which aren't all equal";
            self.not_judged(&format!("{pointer}/{keyword}"), reason);
        }
    }

    fn is_same_keyword(&self, keyword: &str, loose: Keywords<'a>, strict: Keywords<'a>) -> bool {
        match (loose.get(keyword), strict.get(keyword)) {
            (None, None) => true,
            (Some(loose), Some(strict)) => self.is_same(keyword, loose, strict),
            _ => false,
        }
    }

    /// Whether two schemas, or what a keyword has, are written the same and mean the same.
    fn is_same(&self, keyword: &str, loose: &'a Value, strict: &'a Value) -> bool {
        loose == strict && self.references.hold(keyword, strict)
    }

    /// A keyword of the strict schema leaves less room.
    fn narrower(&mut self, strict: Keywords<'a>, keywords: &[&str], pointer: &str, what: &str) {
        let keyword = keywords.iter().find(|keyword| strict.get(keyword).is_some()).unwrap_or(&keywords[0]);
        let reason = format!("{} {what}", self.strict_name);
        self.breaks(&format!("{pointer}/{keyword}"), reason);
    }

    fn breaks(&mut self, pointer: &str, reason: String) {
        self.find(Judgement::Breaks, pointer, reason);
    }

    fn not_judged(&mut self, pointer: &str, reason: &str) {
        self.find(Judgement::NotJudged, pointer, reason.to_owned());
    }

    fn find(&mut self, judgement: Judgement, pointer: &str, reason: String) {
        let finding =
            CompatibilityFinding { direction: self.direction, judgement, pointer: shorten(pointer), reason };
        if self.findings.len() < FINDINGS_MAX && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

/// Whether a schema allows everything.
fn allows_all(schema: &Value) -> bool {
    *schema == ANYTHING || schema.as_object().is_some_and(Map::is_empty)
}

/// A name as a part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn quoted(name: &str) -> String {
    format!("{:?}", shorten(name))
}

/// A text, cut to what a message can hold.
fn shorten(text: &str) -> String {
    let mut kept: String = text.chars().take(TEXT_CHARACTERS_MAX).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
#[allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]
mod tests;
