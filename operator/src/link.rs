//! The control path: one link a media pod, owned here, ended with the pod or with the lead.
//!
//! A link keeps the pod's report stream open, pushes the configuration when the pod runs another, and wakes the reconcilers of
//! what a report changed. It is where the operator's knowledge of running media lives; nothing of it is guessed.

mod body;
mod change;
mod check;
mod chunked;
mod follower;
mod ledger;
mod ledgers;
mod lines;
mod pod_link;
mod revisions;
mod sealed;
mod streams;
mod transport;
mod view;
mod wire;

pub use change::Changes;
#[cfg(test)]
pub use ledger::Ledger;
pub use ledgers::Kept;
pub use revisions::Digests;
pub use transport::{LinkError, Peer};
pub use view::View;

use crate::lease::Claim;
use crate::metrics::Metrics;
use crate::names::ObjectKey;
use body::Body;
use bytes::Bytes;
use headgate_control::{EdgeReport, PodConfig, StreamReport};
use jiff::Timestamp;
use ledgers::Ledgers;
use parking_lot::Mutex;
use revisions::Revisions;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// What a pod should run.
#[derive(Clone, Debug)]
pub struct Push {
    /// Revision of the configuration.
    pub revision: String,
    /// The configuration.
    pub body: Body,
    /// Since when it should be in force.
    pub since: Instant,
}

/// A pod to be linked.
#[derive(Clone, Debug)]
pub struct Target {
    /// The pod.
    pub pod: ObjectKey,
    /// Its UID: a pod that comes after it under its name is another.
    pub uid: String,
    /// How to reach it.
    pub peer: Peer,
    /// Whether it should be on its way out.
    pub wish: Wish,
}

/// Whether a pod should be on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// As it is: it ends by itself.
    #[default]
    AsItIs,
    /// It should not.
    Serve,
    /// It should, and cut its last publisher then.
    Leave(Timestamp),
}

/// A live stream, and where.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The server.
    pub server: ObjectKey,
    /// The server's UID.
    pub server_uid: String,
    /// The pod that the publisher is connected to.
    pub pod: ObjectKey,
    /// The pod's UID.
    pub pod_uid: String,
    /// When it reported last.
    pub heard: Option<Instant>,
    /// Whether the pod is heard of now.
    pub connected: bool,
    /// What the pod says of it, with the viewers of every pod that relays it.
    pub report: StreamReport,
}

impl AsRef<Peer> for Wanted {
    fn as_ref(&self) -> &Peer {
        &self.peer
    }
}

/// Told of what changed. Must not block.
pub type Wake = Arc<dyn Fn(&ObjectKey, Changes) + Send + Sync>;

/// What a ledger's stream needs of its pod's link.
struct Heard {
    wanted: watch::Receiver<Wanted>,
    view: watch::Receiver<View>,
}

/// All links.
pub struct Links {
    open: Mutex<HashMap<ObjectKey, Link>>,
    ledgers: Ledgers,
    env: Env,
}

/// What every link needs.
#[derive(Clone)]
struct Env {
    claim: Claim,
    metrics: Arc<Metrics>,
    wake: Wake,
    revisions: Arc<Revisions>,
}

struct Link {
    uid: String,
    server: ObjectKey,
    server_uid: String,
    wanted: watch::Sender<Wanted>,
    view: watch::Receiver<View>,
    _task: AbortOnDropHandle<()>,
}

/// What a link works towards.
#[derive(Clone, Debug)]
struct Wanted {
    peer: Peer,
    push: Push,
    wish: Wish,
}

impl Links {
    /// No link yet.
    pub fn new(claim: Claim, metrics: Arc<Metrics>, wake: Wake) -> Self {
        Self {
            open: Mutex::default(),
            ledgers: Ledgers::default(),
            env: Env {
                claim,
                metrics,
                wake,
                revisions: Arc::default(),
            },
        }
    }

    /// Links exactly these pods of a server, and has them run this configuration.
    pub fn sync(&self, server: &ObjectKey, server_uid: &str, config: &PodConfig, body: &Bytes, targets: Vec<Target>) {
        self.env.revisions.remember(server, config);
        let since = Instant::now();
        let mut links = self.open.lock();
        let mut ended = Vec::new();
        links.retain(|pod, link| {
            let stays = link.server != *server || targets.iter().any(|t| t.pod == *pod && t.uid == link.uid);
            if !stays {
                ended.push(link.view.borrow().clone());
            }
            stays
        });
        for target in targets {
            let wanted = Wanted {
                peer: target.peer,
                push: Push {
                    revision: config.revision.clone(),
                    body: Body::new(body.clone()),
                    since,
                },
                wish: target.wish,
            };
            if let Some(link) = links.get(&target.pod) {
                link.wanted.send_if_modified(|old| old.replace(wanted));
                continue;
            }
            let (pod, uid) = (target.pod, target.uid);
            let link = self.start(server, server_uid, &pod, uid.clone(), wanted);
            let heard = Heard {
                wanted: link.wanted.subscribe(),
                view: link.view.clone(),
            };
            self.ledgers.follow(&self.env, server, &pod, &uid, heard);
            links.insert(pod, link);
        }
        let in_use = links.values().filter(|l| l.server == *server);
        let in_use = in_use.map(|l| l.view.borrow().revision.clone()).collect();
        drop(links);
        self.env.revisions.settle(server, &in_use);
        self.ledgers.stand_by_no_more(server);
        for view in ended {
            (self.env.wake)(server, Changes::all_of(&view));
        }
    }

    /// Hears what these pods of a server have open, and no more: another process leads.
    pub fn stand_by(&self, server: &ObjectKey, targets: Vec<Target>) {
        self.ledgers.stand_by(&self.env, server, targets);
    }

