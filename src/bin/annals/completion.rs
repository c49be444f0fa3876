//! What shells complete: commands, options, and names that are in the store that the line names.
//!
//! A shell that was told so by `annals completions` starts the program with the line so far, and with a variable of the environment
//! that names the shell. Whoever waits at a prompt wants an answer now or none, so what can't be found quickly is left out, and
//! nothing is said of what goes wrong.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
    process,
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use annals::{Follower, Options, Reader, StreamFilter};
use clap::{Args, ValueEnum};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::{EnvCompleter, Fish, Powershell, Shells, Zsh},
};

use crate::{
    completion_bash::{Line, WholeWords},
    global_arguments::store_without_option,
    help,
    output::Output,
};

/// Names the shell that asks, where one does.
const VARIABLE: &str = "ANNALS_COMPLETE";

/// How many names are offered at most: more of them nobody reads.
const NAMES_MAX: usize = 300;

/// How long the store is looked at.
const PATIENCE: Duration = Duration::from_millis(250);

const COMPLETIONS_EXAMPLES: &str = "Examples:
  annals completions bash
  annals completions zsh > _annals

In bash, this line in ~/.bashrc:
  source <(annals completions bash)

In zsh, this line in ~/.zshrc, behind compinit:
  source <(annals completions zsh)

In fish, this line in ~/.config/fish/config.fish:
  annals completions fish | source

In PowerShell, this line in the file that $PROFILE names:
  annals completions powershell | Out-String | Invoke-Expression

Then the Tab key completes commands, options and their values; and streams, categories, event types, checkpoints and projections from the
store that --store names on the line, or else ANNALS_STORE, or ./annals-data. Up to 300 names are offered, those that a shell would take apart are
left out, and where looking takes longer than a quarter of a second, there are none.";

#[derive(Args, Debug)]
#[command(after_long_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
        }
    }
}

/// How each shell is told, and asks.
const SHELLS: Shells<'static> = Shells(&[&WholeWords, &Zsh, &Fish, &Powershell]);

/// Prints what a shell has to be told.
pub(crate) fn run(arguments: &CompletionsArguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    if let Some(shell) = SHELLS.completer(arguments.shell.name()) {
        shell.write_registration(VARIABLE, "annals", "annals", "annals", &mut script)?;
    }
    let mut output = Output::new();
    output.write(&script)?;
    Ok(output.flush()?)
}

/// Answers a shell and ends, if it is a shell that asks.
pub(crate) fn answer() {
    let Some(shell) = env::var_os(VARIABLE) else { return };
    LINE.get_or_init(|| AskedLine::of(env::args_os(), &shell));
    let directory = env::current_dir().ok();
    let asked = CompleteEnv::with_factory(help::command).var(VARIABLE).shells(SHELLS);
    match asked.try_complete(env::args_os(), directory.as_deref()) {
        Ok(false) => {}
        Ok(true) => process::exit(0),
        // A message would stand in the midst of the line that is being typed.
        Err(_) => process::exit(1),
    }
}

/// Completes the names of streams.
pub(crate) fn streams() -> ArgValueCompleter {
    from_store(|store, beginning| {
        let streams = store.streams(&StreamFilter::all().prefix(beginning).limit(NAMES_MAX))?;
        Ok(streams.iter().map(|it| it.stream.as_str().to_owned()).collect())
    })
}

/// Completes categories.
pub(crate) fn categories() -> ArgValueCompleter {
    from_store(|store, _| Ok(store.categories()?.into_iter().map(|it| it.name).collect()))
}

/// Completes types of events that are there.
pub(crate) fn event_types() -> ArgValueCompleter {
    from_store(|store, _| Ok(store.event_types()?.into_iter().map(|it| it.name).collect()))
}

/// Completes event types that are registered.
pub(crate) fn registered_types() -> ArgValueCompleter {
    from_store(|store, _| Ok(store.registered_event_types()?.into_iter().map(|it| it.event_type).collect()))
}

/// Completes checkpoints.
pub(crate) fn checkpoints() -> ArgValueCompleter {
    from_store(|store, _| Ok(store.checkpoints()?.into_iter().map(|it| it.name).collect()))
}

/// Completes projections.
pub(crate) fn projections() -> ArgValueCompleter {
    from_store(|store, _| Ok(store.projections()?.into_iter().map(|it| it.name).collect()))
}

/// Completes words that an option takes beside others.
pub(crate) fn words(words: &'static [&'static str]) -> ArgValueCompleter {
    ArgValueCompleter::new(move |beginning: &OsStr| {
        let beginning = beginning.to_string_lossy();
        let fitting = words.iter().filter(|word| word.starts_with(&*beginning));
        fitting.map(CompletionCandidate::new).collect()
    })
}

/// Names of a store, of which only those that begin like this are wanted.
type Names = fn(&Reader, &str) -> annals::Result<BTreeSet<String>>;

fn from_store(names: Names) -> ArgValueCompleter {
    ArgValueCompleter::new(move |beginning: &OsStr| {
        let (Some(beginning), Some(line)) = (beginning.to_str(), LINE.get()) else { return Vec::new() };
        let names = names_in_time(line.store(), beginning.to_owned(), names);
        let fitting = names.iter().filter(|name| name.starts_with(beginning) && is_typed_as_it_is(name));
        fitting.take(NAMES_MAX).map(CompletionCandidate::new).collect()
    })
}

