//! One JSON Schema, as the comparison of two reads it: keywords, and what they say of values.

use std::{cell::Cell, collections::HashSet};

use serde_json::{Map, Value};

/// Keywords that say more than this file understands. Where they differ, nothing is judged; those that are equal on
/// both sides take nothing away.
pub(crate) const OPAQUE: [&str; 17] = [
    "$dynamicRef",
    "$recursiveRef",
    "additionalItems",
    "allOf",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "minContains",
    "not",
    "oneOf",
    "patternProperties",
    "propertyNames",
    "then",
];

/// Keywords that only tell people something; all others are assertions, or unknown and ignored.
const ANNOTATIONS: [&str; 17] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "$anchor",
    "$vocabulary",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// How many references are followed from one to the next.
const REFERENCES_MAX: usize = 50;

/// How many values are looked at for references in one comparison, since each of them is looked through anew.
const STEPS_MAX: usize = 1_000_000;

/// Kinds of JSON values, as a set. Numbers are two: integers, and those with a fraction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const INTEGER: Self = Self(1);
    pub(crate) const FRACTION: Self = Self(2);
    pub(crate) const NUMBER: Self = Self(3);
    pub(crate) const STRING: Self = Self(4);
    pub(crate) const ARRAY: Self = Self(8);
    pub(crate) const OBJECT: Self = Self(16);
    const NULL: Self = Self(32);
    const BOOLEAN: Self = Self(64);
    const ALL: Self = Self(127);
    const NONE: Self = Self(0);

    const NAMES: [(&'static str, Self); 7] = [
        ("number", Self::NUMBER),
        ("integer", Self::INTEGER),
        ("string", Self::STRING),
        ("array", Self::ARRAY),
        ("object", Self::OBJECT),
        ("null", Self::NULL),
        ("boolean", Self::BOOLEAN),
    ];

    fn named(name: &str) -> Self {
        Self::NAMES.iter().find(|(known, _)| *known == name).map_or(Self::NONE, |(_, kinds)| *kinds)
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number)
                if number.is_f64() && number.as_f64().is_none_or(|it| it.fract() != 0.0) =>
            {
                Self::FRACTION
            }
            Value::Number(_) => Self::INTEGER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn has_any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Whether nothing but null and truth values is in it, all of which can be counted.
    fn is_countable(self) -> bool {
        !self.is_empty() && self.without(Self::NULL.with(Self::BOOLEAN)).is_empty()
    }

    /// The names, as `string or null`.
    pub(crate) fn names(self) -> String {
        let mut left = self;
        let mut names = Vec::new();
        for (name, kinds) in Self::NAMES {
            if kinds.without(left).is_empty() {
                left = left.without(kinds);
                names.push(name);
            }
        }
        if !left.is_empty() {
            names.push("number with a fraction");
        }
        names.join(" or ")
    }
}

/// The keywords of one schema; none: it allows everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keywords<'a>(pub(crate) Option<&'a Map<String, Value>>);

