//! The whole simulated disk behind its mutex: files, directories, locks, and what becomes of them when the
//! power is cut. What programs do to it stands in `operations`.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::disk::{
    contract::{EntryKind, LockKind},
    sim::{
        content::Content,
        directory::{Directory, NodeId},
        faults::Faults,
        random::Random,
        survival::CutStyle,
    },
};

pub(crate) const ROOT: NodeId = 0;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// No name leads here, not even on the disk.
    Unused,
    File(Content),
    Directory(Directory),
}

/// A program, as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Program {
    pub(crate) generation: u64,
    pub(crate) mount: u64,
}

/// A lock that a program has.
#[derive(Clone, Debug)]
pub(crate) struct Lock {
    pub(crate) number: u64,
    pub(crate) node: NodeId,
    pub(crate) kind: LockKind,
    pub(crate) mount: u64,
}

/// The disk.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) nodes: Vec<Node>,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    /// One more with each restart: handles and locks of an earlier one are dead.
    pub(crate) generation: u64,
    /// The locks on directories and files.
    pub(crate) locked: Vec<Lock>,
    /// One more with each mount: a program has the number of its own. The disk itself has 0.
    pub(crate) mounts: u64,
    /// The mounts whose programs were killed since the last restart.
    pub(crate) killed: Vec<u64>,
    /// Another after each power cut.
    pub(crate) boot_id: u128,
    pub(crate) short_write_one_in: u32,
    pub(crate) quota_bytes: Option<u64>,
}

