//! The packed objects of one kind in one namespace, by name and by words.

use super::packed::Packed;
use super::words::Word;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A namespace.
#[derive(Debug, Default)]
pub struct Shelf {
    objects: BTreeMap<Arc<str>, Packed>,
    /// Names by word. Most words are of one object.
    words: HashMap<Word, Vec<Arc<str>>>,
}

impl Shelf {
    /// One object.
    pub fn get(&self, name: &str) -> Option<&Packed> {
        self.objects.get(name)
    }

    /// Puts one in the place of the one with that name, which had the words `old`.
    pub fn put(&mut self, name: &str, packed: Packed, old: &[Word], new: &[Word]) {
        let known = self.objects.get_key_value(name).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| name.into());
        self.reword(&name, old, new);
        self.objects.insert(name, packed);
    }

    /// Takes one away.
    pub fn take(&mut self, name: &str, old: &[Word]) {
        self.reword(&Arc::from(name), old, &[]);
        self.objects.remove(name);
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(AsRef::as_ref)
    }

    /// Those with a word, in order of their names.
    pub fn with(&self, word: &Word) -> impl Iterator<Item = (&str, &Packed)> {
        let names = self.words.get(word).map(Vec::as_slice).unwrap_or_default();
        names
            .iter()
            .filter_map(|name| Some((name.as_ref(), self.objects.get(name)?)))
    }

    /// The names of those with a word, in order.
    pub fn names_with(&self, word: &Word) -> impl Iterator<Item = &str> {
        let names = self.words.get(word).map(Vec::as_slice).unwrap_or_default();
        names.iter().map(AsRef::as_ref)
    }

    fn reword(&mut self, name: &Arc<str>, old: &[Word], new: &[Word]) {
        for word in old.iter().filter(|w| !new.contains(w)) {
            if let Some(names) = self.words.get_mut(word) {
                names.retain(|n| *n != *name);
                if names.is_empty() {
                    self.words.remove(word);
                }
            }
        }
        for word in new.iter().filter(|w| !old.contains(w)) {
            let names = self.words.entry(*word).or_insert_with(|| Vec::with_capacity(1));
            if let Err(at) = names.binary_search(name) {
                names.insert(at, name.clone());
            }
        }
    }
}
