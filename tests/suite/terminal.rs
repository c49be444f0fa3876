//! A terminal to run the program on.
//!
//! It is a pseudo-terminal of the kernel, so the program sees what it would see in a window.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::cli::Place;

/// A terminal: its own side, and the one that a program has.
pub(crate) fn terminal(columns: u16) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let own = openpt(flags)?;
    grantpt(&own)?;
    unlockpt(&own)?;
    tcsetwinsize(&own, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let other = open(ptsname(&own, Vec::new())?.as_c_str(), flags, Mode::empty())?;
    Ok((own, other))
}

/// The program, in an environment that says nothing of colours.
pub(crate) fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    for name in ["CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color");
    command
}

/// What the program shows on a terminal of so many columns, on both of its outputs.
#[track_caller]
pub(crate) fn shown_by(mut command: Command, columns: u16) -> String {
    let (own, other) = terminal(columns).expect("a terminal");
    let copy = other.try_clone().expect("another handle");
    command.stdout(other).stderr(copy);
    shown_on(own, command, |_| ()).0
}

/// What the program shows on a terminal that is only its standard error.
#[track_caller]
pub(crate) fn shown_by_standard_error(mut command: Command, output: Stdio) -> String {
    let (own, other) = terminal(80).expect("a terminal");
    command.stdout(output).stderr(other);
    shown_on(own, command, |_| ()).0
}

/// What is shown on a terminal, and the exit code. As soon as there is something, `at_first` is called.
#[track_caller]
pub(crate) fn shown_on(
    own: OwnedFd,
    mut command: Command,
    at_first: impl FnOnce(&Child),
) -> (String, Option<i32>) {
    let mut at_first = Some(at_first);
    let mut child = command.spawn().expect("the program runs");
    // It holds the other side too, which must be closed for the end to be seen.
    drop(command);
    let mut bytes = Vec::new();
    let mut own = File::from(own);
    let mut buffer = [0; 4_096];
    loop {
        match own.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                bytes.extend_from_slice(&buffer[..count]);
                if let Some(act) = at_first.take() {
                    act(&child);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Linux says so where nobody has the other side any more.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => break,
            Err(error) => panic!("the terminal can't be read: {error}"),
        }
    }
    let code = child.wait().expect("it ends").code();
    (String::from_utf8(bytes).expect("UTF-8").replace("\r\n", "\n"), code)
}

/// Sends a program Ctrl-C, at once: a shell that did it would come later.
#[track_caller]
pub(crate) fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).expect("the program is there");
}

#[track_caller]
pub(crate) fn shows(place: &Place, columns: u16, arguments: &[&str]) -> String {
    shown_by(command(place, arguments), columns)
}
