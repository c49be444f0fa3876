//! JSON laid out over several lines, with every digit and every letter as it was stored.

use std::{iter::Peekable, str::Chars};

const INDENTATION: &str = "  ";

/// What is deeper isn't indented further, so that no JSON becomes much longer than it was.
const LEVELS_MAX: usize = 32;

/// The lines of a JSON text, one at a time, without their ends.
pub(crate) struct PrettyLines<'a> {
    rest: Peekable<Chars<'a>>,
    level: usize,
}

impl<'a> PrettyLines<'a> {
    /// The lines of a text that is JSON.
    pub(crate) fn of(json: &'a str) -> Self {
        Self { rest: json.chars().peekable(), level: 0 }
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(char::is_ascii_whitespace).is_some() {}
    }

    /// Appends the rest of a text, whose first quote is there already.
    fn push_text(&mut self, line: &mut String) {
        while let Some(character) = self.rest.next() {
            line.push(character);
            match character {
                '"' => return,
                '\\' => line.extend(self.rest.next()),
                _ => {}
            }
        }
    }
}

impl Iterator for PrettyLines<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.skip_space();
        let closes = matches!(self.rest.peek()?, '}' | ']');
        self.level -= usize::from(closes && self.level > 0);
        let mut line = INDENTATION.repeat(self.level.min(LEVELS_MAX));
        while let Some(character) = self.rest.next() {
            line.push(character);
            match character {
                '"' => self.push_text(&mut line),
                ':' => line.push(' '),
                ',' => return Some(line),
                '{' | '[' => {
                    self.skip_space();
                    let Some(end) = self.rest.next_if(|next| matches!(next, '}' | ']')) else {
                        self.level += 1;
                        return Some(line);
                    };
                    line.push(end);
                }
                _ => {}
            }
            self.skip_space();
            if matches!(self.rest.peek(), Some('}' | ']')) {
                return Some(line);
            }
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[track_caller]
    fn check(json: &str, lines: &[&str]) {
        serde_json::from_str::<&RawValue>(json).expect("JSON");
        let found: Vec<String> = PrettyLines::of(json).collect();
        assert_eq!(found, lines, "{json}");
        serde_json::from_str::<&RawValue>(&found.join("\n")).expect("still JSON");
    }

    #[test]
    fn members_and_elements_have_lines_of_their_own() {
        check(
            r#" {"a":1, "b" :[true,{"c":null}] } "#,
            &[
                "{",
                "  \"a\": 1,",
                "  \"b\": [",
                "    true,",
                "    {",
                "      \"c\": null",
                "    }",
                "  ]",
                "}",
            ],
        );
    }

    #[test]
    fn what_is_empty_or_alone_takes_one_line() {
        for json in ["{}", "[]", "17", "\"\"", "null"] {
            check(json, &[json]);
        }
        check("{ \"a\" : [ ] }", &["{", "  \"a\": []", "}"]);
    }

    #[test]
    fn digits_and_letters_stay_as_they_were_stored() {
        check(
            r#"{"n":1.10e+400,"n":123456789012345678901234567890,"t":"a\\\"{,:}[] \u00e4"}"#,
            &[
                "{",
                "  \"n\": 1.10e+400,",
                "  \"n\": 123456789012345678901234567890,",
                r#"  "t": "a\\\"{,:}[] \u00e4""#,
                "}",
            ],
        );
    }

    #[test]
    fn no_depth_makes_it_much_longer() {
        let depth = 10_000;
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let longest = PrettyLines::of(&deep).map(|line| line.len()).max();
        assert_eq!(longest, Some(2 * LEVELS_MAX + 2));
        assert_eq!(PrettyLines::of(&deep).count(), 2 * depth - 1);
    }
}
