//! A pod that drains: the clock, the hub and the config around [`Drain`].

use super::{Drain, Occupant, Step};
use crate::pod::{Pod, bump};
use headgate_control::DrainReport;
use headgate_hub::{EndReason, Hub, Newcomers, SessionKind};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// What a process needs at most behind its drain's deadline, in the reckoning of the operator, which gives it so much grace.
pub const MARGIN: Duration = Duration::from_mins(1);
/// What it allows itself behind the deadline of a signal.
const FAREWELL: Duration = Duration::from_secs(40);
/// The same where it is not to wait.
const HURRIED: Duration = Duration::from_secs(20);
/// News that come closer together are looked at once.
const PACE: Duration = Duration::from_millis(50);
/// A deadline further away than this is as good as none.
const DEADLINE_MAX: Duration = Duration::from_hours(24 * 365);

/// The drain of a pod, if there is one.
#[derive(Default)]
pub struct Draining {
    current: Mutex<Option<(Drain, Anchor)>>,
    /// True from the moment when nothing keeps the process.
    done: watch::Sender<bool>,
    hurried: AtomicBool,
}

/// One moment on both clocks, so that a deadline comes out as it went in.
#[derive(Clone, Copy)]
struct Anchor {
    instant: Instant,
    timestamp: Timestamp,
}

/// The process is about to end anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process was told to end: its drain cannot be taken back")]
pub struct Final;

impl Draining {
    /// Whether newcomers are sent elsewhere.
    pub fn is_on(&self) -> bool {
        self.current.lock().is_some()
    }

    /// For the pod's report.
    pub fn report(&self, hub: &Hub) -> Option<DrainReport> {
        let (drain, anchor) = (*self.current.lock())?;
        let sessions = hub.sessions();
        let count = |kind| u32::try_from(sessions.iter().filter(|s| s.kind == kind).count()).unwrap_or(u32::MAX);
        Some(DrainReport {
            deadline: anchor.timestamp(drain.deadline()),
            publishers: count(SessionKind::Publish),
            viewers: count(SessionKind::Play),
        })
    }

    /// Until when a process that ends may look for somebody who takes what is left.
    pub fn last_moment(&self, now: Instant) -> Instant {
        let patient = self.drain().filter(|_| !self.hurried.load(Ordering::Acquire));
        let (from, time) = match patient.and_then(|drain| drain.final_deadline()) {
            Some(deadline) => (deadline, FAREWELL),
            None => (now, HURRIED),
        };
        from.checked_add(time).unwrap_or(from)
    }

    fn change(&self, how: impl FnOnce(Option<Drain>, Anchor) -> Option<Drain>) -> Option<Drain> {
        let mut current = self.current.lock();
        let (drain, anchor) = current.map_or_else(|| (None, Anchor::now()), |(drain, anchor)| (Some(drain), anchor));
        let changed = how(drain, anchor);
        *current = changed.map(|drain| (drain, anchor));
        changed
    }

    fn drain(&self) -> Option<Drain> {
        self.current.lock().map(|(drain, _)| drain)
    }
}

impl Anchor {
    fn now() -> Self {
        Self {
            instant: Instant::now(),
            timestamp: Timestamp::now(),
        }
    }

    /// What is past is now.
    fn instant(&self, timestamp: Timestamp) -> Instant {
        let ahead = timestamp.duration_since(self.timestamp);
        let ahead = Duration::try_from(ahead).unwrap_or_default().min(DEADLINE_MAX);
        self.instant.checked_add(ahead).unwrap_or(self.instant)
    }

    fn timestamp(&self, instant: Instant) -> Timestamp {
        let ahead = instant.saturating_duration_since(self.instant);
        let ahead = SignedDuration::try_from(ahead).unwrap_or(SignedDuration::MAX);
        self.timestamp.checked_add(ahead).unwrap_or(Timestamp::MAX)
    }
}