/// What an operation on a disk gives that was cut off, or on a handle from before a restart.
pub(crate) fn cut_off() -> io::Error {
    io::Error::other("the disk was cut off")
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            nodes: vec![Node::Directory(Directory::default())],
            random: Random::new(seed),
            faults: Faults::default(),
            generation: 0,
            locked: Vec::new(),
            mounts: 0,
            killed: Vec::new(),
            boot_id: boot_id(&mut Random::new(!seed)),
            short_write_one_in: 0,
            quota_bytes: None,
        }
    }

    /// Whether a program is alive, so that its handles and locks work.
    pub(crate) fn is_alive(&self, program: Program) -> bool {
        program.generation == self.generation && !self.killed.contains(&program.mount)
    }

    /// Whether a program's operation can be tried.
    pub(crate) fn check(&self, program: Program) -> io::Result<()> {
        if self.faults.is_cut || !self.is_alive(program) { Err(cut_off()) } else { Ok(()) }
    }

    /// Ends all handles and locks; what the system has cached stays.
    pub(crate) fn restart(&mut self) {
        self.generation += 1;
        self.locked.clear();
        self.killed.clear();
        self.faults.restart();
    }

    /// Ends the handles and locks of one program. A cut in the midst of its operation was its end, and the
    /// disk goes on for the others.
    pub(crate) fn kill(&mut self, mount: u64) {
        self.killed.push(mount);
        self.locked.retain(|lock| lock.mount != mount);
        self.faults.restart();
    }

    /// Leaves of the un-synced what the style says, or the seed.
    pub(crate) fn power_cut(&mut self, style: Option<CutStyle>) {
        self.restart();
        let Self { nodes, random, .. } = self;
        self.boot_id = boot_id(random);
        // Often the same for all files and names, else for each by itself.
        let style = style.or_else(|| match random.below(8) {
            0 => Some(CutStyle::Nothing),
            1 => Some(CutStyle::Everything),
            _ => None,
        });
        for node in nodes {
            let style = style.unwrap_or_else(|| CutStyle::seeded(random));
            match node {
                Node::Unused => {}
                Node::File(content) => content.cut(style, random),
                Node::Directory(directory) => directory.cut(style, random),
            }
        }
        self.forget_unreachable();
    }

    /// Whether a power cut could take anything.
    pub(crate) fn has_unsynced(&self) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::Unused => false,
            Node::File(content) => content.has_unsynced(),
            Node::Directory(directory) => directory.has_unsynced(),
        })
    }

    /// Makes all bytes readable.
    pub(crate) fn make_readable(&mut self) {
        for node in &mut self.nodes {
            if let Node::File(content) = node {
                content.make_readable();
            }
        }
    }

    /// Makes what the system shows all that there is, and durable.
    pub(crate) fn settle(&mut self) {
        for node in &mut self.nodes {
            match node {
                Node::Unused => {}
                Node::File(content) => *content = Content::settled(content.cached().to_vec()),
                Node::Directory(directory) => directory.settle(),
            }
        }
        self.forget_unreachable();
    }

    fn forget_unreachable(&mut self) {
        let reachable = self.reachable(ROOT);
        for (node, content) in self.nodes.iter_mut().enumerate() {
            if !reachable.contains(&node) {
                *content = Node::Unused;
            }
        }
    }

    /// A directory, and all that its names lead to.
    pub(crate) fn reachable(&self, from: NodeId) -> Vec<NodeId> {
        let mut found = vec![from];
        let mut next = 0;
        while let Some(node) = found.get(next).copied() {
            if let Node::Directory(directory) = &self.nodes[node] {
                let nodes: Vec<_> = directory.names().map(|(_, node)| node).collect();
                found.extend(nodes);
            }
            next += 1;
        }
        found
    }

    /// Puts a file where there is one or isn't, with its directories, all of it durable.
    pub(crate) fn put_file(&mut self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let mut all = names(path).collect::<io::Result<Vec<_>>>()?;
        let file_name = all.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let mut parent = ROOT;
        for name in all {
            let present = self.directory(parent)?.get(name);
            let node = present.unwrap_or_else(|| self.add(Node::Directory(Directory::default())));
            self.directory_mut(parent)?.place(name, Some(node));
            parent = node;
        }
        let node = match self.directory(parent)?.get(file_name) {
            Some(node) => node,
            None => self.add(Node::File(Content::default())),
        };
        *self.file_mut(node)? = Content::settled(bytes);
        self.directory_mut(parent)?.place(file_name, Some(node));
        Ok(())
    }

    /// Takes a file away, durably.
    pub(crate) fn take_file(&mut self, path: &Path) -> io::Result<()> {
        let node = self.resolve(path)?;
        self.file(node)?;
        let (parent, name) = self.parent(path)?;
        self.directory_mut(parent)?.place(name, None);
        Ok(())
    }

    /// The paths of all files, in their order.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, node)) = directories.pop() {
            let Node::Directory(directory) = &self.nodes[node] else { continue };
            for (name, node) in directory.names() {
                match &self.nodes[node] {
                    Node::Unused => {}
                    Node::File(_) => files.push(path.join(name)),
                    Node::Directory(_) => directories.push((path.join(name), node)),
                }
            }
        }
        files.sort();
        files
    }

    /// How many names a file has.
    pub(crate) fn name_count(&self, file: NodeId) -> u64 {
        let directories = self.nodes.iter().filter_map(|node| match node {
            Node::Directory(directory) => Some(directory),
            Node::File(_) | Node::Unused => None,
        });
        directories.flat_map(Directory::names).filter(|(_, node)| *node == file).map(|_| 1).sum()
    }

    pub(crate) fn resolve(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for name in names(path) {
            node = self.directory(node)?.get(name?).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    pub(crate) fn parent<'a>(&self, path: &'a Path) -> io::Result<(NodeId, &'a str)> {
        let mut names = names(path);
        let mut name = names.next().ok_or(io::ErrorKind::InvalidInput)??;
        let mut node = ROOT;
        for next in names {
            node = self.directory(node)?.get(name).ok_or(io::ErrorKind::NotFound)?;
            name = next?;
        }
        self.directory(node)?;
        Ok((node, name))
    }

    /// The directory and the name of a path that nothing stands at.
    pub(crate) fn vacancy<'a>(&self, path: &'a Path) -> io::Result<(NodeId, &'a str)> {
        let (parent, name) = self.parent(path)?;
        if self.directory(parent)?.get(name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok((parent, name))
    }

    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        if let Some(unused) = self.nodes.iter().position(|node| matches!(node, Node::Unused)) {
            self.nodes[unused] = node;
            return unused;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(crate) fn node_kind(&self, node: NodeId) -> EntryKind {
        match &self.nodes[node] {
            Node::Unused => EntryKind::Other,
            Node::File(_) => EntryKind::File,
            Node::Directory(_) => EntryKind::Directory,
        }
    }

    pub(crate) fn file(&self, node: NodeId) -> io::Result<&Content> {
        match &self.nodes[node] {
            Node::File(content) => Ok(content),
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
            Node::Unused => Err(cut_off()),
        }
    }

    pub(crate) fn file_mut(&mut self, node: NodeId) -> io::Result<&mut Content> {
        match &mut self.nodes[node] {
            Node::File(content) => Ok(content),
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
            Node::Unused => Err(cut_off()),
        }
    }

    pub(crate) fn directory(&self, node: NodeId) -> io::Result<&Directory> {
        match &self.nodes[node] {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) | Node::Unused => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(crate) fn directory_mut(&mut self, node: NodeId) -> io::Result<&mut Directory> {
        match &mut self.nodes[node] {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) | Node::Unused => Err(io::ErrorKind::NotADirectory.into()),
        }
    }
}

/// The name of a run of the system; never 0.
fn boot_id(random: &mut Random) -> u128 {
    u128::from(random.next()) << 64 | u128::from(random.next()) | 1
}

/// The names that a path goes through. With or without a slash at its beginning, it begins at the root.
fn names(path: &Path) -> impl Iterator<Item = io::Result<&str>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (text, not_text) = match path.to_str() {
        Some(text) => (text, None),
        None => ("", Some(Err(invalid()))),
    };
    let names = text.split('/').filter(|name| !name.is_empty() && *name != ".");
    not_text.into_iter().chain(names.map(move |name| if name == ".." { Err(invalid()) } else { Ok(name) }))
}
