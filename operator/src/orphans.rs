//! Sessions that lost their pod. A pod closes its own sessions, also after a crash; one whose object is gone cannot. What it left goes
//! to another pod of the server in its configuration, and is forgotten when that pod says it is done.
//!
//! What is left is known from two places: the pod's ledger as the link heard it, and the Stream objects, which outlive the operator.
//! A pod that is only out of reach leaves nothing: its publishers may live, and it closes them itself.

mod decide;
mod estate;
mod scene;

use crate::cache::{Word, digest};
use crate::cluster::ClusterError;
use crate::context::Context;
use crate::events::Note;
use crate::link::{Kept, View};
use crate::media_server::is_ready;
use crate::names::{ObjectKey, SEALED_ANNOTATION, annotation};
use decide::Heir;
use estate::Estate;
use futures::{StreamExt as _, TryStreamExt as _};
use headgate_api::{MediaServer, Stream};
use headgate_control::Orphan;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use parking_lot::Mutex;
use scene::{LostStream, Outcome, Scene};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// A pod that lost its labels goes without a word to us.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Streams of which is read at one look what closes them.
const READ_MAX: usize = 1000;
const READ_AT_ONCE: usize = 16;
/// Until the rest is read, or one is asked again that answered otherwise than was thought.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What is left of the pods of each server.
#[derive(Debug, Default)]
pub struct Orphans(Mutex<HashMap<ObjectKey, Estate>>);

/// A session, and what closes it.
type Entry = (String, Arc<str>);

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
    pub note: Option<Note>,
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

/// The pods that there are.
#[derive(Debug, Default)]
struct Living {
    uids: HashSet<String>,
    names: HashSet<String>,
}

