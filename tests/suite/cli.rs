//! Runs the program `annals` in a directory of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_annals");

/// A directory to run the program in, where it makes `annals-data`.
pub(crate) struct Place {
    directory: TempDir,
}

/// How a run of the program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the program makes its store if it isn't told otherwise.
    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("annals-data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file is written");
    }

    /// The program, with nothing on standard input, and both outputs to be read.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.path()).env_remove("ANNALS_STORE").env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, "")
    }

    /// Runs the program with a text on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Run {
        let mut command = assert_cmd::Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("ANNALS_STORE")
            .env("TZ", "UTC")
            .write_stdin(stdin);
        let output = command.output().expect("the program runs");
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// What the program prints, if all goes well.
    #[track_caller]
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        self.prints_with(arguments, "")
    }

    #[track_caller]
    pub(crate) fn prints_with(&self, arguments: &[&str], stdin: &str) -> String {
        let run = self.run_with(arguments, stdin);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        run.stdout
    }

    /// What the program prints, one JSON object a line.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        json_lines(&self.prints(arguments))
    }

    /// Starts an import whose input stays open, so that it holds the store; it has put one event into stream `a`.
    pub(crate) fn hold_store(&self) -> Child {
        let mut command = self.command(&["import", "-", "--format", "json"]);
        let mut holder = command.stdin(Stdio::piped()).spawn().expect("the program runs");
        let stdin = holder.stdin.as_mut().expect("standard input");
        stdin.write_all(b"{\"stream\":\"a\",\"type\":\"T\"}\n").expect("it reads");
        let mut told = String::new();
        let mut stdout = BufReader::new(holder.stdout.take().expect("standard output"));
        stdout.read_line(&mut told).expect("readable");
        assert!(told.starts_with("{\"lines\":1,\"added\":1,"), "{told}");
        holder.stdout = Some(stdout.into_inner());
        holder
    }

    /// What the program says as it fails with this exit code.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        self.fails_with(code, arguments, "")
    }

    #[track_caller]
    pub(crate) fn fails_with(&self, code: i32, arguments: &[&str], stdin: &str) -> String {
        let run = self.run_with(arguments, stdin);
        assert_eq!(run.code, Some(code), "{arguments:?} said {}", run.stderr);
        assert!(!run.stderr.is_empty(), "{arguments:?} failed without a word");
        run.stderr
    }
}

#[track_caller]
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Sends a program such as `INT`, which is Ctrl-C.
pub(crate) fn send_signal(child: &Child, signal: &str) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
}

/// The history of a public repository: 5,407 events in 467 streams.
pub(crate) fn history() -> String {
    let packed: &[u8] = include_bytes!("../data/ripgrep-history.ndjson.gz");
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("the test data are whole");
    text
}

/// The program, which may have no more than so many files open.
pub(crate) fn run_with_open_files(files_max: u32, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let limited = format!("ulimit -n {files_max} && exec \"$0\" \"$@\"");
    command.args(["-c", &limited, PROGRAM]).args(words);
    command
}
