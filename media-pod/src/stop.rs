//! When to end: SIGTERM drains, SIGINT does not wait, and whatever comes after the first ends what is under way.

use crate::pod::Pod;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The two signals.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Which one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Terminate,
    Interrupt,
}

impl Signals {
    /// From here on the signals do not end the process by themselves.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Came {
        tokio::select! {
            _ = self.terminate.recv() => Came::Terminate,
            _ = self.interrupt.recv() => Came::Interrupt,
        }
    }

    /// Resolves when the process is to end: a signal has come, and the pod has drained if it was SIGTERM and no further signal came.
    pub async fn drained(&mut self, pod: &Pod, grace: Option<Duration>) {
        if self.next().await == Came::Interrupt {
            return pod.hurry();
        }
        pod.terminate(grace);
        tokio::select! {
            () = pod.drained() => {}
            _ = self.next() => {
                tracing::warn!("told twice to stop: not waiting for sessions");
                pod.hurry();
            }
        }
    }

    /// Stops the pod, unless a further signal comes first.
    pub async fn stopped(&mut self, pod: &Pod) {
        tracing::info!("stopping");
        tokio::select! {
            () = pod.stop() => {}
            _ = self.next() => tracing::warn!("told again to stop: ending at once"),
        }
    }
}