impl Orphans {
    /// Looks after what the pods of a server have left. `pods`: those that there are, with what they say.
    pub async fn survey<'a>(
        &self,
        ctx: &Context,
        server: &MediaServer,
        pods: impl Iterator<Item = (&'a Pod, Option<&'a View>)> + Clone + Send,
    ) -> Result<Survey, ClusterError> {
        let key = ObjectKey::of(server);
        let mut scene = scene(ctx, &key, pods.clone());
        let reports = pods.filter_map(|(_, view)| view.filter(|v| v.connected)?.report.as_deref());
        let adopted: Vec<Uuid> = reports.flat_map(|r| &r.adopted).copied().collect();
        let confirmed = self.0.lock().get(&key).map(|e| e.confirmed.clone()).unwrap_or_default();
        let suspects = scene.suspects();
        let hidden = hidden(ctx, &key, suspects.iter().filter(|(id, _)| !confirmed.contains(*id))).await?;
        scene.leave_out(&hidden);
        let uid = server.metadata.uid.as_deref().unwrap_or_default();
        let mut outcome = self.look(&key, uid, &scene, &adopted);
        if !outcome.unread.is_empty() {
            scene.read(&sealed(ctx, &outcome.unread).await?);
            outcome.and(self.look(&key, uid, &scene, &[]));
        }
        let mut survey = self.survey_of(&key, &scene, &outcome);
        if !outcome.unread.is_empty() {
            survey.again = Some(survey.again.map_or(READ_AGAIN, |a| a.min(READ_AGAIN)));
        }
        if !hidden.is_empty() {
            survey.again = Some(survey.again.map_or(LOOK_AGAIN, |a| a.min(LOOK_AGAIN)));
        }
        outcome.ledgers.iter().for_each(|uid| ctx.links.drop_ledger(uid));
        outcome.streams.into_iter().for_each(|s| ctx.queues.streams.add(s));
        Ok(survey)
    }

    fn look(&self, key: &ObjectKey, uid: &str, scene: &Scene, adopted: &[Uuid]) -> Outcome {
        let mut all = self.0.lock();
        let estate = all.entry(key.clone()).or_insert_with(|| Estate::of(uid));
        if estate.server_uid != uid {
            *estate = Estate::of(uid);
        }
        let closed = estate.adopted(adopted);
        let outcome = scene.look(estate);
        estate.confirmed = scene.suspects().into_keys().collect();
        if closed > 0 || outcome.inherited > 0 {
            let (waiting, inherited) = (estate.count(), outcome.inherited);
            tracing::info!(server = %key, inherited, closed, waiting, "sessions of pods that are gone");
        }
        if estate.is_empty() {
            all.remove(key);
        }
        outcome
    }

    fn survey_of(&self, key: &ObjectKey, scene: &Scene, outcome: &Outcome) -> Survey {
        Survey {
            orphans: self.0.lock().get(key).map(Estate::orphans).unwrap_or_default(),
            again: outcome.again,
            left_out: scene.left_out(),
            note: outcome.note(),
        }
    }

    /// Whether the session that a Stream of `server` names is still to be closed by somebody else.
    pub fn left(&self, ctx: &Context, server: &MediaServer, stream: &Stream) -> Left {
        let pods = ctx.caches.pods_of(server);
        let living = Living::of(pods.iter().map(AsRef::as_ref));
        let Some(lost) = lost(ctx, &living, stream).filter(|l| !l.live) else {
            return Left::No;
        };
        let all = self.0.lock();
        match all.get(&ObjectKey::of(server)) {
            Some(estate) if estate.is_settled(&lost.session) => Left::No,
            Some(estate) if estate.is_waiting(&lost.session) => Left::Adopted,
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

/// What closes the sessions of these Streams, as the API server has it.
async fn sealed(ctx: &Context, streams: &[ObjectKey]) -> Result<HashMap<ObjectKey, Entry>, ClusterError> {
    let asked: Vec<ObjectKey> = streams.iter().take(READ_MAX).cloned().collect();
    let reads = futures::stream::iter(asked.into_iter().map(|key| sealed_one(ctx, key)));
    let read: Vec<Option<(ObjectKey, Entry)>> = reads.buffer_unordered(READ_AT_ONCE).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

async fn sealed_one(ctx: &Context, key: ObjectKey) -> Result<Option<(ObjectKey, Entry)>, ClusterError> {
    let stream = ctx.cluster.get::<Stream>(&key).await?;
    let entry = stream.as_ref().and_then(entry);
    Ok(entry.map(|(session, sealed)| (key, (session.to_owned(), sealed.into()))))
}

/// The session that a Stream names, and what closes it.
fn entry(stream: &Stream) -> Option<(&str, &str)> {
    let publisher = stream.status.as_ref()?.publisher.as_ref()?;
    Some((publisher.session.as_str(), annotation(stream, SEALED_ANNOTATION)?))
}

/// Which of these pods are there all the same: the watch loses sight of one that loses its labels, and what follows cannot be taken back.
async fn hidden(
    ctx: &Context,
    server: &ObjectKey,
    suspects: impl Iterator<Item = (&String, &String)>,
) -> Result<HashSet<String>, ClusterError> {
    let mut hidden = HashSet::new();
    for (id, name) in suspects {
        let pod = ctx.cluster.get::<Pod>(&server.sibling(name)).await?;
        if pod.is_some_and(|pod| pod.uid().as_ref() == Some(id) || id == name) {
            tracing::warn!(server = %server, pod = name, "a pod lost its labels: what it has open is left to it");
            hidden.insert(id.clone());
        }
    }
    Ok(hidden)
}

fn scene<'p>(
    ctx: &Context,
    server: &ObjectKey,
    pods: impl Iterator<Item = (&'p Pod, Option<&'p View>)> + Clone,
) -> Scene {
    let living = Living::of(pods.clone().map(|(pod, _)| pod));
    let (here, gone): (Vec<Kept>, Vec<Kept>) = {
        let all = ctx.links.ledgers(server).into_iter();
        all.partition(|k| living.uids.contains(&k.uid))
    };
    let streams = ctx.caches.streams.find(&server.namespace, &Word::server(&server.name));
    for stream in &streams {
        stored(ctx, stream);
    }
    Scene {
        heirs: pods.map(|(pod, view)| heir(pod, view, &here)).collect(),
        streams: streams.iter().filter_map(|s| lost(ctx, &living, s)).collect(),
        here,
        gone,
        now: Instant::now(),
    }
}

/// What closes its session stands in the Stream, and its pod's ledger need not be kept for it.
fn stored(ctx: &Context, stream: &Stream) {
    let uid = stream.status.as_ref().and_then(|s| s.pod_uid.as_deref());
    if let (Some(uid), Some((session, sealed))) = (uid, entry(stream))
        && let Ok(session) = session.parse()
    {
        ctx.links.stored(uid, session, &digest(sealed));
    }
}

impl Living {
    fn of<'p>(pods: impl Iterator<Item = &'p Pod>) -> Self {
        let mut living = Self::default();
        for pod in pods {
            living.uids.extend(pod.uid());
            living.names.extend(pod.metadata.name.clone());
        }
        living
    }
}

/// The Stream, where its pod is gone and somebody must be told of its end.
fn lost(ctx: &Context, living: &Living, stream: &Stream) -> Option<LostStream> {
    let status = stream.status.as_ref()?;
    let (session, _) = entry(stream)?;
    // An older operator wrote no UID.
    let is_there = match &status.pod_uid {
        Some(uid) => living.uids.contains(uid),
        None => living.names.contains(&status.pod),
    };
    if is_there {
        return None;
    }
    let session: Uuid = session.parse().ok()?;
    let stream = ObjectKey::of(stream);
    Some(LostStream {
        live: ctx.links.has_session(&stream, session),
        session,
        sealed: None,
        pod: status.pod.clone(),
        pod_uid: status.pod_uid.clone().unwrap_or_else(|| status.pod.clone()),
        stream,
    })
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
