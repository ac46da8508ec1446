//! A configuration on its way into a pod, kept no longer than it is: a thousand servers' configurations are many megabytes, and each is
//! made again from what is known when its pod turns out to run another.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// The configuration as JSON, as one link holds it.
#[derive(Clone, Debug)]
pub struct Body(Arc<Mutex<Held>>);

#[derive(Debug)]
enum Held {
    Here(Bytes),
    /// It is in force.
    Gone,
    /// It is needed again.
    Asked,
}

impl Body {
    /// To be sent.
    pub fn new(bytes: Bytes) -> Self {
        Self(Arc::new(Mutex::new(Held::Here(bytes))))
    }

    /// What is to be sent; `None` when it is gone. It is asked for then.
    pub fn get(&self) -> Option<Bytes> {
        let mut held = self.0.lock();
        if let Held::Here(bytes) = &*held {
            return Some(bytes.clone());
        }
        *held = Held::Asked;
        None
    }

    /// It need not be sent.
    pub fn done(&self) {
        *self.0.lock() = Held::Gone;
    }

    /// Whether it is asked for.
    pub fn is_asked(&self) -> bool {
        matches!(*self.0.lock(), Held::Asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_in_force_is_gone_until_it_is_asked_for() {
        let body = Body::new(Bytes::from_static(b"{}"));
        assert_eq!(body.get().as_deref(), Some(&b"{}"[..]));
        body.done();
        assert!(!body.is_asked());
        assert_eq!(body.get(), None);
        assert!(body.is_asked());
    }
}
