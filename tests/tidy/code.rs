//! How the rules read code: without comments and strings, word by word, path by path.

/// The text with comments, strings and characters blanked; all else keeps its line.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let prose_bytes = prose_bytes(&code, rest);
        if prose_bytes == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push_str(&blank(&rest[..prose_bytes]));
            rest = &rest[prose_bytes..];
        }
    }
    code
}

/// How many bytes of a comment, a string or a character `rest` begins with.
fn prose_bytes(before: &str, rest: &str) -> usize {
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment_bytes(rest)
    } else if rest.starts_with('"') {
        let prefix = before.trim_end_matches('#');
        if prefix.ends_with('r') {
            raw_string_bytes(rest, before.len() - prefix.len())
        } else {
            string_bytes(rest)
        }
    } else if let Some(inside) = rest.strip_prefix('\'') {
        let first = inside.chars().next().map_or(0, char::len_utf8);
        if inside.starts_with('\\') {
            rest.char_indices().skip(3).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1)
        } else if inside[first..].starts_with('\'') {
            first + 2
        } else {
            0 // a lifetime
        }
    } else {
        0
    }
}

fn block_comment_bytes(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = rest[at..].find(['/', '*']) {
        at += found;
        match rest.get(at..at + 2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn raw_string_bytes(rest: &str, hashes: usize) -> usize {
    let end = format!("\"{}", "#".repeat(hashes));
    rest[1..].find(&end).map_or(rest.len(), |at| 1 + at + end.len())
}

fn string_bytes(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The code with each `#[cfg(test)] mod …` blanked.
pub(crate) fn without_test_modules(code: &str) -> String {
    let mut kept = code.to_owned();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        let mut item = start + attribute.len();
        while code[item..].trim_start().starts_with("#[") {
            let Some(end) = item_end(code, item, &[']']) else { break };
            item = end + 1;
        }
        if let Some(end) = item_end(code, item, &[';', '}'])
            && code[item..].trim_start().starts_with("mod ")
        {
            kept.replace_range(start..=end, &blank(&code[start..=end]));
        }
    }
    kept
}

/// As many spaces as the text has bytes; its lines stay.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// Where the first of the characters stands outside of all brackets, or closes the last one.
pub(crate) fn item_end(code: &str, start: usize, ends: &[char]) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, c) in code[start..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 && ends.contains(&c) {
            return Some(start + offset);
        }
    }
    None
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands by itself, not as a part of a longer word.
pub(crate) fn occurrences<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let (before, after) = (&text[..*at], &text[at + word.len()..]);
        let goes_on_before = word.starts_with(is_word) && before.ends_with(is_word);
        let goes_on_after = word.ends_with(is_word) && after.starts_with(is_word);
        !goes_on_before && !goes_on_after
    })
}

pub(crate) fn line_at(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// Whether `mod ` at this place begins `mod name;`.
pub(crate) fn declares_module(code: &str, at: usize) -> bool {
    let name = code[at + "mod ".len()..].trim_start_matches(is_word);
    !code[..at].ends_with(is_word) && name.starts_with(';')
}

/// The paths `root::…` in code, groups taken apart, each with the place of its last name.
pub(crate) fn paths_below<'a>(code: &'a str, root: &'a str) -> Vec<(usize, Vec<&'a str>)> {
    let mut paths = Vec::new();
    for at in occurrences(code, root) {
        let is_visibility = code[..at].trim_end().ends_with("(in");
        if let Some(rest) = code[at + root.len()..].strip_prefix("::").filter(|_| !is_visibility) {
            collect_paths(code, rest, &[], &mut paths);
        }
    }
    paths
}

/// Takes one path, or a group of paths, from the beginning of `rest`, and returns what follows.
fn collect_paths<'a>(
    code: &'a str,
    rest: &'a str,
    prefix: &[&'a str],
    paths: &mut Vec<(usize, Vec<&'a str>)>,
) -> &'a str {
    let mut path = prefix.to_vec();
    let mut rest = rest.trim_start();
    while !rest.starts_with('{') {
        let end = if rest.starts_with('*') { 1 } else { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) };
        if end > 0 {
            path.push(&rest[..end]);
        }
        let Some(next) = rest[end..].strip_prefix("::").filter(|_| end > 0) else {
            paths.push((code.len() - rest.len(), path));
            return &rest[rest.find([',', '}', ';']).unwrap_or(rest.len())..];
        };
        rest = next;
    }
    while let Some(inside) = rest.strip_prefix(['{', ',']).map(str::trim_start) {
        rest = if inside.starts_with('}') { inside } else { collect_paths(code, inside, &path, paths) };
        rest = rest.trim_start();
    }
    rest.strip_prefix('}').unwrap_or(rest)
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text = concat!(
        "a // b\n",
        "/* c /* d */ e */ f \"g\\\" h\" i\n",
        "r#\"j \" k\"# l br\"m\\\" n 'o' p '\\'' q <'r> '\"' s\n",
    );
    let words: Vec<String> = code_of(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "f", "i", "r#", "l", "br", "n", "p", "q", "<'r>", "s"]);
    assert_eq!(code_of(text).lines().count(), 3);
}

#[test]
fn test_modules_are_blanked_and_lines_stay() {
    let code = "\
        fn a() {}\n#[cfg(test)]\n#[allow(\nx\n)]\nmod tests {\n\
        fn b() { c[0]; }\n}\nfn d() {}\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\n\
        fn e() {}\n";
    let kept = without_test_modules(code);
    let words: Vec<&str> = kept.split_whitespace().collect();
    assert_eq!(words, ["fn", "a()", "{}", "fn", "d()", "{}", "#[cfg(test)]", "fn", "e()", "{}"]);
    assert_eq!(kept.lines().count(), code.lines().count());
}

#[test]
fn groups_of_paths_are_taken_apart() {
    let code = "\
        use crate::{\na::X,\nb::{self, c::{D as E, *}},\n};\n\
        let f = crate::g::h::<u8>(crate::i); pub(in crate::j) k";
    let paths: Vec<(usize, String)> = paths_below(code, "crate")
        .into_iter()
        .map(|(at, segments)| (line_at(code, at), segments.join("::")))
        .collect();
    let expected = [(2, "a::X"), (3, "b::self"), (3, "b::c::D"), (3, "b::c::*"), (5, "g::h"), (5, "i")];
    assert_eq!(paths, expected.map(|(line, path)| (line, path.to_owned())));
}

#[test]
fn a_word_stands_by_itself() {
    let text = "unsafe unsafe_code not_unsafe eprint! print!";
    assert_eq!(occurrences(text, "unsafe").collect::<Vec<_>>(), [0]);
    assert_eq!(occurrences(text, "print!").collect::<Vec<_>>(), [38]);
}
