//! Segments that back ends want to hear of (`on_hls`, `on_record_ts`), or that an event is to have from its beginning: streams are cut for them from their
//! beginning on, whether or not anybody watches.
//!
//! The pod of the publisher tells of them, and no other. The last one is whole when its publisher has ended, and told before that end is.

use crate::pod::Pod;
use headgate_hooks::Hooks;
use headgate_hooks::event::NewSegment;
use headgate_http::{Segment, Segments};
use headgate_hub::Session;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// From one look at the streams to the next, when sessions come and go.
const LOOK: Duration = Duration::from_millis(50);
/// And when nothing happens.
const REST: Duration = Duration::from_secs(1);

/// The publishers whose segments are told.
#[derive(Default)]
pub(crate) struct Followed(Mutex<HashMap<Uuid, Arc<Mutex<Segments>>>>);

impl Followed {
    /// Tells what of an ended publisher's segments is not told yet. Nothing comes behind it.
    pub(crate) fn end(&self, hooks: &Hooks, publisher: &Session) {
        let segments = self.0.lock().remove(&publisher.id);
        if let Some(segments) = segments {
            tell(hooks, publisher, &mut segments.lock());
        }
    }

    fn knows(&self, publisher: Uuid) -> bool {
        self.0.lock().contains_key(&publisher)
    }

    fn begin(&self, segments: Segments) -> Arc<Mutex<Segments>> {
        let publisher = segments.publisher();
        let segments = Arc::new(Mutex::new(segments));
        self.0.lock().insert(publisher, Arc::clone(&segments));
        segments
    }
}

/// Follows them until the pod is gone.
pub(crate) async fn watch(pod: Weak<Pod>) {
    let mut tasks = JoinSet::new();
    let Some(mut changed) = pod.upgrade().map(|pod| pod.hub().changed()) else {
        return;
    };
    loop {
        let Some(pod) = pod.upgrade() else { return };
        look(&pod, &mut tasks);
        drop(pod);
        sleep(LOOK).await;
        let _ = timeout(REST, changed.changed()).await;
    }
}

fn look(pod: &Arc<Pod>, tasks: &mut JoinSet<()>) {
    while tasks.try_join_next().is_some() {}
    if !pod.hooks().wants_segments() && !pod.hls().keeps_all() {
        return;
    }
    for stream in pod.hub().snapshot() {
        let Some(publisher) = stream.publisher.map(|publisher| publisher.session) else {
            continue;
        };
        if pod.followed().knows(publisher.id) || !is_followed(pod, &publisher) {
            continue;
        }
        let segments = pod.hls().segments(pod.hub(), &stream.name);
        if let Some(segments) = segments.filter(|segments| segments.publisher() == publisher.id) {
            let segments = pod.followed().begin(segments);
            tasks.spawn(follow(Arc::downgrade(pod), publisher, segments));
        }
    }
}

fn is_followed(pod: &Pod, publisher: &Session) -> bool {
    pod.hls().keeps_all() || pod.hooks().follows_segments(publisher)
}

/// Until the publisher has ended, or nobody wants to hear of it any more.
async fn follow(pod: Weak<Pod>, publisher: Arc<Session>, segments: Arc<Mutex<Segments>>) {
    let news = segments.lock().news();
    let step = || {
        let Some(pod) = pod.upgrade() else { return Some(()) };
        let mut segments = segments.lock();
        // Where it is known no more, its end was told and all that comes before that.
        if !pod.followed().knows(publisher.id) {
            return Some(());
        }
        if !is_followed(&pod, &publisher) {
            pod.followed().0.lock().remove(&publisher.id);
            return Some(());
        }
        // Asked first: what was growing is whole by the time it says yes.
        let is_over = segments.is_over();
        tell(pod.hooks(), &publisher, &mut segments);
        is_over.then_some(())
    };
    news.until(step).await;
}

/// What nobody wants to hear of is taken as well, so that it is not told to who asks for segments later.
fn tell(hooks: &Hooks, publisher: &Session, segments: &mut Segments) {
    let new = segments.take();
    if hooks.follows_segments(publisher) {
        for segment in new {
            hooks.segment(publisher, &told(segment));
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
        playlist,
    } = segment;
    NewSegment {
        number,
        duration,
        bytes,
        date,
        path,
        playlist,
    }
}
