//! The task of one link: three loops, one that listens, one that pushes and one that drains. Ended by dropping it.

use super::check::check;
use super::lines::Lines;
use super::transport::{self, LinkError};
use super::{Changes, Env, View, Wanted, Wish};
use crate::names::ObjectKey;
use crate::queue::backoff;
use bytes::Bytes;
use headgate_control::{DrainRequest, PodReport, REPORT_PATH};
use jiff::SignedDuration;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

const WAIT_MAX: Duration = Duration::from_secs(10);
/// Between a deadline that was asked for and the same one in a report.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

/// One link.
pub struct PodLink {
    server: ObjectKey,
    pod: ObjectKey,
    wanted: watch::Receiver<Wanted>,
    view: watch::Sender<View>,
    env: Env,
}

impl PodLink {
    /// A link to `pod` of `server`.
    pub fn new(
        server: ObjectKey,
        pod: ObjectKey,
        wanted: watch::Receiver<Wanted>,
        view: watch::Sender<View>,
        env: Env,
    ) -> Self {
        Self {
            server,
            pod,
            wanted,
            view,
            env,
        }
    }

    /// Until dropped, or until nobody wants anything of it any more.
    pub async fn run(self) {
        tokio::select! {
            () = self.listen() => {}
            () = self.push() => {}
            () = self.drain() => {}
        }
    }

