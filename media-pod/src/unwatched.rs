//! Streams that nobody plays: noticed after a while, and asked about once for each time they are left.

use crate::pod::Pod;
use futures::future::join_all;
use headgate_hub::{EndReason, Session, StreamSnapshot};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a stream must be without a player, as ZLMediaKit's `streamNoneReaderDelayMS`.
pub const DELAY: Duration = Duration::from_secs(20);
/// How often streams are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for them until the pod is gone.
pub async fn watch(pod: Weak<Pod>) {
    let mut book = Book::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(pod) = pod.upgrade() else { return };
        if !pod.hooks().cares_for_unwatched() {
            book = Book::default();
            continue;
        }
        let left = book.look(&pod.hub().snapshot(), Instant::now());
        join_all(left.into_iter().map(|session| ask(&pod, session))).await;
    }
}

async fn ask(pod: &Pod, session: Arc<Session>) {
    if pod.hooks().unwatched(&session).await {
        pod.hub().kick(session.id, EndReason::Kicked);
    }
}

/// Which publishers have been without a player, and since when.
#[derive(Debug, Default)]
struct Book {
    /// `None` once it was asked about.
    alone: HashMap<Uuid, Option<Instant>>,
}

impl Book {
    /// The publishers to ask about now.
    fn look(&mut self, streams: &[StreamSnapshot], now: Instant) -> Vec<Arc<Session>> {
        let alone = streams.iter().filter(|stream| !stream.taken);
        let publishers: Vec<&Arc<Session>> = alone.filter_map(|s| Some(&s.publisher.as_ref()?.session)).collect();
        self.alone
            .retain(|id, _| publishers.iter().any(|session| session.id == *id));
        let mut due = Vec::new();
        for session in publishers {
            let since = self.alone.entry(session.id).or_insert(Some(now));
            if since.is_some_and(|since| now.saturating_duration_since(since) >= DELAY) {
                *since = None;
                due.push(Arc::clone(session));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_hub::{Connection, Protocol, PublisherSnapshot, SessionKind, StreamName};

    fn session() -> Arc<Session> {
        let connection = Connection {
            client_id: "c".into(),
            protocol: Protocol::Rtmp,
            peer: ([127, 0, 0, 1], 1).into(),
            vhost: String::new(),
            app: String::new(),
            stream: String::new(),
            param: String::new(),
            tc_url: String::new(),
            page_url: String::new(),
            started: jiff::Timestamp::UNIX_EPOCH,
        };
        Arc::new(Session {
            id: Uuid::now_v7(),
            kind: SessionKind::Publish,
            connection: Arc::new(connection),
            name: name(),
            param: String::new(),
            key: None,
            started: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    fn name() -> StreamName {
        StreamName {
            vhost: "v".into(),
            app: "live".into(),
            stream: "x".into(),
        }
    }

    fn stream(session: &Arc<Session>, viewers: u32) -> StreamSnapshot {
        StreamSnapshot {
            name: name(),
            publisher: Some(PublisherSnapshot {
                session: Arc::clone(session),
                bits_per_second: 0,
                frames_per_second: 0.0,
            }),
            tracks: vec![],
            viewers: (viewers > 0).then_some((Protocol::Rtmp, viewers)).into_iter().collect(),
            taken: viewers > 0,
            origin: None,
        }
    }

    #[test]
    fn a_stream_is_asked_about_once_for_each_time_it_is_left() {
        let (mut book, session, start) = (Book::default(), session(), Instant::now());
        let mut look = |seconds: u64, viewers| {
            let now = start.checked_add(Duration::from_secs(seconds)).unwrap_or(start);
            book.look(&[stream(&session, viewers)], now).len()
        };
        let table = [
            (0, 0, 0),
            (19, 0, 0),
            (20, 0, 1),
            (60, 0, 0),
            (61, 1, 0),
            (62, 0, 0),
            (81, 0, 0),
            (82, 0, 1),
            (200, 0, 0),
        ];
        for (seconds, viewers, asked) in table {
            assert_eq!(look(seconds, viewers), asked, "after {seconds} s");
        }
    }
}
