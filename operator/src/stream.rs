//! Stream: an object for each live stream, which cuts the publisher when it is deleted.

mod decide;
mod flow;
mod report;
mod twice;

pub use flow::Flow;
pub use twice::Twice;

use crate::context::{Context, now};
use crate::link::Sighting;
use crate::names::{KICK_FINALIZER, MANAGED_BY, ObjectKey, SEALED_ANNOTATION, SERVER_LABEL};
use crate::namespace;
use crate::orphans::Left;
use crate::runner::{Error, Kind, Next};
use decide::{Known, Live, Todo, decide};
use headgate_api::{MediaServer, Stream};
use headgate_resolve::stream_spec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use twice::Verdict;

/// A publisher that was told to end is seen to be gone within this time, or is told again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Reconciles Streams.
pub struct Streams;

/// What a reconcile of one stream looks at.
pub struct Fetched {
    at: ObjectKey,
    object: Option<Arc<Stream>>,
    live: Option<Sighting>,
    /// Of two publishers the one that goes.
    twice: Verdict,
    /// What becomes of the session that the object names, where its pod is gone.
    left: Left,
    /// The server is there, and is the one that the stream belongs to.
    server: bool,
    /// A pod that may have the stream has not been heard of yet.
    unheard: bool,
    now: Timestamp,
}

/// With what to do.
pub struct Planned {
    fetched: Fetched,
    todo: Todo,
}

/// With the object as it is now.
pub struct Applied {
    object: Option<Arc<Stream>>,
    live: Option<Sighting>,
    again: Option<Duration>,
    now: Timestamp,
}

impl Kind for Streams {
    const NAME: &'static str = "Stream";
    const CONCURRENCY: usize = 24;
    type Fetched = Fetched;
    type Valid = Fetched;
    type Planned = Planned;
    type Applied = Applied;

    async fn fetch(ctx: &Context, at: &ObjectKey) -> Result<Option<Fetched>, Error> {
        let object = ctx.caches.streams.get(at);
        let seen = ctx.links.sightings(at);
        if object.is_none() && seen.is_empty() {
            return Ok(None);
        }
        let server = server_of(ctx, object.as_deref(), seen.last());
        let policy = server
            .as_deref()
            .map(|s| s.spec.publish.on_conflict)
            .unwrap_or_default();
        let mut twice = ctx.twice.judge(at, seen, policy, Instant::now());
        let live = twice.shown.take();
        Ok(Some(Fetched {
            left: left(ctx, object.as_deref(), server.as_deref()),
            twice,
            unheard: server.as_deref().is_some_and(|s| is_unheard(ctx, s)),
            server: server.is_some(),
            at: at.clone(),
            object,
            live,
            now: now(),
        }))
    }

    fn validate(fetched: Fetched) -> Fetched {
        fetched
    }

    fn plan(fetched: Fetched) -> Planned {
        let known = fetched.object.as_deref().map(known);
        let live = fetched.live.as_ref().map(|s| Live {
            session: s.report.session.to_string(),
        });
        let todo = decide(
            known.as_ref(),
            live.as_ref(),
            fetched.server,
            fetched.unheard,
            fetched.left,
        );
        Planned { fetched, todo }
    }

    async fn apply(ctx: &Context, planned: Planned) -> Result<Applied, Error> {
        let Planned { fetched, todo } = planned;
        let mut applied = Applied {
            object: None,
            live: fetched.live.clone(),
            again: matches!(todo, Todo::Kick).then_some(LOOK_AGAIN).or(fetched.twice.again),
            now: fetched.now,
        };
        if let Some(goes) = &fetched.twice.ends {
            end_second(ctx, &fetched, goes).await?;
        }
        match (todo, &fetched.object, &fetched.live) {
            (Todo::Show, object, _) => applied.object.clone_from(object),
            (Todo::Hold, Some(object), _) => applied.object = hold(ctx, object).await?,
            (Todo::Lost, object, _) => {
                applied.object.clone_from(object);
                applied.live = None;
            }
            (Todo::Make, _, Some(live)) => make(ctx, &fetched.at, live, &mut applied).await?,
            (Todo::Kick, _, Some(live)) => {
                kick(ctx, &fetched.at, live, "its Stream was deleted").await?;
            }
            (Todo::Release, Some(object), _) => release(ctx, object).await?,
            (Todo::End, Some(object), _) => end(ctx, object).await?,
            _ => {}
        }
        Ok(applied)
    }

    async fn report(ctx: &Context, applied: Applied) -> Result<Next, Error> {
        let again = applied.again;
        let next = report::report(ctx, applied).await?;
        Ok(next.or_sooner(again))
    }
}

/// Not one that came after it under its name.
fn server_of(ctx: &Context, object: Option<&Stream>, live: Option<&Sighting>) -> Option<Arc<MediaServer>> {
    let (key, uid) = match (live, object) {
        (Some(live), _) => (live.server.clone(), live.server_uid.clone()),
        (None, object) => {
            let object = object?;
            let uid = object.owner_references().first().map(|o| o.uid.clone());
            let key = ObjectKey::of(object).sibling(&object.spec.server_ref.name);
            (key, uid.unwrap_or_default())
        }
    };
    let server = ctx.caches.servers.get(&key)?;
    // With a namespace that goes our right to let its Streams go may go, too.
    if namespace::is_known_to_leave(ctx, &key.namespace) {
        return None;
    }
    // One that is being deleted keeps showing the streams it has until its pods are drained. Who deletes them with it cuts nobody.
    let shown = object.is_some_and(|o| o.metadata.deletion_timestamp.is_none());
    let lives = server.metadata.deletion_timestamp.is_none() || shown;
    (lives && server.uid().as_deref() == Some(&*uid)).then_some(server)
}

