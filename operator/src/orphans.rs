//! Sessions that lost their pod. A pod closes its own sessions, also after a crash; one whose object is gone, or whose node is given
//! up, cannot. What it left goes to another pod of the server in its configuration, and is forgotten when that pod says it is done.
//!
//! What is left is known from two places: the pod's ledger as the link heard it, and the Stream objects, which outlive the operator.
//! A pod that is only out of reach leaves nothing: its publishers may live, and it closes them itself.

mod decide;
mod estate;

use crate::cache::Word;
use crate::context::Context;
use crate::events::Note;
use crate::link::{Kept, View};
use crate::media_server::is_ready;
use crate::names::ObjectKey;
use decide::{Fate, Heir, Session};
use estate::Estate;
use headgate_api::{MediaServer, Stream};
use headgate_control::Orphan;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// What a pod that is gone said of its sessions is remembered for so long, for a Stream that is late.
const REMEMBERED: Duration = Duration::from_mins(1);

/// What is left of the pods of each server.
#[derive(Debug, Default)]
pub struct Orphans(Mutex<HashMap<ObjectKey, Estate>>);

/// What a reconcile of a server does about it.
#[derive(Debug, Default)]
pub struct Survey {
    /// For the configuration.
    pub orphans: Vec<Orphan>,
    /// When to look again.
    pub again: Option<Duration>,
    /// Open sessions that are not remembered, and the pod that has them.
    pub left_out: Option<(String, u64)>,
    /// What users are told.
    pub notes: Vec<Note>,
}

/// What a Stream has to know of the session it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nobody needs to be told, or somebody is.
    No,
    /// Its pod is gone, and nobody has looked after it yet.
    Unseen,
    /// Another pod is about to close it.
    Adopted,
}

/// What one look sees.
struct Scene<'a> {
    ctx: &'a Context,
    living: Living,
    ledgers: Vec<Kept>,
    streams: Vec<Arc<Stream>>,
    heirs: Vec<Heir>,
    now: Instant,
}

/// The pods that are there and not given up.
#[derive(Debug, Default)]
struct Living {
    uids: HashSet<String>,
    names: HashSet<String>,
}

impl Orphans {
    /// Looks after what the pods of a server have left. `pods`: those that there are, with what they say.
    pub fn survey<'a>(
        &self,
        ctx: &Context,
        server: &MediaServer,
        pods: impl Iterator<Item = (&'a Pod, Option<&'a View>)> + Clone,
    ) -> Survey {
        let key = ObjectKey::of(server);
        let scene = Scene::new(ctx, server, pods.clone());
        let mut all = self.0.lock();
        let uid = server.metadata.uid.as_deref().unwrap_or_default();
        let estate = all.entry(key.clone()).or_insert_with(|| Estate::of(uid));
        if estate.server_uid != uid {
            *estate = Estate::of(uid);
        }
        let reports = pods.filter_map(|(_, view)| view.filter(|v| v.connected)?.report.as_deref());
        let closed = estate.adopted(reports.flat_map(|r| &r.adopted));
        if closed > 0 {
            tracing::info!(server = %key, closed, left = estate.count(), "sessions of pods that are gone are closed");
        }
        let survey = scene.survey(estate);
        if estate.is_empty() {
            all.remove(&key);
        }
        survey
    }

    /// Whether the session that a Stream of `server` names is still to be closed by somebody else.
    pub fn left(&self, ctx: &Context, server: &MediaServer, stream: &Stream) -> Left {
        let Some((session, _)) = sealed(stream) else {
            return Left::No;
        };
        let pods = ctx.caches.pods_of(server);
        if !Living::of(ctx, pods.iter().map(AsRef::as_ref)).is_gone(stream) || is_live(ctx, stream) {
            return Left::No;
        }
        let all = self.0.lock();
        match all.get(&ObjectKey::of(server)) {
            Some(estate) if estate.is_settled(&session) => Left::No,
            Some(estate) if estate.is_waiting(&session) => Left::Adopted,
            _ => Left::Unseen,
        }
    }

    /// The server is gone: how many sessions nobody will close, and the UID that it had.
    pub fn forget(&self, server: &ObjectKey) -> Option<(usize, String)> {
        let estate = self.0.lock().remove(server)?;
        Some((estate.count(), estate.server_uid)).filter(|(count, _)| *count > 0)
    }

    /// This process does not lead any more.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

