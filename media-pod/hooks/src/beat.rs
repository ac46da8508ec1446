//! The keepalive of a server to one endpoint: sent every 10 s, once, and never again when it is not taken, since the next one is as good.

use futures::future::join_all;
use headgate_control::HookEvent;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

use crate::delivery::schedule::{Fate, fate};
use crate::endpoint::{Class, Endpoint};
use crate::event::{Details, Event};

/// From one to the next. ZLMediaKit's as it is shipped.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// Runs until it is dropped; an attempt under way is dropped with it. The first comes after a whole interval.
pub(crate) async fn run(endpoint: &Arc<Endpoint>) -> Infallible {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let counters = endpoint.context.counters();
        let details = Details::ServerKeepalive { counters };
        let event = Event::of_server(HookEvent::ServerKeepalive, details, &endpoint.context.sequence);
        if endpoint.takes(&event) {
            let urls = 0..endpoint.spec().urls.len();
            join_all(urls.map(|url| endpoint.beat(url, &event))).await;
        }
    }
}

impl Endpoint {
    async fn beat(&self, url: usize, event: &Event) {
        let limit = self.timeout().min(EVERY);
        let asked = self.attempt(Class::Notification, url, event, 1, limit).await;
        self.record(event, &asked);
        let outcome = match fate(&asked.attempt, asked.verdict) {
            Fate::Delivered => "acked",
            Fate::AppError(_) => "app_error",
            Fate::Retry { .. } | Fate::Dead(_) | Fate::Suspend(_) => "dead",
        };
        self.count(Class::Notification, event, outcome);
    }
}