impl Pod {
    /// The operator wants the pod empty by then. Asked again, only the deadline changes.
    pub fn drain(&self, deadline: Timestamp) {
        let now = Instant::now();
        let changed = |before, anchor: Anchor| Some(Drain::ask(before, now, anchor.instant(deadline)));
        self.change_drain(changed);
    }

    /// The operator has changed its mind: the pod takes sessions again.
    pub fn undrain(&self) -> Result<(), Final> {
        match self.change_drain(|before, _| before.and_then(Drain::take_back)) {
            Some(_) => Err(Final),
            None => Ok(()),
        }
    }

    /// The process is told to end; it will be killed after `grace`, where that is known.
    pub fn terminate(&self, grace: Option<Duration>) {
        let config = self.config().map(|c| c.drain).unwrap_or_default();
        let wanted = Duration::from_secs(config.deadline_seconds.into());
        let length = grace.map_or(wanted, |grace| wanted.min(grace.saturating_sub(MARGIN)));
        let now = Instant::now();
        let deadline = now.checked_add(length).unwrap_or(now);
        self.change_drain(|before, _| Some(Drain::tell(before, now, deadline)));
    }

    /// The process is to end now, whoever is here.
    pub fn hurry(&self) {
        self.draining().hurried.store(true, Ordering::Release);
    }

    /// Resolves when the process was told to end and nothing keeps it any more.
    pub async fn drained(&self) {
        // The sender is as old as the pod.
        let _ = self.draining().done.subscribe().wait_for(|done| *done).await;
    }

    /// Does what a drain demands, until `stop`.
    pub async fn keep_draining(self: Arc<Self>, stop: CancellationToken) {
        let mut news = self.news();
        let work = async {
            loop {
                news.mark();
                let next = self.draining().drain().and_then(|drain| self.follow(&drain));
                sleep(PACE).await;
                tokio::select! {
                    () = news.wait() => {}
                    () = until(next) => {}
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    fn change_drain(&self, how: impl FnOnce(Option<Drain>, Anchor) -> Option<Drain>) -> Option<Drain> {
        let was_on = self.draining().is_on();
        let changed = self.draining().change(how);
        self.mind_the_door();
        match (was_on, changed) {
            (false, Some(drain)) => self.log_start(&drain),
            (true, None) => tracing::info!("takes sessions again: the drain was taken back"),
            _ => {}
        }
        if changed.is_none() {
            self.hub().ask_publishers_to_leave(false);
        }
        bump(self.applied());
        changed
    }

    /// Whom the hub lets in follows from the drain as it is at this very moment: it may just have been taken back.
    fn mind_the_door(&self) {
        let current = self.draining().current.lock();
        let newcomers = current.map_or(Newcomers::All, |(drain, _)| drain.newcomers(Instant::now()));
        self.hub().let_in(newcomers);
    }

    fn log_start(&self, drain: &Drain) {
        let seconds = drain.deadline().saturating_duration_since(Instant::now()).as_secs();
        let sessions = self.hub().sessions().len();
        tracing::info!(sessions, seconds, "draining: takes no new sessions");
    }

    /// Does what is due; says when to look again.
    fn follow(&self, drain: &Drain) -> Option<Instant> {
        let Step {
            end,
            last_call,
            done,
            next,
        } = drain.step(Instant::now(), self.is_alone(), &self.occupants());
        self.mind_the_door();
        self.hub().ask_publishers_to_leave(last_call);
        for session in end {
            self.hub().kick(session, EndReason::Draining);
        }
        if done {
            self.draining().done.send_replace(true);
        }
        next
    }

    fn occupants(&self) -> Vec<Occupant> {
        let sessions = self.hub().sessions();
        let publishers = sessions.iter().filter(|s| s.kind == SessionKind::Publish);
        let live: HashSet<_> = publishers.map(|s| &s.name).collect();
        let occupant = |s: &Arc<headgate_hub::Session>| Occupant {
            session: s.id,
            kind: s.kind,
            live: live.contains(&s.name),
        };
        sessions.iter().map(occupant).collect()
    }
}

/// Never, when there is nothing to wait for.
async fn until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}