/// What is found before patience ends. The thread that looks on ends with the program.
fn names_in_time(store: PathBuf, beginning: String, names: Names) -> BTreeSet<String> {
    let (sender, found) = mpsc::channel();
    thread::spawn(move || {
        let names = Follower::open_with(store, Options::new()).and_then(|store| names(&store, &beginning));
        // Nobody takes it if it comes too late.
        sender.send(names.unwrap_or_default()).ok();
    });
    found.recv_timeout(PATIENCE).unwrap_or_default()
}

/// The line that is being completed, from the moment on at which a shell asks.
static LINE: OnceLock<AskedLine> = OnceLock::new();

/// The words of a line as they are typed, and how.
struct AskedLine {
    words: Vec<OsString>,
    spelling: Spelling,
}

/// What is meant by a word on a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Quotes, and a backslash that takes the meaning from what follows.
    Posix,
    /// Quotes alone: a backslash stands between directories.
    Powershell,
}

impl AskedLine {
    /// What a shell asks the program for with this command line.
    fn of(command_line: impl Iterator<Item = OsString>, shell: &OsStr) -> Self {
        let words = command_line.skip_while(|word| word != "--").skip(1).collect();
        let words = if WholeWords.is(&shell.to_string_lossy()) { Line::of(words, 0).words } else { words };
        let spelling = if shell == Powershell.name() { Spelling::Powershell } else { Spelling::Posix };
        Self { words, spelling }
    }

    /// The store that it names.
    fn store(&self) -> PathBuf {
        let mut words = self.words.iter().map(|word| word.to_string_lossy());
        let mut named = None;
        while let Some(word) = words.next() {
            if let Some(value) = word.strip_prefix("--store=") {
                named = Some(value.to_owned());
            } else if word == "--store" {
                named = words.next().map(Cow::into_owned);
            }
        }
        match named {
            Some(named) => as_a_shell_takes_it(&named, self.spelling),
            None => store_without_option(),
        }
    }
}

/// A path as it is typed: perhaps in quotes, perhaps below the home directory. A shell gives the words of a line as they stand there.
fn as_a_shell_takes_it(word: &str, spelling: Spelling) -> PathBuf {
    match (word.strip_prefix("~/"), env::home_dir()) {
        (Some(below), Some(home)) => home.join(unquoted(below, spelling)),
        _ => PathBuf::from(unquoted(word, spelling)),
    }
}

fn unquoted(word: &str, spelling: Spelling) -> String {
    let words = match spelling {
        // Quotes that are open yet end with the word.
        Spelling::Posix => ["", "'", "\""].iter().find_map(|end| shlex::split(&format!("{word}{end}"))),
        Spelling::Powershell => ['\'', '"'].iter().find_map(|quote| {
            let inner = word.strip_prefix(*quote)?;
            Some(vec![inner.strip_suffix(*quote).unwrap_or(inner).to_owned()])
        }),
    };
    words.and_then(|words| words.into_iter().next()).unwrap_or_else(|| word.to_owned())
}

/// Whether every shell takes a name for itself: a completion isn't quoted, and what it holds must not be acted on.
fn is_typed_as_it_is(name: &str) -> bool {
    let first = name.chars().next();
    let is_harmless = |letter: char| letter.is_alphanumeric() || "-_./+@%:".contains(letter);
    first.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') && name.chars().all(is_harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_the_one_that_the_line_names() {
        let store_of = |shell: &str, line: &str| {
            AskedLine::of(line.split('|').map(OsString::from), shell.as_ref()).store()
        };
        for (line, expected) in [
            ("annals|--|annals|--store|shop.annals|read|o", "shop.annals"),
            ("annals|--|annals|read|--store=shop.annals|o", "shop.annals"),
            ("annals|--|annals|--store|old|read|--store|'new'|o", "new"),
            ("annals|--|annals|--store|\"/tmp/a|read", "/tmp/a"),
            ("annals|--|annals|--store|'/tmp/a b|read", "/tmp/a b"),
        ] {
            for shell in ["bash", "zsh", "fish", "powershell"] {
                assert_eq!(store_of(shell, line), PathBuf::from(expected), "{shell}: {line}");
            }
        }
        for (shell, line, expected) in [
            ("bash", "annals|--|annals|read|--store|=|shop|:|1|o", "shop:1"),
            ("bash", "annals|--|annals|--store|sp\\ ace/st|read|o", "sp ace/st"),
            ("zsh", "annals|--|annals|--store=a\\'s\" \"st|read|o", "a's st"),
            ("powershell", "annals|--|annals|--store|shop\\st|read|o", "shop\\st"),
        ] {
            assert_eq!(store_of(shell, line), PathBuf::from(expected), "{shell}: {line}");
        }
        let home = env::home_dir().expect("a home directory");
        assert_eq!(store_of("bash", "annals|--|annals|read|--store|~/my\\ shop|o"), home.join("my shop"));
    }

    #[test]
    fn names_that_a_shell_would_act_on_are_left_out() {
        for name in ["order-17", "größe-1", "a.b_c/d", "user-a@b.example", "order-日本", "shop:order-1"] {
            assert!(is_typed_as_it_is(name), "{name}");
        }
        for name in
            ["", "a b", "a;b", "$(id)", "-a", "~a", "a'b", "a`b", "a\u{1b}[2J", "a\\b", "a*", "@a", ":a"]
        {
            assert!(!is_typed_as_it_is(name), "{name}");
        }
    }
}
