//! The objects that were read last, unpacked: those that are reconciled one after the other often look at the same server and its pods.

use crate::names::ObjectKey;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Few, since each takes many times the room of a packed one.
const KEPT: usize = 16;

/// Some objects of one kind.
#[derive(Debug)]
pub struct Recent<K>(Mutex<VecDeque<(ObjectKey, Arc<K>)>>);

impl<K> Default for Recent<K> {
    fn default() -> Self {
        Self(Mutex::new(VecDeque::with_capacity(KEPT)))
    }
}

impl<K> Recent<K> {
    /// The object, or what `unpack` gives, which is remembered. While nothing is put into the store it came from.
    pub fn get(&self, namespace: &str, name: &str, unpack: impl FnOnce() -> Option<Arc<K>>) -> Option<Arc<K>> {
        let is_it = |(key, _): &&(ObjectKey, Arc<K>)| key.name == name && key.namespace == namespace;
        if let Some((_, known)) = self.0.lock().iter().find(is_it) {
            return Some(known.clone());
        }
        let object = unpack()?;
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((ObjectKey::new(namespace, name), object.clone()));
        Some(object)
    }

    /// It is another now, or gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.lock().retain(|(known, _)| known != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_unpacked_again_until_it_changes_or_many_others_were_read() {
        let recent = Recent::default();
        let read = |name: &str, value: usize| *recent.get("n", name, || Some(Arc::new(value))).unwrap();
        assert_eq!((read("a", 1), read("a", 2)), (1, 1));
        recent.forget(&ObjectKey::new("n", "a"));
        assert_eq!(read("a", 3), 3);
        assert!((0..KEPT).all(|n| read(&n.to_string(), n) == n));
        assert_eq!(read("a", 4), 4);
        assert!(recent.0.lock().len() <= KEPT);
    }
}
