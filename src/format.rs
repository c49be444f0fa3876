//! The format: bytes, and nothing else. No file here opens a file; `paged_file` alone reads one that is open.
//!
//! What always holds: numbers are little-endian; every structure carries a checksum that is compared before
//! its fields are believed; every length is compared with its bound before anything is allocated. Writer and
//! reader share these files and never see each other. docs/file-format.md has the tables, and a test compares
//! them with the constants here.
//!
//! ```text
//! segment file   | segment header | frame | frame | …  | SEAL frame | zeros to the end of the file
//! frame          | header 64 bytes | payload | zeros to a multiple of 64 |
//! DATA payload   | event record | event record | …
//! event record   | fixed part 56 bytes | occurred at | id | stream | type | metadata | data | extensions |
//! snapshot file  | envelope with the header | state |
//! ```

pub(crate) mod binary;
pub(crate) mod control;
pub(crate) mod control_frame;
pub(crate) mod frame;
pub(crate) mod head_page;
pub(crate) mod layout;
pub(crate) mod manifest;
pub(crate) mod paged;
pub(crate) mod paged_file;
pub(crate) mod record;
pub(crate) mod segment_header;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
