//! Bad samples: each rule finds what it is there to find, and names its line.

use crate::rules::{
    check_contents, check_crates, check_file_length, check_floors, check_function_lengths, check_imports,
    check_printed_floors, check_restricted, check_top_level, check_unfinished,
};

const ORDER: &[&str] = &["stream", "event", "disk/contract", "disk/os"];

/// Exactly these are found: as many, in this order, each containing what is expected of it.
#[track_caller]
fn check(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "\"{found}\" should contain \"{expected}\"");
    }
}

#[test]
fn an_import_that_points_up_is_allowed() {
    let text =
        "use crate::{event::{self, EventData}, stream::StreamId};\nfn a() -> crate::disk::contract::Disk {}";
    check(&check_imports("src/disk/os.rs", text, ORDER), &[]);
}

#[test]
fn an_import_that_points_down_is_found() {
    let text = "use crate::stream::StreamId;\nuse crate::disk::contract::Disk;";
    check(
        &check_imports("src/event.rs", text, ORDER),
        &["src/event.rs:2: `crate::disk::contract::Disk` points down"],
    );
    let text = "use crate::{\n    stream::StreamId,\n    disk::{\n        os::OsDisk,\n    },\n};";
    check(
        &check_imports("src/event.rs", text, ORDER),
        &["src/event.rs:4: `crate::disk::os::OsDisk` points down"],
    );
    let text = "fn a() {\n    crate::disk::os::open::<u8>();\n}";
    check(
        &check_imports("src/event.rs", text, ORDER),
        &["src/event.rs:2: `crate::disk::os::open` points down"],
    );
}

#[test]
fn an_import_from_the_root_or_from_a_contents_page_is_found() {
    let text = "use crate::{EventData, stream::StreamId};\nuse crate::disk;\nuse crate::*;";
    check(
        &check_imports("src/disk/os.rs", text, ORDER),
        &[
            "os.rs:1: `crate::EventData` is no file",
            "os.rs:2: `crate::disk` is no",
            "os.rs:3: `crate::*` is no",
        ],
    );
}

#[test]
fn relative_paths_are_found() {
    let text = "use super::contract::Disk;\nmod hidden;\nuse crate::disk::os::Self;";
    check(
        &check_imports("src/disk/os.rs", text, ORDER),
        &[
            "os.rs:1: write `crate::…`",
            "os.rs:2: declare modules",
            "os.rs:3: `crate::disk::os::Self` is this file",
        ],
    );
}

#[test]
fn imports_of_tests_and_paths_in_comments_are_free() {
    let text = "\
        //! [`crate::Error`]\n#[cfg(test)]\nmod tests {\nuse super::*;\n\
        use crate::disk::os::OsDisk;\n}\n";
    check(&check_imports("src/event.rs", text, ORDER), &[]);
    check(&check_imports("src/event/tests.rs", "use super::*;\nuse crate::disk::os::OsDisk;", ORDER), &[]);
}

#[test]
fn a_file_outside_the_order_is_found() {
    let files =
        ["src/lib.rs", "src/disk.rs", "src/stream.rs", "src/new.rs", "src/stream/tests.rs", "src/bin/a.rs"];
    check(
        &check_floors(&["stream", "gone", "stream"], &files.map(str::to_owned)),
        &["src/gone.rs, which isn't there", "src/stream.rs twice", "src/new.rs:1: isn't in FLOORS"],
    );
}

#[test]
fn a_page_that_prints_other_floors_is_found() {
    let floors: &[(&str, &[&str])] = &[("Words", &["stream", "event"]), ("Disk", &["disk/os"])];
    let page = |block: &str| format!("# Title\n<!-- floors -->\n{block}\n<!-- /floors -->\n");
    let good = page("```text\n1 Words   stream event\n2 Disk    disk/os\n```");
    check(&check_printed_floors("docs/a.md", &good, floors), &[]);
    for (block, line) in [
        ("```text\n1 Words event stream\n2 Disk disk/os\n```", 4),
        ("```text\n1 Words stream event\n```", 5),
        ("```text\n1 Words stream event\n2 Disk disk/os\n3 More more\n```", 6),
        ("1 Words stream event\n2 Disk disk/os", 3),
    ] {
        let found = check_printed_floors("docs/a.md", &page(block), floors);
        check(
            &found,
            &[&format!("docs/a.md:{line}: between the markers, write:\n```text\n1 Words stream event\n")],
        );
    }
    check(
        &check_printed_floors("docs/a.md", "# Title\n", floors),
        &["docs/a.md:1: print the floors between"],
    );
}

