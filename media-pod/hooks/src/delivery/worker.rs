//! The worker of an endpoint: takes from its outbox, makes the attempts side by side, and puts back what came of them.

use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::lane::{Job, Settle};
use super::schedule::{Fate, JITTER, fate, wait};
use crate::attempt::Turn;
use crate::endpoint::{Class, Endpoint, IN_FLIGHT_MAX};

/// The log rings for what it has written. While its disk hangs, what came is found so late.
const UNSAID_MAX: Duration = Duration::from_secs(1);

/// Runs until it is dropped; attempts under way are dropped with it.
pub(crate) async fn run(endpoint: Arc<Endpoint>) {
    let mut attempts = JoinSet::new();
    loop {
        while attempts.len() < IN_FLIGHT_MAX
            && let Some(job) = endpoint.outbox.take()
        {
            attempts.spawn(tell(InFlight {
                endpoint: endpoint.clone(),
                job,
                settle: None,
            }));
        }
        let room = attempts.len() < IN_FLIGHT_MAX;
        let due = [endpoint.outbox.next_due(), unsaid(&endpoint)]
            .into_iter()
            .flatten()
            .min();
        tokio::select! {
            () = endpoint.outbox.work(), if room => {}
            Some(_) = attempts.join_next() => {}
            () = until(due), if room => {}
        }
    }
}

/// When to look although nobody rang.
fn unsaid(endpoint: &Endpoint) -> Option<Instant> {
    let rings = endpoint.context.books.has_log();
    Instant::now().checked_add(UNSAID_MAX).filter(|_| rings)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// A job under way. However its task ends, the lane goes on.
struct InFlight {
    endpoint: Arc<Endpoint>,
    job: Job,
    settle: Option<Settle>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let again = Settle::Retry {
            wait: Duration::from_secs(1),
            held: false,
        };
        self.endpoint.outbox.settle(&self.job, self.settle.unwrap_or(again));
        if self.settle == Some(Settle::Suspend) {
            self.endpoint.context.bump();
        }
    }
}

async fn tell(mut flight: InFlight) {
    let (endpoint, job) = (flight.endpoint.clone(), flight.job.clone());
    let turn = Turn {
        number: job.attempt,
        replay: job.replay,
    };
    let ask = endpoint
        .take_turn(Class::Notification, job.key.url(), &job.event, turn, endpoint.timeout())
        .await;
    let fate = fate(&ask.attempt, ask.verdict.clone());
    endpoint.count(Class::Notification, &job.event, outcome(&fate));
    endpoint.record(&job.event, &ask);
    flight.settle = Some(settle(&fate, endpoint.outbox.failures(&job)));
}

fn settle(fate: &Fate, failures: u32) -> Settle {
    match fate {
        Fate::Delivered | Fate::AppError(_) => Settle::Done,
        Fate::Dead(_) => Settle::Dead,
        Fate::Suspend(_) => Settle::Suspend,
        Fate::Retry { slow, retry_after, .. } => {
            let jitter = rand::random_range(-JITTER..=JITTER);
            let wait = wait(failures.saturating_add(1), *slow, *retry_after, jitter);
            Settle::Retry {
                wait,
                held: retry_after.is_some(),
            }
        }
    }
}

fn outcome(fate: &Fate) -> &'static str {
    match fate {
        Fate::Delivered => "acked",
        Fate::AppError(_) => "app_error",
        Fate::Retry { .. } | Fate::Suspend(_) => "retry",
        Fate::Dead(_) => "dead",
    }
}
