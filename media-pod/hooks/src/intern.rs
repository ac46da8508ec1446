//! [`Interner`]: one copy of each name, however many notices hold it.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

use crate::event::{Event, Stream};

/// Names that are kept; then it starts over.
const NAMES_MAX: usize = 16_384;

/// See the module.
#[derive(Default)]
pub(crate) struct Interner(Mutex<HashSet<Arc<str>>>);

impl Interner {
    /// Has an event share what others say too.
    pub(crate) fn share(&self, event: &mut Event) {
        event.stream = self.stream(&event.stream);
        event.client.tc_url = self.one(&event.client.tc_url);
        event.client.page_url = self.one(&event.client.page_url);
    }

    /// The same stream, of names that others have too.
    fn stream(&self, stream: &Stream) -> Stream {
        Stream {
            vhost: self.one(&stream.vhost),
            app: self.one(&stream.app),
            name: self.one(&stream.name),
        }
    }

    /// The same name, which others have too.
    fn one(&self, name: &Arc<str>) -> Arc<str> {
        let mut names = self.0.lock();
        if names.len() > NAMES_MAX {
            names.clear();
        }
        let known = names.get(name).cloned();
        known.unwrap_or_else(|| {
            names.insert(name.clone());
            name.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_become_one_and_the_memory_of_them_is_bounded() {
        let interner = Interner::default();
        let stream = |name: &str| Stream {
            vhost: "v".into(),
            app: "live".into(),
            name: name.into(),
        };
        let (one, other) = (interner.stream(&stream("a")), interner.stream(&stream("a")));
        assert!(Arc::ptr_eq(&one.name, &other.name) && Arc::ptr_eq(&one.vhost, &other.vhost));
        for n in 0..40_000 {
            let name = n.to_string();
            assert_eq!(*interner.stream(&stream(&name)).name, *name);
        }
        assert!(interner.0.lock().len() <= NAMES_MAX + 3);
    }
}
