//! The documents' transcripts: every command in them is run, and says what the document says.

use std::path::Path;

#[test]
fn the_command_line_does_what_its_document_shows() {
    trycmd::TestCases::new()
        .register_bin("annals", Path::new(env!("CARGO_BIN_EXE_annals")))
        .env("ANNALS_STORE", "./annals-data")
        .case("docs/cli.md");
}