#[test]
fn code_in_a_contents_page_is_found() {
    let text = "\
        //! Disk.\n\n#[cfg(test)]\nmod tests;\npub(crate) mod os;\nuse std::io;\n\
        pub use os::OsDisk;\nmod a { }\n// why";
    check(&check_contents("src/disk.rs", text), &["disk.rs:6:", "disk.rs:7:", "disk.rs:8:", "disk.rs:9:"]);
}

#[test]
fn a_long_file_is_found() {
    check(&check_file_length("src/a.rs", &"\n".repeat(500)), &[]);
    check(&check_file_length("src/a.rs", &"\n".repeat(501)), &["src/a.rs:500: has 501 lines"]);
}

#[test]
fn a_long_function_is_found() {
    let function = |lines: usize| {
        let body = "        let a = \"}\";\n".repeat(lines - 2);
        format!("trait T {{\n    fn none(a: [u8; 2]);\n    fn long(f: fn(u8))\n    {{\n{body}    }}\n}}\n")
    };
    check(&check_function_lengths("src/a.rs", &function(59)), &[]);
    check(&check_function_lengths("src/a.rs", &function(60)), &["src/a.rs:3: function `long` has 61 lines"]);
}

#[test]
fn words_away_from_home_are_found() {
    let text = "\
        fn a() { unsafe { b() } }\nuse bincode::config;\nuse std::{io, fs::File};\n\
        use rustix::fs;\nuse memmap2::Mmap;\n";
    let fs = "src/log/scan.rs:3: `std::fs::File`: go through";
    check(
        &check_restricted("src/log/scan.rs", text),
        &["scan.rs:1: `unsafe`", "scan.rs:2: `bincode`", "scan.rs:5: `memmap2`", "scan.rs:4: `rustix`", fs],
    );
    check(&check_restricted("src/disk/os.rs", text), &["os.rs:2: `bincode`"]);
    check(&check_restricted("src/format/binary.rs", "use bincode::config;"), &[]);
    check(&check_restricted("tests/a.rs", "use std::fs;\nunsafe {}"), &["tests/a.rs:2: `unsafe`"]);
    check(
        &check_restricted("src/a.rs", "// unsafe, std::fs\n#![deny(unsafe_code)]\nlet a = \"bincode\";"),
        &[],
    );
}

#[test]
fn a_print_macro_is_found() {
    let text = "\
        println!();\nprint!();\neprintln!();\neprint!();\ndbg!(a);\n// println!()\n\
        writeln!(out)?;";
    check(
        &check_restricted("src/bin/annals/main.rs", text),
        &["main.rs:1: `println!`", "main.rs:2: `print!`", ":3: `eprintln!`", ":4: `eprint!`", ":5: `dbg!`"],
    );
}

#[test]
fn unfinished_work_is_found() {
    // Samples of the rule, each in two parts, so that a search for such words doesn't find this file.
    let text = concat!(
        "// TO",
        "DO\n// FIX",
        "ME\n// XX",
        "X\n// HA",
        "CK\n#[",
        "ignore = \"slow\"]\ntodo",
        "!()\nunimplemented",
        "!()\nIn a real ",
        "implementation\nFor ",
        "now, for ",
        "now\nfor ",
        "nowhere, TO",
        "DOS\n"
    );
    let mut found = check_unfinished("docs/a.md", text);
    found.sort_by_key(|found| found.split(':').nth(1).and_then(|line| line.parse::<u32>().ok()));
    check(
        &found,
        &["md:1:", "md:2:", "md:3:", "md:4:", "md:5:", "md:6:", "md:7:", "md:8:", "md:9:", "md:9:"],
    );
}

#[test]
fn a_stranger_at_the_top_level_is_found() {
    let names = [".ci", "Cargo.toml", "target", "annals-data", "notes.txt", "clippy.toml"];
    check(&check_top_level(&names.map(str::to_owned)), &["notes.txt:1: doesn't belong", "clippy.toml:1:"]);
}

#[test]
fn a_crate_too_many_is_found() {
    let line = |number: usize| [format!("c{number} v1.0.0"), format!("c{number} v1.0.0 (*)")].join("\n");
    let tree = |count: usize| (0..count).map(line).collect::<Vec<_>>().join("\n");
    check(&check_crates(&tree(29)), &[]);
    check(
        &check_crates(&tree(30)),
        &["Cargo.toml:1: without default features 30 crates are built, 29 are allowed"],
    );
}
