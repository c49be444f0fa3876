//! What a JSON Schema comes to when data are checked by it, counted before anybody does.
//!
//! Checking follows schemas into each other: *in place*, where one says more about the same value (`allOf`, `$ref`), or
//! *into* the value's properties and items. A reference can lead back to where it came from. Into smaller and smaller
//! parts of the data that ends; in place it doesn't mean anything, and is refused. So are references that this
//! file can't follow, since it couldn't count what they lead to.

use std::{
    collections::{HashMap, HashSet},
    ptr,
};

use serde_json::Value;

/// How many schemas and keywords one may come to when each of its references is replaced by what it names.
const EXPANSION_MAX: u64 = 1_000_000;

/// How many schemas are within each other at most, through references too.
const DEPTH_MAX: usize = 128;

/// How many of them speak of one value, in a schema that leads back to itself. Data are up to 128 deep, and each
/// level is checked on its caller's stack.
const CIRCLE_DEPTH_MAX: usize = 16;

/// How often a schema in place is checked beside `unevaluatedProperties` or `unevaluatedItems`: for itself, and
/// for what it evaluates, which asks it again.
const UNEVALUATED_FACTOR: u64 = 3;

/// How many patterns a schema may have.
const PATTERNS_MAX: usize = 1_000;

/// Keywords that lead on, how, and what they have.
const APPLICATORS: [(&str, Way, Holds); 22] = [
    ("$defs", Way::Kept, Holds::Members),
    ("additionalItems", Way::Into, Holds::One),
    ("additionalProperties", Way::Into, Holds::One),
    ("allOf", Way::InPlace, Holds::Several),
    ("anyOf", Way::InPlace, Holds::Several),
    ("contains", Way::Into, Holds::One),
    ("definitions", Way::Kept, Holds::Members),
    ("dependencies", Way::InPlace, Holds::Members),
    ("dependentSchemas", Way::InPlace, Holds::Members),
    ("else", Way::InPlace, Holds::One),
    ("if", Way::InPlace, Holds::One),
    ("items", Way::Into, Holds::Several),
    ("not", Way::InPlace, Holds::One),
    ("oneOf", Way::InPlace, Holds::Several),
    ("patternProperties", Way::Into, Holds::Members),
    ("prefixItems", Way::Into, Holds::Several),
    ("properties", Way::Into, Holds::Members),
    ("propertyNames", Way::Into, Holds::One),
    ("then", Way::InPlace, Holds::One),
    ("unevaluatedItems", Way::Into, Holds::One),
    ("unevaluatedProperties", Way::Into, Holds::One),
    ("contentSchema", Way::Kept, Holds::One),
];

/// How a schema leads to another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Which says more of the same value.
    InPlace,
    /// Which says something of a part of the value.
    Into,
    /// Which isn't applied there, but by those who refer to it.
    Kept,
}

/// What a keyword has.
#[derive(Clone, Copy)]
enum Holds {
    One,
    /// A list of schemas; or one, as `items` may.
    Several,
    Members,
}

/// What is known of a schema whose references are all followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// Schemas and keywords, with references replaced by what they name; a circle counts once.
    pub(crate) expansion: u64,
    /// Whether a reference leads back to a schema that it is in.
    pub(crate) has_circle: bool,
    pub(crate) patterns: usize,
}

impl Shape {
    /// Follows a schema; an error says why it can't be used to check data by.
    pub(crate) fn of(schema: &Value) -> Result<Self, String> {
        let mut walk = Walk {
            root: schema,
            has_circle: false,
            patterns: 0,
            known: HashMap::new(),
            open: HashSet::new(),
        };
        let size = walk.measure(schema, 0)?;
        if size.expansion > EXPANSION_MAX {
            return Err(format!(
                "with its references replaced it would be more than {EXPANSION_MAX} schemas and keywords, which takes \
                 too long to check data by"
            ));
        }
        if walk.patterns > PATTERNS_MAX {
            return Err(format!("it has {} patterns; the limit is {PATTERNS_MAX}", walk.patterns));
        }
        let schemas: Vec<&Value> = walk.known.values().map(|(schema, _)| *schema).collect();
        let mut heights = HashMap::new();
        for schema in schemas {
            let height = walk.height_in_place(schema, 0, &mut heights)?;
            if walk.has_circle && height > CIRCLE_DEPTH_MAX {
                return Err(format!(
                    "it refers back to itself, and more than {CIRCLE_DEPTH_MAX} schemas within each other speak of one \
                     value, which takes too much memory to check data by"
                ));
            }
        }
        Ok(Self { expansion: size.expansion, has_circle: walk.has_circle, patterns: walk.patterns })
    }
}

/// What a schema comes to, with all it leads to.
#[derive(Clone, Copy)]
struct Size {
    expansion: u64,
    /// How many schemas are within each other.
    height: usize,
}

struct Walk<'a> {
    root: &'a Value,
    has_circle: bool,
    patterns: usize,
    /// By the schema's place in memory.
    known: HashMap<*const Value, (&'a Value, Size)>,
    /// Those that are being measured.
    open: HashSet<*const Value>,
}