impl<'a> Keywords<'a> {
    pub(crate) fn get(self, keyword: &str) -> Option<&'a Value> {
        self.0?.get(keyword)
    }

    /// The kinds of values that `type` allows.
    pub(crate) fn kinds(self) -> Kinds {
        match self.get("type") {
            Some(Value::String(name)) => Kinds::named(name),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).map(Kinds::named).fold(Kinds::NONE, Kinds::with)
            }
            _ => Kinds::ALL,
        }
    }

    /// The only values that `const`, `enum` or `type` allow; none where they can't be counted.
    pub(crate) fn values(self) -> Option<Vec<Value>> {
        let kinds = self.kinds();
        let listed = match (self.get("const"), self.get("enum")) {
            (Some(value), _) => vec![value.clone()],
            (None, Some(Value::Array(values))) => values.clone(),
            _ if kinds.is_countable() => vec![Value::Null, Value::Bool(false), Value::Bool(true)],
            _ => return None,
        };
        let is_of_kind = |value: &Value| kinds.has_any(Kinds::of(value));
        Some(listed.into_iter().filter(is_of_kind).collect())
    }

    pub(crate) fn number(self, keyword: &str) -> Option<f64> {
        self.get(keyword)?.as_f64()
    }

    /// The names that `required` lists.
    pub(crate) fn required(self) -> impl Iterator<Item = &'a str> {
        let names = self.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        names.iter().filter_map(Value::as_str)
    }

    /// The members of an object that a keyword has.
    pub(crate) fn members(self, keyword: &str) -> Keywords<'a> {
        Keywords(self.get(keyword).and_then(Value::as_object))
    }

    /// The names of its keywords, or of its members.
    pub(crate) fn names(self) -> impl Iterator<Item = &'a str> {
        self.0.into_iter().flat_map(|members| members.keys().map(String::as_str))
    }

    /// The elements of an array that a keyword has.
    pub(crate) fn elements(self, keyword: &str) -> &'a [Value] {
        self.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// The lowest number that is allowed, and whether it is itself.
    pub(crate) fn lower_bound(self, kinds: Kinds) -> Option<Bound> {
        let whole = |bound: Bound| {
            let value = if bound.is_exclusive { bound.value.floor() + 1.0 } else { bound.value.ceil() };
            Bound { value, is_exclusive: false }
        };
        let bounds = self.bounds("minimum", "exclusiveMinimum");
        let bounds = bounds.map(|bound| if kinds.has_any(Kinds::FRACTION) { bound } else { whole(bound) });
        bounds.reduce(|one, other| if other.is_above(one) { other } else { one })
    }

    /// The highest number that is allowed, and whether it is itself.
    pub(crate) fn upper_bound(self, kinds: Kinds) -> Option<Bound> {
        let whole = |bound: Bound| {
            let value = if bound.is_exclusive { bound.value.ceil() - 1.0 } else { bound.value.floor() };
            Bound { value, is_exclusive: false }
        };
        let bounds = self.bounds("maximum", "exclusiveMaximum");
        let bounds = bounds.map(|bound| if kinds.has_any(Kinds::FRACTION) { bound } else { whole(bound) });
        bounds.reduce(|one, other| if other.is_below(one) { other } else { one })
    }

    fn bounds(self, inclusive: &str, exclusive: &str) -> impl Iterator<Item = Bound> {
        let inclusive = self.number(inclusive).map(|value| Bound { value, is_exclusive: false });
        let exclusive = self.number(exclusive).map(|value| Bound { value, is_exclusive: true });
        inclusive.into_iter().chain(exclusive)
    }

    /// Whether the schema allows a value; none where that takes more than this file understands. Its own
    /// [`values`](Self::values) are given, since many are asked about.
    pub(crate) fn admits(self, value: &Value, values: Option<&HashSet<Value>>) -> Option<bool> {
        if !self.kinds().has_any(Kinds::of(value)) {
            return Some(false);
        }
        if values.is_some_and(|values| !values.contains(value)) {
            return Some(false);
        }
        let mut is_known = true;
        for keyword in self.names() {
            match self.admits_by(keyword, value) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => is_known = false,
            }
        }
        is_known.then_some(true)
    }

    fn admits_by(self, keyword: &str, value: &Value) -> Option<bool> {
        let limit = self.number(keyword);
        let characters = |text: &str| u32::try_from(text.chars().count()).map_or(f64::MAX, f64::from);
        match (keyword, value) {
            ("minimum", Value::Number(number)) => Some(number.as_f64()? >= limit?),
            ("maximum", Value::Number(number)) => Some(number.as_f64()? <= limit?),
            ("exclusiveMinimum", Value::Number(number)) => Some(number.as_f64()? > limit?),
            ("exclusiveMaximum", Value::Number(number)) => Some(number.as_f64()? < limit?),
            ("multipleOf", Value::Number(number)) => Some(is_multiple(number.as_f64()?, limit?)),
            ("minLength", Value::String(text)) => Some(characters(text) >= limit?),
            ("maxLength", Value::String(text)) => Some(characters(text) <= limit?),
            ("pattern" | "format", Value::String(_)) | ("anyOf", _) => None,
            ("type" | "enum" | "const", _) => Some(true),
            (_, Value::Object(_) | Value::Array(_)) => ANNOTATIONS.contains(&keyword).then_some(true),
            _ if OPAQUE.contains(&keyword) => None,
            _ => Some(true),
        }
    }
}

