//! Live streams that come and go, and how soon their objects do.

use super::fleet::Fleet;
use super::pod::Played;
use super::waits::Waits;
use futures::StreamExt as _;
use headgate_api::Stream;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use uuid::Uuid;

/// Streams, oldest first.
pub struct Streams {
    fleet: Arc<Fleet>,
    live: VecDeque<(Arc<Played>, Uuid)>,
    made: usize,
    /// Sessions whose streams are to be shown.
    pub shown: Arc<Waits>,
    /// Sessions whose streams are to be gone.
    pub gone: Arc<Waits>,
}

impl Streams {
    /// None yet.
    pub fn new(fleet: Arc<Fleet>) -> Self {
        Self {
            fleet,
            live: VecDeque::new(),
            made: 0,
            shown: Arc::default(),
            gone: Arc::default(),
        }
    }

    /// One more goes live, on the next pod.
    fn start(&mut self, pods: &[Arc<Played>]) {
        let next = self.made.checked_rem(pods.len()).and_then(|at| pods.get(at));
        let Some(pod) = next else { return };
        self.made = self.made.saturating_add(1);
        let session = Uuid::now_v7();
        self.shown.expect(session.to_string());
        pod.publish_as(&format!("room-{}", self.made), session);
        self.live.push_back((pod.clone(), session));
    }

    /// The oldest ends.
    fn end(&mut self) {
        if let Some((pod, session)) = self.live.pop_front() {
            self.gone.expect(session.to_string());
            pod.unpublish(session);
        }
    }

    /// So many go live, spread over that time.
    pub async fn ramp(&mut self, wanted: usize, rate: f64) {
        let pods = self.fleet.pods();
        let mut ticks = interval(Duration::from_secs_f64(1.0 / rate.max(0.1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while self.live.len() < wanted && !pods.is_empty() {
            ticks.tick().await;
            self.start(&pods);
        }
    }

    /// So many a second end and as many go live, for that long.
    pub async fn churn(&mut self, rate: f64, time: Duration) {
        let pods = self.fleet.pods();
        let mut ticks = interval(Duration::from_secs_f64(1.0 / rate.max(0.1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut over = pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut over => return,
                _ = ticks.tick() => {
                    self.end();
                    self.start(&pods);
                }
            }
        }
    }

    /// How many are live.
    pub fn count(&self) -> usize {
        self.live.len()
    }
}

/// Watches the objects as a user would, until dropped.
pub async fn look(client: Client, shown: Arc<Waits>, gone: Arc<Waits>) {
    let objects: Api<Stream> = Api::all(client);
    let mut events = pin!(watcher(objects, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                session(&object).inspect(|s| shown.came(s));
            }
            Ok(Event::Delete(object)) => {
                session(&object).inspect(|s| gone.came(s));
            }
            Ok(_) => {}
            Err(error) => crate::ui::complain(format_args!("watch of streams: {error}")),
        }
    }
}

fn session(object: &Stream) -> Option<String> {
    let publisher = object.status.as_ref()?.publisher.as_ref()?;
    Some(publisher.session.clone())
}
