//! What the server says of itself. [`status`] is pure; only [`report`] writes.

mod events;
mod progress;

use super::apply::{Applied, Refusal};
use super::fetch::{Fetched, Linked};
use super::trouble::{cut, trouble};
use super::{addresses, is_leaving, is_ready, plan};
use crate::context::Context;
use crate::events::transitions;
use crate::link::View;
use crate::names::{self, ObjectKey, REVISION_LABEL, label};
use crate::runner::{Error, Kind as _, Next};
use crate::status::{Written, write_if_changed};
use crate::stream::Flow;
use headgate_api::condition::{ConditionType, Finding, merge};
use headgate_api::{MediaServer, MediaServerStatus, PodStatus};
use headgate_control::PodReport;
use headgate_resolve::{coarse, server_findings, tls_secrets};
use kube::ResourceExt;
use std::time::Duration;
use tokio::time::Instant;

const TOLD: &[(ConditionType, bool)] = &[
    (ConditionType::Ready, true),
    (ConditionType::ResolvedRefs, true),
    (ConditionType::Degraded, false),
];
/// Somebody else's object goes without a word to us.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// A Secret that nobody has labelled comes without a word to us.
const MISSING: Duration = Duration::from_secs(3);
const PODS_MAX: usize = 256;

/// Writes the status, if it says something new.
pub async fn report(ctx: &Context, applied: Applied) -> Result<Next, Error> {
    let server = &applied.valid.fetched.server;
    let survey = &applied.valid.fetched.survey;
    ctx.events.publish(server.as_ref(), survey.note.as_slice()).await;
    ctx.events.publish(server.as_ref(), &events::notes(&applied)).await;
    // A configuration is in force within milliseconds.
    let passing = progress::configuring(&applied).is_some();
    let key = ObjectKey::of(server.as_ref());
    if let Some(wait) = ctx.holds.wait(super::Servers::NAME, &key, passing, Instant::now()) {
        return Ok(Next::After(wait).or_sooner(look_again(&applied)));
    }
    let new = status(&applied);
    let old = server.status.as_ref();
    let written = write_if_changed::<MediaServer, _>(ctx, super::Servers::NAME, server.as_ref(), old, &new).await?;
    if matches!(written, Written::New(_)) {
        let before = old.map(|s| s.conditions.as_slice()).unwrap_or_default();
        let notes = transitions(before, &new.conditions, TOLD);
        ctx.events.publish(server.as_ref(), &notes).await;
    }
    let next = written.next(&ctx.caches.servers);
    Ok(next.or_sooner(look_again(&applied)))
}

fn look_again(applied: &Applied) -> Option<Duration> {
    let foreign = !applied.valid.taken.is_empty() || !applied.refused.is_empty();
    let next = applied.work.as_ref().and_then(|w| w.next);
    let fetched = &applied.valid.fetched;
    let missing = fetched.certificates.len() < tls_secrets(&fetched.server.spec).len();
    let looks = [
        missing.then_some(MISSING),
        foreign.then_some(LOOK_AGAIN),
        next,
        fetched.survey.again,
        fetched.slowed,
    ];
    looks.into_iter().flatten().min()
}

/// The status that follows from what was applied.
pub fn status(applied: &Applied) -> MediaServerStatus {
    let fetched = &applied.valid.fetched;
    let server = &fetched.server;
    let heard = || fetched.pods.iter().filter_map(heard).map(|(view, _)| view);
    let viewers = || heard().map(View::viewers).sum();
    let ready = fetched.pods.iter().filter(|l| is_ready(&l.pod)).count();
    let unheard = fetched.pods.iter().any(|l| is_ready(&l.pod) && is_unheard(l));
    let before = server.status.as_ref().filter(|_| unheard);
    // Ready always stands there; what is only bad or passing stands there while it holds, so that all that is shown is True when all is well.
    let passing = [
        progress::progressing(applied),
        progress::draining(fetched),
        degraded(applied),
    ];
    let passing = passing.into_iter().flatten();
    let resolved = server_findings(&server.spec, &fetched.secrets);
    let findings: Vec<Finding> = [Some(ready_finding(applied, ready)), resolved]
        .into_iter()
        .flatten()
        .chain(passing)
        .collect();
    let old = server
        .status
        .as_ref()
        .map(|s| s.conditions.as_slice())
        .unwrap_or_default();
    let generation = server.metadata.generation.unwrap_or(0);
    let selector = names::selector(&server.name_any());
    let selector: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    MediaServerStatus {
        observed_generation: Some(generation),
        conditions: merge(old, &findings, generation, fetched.now),
        replicas: count(fetched.pods.len()),
        ready_replicas: count(ready),
        updated_replicas: count(updated(fetched)),
        selector: selector.join(","),
        streams: before.map_or_else(|| count(heard().map(View::stream_count).sum()), |s| s.streams),
        viewers: before.map_or_else(|| coarse(viewers()), |s| s.viewers.clone()),
        addresses: addresses(server, fetched.children.client.as_deref()),
        pods: fetched
            .pods
            .iter()
            .take(PODS_MAX)
            .map(|l| pod_status(l, fetched))
            .collect(),
    }
}

/// Made as the spec asks now, and to stay.
fn updated(fetched: &Fetched) -> usize {
    let wanted = plan::revision(&fetched.server);
    let is_updated = |l: &&Linked| !is_leaving(&l.pod) && label(l.pod.as_ref(), REVISION_LABEL) == Some(&wanted);
    fetched.pods.iter().filter(is_updated).count()
}