/// An end of a range of numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    pub(crate) is_exclusive: bool,
}

impl Bound {
    /// Whether a lower bound allows less than another.
    pub(crate) fn is_above(self, other: Self) -> bool {
        self.value > other.value || (self.value >= other.value && self.is_exclusive && !other.is_exclusive)
    }

    /// Whether an upper bound allows less than another.
    pub(crate) fn is_below(self, other: Self) -> bool {
        self.value < other.value || (self.value <= other.value && self.is_exclusive && !other.is_exclusive)
    }
}

/// Whether a number is a whole multiple of another.
pub(crate) fn is_multiple(number: f64, of: f64) -> bool {
    let quotient = number / of;
    quotient.is_finite() && (quotient - quotient.round()).abs() < 1e-9 * quotient.abs().max(1.0)
}

/// The references of two schemas: whether one that is written the same in both names the same.
#[derive(Debug)]
pub(crate) struct References<'a> {
    loose_root: &'a Value,
    strict_root: &'a Value,
    are_roots_equal: bool,
    steps_left: Cell<usize>,
}

impl<'a> References<'a> {
    pub(crate) fn new(loose_root: &'a Value, strict_root: &'a Value) -> Self {
        let are_roots_equal = loose_root == strict_root;
        Self { loose_root, strict_root, are_roots_equal, steps_left: Cell::new(STEPS_MAX) }
    }

    /// Whether a keyword with a schema that is written the same in both means the same in both: so do all its
    /// references. What isn't known doesn't.
    pub(crate) fn hold(&self, keyword: &str, schema: &'a Value) -> bool {
        self.are_roots_equal || self.hold_in(keyword, schema, &mut HashSet::new())
    }

    fn hold_in(&self, keyword: &str, value: &'a Value, seen: &mut HashSet<&'a str>) -> bool {
        let Some(steps_left) = self.steps_left.get().checked_sub(1) else { return false };
        self.steps_left.set(steps_left);
        match (keyword, value) {
            ("$ref", Value::String(reference)) => self.names_the_same(reference, seen),
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => false,
            (_, Value::Object(members)) => members.iter().all(|(name, it)| self.hold_in(name, it, seen)),
            (_, Value::Array(elements)) => elements.iter().all(|it| self.hold_in("", it, seen)),
            _ => true,
        }
    }

    fn names_the_same(&self, reference: &'a str, seen: &mut HashSet<&'a str>) -> bool {
        if !seen.insert(reference) {
            return true;
        }
        let pointer = reference.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
        let named =
            pointer.map(|pointer| (self.loose_root.pointer(pointer), self.strict_root.pointer(pointer)));
        let Some((Some(loose), Some(strict))) = named else { return false };
        loose == strict && self.hold_in("", strict, seen)
    }
}

/// Whether two schemas say the same by all their keywords but those that are for people.
pub(crate) fn are_all_equal(
    loose: Keywords<'_>,
    strict: Keywords<'_>,
    is_same: impl Fn(&str) -> bool,
) -> bool {
    let names = loose.names().chain(strict.names());
    names.filter(|name| !ANNOTATIONS.contains(name)).all(is_same)
}

/// The schema that stands at a place, behind references within its document; none where one leads elsewhere, to
/// nothing, in a circle, or has assertions beside it.
pub(crate) fn follow<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    for _ in 0..REFERENCES_MAX {
        let Some(reference) = schema.get("$ref") else { return Some(schema) };
        let members = schema.as_object()?;
        let stands_alone = members.keys().all(|name| name == "$ref" || ANNOTATIONS.contains(&name.as_str()));
        let pointer = reference.as_str()?.strip_prefix('#')?;
        // Percent-encoded pointers are rare, and an anchor is no pointer.
        if !stands_alone || pointer.contains('%') {
            return None;
        }
        schema = root.pointer(pointer)?;
    }
    None
}