    /// Forgets of what was heard so what is past or too much, and all of servers that are not there.
    pub fn tidy(&self, is_there: impl Fn(&ObjectKey) -> bool) {
        self.ledgers.tidy(Instant::now(), is_there);
    }

    /// Ends the links of a server.
    pub fn forget(&self, server: &ObjectKey) {
        let mut ended = Vec::new();
        self.open.lock().retain(|_, link| {
            let stays = link.server != *server;
            if !stays {
                ended.push(link.view.borrow().clone());
            }
            stays
        });
        self.env.revisions.forget(server);
        self.ledgers.forget(server);
        for view in ended {
            (self.env.wake)(server, Changes::all_of(&view));
        }
    }

    /// Ends all: this process does not lead any more. What the pods have open stays known.
    pub fn clear(&self) {
        self.open.lock().clear();
        self.env.revisions.clear();
    }

    /// What is known of a pod; `None` when it is not linked.
    pub fn view(&self, pod: &ObjectKey, uid: &str) -> Option<View> {
        let links = self.open.lock();
        let link = links.get(pod).filter(|l| l.uid == uid)?;
        let view = link.view.borrow().clone();
        Some(view)
    }

    /// The keys and hooks that a pod of `server` runs with, when it runs a revision of which they are known.
    pub fn digests(&self, server: &ObjectKey, revision: &str) -> Option<Arc<Digests>> {
        self.env.revisions.get(server, revision)
    }

    /// Where the stream with that object name is live: in one pod, or in several for a moment. By start.
    pub fn sightings(&self, stream: &ObjectKey) -> Vec<Sighting> {
        let links = self.open.lock();
        let near = || links.iter().filter(|(pod, _)| pod.namespace == stream.namespace);
        let seen = near().filter_map(|(pod, link)| {
            let view = link.view.borrow();
            let report = view.stream(&stream.name)?;
            Some(Sighting {
                server: link.server.clone(),
                server_uid: link.server_uid.clone(),
                pod: pod.clone(),
                pod_uid: link.uid.clone(),
                heard: view.heard,
                connected: view.connected,
                report,
            })
        });
        let mut seen: Vec<Sighting> = seen.collect();
        if !seen.is_empty() {
            for (_, link) in near() {
                let view = link.view.borrow();
                if let Some(edge) = view.edge(&stream.name).filter(|_| view.connected) {
                    add_viewers(&mut seen, edge);
                }
            }
        }
        seen.sort_by(|a, b| (a.report.started, &a.pod).cmp(&(b.report.started, &b.pod)));
        seen
    }

    /// Whether any pod says that it has this publisher's session.
    pub fn has_session(&self, stream: &ObjectKey, session: Uuid) -> bool {
        self.sightings(stream).iter().any(|s| s.report.session == session)
    }

    /// The ledgers of a server's pods, of those too that are gone and that nobody has settled.
    pub fn ledgers(&self, server: &ObjectKey) -> Vec<Kept> {
        self.ledgers.of(server)
    }

    /// What closes an open session of a pod, as its ledger says.
    pub fn sealed(&self, pod_uid: &str, session: Uuid) -> Option<Arc<str>> {
        self.ledgers.with(pod_uid, |ledger| ledger.text(&session))?
    }

    /// That stands in the session's Stream now, with this digest.
    pub fn stored(&self, pod_uid: &str, session: Uuid, digest: &str) {
        self.ledgers.with(pod_uid, |ledger| ledger.stored(&session, digest));
    }

    /// The ledger of a pod that is gone is settled.
    pub fn drop_ledger(&self, uid: &str) {
        self.ledgers.drop_of(uid);
    }

    /// Ends a session. `false` when the pod knows no such session.
    pub async fn kick(&self, pod: &ObjectKey, session: &str) -> Result<bool, LinkError> {
        if !self.env.claim.holds() {
            return Err(LinkError::NotLeader);
        }
        let peer = self.open.lock().get(pod).map(|l| l.wanted.borrow().peer.clone());
        match peer {
            Some(peer) => transport::kick(&peer, session).await,
            None => Ok(false),
        }
    }

    fn start(&self, server: &ObjectKey, server_uid: &str, pod: &ObjectKey, uid: String, wanted: Wanted) -> Link {
        let (wanted, follow) = watch::channel(wanted);
        let (tell, view) = watch::channel(View::default());
        let link = pod_link::PodLink::new(server.clone(), pod.clone(), follow, tell, self.env.clone());
        Link {
            uid,
            server: server.clone(),
            server_uid: server_uid.into(),
            wanted,
            view,
            _task: AbortOnDropHandle::new(tokio::spawn(link.run())),
        }
    }
}

/// An edge counts for the publisher that it relays, not for one that came after it.
fn add_viewers(seen: &mut [Sighting], edge: &EdgeReport) {
    for sighting in seen.iter_mut().filter(|s| s.report.session == edge.session) {
        for (protocol, more) in &edge.viewers {
            let viewers = sighting.report.viewers.entry(protocol.clone()).or_default();
            *viewers = viewers.saturating_add(*more);
        }
    }
}

impl Wanted {
    /// Whether anything is new. A push that is wanted already keeps its time, and its body unless that is asked for.
    fn replace(&mut self, new: Self) -> bool {
        let same_push = self.push.revision == new.push.revision && !self.push.body.is_asked();
        let same_peer = self.peer == new.peer;
        let same_wish = self.wish == new.wish;
        self.peer = new.peer;
        self.wish = new.wish;
        if !same_push {
            self.push = new.push;
        }
        !(same_push && same_peer && same_wish)
    }
}

#[cfg(test)]
mod tests;
