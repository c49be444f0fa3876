//! A file system that ends at once, as by a power cut.
#![allow(unsafe_code, reason = "rustix can't know what an ioctl's number takes")]

use std::{fs::File, path::Path};

use rustix::ioctl::{self, Setter, opcode};

use crate::Outcome;

/// `EXT4_IOC_SHUTDOWN`, and with the same number `XFS_IOC_GOINGDOWN`.
const SHUTDOWN: ioctl::Opcode = opcode::read::<u32>(b'X', 125);

/// Nothing more is written, the journal neither.
const NO_LOG_FLUSH: u32 = 2;

/// Shuts down the file system that a directory is in.
pub(crate) fn shut_down(directory: &Path) -> Outcome<()> {
    let directory = File::open(directory)?;
    // SAFETY: the call reads a u32 behind the pointer, and keeps nothing of it.
    Ok(unsafe { ioctl::ioctl(directory, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }?)
}
