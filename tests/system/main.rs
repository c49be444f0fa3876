//! Faults of real processes, of the real kernel and of a real disk.
//!
//! ```text
//! cargo test --locked --test system                                    a short form of all but power-cuts
//! cargo test --release --locked --test system -- rounds      [--rounds N]
//! cargo test --release --locked --test system -- kills       [--sample N]
//! cargo test --release --locked --test system -- errors      [--sample N]
//! cargo test --release --locked --test system -- syncs
//! cargo test --release --locked --test system -- full-disk
//! cargo test --release --locked --test system -- power-cuts  [--cuts N] [--filesystem ext4|xfs] [--directory DIR]
//! ```
//!
//! - `rounds`: writers, followers, backups and repairs are killed at random times, over and over.
//! - `kills`: a program that writes, and one that repairs, is killed as it enters a system call: the first of a kind, the second, …
//!   until it makes no more. Needs strace.
//! - `errors`: the same calls fail, once or from then on, with each error that the system has for them. Needs strace.
//! - `syncs`: what a program syncs before it tells that something is stored. Needs strace.
//! - `full-disk`: a small tmpfs fills up. Needs root.
//! - `power-cuts`: a file system on a loop device is shut down under a program, without its journal being flushed, and mounted
//!   again: what had not reached the disk is gone. Needs root, loop devices, and mkfs.
//! - `--sample N`: only every Nth occurrence; 1 unless said otherwise.
//! - `--directory`: where the file system's image is; a temporary directory unless said otherwise.
//!
//! A run of `power-cuts` that is interrupted leaves file systems mounted: `umount` them, and `losetup --detach` their devices.
//!
//! What can't run here says so and is skipped. Whatever happens, `ledger.rs` says what must hold afterwards.

#![allow(missing_docs, reason = "a program of its own, which nothing imports")]

#[cfg(target_os = "linux")]
use std::env;
use std::{
    error::Error,
    io::{self, Write},
};

mod child;
#[cfg(target_os = "linux")]
mod errors;
#[cfg(target_os = "linux")]
mod full_disk;
mod job;
#[cfg(target_os = "linux")]
mod kills;
mod ledger;
#[cfg(target_os = "linux")]
mod memory;
#[path = "../../src/bin/annals/bench/mix.rs"]
mod mix;
#[cfg(target_os = "linux")]
mod mounting;
#[cfg(target_os = "linux")]
mod power_cuts;
mod repairs;
mod rounds;
#[cfg(target_os = "linux")]
mod settings;
#[cfg(target_os = "linux")]
mod shutdown;
#[cfg(target_os = "linux")]
mod strace;
#[cfg(target_os = "linux")]
mod syncs;
mod work;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    if let Some(job) = child::given()? {
        return job.run();
    }
    #[cfg(target_os = "linux")]
    return settings::Settings::given(env::args().skip(1))?.map_or(Ok(()), |settings| settings.run());
    #[cfg(not(target_os = "linux"))]
    rounds::run(rounds::ROUNDS_SHORT)
}

/// Prints a line of what was found.
fn say(what: impl std::fmt::Display) -> Outcome<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{what}")?;
    Ok(output.flush()?)
}