/// Only a pod that has an address can have a stream.
fn is_unheard(ctx: &Context, server: &MediaServer) -> bool {
    let pods = ctx.caches.pods_of(server);
    pods.iter().any(|pod| {
        let status = pod.status.as_ref();
        let ended = status.is_some_and(|s| matches!(s.phase.as_deref(), Some("Failed" | "Succeeded")));
        let has_address = status.is_some_and(|s| s.pod_ip.is_some());
        let view = ctx
            .links
            .view(&ObjectKey::of(pod.as_ref()), &pod.uid().unwrap_or_default());
        !ended && has_address && view.is_none_or(|v| v.report.is_none())
    })
}

fn known(object: &Stream) -> Known {
    let publisher = object.status.as_ref().and_then(|s| s.publisher.as_ref());
    Known {
        deleting: object.metadata.deletion_timestamp.is_some(),
        held: object.finalizers().iter().any(|f| f == KICK_FINALIZER),
        session: publisher.map(|p| p.session.clone()),
    }
}

/// With all that it says, so that it is one write.
fn made(at: &ObjectKey, live: &Sighting, sealed: Option<&str>, now: Timestamp) -> Stream {
    let mut stream = Stream::new(&at.name, stream_spec(&live.server.name, &live.report));
    stream.status = Some(report::status(None, live, now));
    let labels = [(SERVER_LABEL, live.server.name.as_str()), MANAGED_BY];
    stream.metadata = ObjectMeta {
        name: Some(at.name.clone()),
        namespace: Some(at.namespace.clone()),
        labels: Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
        annotations: sealed.map(|text| [(SEALED_ANNOTATION.to_owned(), text.to_owned())].into()),
        finalizers: Some(vec![KICK_FINALIZER.into()]),
        owner_references: Some(vec![OwnerReference {
            api_version: MediaServer::api_version(&()).into_owned(),
            kind: MediaServer::kind(&()).into_owned(),
            name: live.server.name.clone(),
            uid: live.server_uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    };
    stream
}

/// As fast as one server's streams may come.
async fn make(ctx: &Context, at: &ObjectKey, live: &Sighting, applied: &mut Applied) -> Result<(), Error> {
    if let Err(slowed) = ctx.flow.admit(&live.server, Instant::now()) {
        applied.again = Some(slowed.wait);
        if slowed.first {
            ctx.queues.servers.add(live.server.clone());
        }
        return Ok(());
    }
    let sealed = live.report.sealed.as_ref();
    let sealed = sealed.and_then(|_| ctx.links.sealed(&live.pod_uid, live.report.session));
    let stream = made(at, live, sealed.as_deref(), applied.now);
    match ctx.cluster.create::<Stream>(&stream).await {
        Ok(object) => applied.object = Some(Arc::new(report::kept(object)?)),
        Err(error) if error.is_conflict() => applied.again = Some(LOOK_AGAIN),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn kick(ctx: &Context, at: &ObjectKey, live: &Sighting, why: &str) -> Result<(), Error> {
    let session = live.report.session.to_string();
    let known = ctx.links.kick(&live.pod, &session).await?;
    tracing::info!(stream = %at, pod = %live.pod, session, known, "publisher told to end: {why}");
    Ok(())
}

async fn end_second(ctx: &Context, fetched: &Fetched, goes: &Sighting) -> Result<(), Error> {
    kick(ctx, &fetched.at, goes, "another pod has a publisher of the same stream").await?;
    if let (Some(object), Some(note)) = (&fetched.object, &fetched.twice.note) {
        ctx.events.publish(object.as_ref(), std::slice::from_ref(note)).await;
    }
    Ok(())
}

/// Where nobody has looked yet, the server's reconcile is told to.
fn left(ctx: &Context, object: Option<&Stream>, server: Option<&MediaServer>) -> Left {
    let (Some(object), Some(server)) = (object, server) else {
        return Left::No;
    };
    let left = ctx.orphans.left(ctx, server, object);
    if left == Left::Unseen {
        ctx.queues.servers.add(ObjectKey::of(server));
    }
    left
}

/// Puts our finalizer on one that has lost it. Without it a deletion would cut nobody.
async fn hold(ctx: &Context, object: &Stream) -> Result<Option<Arc<Stream>>, Error> {
    let mut wanted = object.finalizers().to_vec();
    wanted.push(KICK_FINALIZER.into());
    let patch = json!({ "metadata": { "uid": object.uid(), "resourceVersion": object.resource_version(), "finalizers": wanted } });
    match ctx.cluster.patch::<Stream>(&ObjectKey::of(object), patch).await {
        Ok(written) => Ok(Some(Arc::new(written))),
        // Its own event says so.
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes our finalizer off, and leaves those of others.
async fn release(ctx: &Context, object: &Stream) -> Result<(), Error> {
    let left: Vec<&String> = object.finalizers().iter().filter(|f| *f != KICK_FINALIZER).collect();
    let patch = json!({ "metadata": { "uid": object.uid(), "resourceVersion": object.resource_version(), "finalizers": left } });
    match ctx.cluster.patch::<Stream>(&ObjectKey::of(object), patch).await {
        // Known at once, the watch's word of it is no news, and nobody looks at the stream once more.
        Ok(written) => ctx.caches.streams.refresh(written),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn end(ctx: &Context, object: &Stream) -> Result<(), Error> {
    if known(object).held {
        release(ctx, object).await?;
    }
    let uid = object.uid().unwrap_or_default();
    ctx.cluster.delete::<Stream>(&ObjectKey::of(object), &uid).await?;
    Ok(())
}