impl<'a> Walk<'a> {
    fn measure(&mut self, schema: &'a Value, depth: usize) -> Result<Size, String> {
        let place = ptr::from_ref(schema);
        if self.open.contains(&place) {
            self.has_circle = true;
            return Ok(Size { expansion: 1, height: 0 });
        }
        let size = if let Some((_, size)) = self.known.get(&place) {
            *size
        } else {
            self.open.insert(place);
            let size = self.measure_new(schema, depth)?;
            self.open.remove(&place);
            self.known.insert(place, (schema, size));
            size
        };
        if depth + size.height > DEPTH_MAX {
            return Err(too_deep());
        }
        Ok(size)
    }

    fn measure_new(&mut self, schema: &'a Value, depth: usize) -> Result<Size, String> {
        if depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.check_names(schema)?;
        let is_there = |keyword: &str| schema.get(keyword).is_some();
        let has_unevaluated = is_there("unevaluatedProperties") || is_there("unevaluatedItems");
        let mut size = Size { expansion: own_size(schema), height: 0 };
        self.patterns += usize::from(schema.get("pattern").is_some_and(Value::is_string));
        self.patterns +=
            schema.get("patternProperties").and_then(Value::as_object).map_or(0, serde_json::Map::len);
        for (way, next) in self.next(schema)? {
            let of_next = self.measure(next, depth + 1)?;
            let factor = match way {
                Way::InPlace if has_unevaluated => UNEVALUATED_FACTOR,
                Way::InPlace | Way::Into => 1,
                Way::Kept => continue,
            };
            size.expansion = size.expansion.saturating_add(of_next.expansion.saturating_mul(factor));
            size.height = size.height.max(of_next.height);
        }
        size.height += 1;
        Ok(size)
    }

    /// Refuses names that change where references lead, and references that look at who refers.
    fn check_names(&self, schema: &Value) -> Result<(), String> {
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if schema.get(keyword).is_some() {
                return Err(format!("{keyword} isn't followed here: write a $ref that begins with \"#\""));
            }
        }
        let draft = self.root.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let name = if draft.contains("draft-04") { "id" } else { "$id" };
        match schema.get(name) {
            Some(Value::String(id)) if !ptr::eq(schema, self.root) => Err(format!(
                "a schema within it has the {name} {id:?} of its own, from which other references would count: leave it \
                 out"
            )),
            _ => Ok(()),
        }
    }

    /// The schemas that one leads to.
    fn next(&self, schema: &'a Value) -> Result<Vec<(Way, &'a Value)>, String> {
        let Some(members) = schema.as_object() else { return Ok(Vec::new()) };
        let mut next = Vec::new();
        if let Some(Value::String(reference)) = members.get("$ref") {
            next.push((Way::InPlace, self.named(reference)?));
        }
        for (keyword, way, holds) in APPLICATORS {
            match (holds, members.get(keyword)) {
                (Holds::Several, Some(Value::Array(schemas))) => {
                    next.extend(schemas.iter().map(|it| (way, it)));
                }
                (Holds::One | Holds::Several, Some(schema)) => next.push((way, schema)),
                (Holds::Members, Some(Value::Object(schemas))) => {
                    next.extend(schemas.values().map(|it| (way, it)));
                }
                (Holds::Members, _) | (_, None) => {}
            }
        }
        Ok(next)
    }

    /// The schema that a reference names.
    fn named(&self, reference: &str) -> Result<&'a Value, String> {
        let pointer = reference
            .strip_prefix('#')
            .filter(|pointer| (pointer.is_empty() || pointer.starts_with('/')) && !pointer.contains('%'));
        let pointer = pointer.ok_or_else(|| {
            format!(
                "the reference {reference:?} isn't followed: write \"#\" for the schema itself or \"#/…\" for a place in \
                 it, without percent signs"
            )
        })?;
        let named = self.root.pointer(pointer);
        named.ok_or_else(|| format!("the reference {reference:?} leads to nothing in the schema"))
    }

    /// How many schemas within each other speak of one value. None in the map: it is being asked.
    fn height_in_place(
        &self,
        schema: &'a Value,
        depth: usize,
        heights: &mut HashMap<*const Value, Option<usize>>,
    ) -> Result<usize, String> {
        let place = ptr::from_ref(schema);
        match heights.get(&place) {
            Some(Some(height)) => return Ok(*height),
            Some(None) => {
                return Err("a reference in it leads back to where it stands and to no part of the data, \
                            which says nothing"
                    .to_owned());
            }
            None if depth >= DEPTH_MAX => return Err(too_deep()),
            None => {}
        }
        heights.insert(place, None);
        let mut height = 0;
        for (way, next) in self.next(schema)? {
            if way == Way::InPlace {
                height = height.max(self.height_in_place(next, depth + 1, heights)?);
            }
        }
        heights.insert(place, Some(height + 1));
        Ok(height + 1)
    }
}

/// A schema itself, its keywords, and the values that they list.
fn own_size(schema: &Value) -> u64 {
    let members = schema.as_object().into_iter().flatten();
    let listed = members.map(|(_, value)| 1 + value.as_array().map_or(0, Vec::len));
    u64::try_from(1 + listed.sum::<usize>()).unwrap_or(u64::MAX)
}

fn too_deep() -> String {
    format!("with its references replaced it would be more than {DEPTH_MAX} schemas deep")
}

#[cfg(test)]
#[allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]
mod tests;
