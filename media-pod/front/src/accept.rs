//! The loop behind a listening socket.

use crate::door::Turned;
use crate::{Arrival, Door};
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Wait before another try to accept, when that failed: doubles from the first to the last.
const PAUSE: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// A flood of refusals is one line in so long.
const QUIET: Duration = Duration::from_secs(5);

/// When to stop.
pub struct Ends {
    /// No more connections are accepted; those that are there go on.
    pub closed: CancellationToken,
    /// The same, and connections whose protocol has not begun end.
    pub shutdown: CancellationToken,
}

impl Door {
    /// Accepts until one of `ends`, each connection in a task of `tasks`, which goes on as what `serve` makes of it. The listening socket
    /// is closed when this returns. No error ends it: where no descriptor is left it waits until those who end give theirs back.
    pub async fn keep<F, S>(&self, listener: TcpListener, tasks: &TaskTracker, ends: &Ends, serve: F)
    where
        F: Fn(Arrival) -> S + Clone + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let (mut failures, mut refusals) = (Failures::default(), Refusals::default());
        loop {
            let accepted = tokio::select! {
                () = ends.shutdown.cancelled() => break,
                () = ends.closed.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (tcp, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.count_error();
                    if let Some(pause) = failures.pause(&error) {
                        tokio::time::sleep(pause).await;
                    }
                    continue;
                }
            };
            failures.over();
            let Some(guest) = self.census().enter() else {
                self.count(&Turned::Full);
                refusals.say(from);
                continue;
            };
            let (door, serve, shutdown) = (self.clone(), serve.clone(), ends.shutdown.clone());
            tasks.spawn(async move {
                let admitted = tokio::select! {
                    admitted = door.admit(tcp, from, guest) => admitted,
                    () = shutdown.cancelled() => return,
                };
                match admitted {
                    Ok(arrival) => {
                        drop(door);
                        serve(arrival).await;
                    }
                    Err(turned) => {
                        door.count(&turned);
                        tracing::debug!(peer = %from, reason = turned.reason(), "connection refused: {turned}");
                    }
                }
            });
        }
    }

    fn count(&self, turned: &Turned) {
        if let Some(metrics) = self.census().metrics() {
            metrics.refused.with_label_values(&[turned.reason()]).inc();
        }
    }

    fn count_error(&self) {
        if let Some(metrics) = self.census().metrics() {
            metrics.accept_errors.inc();
        }
    }
}

/// Failures to accept, as one episode until the next connection.
#[derive(Default)]
struct Failures {
    pause: Option<Duration>,
}

impl Failures {
    /// How long to wait; `None` when the failure is that of one connection.
    fn pause(&mut self, error: &io::Error) -> Option<Duration> {
        let of_one = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::Interrupted,
        ];
        if of_one.contains(&error.kind()) {
            return None;
        }
        if self.pause.is_none() {
            tracing::warn!(%error, "cannot accept connections; trying again");
        }
        let next = self.pause.map_or(PAUSE[0], |p| p.saturating_mul(2).min(PAUSE[1]));
        self.pause = Some(next);
        Some(next)
    }

    fn over(&mut self) {
        if self.pause.take().is_some() {
            tracing::info!("connections are accepted again");
        }
    }
}

/// Refusals because all places are taken.
#[derive(Default)]
struct Refusals {
    last: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    fn say(&mut self, from: std::net::SocketAddr) {
        if self.last.is_some_and(|last| last.elapsed() < QUIET) {
            self.unsaid = self.unsaid.saturating_add(1);
            return;
        }
        self.last = Some(Instant::now());
        let more = std::mem::take(&mut self.unsaid);
        tracing::warn!(peer = %from, reason = Turned::Full.reason(), more, "connection refused: {}", Turned::Full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_descriptors_waits_longer_and_longer_and_a_broken_connection_costs_nothing() {
        let none_left = io::Error::from_raw_os_error(24);
        let mut failures = Failures::default();
        let mut next = || failures.pause(&none_left).unwrap().as_millis();
        assert_eq!(
            [next(), next(), next(), next(), next(), next(), next()],
            [50, 100, 200, 400, 800, 1000, 1000]
        );
        failures.over();
        assert_eq!(failures.pause(&none_left), Some(PAUSE[0]));
        assert_eq!(failures.pause(&io::ErrorKind::ConnectionAborted.into()), None);
    }
}
