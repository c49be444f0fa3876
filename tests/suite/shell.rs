//! Runs commands for a shell in the directory of a test, with programs of the test's own among them.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{cli::Place, support::Outcome};

/// Whether this machine has a program.
pub(crate) fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Where a place's shell looks for programs first; `annals` is there.
fn programs(place: &Place) -> io::Result<PathBuf> {
    let programs = place.path().join("bin");
    if !programs.exists() {
        fs::create_dir(&programs)?;
        symlink(env!("CARGO_BIN_EXE_annals"), programs.join("annals"))?;
    }
    Ok(programs)
}

/// Puts a program of this name where the shell finds it before all others.
pub(crate) fn put_program(place: &Place, name: &str, script: &str) -> Outcome {
    let path = programs(place)?.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?)
}

/// A shell in the place's directory, of whose output nothing is shown.
pub(crate) fn shell(place: &Place, script: &str) -> io::Result<Command> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command
        .args(["-ec", &format!("set -o pipefail; {script}")])
        .current_dir(place.path())
        .env("PATH", format!("{}:{path}", programs(place)?.display()))
        .env("HOME", place.path())
        .env_remove("ANNALS_STORE")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command)
}

/// Runs a script, which must go well.
pub(crate) fn run_shell(place: &Place, script: &str) -> Outcome {
    let output = shell(place, script)?.stderr(Stdio::piped()).output()?;
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
