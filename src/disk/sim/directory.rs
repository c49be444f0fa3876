//! One simulated directory: the names on the disk, the names that the system shows, and what lies between.

use std::collections::BTreeMap;

use crate::disk::sim::{faults::SyncFailure, random::Random, survival::CutStyle};

/// A file's or directory's place in the disk's table: what a name stands for.
pub(crate) type NodeId = usize;

/// A directory's names.
#[derive(Clone, Default, Debug)]
pub(crate) struct Directory {
    durable: BTreeMap<String, NodeId>,
    cached: BTreeMap<String, NodeId>,
    /// What was done since the last sync, in order.
    pending: Vec<NameChange>,
}

/// A creation has no `from`, a removal no `to`, and a renaming both.
#[derive(Clone, Debug)]
struct NameChange {
    from: Option<String>,
    to: Option<String>,
    node: NodeId,
    /// What had the name `to` before.
    replaced: Option<NodeId>,
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, NodeId>) {
        if let Some(from) = &self.from {
            names.remove(from);
        }
        if let Some(to) = &self.to {
            names.insert(to.clone(), self.node);
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.from.iter().chain(&self.to)
    }

    fn depends_on(&self, earlier: &Self) -> bool {
        let nodes = [Some(earlier.node), earlier.replaced];
        nodes.contains(&Some(self.node))
            || (self.replaced.is_some() && nodes.contains(&self.replaced))
            || self.names().any(|name| earlier.names().any(|other| name == other))
    }
}

impl Directory {
    pub(crate) fn get(&self, name: &str) -> Option<NodeId> {
        self.cached.get(name).copied()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&String, NodeId)> {
        self.cached.iter().map(|(name, node)| (name, *node))
    }

    pub(crate) fn create(&mut self, name: &str, node: NodeId) {
        self.change(NameChange { from: None, to: Some(name.into()), node, replaced: None });
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(node) = self.get(name) {
            self.change(NameChange { from: Some(name.into()), to: None, node, replaced: None });
        }
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(node) = self.get(from).filter(|_| from != to) {
            let replaced = self.get(to);
            self.change(NameChange { from: Some(from.into()), to: Some(to.into()), node, replaced });
        }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.cached);
        self.pending.push(change);
    }

    /// Gives a name to a node, or to none, on the disk at once.
    pub(crate) fn place(&mut self, name: &str, node: Option<NodeId>) {
        self.pending.retain(|change| !change.names().any(|other| other == name));
        for names in [&mut self.durable, &mut self.cached] {
            names.remove(name);
            names.extend(node.map(|node| (name.to_owned(), node)));
        }
    }

    /// Whether a power cut could take anything.
    pub(crate) fn has_unsynced(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Makes what was done since the last sync durable.
    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Makes all names durable, also those that a failed sync forgot.
    pub(crate) fn settle(&mut self) {
        self.pending.clear();
        self.durable.clone_from(&self.cached);
    }

    /// A sync that reports an error.
    pub(crate) fn fail_sync(&mut self, failure: SyncFailure, random: &mut Random) {
        match failure {
            SyncFailure::StaysDirty => {}
            SyncFailure::ForgetsDirty => self.keep_some(CutStyle::seeded(random), random),
            SyncFailure::RevertsCache => {
                self.pending.clear();
                self.cached.clone_from(&self.durable);
            }
            SyncFailure::ComesLate => self.sync(),
        }
    }

    /// A power cut: some of the changes reached the disk, and the cache is gone.
    pub(crate) fn cut(&mut self, style: CutStyle, random: &mut Random) {
        self.keep_some(style, random);
        self.cached.clone_from(&self.durable);
    }

    /// Each change is kept or lost by itself, but one that builds on a lost one is lost with it.
    fn keep_some(&mut self, style: CutStyle, random: &mut Random) {
        let survivors = style.survivors(self.pending.len(), random);
        let mut lost: Vec<NameChange> = Vec::new();
        for (change, survives) in self.pending.drain(..).zip(survivors) {
            if survives && !lost.iter().any(|earlier| change.depends_on(earlier)) {
                change.apply(&mut self.durable);
            } else {
                lost.push(change);
            }
        }
    }
}
