//! What `annals help` explains besides the commands: a text for each topic, of which the first line says what it is about.

/// A text that explains one thing.
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

/// The topics, in the order in which somebody new would read them.
pub(crate) const TOPICS: &[Topic] = &[
    Topic { name: "start", text: include_str!("help/start.txt") },
    Topic { name: "stores", text: include_str!("help/stores.txt") },
    Topic { name: "versions", text: include_str!("help/versions.txt") },
    Topic { name: "ids", text: include_str!("help/ids.txt") },
    Topic { name: "durability", text: include_str!("help/durability.txt") },
    Topic { name: "queries", text: include_str!("help/queries.txt") },
    Topic { name: "times", text: include_str!("help/times.txt") },
    Topic { name: "consumers", text: include_str!("help/consumers.txt") },
    Topic { name: "json", text: include_str!("help/json.txt") },
    Topic { name: "exit-codes", text: include_str!("help/exit-codes.txt") },
    Topic { name: "environment", text: include_str!("help/environment.txt") },
];

impl Topic {
    /// The topic of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == name)
    }

    /// What is said of it below the title.
    pub(crate) fn body(&self) -> &'static str {
        self.text.split_once('\n').map_or("", |(_, body)| body)
    }

    /// What it is about, in a line.
    pub(crate) fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default()
    }
}