/// Neither heard of yet nor known to be out of reach: a process that has just started does not take back what was said before it.
fn is_unheard(linked: &Linked) -> bool {
    let nothing = |v: &crate::link::View| v.report.is_none() && v.problem.is_none();
    linked.view.as_ref().is_none_or(nothing)
}

/// What is known of a pod that is heard of, with its last report.
fn heard(linked: &Linked) -> Option<(&View, &PodReport)> {
    let view = linked.view.as_ref().filter(|v| v.connected)?;
    Some((view, view.report.as_deref()?))
}

fn ready_finding(applied: &Applied, ready: usize) -> Finding {
    let (kind, fetched) = (ConditionType::Ready, &applied.valid.fetched);
    if fetched.farewell.is_some() {
        return Finding::no(kind, "Deleting", "is being deleted, and goes when its pods are gone");
    }
    if let Some(invalid) = &applied.valid.invalid {
        return Finding::no(kind, invalid.reason(), invalid.to_string());
    }
    if let Some(taken) = applied.valid.taken.first() {
        return taken.finding();
    }
    if let Some(refusal) = applied.refused.iter().find(|r| stops(r)) {
        return Finding::no(kind, refusal.reason, refusal.message.clone());
    }
    let wanted = usize::try_from(fetched.server.spec.replicas).unwrap_or(0);
    if wanted == 0 {
        return Finding::yes(kind, "Stopped", "no pod is wanted: spec.replicas is 0");
    }
    if ready >= wanted {
        return Finding::yes(kind, "Serving", format!("{ready} of {wanted} pods are ready"));
    }
    not_ready(fetched, ready, wanted)
}

/// Without the configuration's Secret a pod starts with an older one; everything else that is refused leaves something out.
fn stops(refusal: &Refusal) -> bool {
    !matches!(refusal.reason, "ConfigTooLarge" | "SecretRefused")
}

fn not_ready(fetched: &Fetched, ready: usize, wanted: usize) -> Finding {
    let unready = fetched.pods.iter().filter(|l| !is_ready(&l.pod) && !is_leaving(&l.pod));
    let troubles = unready.filter_map(|l| trouble(l, fetched.now));
    let first = troubles.max_by_key(|t| t.stuck);
    let (reason, what) = match first {
        Some(t) if t.stuck => ("PodsNotReady", format!(": {}", t.message)),
        Some(t) => ("Starting", format!(": {}", t.message)),
        None => ("Starting", String::new()),
    };
    let message = format!("{ready} of {wanted} pods are ready{what}");
    Finding::no(ConditionType::Ready, reason, message)
}

fn degraded(applied: &Applied) -> Option<Finding> {
    let kind = ConditionType::Degraded;
    if let Some(refusal) = applied.refused.iter().find(|r| !stops(r)) {
        return Some(Finding::yes(kind, refusal.reason, refusal.message.clone()));
    }
    if let Some(stopped) = progress::stopped(applied) {
        return Some(Finding::yes(kind, progress::STOPPED, stopped));
    }
    if let Some((pod, sessions)) = &applied.valid.fetched.survey.left_out {
        let message = format!(
            "pod {pod} has {} open sessions more than are remembered for it: should it be lost, these get no closing event",
            coarse(*sessions)
        );
        return Some(Finding::yes(kind, "TooManySessions", message));
    }
    if applied.valid.fetched.slowed.is_some() {
        let message = format!(
            "publishers come and go faster than {} a second: some streams are shown late; the media is not held up",
            Flow::rate()
        );
        return Some(Finding::yes(kind, "TooManyStreams", message));
    }
    let mut ready = applied.valid.fetched.pods.iter().filter(|l| is_ready(&l.pod));
    ready.find_map(|linked| {
        let (reason, message) = linked.view.as_ref().and_then(fault)?;
        let message = format!("pod {}: {message}", linked.pod.name_any());
        Some(Finding::yes(kind, reason, message))
    })
}

/// What is wrong with a pod that the kubelet calls ready.
fn fault(view: &crate::link::View) -> Option<(&'static str, String)> {
    if let Some(problem) = &view.problem {
        let known = [
            "PodUnreachable",
            "PodNotTrusted",
            "PodNotUnderstood",
            "PodSilent",
            "ConfigRefused",
        ];
        let reason = known
            .into_iter()
            .find(|r| *r == problem.reason)
            .unwrap_or("ConfigRefused");
        return Some((reason, cut(&problem.message)));
    }
    let report = view.report.as_ref()?;
    let (listener, problem) = report.listeners.iter().find_map(|l| Some((l, l.problem.as_ref()?)))?;
    let message = format!(
        "listener {:?} on port {}: {}",
        listener.name, listener.port, problem.message
    );
    Some(("ListenerFailed", cut(&message)))
}

fn pod_status(linked: &Linked, fetched: &Fetched) -> PodStatus {
    let name = linked.pod.name_any();
    let known = linked
        .view
        .as_ref()
        .filter(|_| !is_unheard(linked))
        .map(|v| v.revision.clone());
    let before = fetched.server.status.as_ref();
    let before = before.and_then(|s| s.pods.iter().find(|p| p.name == name && p.ready));
    let revision = known.or_else(|| before.map(|p| p.revision.clone()));
    let fault = linked.view.as_ref().and_then(fault).map(|(_, message)| message);
    let message = progress::drain_message(linked).or_else(|| match trouble(linked, fetched.now) {
        Some(trouble) if !is_ready(&linked.pod) => Some(trouble.message),
        _ => fault,
    });
    PodStatus {
        name,
        ready: is_ready(&linked.pod),
        draining: progress::is_draining(linked),
        revision: revision.unwrap_or_default(),
        message: message.unwrap_or_default(),
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
