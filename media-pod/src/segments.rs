//! Segments that back ends want to hear of (`on_hls`, `on_record_ts`), or that an event is to have from its beginning: streams are cut for them whether or
//! not anybody watches.

use crate::pod::Pod;
use headgate_hooks::event::NewSegment;
use headgate_http::Segment;
use headgate_hub::Session;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// From one look at the streams to the next, when sessions come and go.
const LOOK: Duration = Duration::from_millis(50);
/// And when nothing happens.
const REST: Duration = Duration::from_secs(1);

/// Follows them until the pod is gone.
pub(crate) async fn watch(pod: Weak<Pod>) {
    let mut followed = Followed::default();
    let Some(mut changed) = pod.upgrade().map(|pod| pod.hub().changed()) else {
        return;
    };
    loop {
        let Some(pod) = pod.upgrade() else { return };
        followed.look(&pod);
        drop(pod);
        sleep(LOOK).await;
        let _ = timeout(REST, changed.changed()).await;
    }
}

/// The publishers whose segments are told.
#[derive(Default)]
struct Followed {
    tasks: JoinSet<()>,
    by_session: HashMap<Uuid, AbortHandle>,
}

impl Followed {
    fn look(&mut self, pod: &Arc<Pod>) {
        while self.tasks.try_join_next().is_some() {}
        self.by_session.retain(|_, task| !task.is_finished());
        if !pod.hooks().wants_segments() && !pod.hls().keeps_all() {
            return;
        }
        let streams = pod.hub().snapshot();
        let publishers = streams.into_iter().filter_map(|stream| Some(stream.publisher?.session));
        for session in publishers {
            if !self.by_session.contains_key(&session.id) && is_followed(pod, &session) {
                let id = session.id;
                let task = self.tasks.spawn(follow(Arc::downgrade(pod), session));
                self.by_session.insert(id, task);
            }
        }
    }
}

fn is_followed(pod: &Pod, session: &Session) -> bool {
    pod.hls().keeps_all() || pod.hooks().follows_segments(session)
}

/// Until the publisher has ended, or nobody wants to hear of it any more.
async fn follow(pod: Weak<Pod>, session: Arc<Session>) {
    let segments = pod
        .upgrade()
        .and_then(|pod| pod.hls().segments(pod.hub(), &session.name));
    let Some(mut segments) = segments.filter(|segments| segments.publisher() == session.id) else {
        return;
    };
    while let Some(new) = segments.next().await {
        let Some(pod) = pod.upgrade() else { return };
        if !is_followed(&pod, &session) {
            return;
        }
        if pod.hooks().follows_segments(&session) {
            for segment in new {
                pod.hooks().segment(&session, &told(segment));
            }
        }
    }
}

fn told(segment: Segment) -> NewSegment {
    let Segment {
        number,
        duration,
        bytes,
        date,
        path,
    } = segment;
    NewSegment {
        number,
        duration,
        bytes,
        date,
        path,
    }
}
