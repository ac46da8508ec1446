//! What the URLs of an endpoint said, one by one and together.

use std::time::Duration;

use super::cache::Decision;
use crate::dialect::{PublishOptions, Reply};
use crate::failure::Failure;

/// What one URL said.
pub(super) enum Said {
    Yes(Reply),
    No(Failure, Reply),
    Nothing(Failure),
}

/// What all URLs said together.
pub(super) struct Heard {
    pub(super) decision: Decision,
    /// How long it holds, and may stand in.
    pub(super) keeps: (Duration, Duration),
    /// Below which path it holds.
    pub(super) path: Option<String>,
    /// One that did not answer.
    pub(super) silent: Option<Failure>,
    pub(super) called: Duration,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self {
            decision: Ok(PublishOptions::default()),
            keeps: (Duration::MAX, Duration::MAX),
            path: None,
            silent: None,
            called: Duration::ZERO,
        }
    }

    pub(super) fn add(&mut self, said: Said, keeps: impl Fn(bool, &Reply) -> (Duration, Duration)) {
        let reply = match said {
            Said::Nothing(failure) => {
                self.silent.get_or_insert(failure);
                return;
            }
            Said::No(failure, reply) => {
                self.decision = Err(failure);
                self.keeps = keeps(false, &reply);
                reply
            }
            Said::Yes(reply) => {
                if let Ok(options) = &mut self.decision {
                    options.overlay(reply.options.clone());
                    let (fresh, stale) = keeps(true, &reply);
                    self.keeps = (self.keeps.0.min(fresh), self.keeps.1.min(stale));
                }
                reply
            }
        };
        self.path = reply.path.or(self.path.take());
    }
}