impl<'a> Scene<'a> {
    fn new<'p>(
        ctx: &'a Context,
        server: &MediaServer,
        pods: impl Iterator<Item = (&'p Pod, Option<&'p View>)> + Clone,
    ) -> Self {
        let key = ObjectKey::of(server);
        let ledgers = ctx.links.ledgers(&key);
        let living = Living::of(ctx, pods.clone().map(|(pod, _)| pod));
        let heirs = pods.filter(|(pod, _)| living.uids.contains(&pod.uid().unwrap_or_default()));
        let mut streams = ctx.caches.streams.find(&key.namespace, &Word::server(&key.name));
        streams.retain(|s| sealed(s).is_some());
        Self {
            heirs: heirs.map(|(pod, view)| heir(pod, view, &ledgers)).collect(),
            ctx,
            living,
            ledgers,
            streams,
            now: Instant::now(),
        }
    }

    fn survey(&self, estate: &mut Estate) -> Survey {
        let mut survey = Survey::default();
        let gone = self.ledgers.iter().filter(|k| !self.living.uids.contains(&k.uid));
        let gone: Vec<&Kept> = gone.collect();
        estate.gone.retain(|uid, _| gone.iter().any(|k| k.uid == *uid));
        for kept in &gone {
            let wait = self.wait(estate, &kept.uid);
            survey.look(wait);
            if wait.is_none() {
                self.inherit(estate, kept, &mut survey);
            }
        }
        for stream in &self.streams {
            self.stream(estate, stream, &mut survey);
        }
        estate.entrust(&self.heirs);
        self.forget_settled(estate);
        survey.orphans = estate.orphans();
        survey.left_out = self.left_out();
        survey
    }

    /// `None` when the pod with that UID, which is gone, will not speak again.
    fn wait(&self, estate: &mut Estate, uid: &str) -> Option<Duration> {
        let since = *estate.gone.entry(uid.to_owned()).or_insert(self.now);
        let kept = self.ledgers.iter().find(|k| k.uid == uid)?;
        let silence = kept.ledger.lock().silence(self.now);
        decide::wait(self.now.saturating_duration_since(since), silence)
    }

    /// What its ledger names. A ledger goes once its pod's object is gone too; what it said of closed sessions stays for a moment.
    fn inherit(&self, estate: &mut Estate, kept: &Kept, survey: &mut Survey) {
        let mut ledger = kept.ledger.lock();
        let left = ledger
            .sessions()
            .filter(|(s, sealed)| estate.inherit(*s, (*sealed).clone()));
        let left = left.count();
        let is_there = self.ctx.caches.pods.get(&kept.pod).and_then(|p| p.uid()) == Some(kept.uid.clone());
        if !is_there {
            ledger.clear_open();
        }
        drop(ledger);
        survey.lost(&kept.pod.name, left, estate.take_dropped());
        let since = estate.gone.get(&kept.uid);
        let age = since.map_or(Duration::ZERO, |at| self.now.saturating_duration_since(*at));
        if is_there || age < REMEMBERED {
            survey.look(Some(REMEMBERED));
        } else {
            self.ctx.links.drop_ledger(&kept.uid);
            estate.gone.remove(&kept.uid);
        }
    }

    fn stream(&self, estate: &mut Estate, stream: &Stream, survey: &mut Survey) {
        let (Some((id, sealed)), Some(status)) = (sealed(stream), &stream.status) else {
            return;
        };
        if !self.living.is_gone(stream) {
            return;
        }
        let uid = status.pod_uid.as_deref().unwrap_or_default();
        let kept = self.ledgers.iter().find(|k| k.uid == uid);
        let session = Session {
            sealed: true,
            gone: true,
            live: is_live(self.ctx, stream),
            early: kept.is_some() && self.wait(estate, uid).is_some(),
            closed: kept.is_some_and(|k| k.ledger.lock().is_closed(&id)),
            waiting: estate.is_waiting(&id),
            settled: estate.is_settled(&id),
        };
        let changed = match session.fate() {
            Fate::Orphan => {
                let left = usize::from(estate.inherit(id, sealed.into()));
                survey.lost(&status.pod, left, estate.take_dropped());
                true
            }
            Fate::Closed => {
                estate.settle(id);
                true
            }
            Fate::Own | Fate::Open | Fate::Adopted => false,
        };
        if changed {
            self.ctx.queues.streams.add(ObjectKey::of(stream));
        }
    }

    /// What a Stream or a ledger names could be inherited once more if it were forgotten.
    fn forget_settled(&self, estate: &mut Estate) {
        let streams = self.streams.iter().filter_map(|s| sealed(s));
        let mut named: HashSet<Uuid> = streams.map(|(session, _)| session).collect();
        for kept in &self.ledgers {
            if !self.living.uids.contains(&kept.uid) {
                named.extend(kept.ledger.lock().sessions().map(|(session, _)| session));
            }
        }
        estate.retain_settled(|session| named.contains(session));
    }

    fn left_out(&self) -> Option<(String, u64)> {
        let count = |k: &Kept| (k.pod.name.clone(), k.ledger.lock().left_out());
        self.ledgers.iter().map(count).find(|(_, count)| *count > 0)
    }
}