    async fn listen(&self) {
        let mut wanted = self.wanted.clone();
        let mut failures = 0_u32;
        loop {
            let before = self.view.borrow().report.as_ref().map(|r| r.sequence);
            let Err(error) = self.follow(&mut wanted).await else {
                return;
            };
            let progressed = before != self.view.borrow().report.as_ref().map(|r| r.sequence);
            failures = if progressed { 1 } else { failures.saturating_add(1) };
            tracing::debug!(pod = %self.pod, reason = error.reason(), %error, "report stream broken");
            self.update(|view| view.lost(error.problem()));
            tokio::select! {
                () = sleep(wait(failures)) => {}
                changed = wanted.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Takes reports in until the stream breaks or the pod is to be reached in another way. `Ok` when nobody wants it any more.
    async fn follow(&self, wanted: &mut watch::Receiver<Wanted>) -> Result<(), LinkError> {
        let peer = wanted.borrow_and_update().peer.clone();
        // Boxed: what a handshake needs is given back when it is over, for as long as the link lives.
        let mut reports = Box::pin(Lines::open(&peer, REPORT_PATH, PodReport::BYTES_MAX)).await?;
        tracing::debug!(pod = %self.pod, "report stream open");
        loop {
            tokio::select! {
                report = reports.next::<PodReport>() => {
                    let report = check(report?).map_err(|why| LinkError::BadReport(peer.address, why))?;
                    self.update(|view| view.heard(&self.server.name, report, Instant::now()));
                }
                changed = wanted.changed() => match changed {
                    Err(_) => return Ok(()),
                    Ok(()) if wanted.borrow_and_update().peer == peer => {}
                    Ok(()) => return Err(LinkError::Ended(peer.address)),
                },
            }
        }
    }

    async fn push(&self) {
        let (mut wanted, mut view) = (self.wanted.clone(), self.view.subscribe());
        let mut failures = 0_u32;
        loop {
            let Some((now, body)) = self.due(&wanted.borrow_and_update(), &view.borrow_and_update()) else {
                tokio::select! {
                    changed = wanted.changed() => if changed.is_err() { return },
                    changed = view.changed() => if changed.is_err() { return },
                }
                continue;
            };
            failures = match self.push_once(&now, body).await {
                Ok(()) => 0,
                Err(LinkError::Refused(problem)) => {
                    self.update(|view| view.refuse(&now.push.revision, problem));
                    0
                }
                Err(error) => {
                    tracing::warn!(pod = %self.pod, reason = error.reason(), %error, "configuration not pushed; trying again");
                    failures.saturating_add(1)
                }
            };
            if failures > 0 {
                sleep(wait(failures)).await;
            }
        }
    }

    /// What is to be sent now; where it is gone, the server's reconcile is told to bring it again.
    fn due(&self, wanted: &Wanted, view: &View) -> Option<(Wanted, Bytes)> {
        let body = &wanted.push.body;
        if !is_due(view, wanted) {
            if view.connected {
                body.done();
            }
            return None;
        }
        let bytes = body.get();
        if bytes.is_none() {
            let changes = Changes {
                server: true,
                ..Changes::default()
            };
            (self.env.wake)(&self.server, changes);
        }
        Some((wanted.clone(), bytes?))
    }

    async fn push_once(&self, wanted: &Wanted, body: Bytes) -> Result<(), LinkError> {
        if !self.env.claim.holds() {
            return Err(LinkError::NotLeader);
        }
        let pushed = Box::pin(transport::push(&wanted.peer, body)).await;
        let result = pushed.as_ref().map_or_else(LinkError::reason, |_| "Applied");
        self.env.metrics.config_pushes.with_label_values(&[result]).inc();
        let revision = pushed?;
        if revision != wanted.push.revision {
            let message = format!("revision {revision:?} in force instead of {:?}", wanted.push.revision);
            return Err(LinkError::BadReport(wanted.peer.address, message));
        }
        let took = wanted.push.since.elapsed();
        self.env.metrics.config_push_seconds.observe(took.as_secs_f64());
        tracing::info!(pod = %self.pod, %revision, ?took, "configuration in force");
        self.update(|view| view.in_force(&revision, Instant::now()));
        Ok(())
    }

    /// Sees to it that the pod is on its way out, or is not, for as long as its report says otherwise: also one that has started anew.
    async fn drain(&self) {
        let (mut wanted, mut view) = (self.wanted.clone(), self.view.subscribe());
        let mut tries = 0_u32;
        loop {
            let Some(now) = otherwise(&wanted.borrow_and_update(), &view.borrow_and_update()) else {
                tries = 0;
                tokio::select! {
                    changed = wanted.changed() => if changed.is_err() { return },
                    changed = view.changed() => if changed.is_err() { return },
                }
                continue;
            };
            if let Err(error) = self.drain_once(&now).await {
                tracing::warn!(pod = %self.pod, reason = error.reason(), %error, wish = ?now.wish, "not drained as it should be; trying again");
            }
            // Its next report says whether it was done.
            tries = tries.saturating_add(1);
            sleep(wait(tries)).await;
        }
    }

    async fn drain_once(&self, wanted: &Wanted) -> Result<(), LinkError> {
        if !self.env.claim.holds() {
            return Err(LinkError::NotLeader);
        }
        match wanted.wish {
            Wish::AsItIs => Ok(()),
            Wish::Serve => Box::pin(transport::undrain(&wanted.peer)).await,
            Wish::Leave(deadline) => Box::pin(transport::drain(&wanted.peer, &DrainRequest { deadline })).await,
        }
    }

    fn update(&self, change: impl FnOnce(&mut View)) {
        let old = self.view.borrow().clone();
        let mut new = old.clone();
        change(&mut new);
        let changes = Changes::between(&old, &new, |r| self.env.revisions.get(&self.server, r));
        self.view.send_replace(new);
        if !changes.is_empty() {
            (self.env.wake)(&self.server, changes);
        }
    }
}

/// Known to run something else, and not known to refuse what it should run.
fn is_due(view: &View, wanted: &Wanted) -> bool {
    view.connected && view.revision != wanted.push.revision && view.refused.as_ref() != Some(&wanted.push.revision)
}

fn otherwise(wanted: &Wanted, view: &View) -> Option<Wanted> {
    is_otherwise(view, wanted.wish).then(|| wanted.clone())
}

/// Known to be on its way out when it should not, or the other way round, or until another time.
fn is_otherwise(view: &View, wish: Wish) -> bool {
    let Some(report) = view.report.as_ref().filter(|_| view.connected) else {
        return false;
    };
    let until = report.draining.as_ref().map(|d| d.deadline);
    match wish {
        Wish::AsItIs => false,
        Wish::Serve => until.is_some(),
        // A pod counts with another clock than it reports with.
        Wish::Leave(deadline) => until.is_none_or(|until| until.duration_since(deadline).abs() > TOLERANCE),
    }
}

fn wait(failures: u32) -> Duration {
    backoff(failures, rand::random()).min(WAIT_MAX)
}
