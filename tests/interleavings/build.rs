//! Says that the crate is built to be run in other orders than a machine chooses.

#![allow(clippy::print_stdout, reason = "a build script speaks to cargo like this")]

use std::io::{self, Write};

fn main() -> io::Result<()> {
    writeln!(io::stdout().lock(), "cargo::rustc-cfg=interleavings")
}
