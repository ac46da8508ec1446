//! [`Cover`]: which apps any key is about, and how a key is given there, so that a refusal can say what was missing.

use super::Ask;
use super::entry::Entry;
use super::glob::Glob;
use super::query;
use std::collections::{BTreeSet, HashMap};

/// The apps, by literal name where there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Cover {
    literal: HashMap<Box<str>, HashMap<Glob, Ways>>,
    globs: HashMap<(Glob, Glob), Ways>,
}

/// How keys are given.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    /// Query parameters that may hold one.
    pub(super) parameters: BTreeSet<Box<str>>,
    /// Bytes of the shortest that may stand in the name.
    shortest_in_name: Option<usize>,
}

impl Cover {
    pub(super) fn add(&mut self, entry: &Entry) {
        let ways = match entry.app.literal() {
            Some(app) => self
                .literal
                .entry(app.into())
                .or_default()
                .entry(entry.vhost.clone())
                .or_default(),
            None => self.globs.entry((entry.app.clone(), entry.vhost.clone())).or_default(),
        };
        ways.add(entry);
    }

    /// How keys are given for this app; `None` when no key is about it.
    pub(super) fn ways(&self, ask: &Ask<'_>) -> Option<Ways> {
        let literal = self.literal.get(ask.app).into_iter().flatten();
        let literal = literal
            .filter(|(vhost, _)| vhost.matches(ask.vhost))
            .map(|(_, ways)| ways);
        let globs = self
            .globs
            .iter()
            .filter(|((app, vhost), _)| app.matches(ask.app) && vhost.matches(ask.vhost));
        literal.chain(globs.map(|(_, ways)| ways)).cloned().reduce(Ways::with)
    }
}

impl Ways {
    fn add(&mut self, entry: &Entry) {
        self.parameters.extend(entry.parameter.clone());
        self.shorten(entry.in_name);
    }

    fn with(mut self, other: Self) -> Self {
        self.parameters.extend(other.parameters);
        self.shorten(other.shortest_in_name);
        self
    }

    fn shorten(&mut self, length: Option<usize>) {
        self.shortest_in_name = self.shortest_in_name.into_iter().chain(length).min();
    }

    /// Whether the client tried to give a key. A name tells only where no key is given in the query.
    pub(super) fn tried(&self, ask: &Ask<'_>) -> bool {
        let in_query = query::pairs(ask.param).any(|(n, v)| !v.is_empty() && self.parameters.contains(n));
        let in_name = self.shortest_in_name.is_some_and(|n| ask.stream.len() >= n);
        in_query || (self.parameters.is_empty() && in_name)
    }
}