impl Survey {
    fn look(&mut self, wait: Option<Duration>) {
        self.again = match (self.again, wait) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// One Event a pod.
    fn lost(&mut self, pod: &str, left: usize, dropped: u64) {
        if dropped > 0 {
            tracing::warn!(
                pod,
                dropped,
                "sessions of a pod that is gone are too many: nobody closes them"
            );
        }
        if left == 0 {
            return;
        }
        tracing::info!(
            pod,
            left,
            "a pod is gone and left open sessions: another pod closes them"
        );
        let message =
            format!("pod {pod} is gone with open sessions: another pod of this server sends their closing events");
        if !self.notes.iter().any(|n| n.message == message) {
            self.notes.push(Note {
                warning: true,
                reason: "SessionsLost".into(),
                message,
                action: "CloseSessions",
            });
        }
    }
}

impl Living {
    fn of<'p>(ctx: &Context, pods: impl Iterator<Item = &'p Pod>) -> Self {
        let mut living = Self::default();
        for pod in pods.filter(|p| !is_given_up(ctx, p)) {
            living.uids.extend(pod.uid());
            living.names.extend(pod.metadata.name.clone());
        }
        living
    }

    /// An older operator wrote no UID.
    fn is_gone(&self, stream: &Stream) -> bool {
        let status = stream.status.as_ref();
        match status.and_then(|s| s.pod_uid.as_ref()) {
            Some(uid) => !self.uids.contains(uid),
            None => status.is_none_or(|s| !self.names.contains(&s.pod)),
        }
    }
}

/// Whether the user, or the cluster in their name, has given the pod's node up.
fn is_given_up(_ctx: &Context, _pod: &Pod) -> bool {
    false
}

fn heir(pod: &Pod, view: Option<&View>, ledgers: &[Kept]) -> Heir {
    let uid = pod.uid().unwrap_or_default();
    let leaves = view
        .and_then(|v| v.report.as_ref())
        .is_some_and(|r| r.draining.is_some());
    // A pod that knows no ledger knows no orphans either.
    let knows = ledgers.iter().any(|k| k.uid == uid && k.ledger.lock().is_known());
    Heir {
        name: pod.name_any(),
        heard: view.is_some_and(|v| v.connected),
        able: is_ready(pod) && view.is_some_and(View::is_ready) && !leaves && knows,
    }
}

/// The session that a Stream names, if somebody must be told of its end.
fn sealed(stream: &Stream) -> Option<(Uuid, &str)> {
    let publisher = stream.status.as_ref()?.publisher.as_ref()?;
    Some((publisher.session.parse().ok()?, publisher.sealed.as_deref()?))
}

fn is_live(ctx: &Context, stream: &Stream) -> bool {
    let publisher = stream.status.as_ref().and_then(|s| s.publisher.as_ref());
    publisher.is_some_and(|p| ctx.links.has_session(&ObjectKey::of(stream), &p.session))
}
