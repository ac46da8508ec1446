//! Questions that decide about nobody: what to do with a stream that nobody plays, or that somebody waits for.
//!
//! They never hold anything up and never fail: without an answer the server does as it would.

use std::time::Duration;
use tokio::time::Instant;

use crate::admission::{Pass, Trial};
use crate::dialect::{Reply, Verdict};
use crate::endpoint::{Class, Endpoint};
use crate::event::Event;

impl Endpoint {
    /// Asks the URLs in their order, within the endpoint's timeout for all of them together. The replies of those that answered yes.
    pub(crate) async fn query(&self, event: &Event) -> Vec<Reply> {
        let passed = self.breaker(|breaker| breaker.pass(Instant::now()));
        let _trial = match passed {
            Pass::Stop(_) => {
                self.count(Class::Admission, event, "no_answer");
                return Vec::new();
            }
            Pass::Trial => Some(Trial(self)),
            Pass::Go => None,
        };
        let deadline = Instant::now().checked_add(self.timeout()).unwrap_or_else(Instant::now);
        let Some(_place) = self.place(deadline).await else {
            self.count(Class::Admission, event, "no_answer");
            return Vec::new();
        };
        let mut replies = Vec::new();
        for index in 0..self.spec().urls.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left > Duration::ZERO {
                replies.extend(self.query_url(index, event, left).await);
            }
        }
        replies
    }

    async fn query_url(&self, index: usize, event: &Event, left: Duration) -> Option<Reply> {
        let asked = self.attempt(Class::Admission, index, event, 1, left).await;
        let answered = !matches!(asked.verdict, Verdict::NoAnswer(_));
        self.breaker(|breaker| breaker.record(answered, Instant::now()));
        self.record(event, &asked);
        let outcome = match &asked.verdict {
            Verdict::Allow => "allow",
            Verdict::Deny { .. } => "deny",
            Verdict::NoAnswer(_) => "no_answer",
        };
        self.count(Class::Admission, event, outcome);
        match (&asked.verdict, &asked.attempt) {
            (Verdict::Allow, Some(Ok(answer))) => Some(self.dialect().reply(event.kind, answer)),
            _ => None,
        }
    }
}
