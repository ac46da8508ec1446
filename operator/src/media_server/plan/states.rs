//! What is known of each pod, as [`choose`](super::super::choose) wants it.

use super::{address, pod};
use crate::link::View;
use crate::media_server::choose::{Drain, Load, Phase, PodState};
use crate::media_server::fetch::{Fetched, Linked};
use crate::media_server::is_ready;
use crate::media_server::trouble::{slow_in, trouble};
use crate::names::{self, DRAIN_ANNOTATION, REVISION_LABEL, annotation, label};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use std::time::Duration;

/// A pod that ended is taken away only after this time, so that one that ends at once does not do so many times a second.
pub const ENDED_SECONDS: i64 = 10;
/// Viewers of a pod that drains have so long after its last publisher.
pub const QUIET: Duration = Duration::from_secs(10);
/// A pod on a node that does not answer is replaced after this time.
pub const AWAY_SECONDS: i64 = 30;
/// Nodes are given so much more time after one of them was heard of again when none had been: a kubelet that was without an API server asks
/// again only once a minute.
const RETURN_SECONDS: i64 = 90;
/// A pod that does not come up is believed not to only after this time: a node may be on its way.
pub const STUCK_SECONDS: i64 = 60;
/// A pod whose `Ready` is as old as the pod, give or take this, has never been ready.
const START_SECONDS: i64 = 2;

/// Of every pod that has an ordinal.
pub fn states(fetched: &Fetched) -> Vec<PodState> {
    let wanted = pod::revision(&fetched.server);
    let name = fetched.server.name_any();
    let now = fetched.now;
    let one = |linked: &Linked| {
        let pod = linked.pod.as_ref();
        let load = load(linked);
        Some(PodState {
            ordinal: names::ordinal(&name, &pod.name_any())?,
            phase: phase(linked, now),
            outdated: label(pod, REVISION_LABEL) != Some(&wanted),
            cordoned: linked.node.cordoned,
            stuck: age(pod, now) >= STUCK_SECONDS && trouble(linked, now).is_some_and(|t| t.stuck),
            load,
            asked: load == Load::Unknown && is_asked(linked, fetched),
            drain: drain(linked, load, now),
        })
    };
    fetched.pods.iter().filter_map(one).collect()
}

fn phase(linked: &Linked, now: Timestamp) -> Phase {
    let pod = linked.pod.as_ref();
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    if linked.node.given_up {
        Phase::Lost
    } else if pod.metadata.deletion_timestamp.is_some() {
        Phase::Deleting
    } else if matches!(phase, Some("Failed" | "Succeeded")) {
        if age(pod, now) < ENDED_SECONDS {
            Phase::EndedNow
        } else {
            Phase::Ended
        }
    } else if silent_for(linked, now).is_some_and(|s| s >= AWAY_SECONDS) {
        Phase::Away
    } else if is_ready(pod) && !says_it_drains(linked) {
        Phase::Ready
    } else {
        Phase::Starting
    }
}

/// The kubelet is a probe behind.
fn says_it_drains(linked: &Linked) -> bool {
    let report = linked.view.as_ref().and_then(|v| v.report.as_ref());
    report.is_some_and(|r| r.draining.is_some())
}

/// For how long a pod has been not ready because its node does not answer while others do, in seconds.
pub fn silent_for(linked: &Linked, now: Timestamp) -> Option<i64> {
    let ready = ready_condition(&linked.pod).filter(|c| c.status != "True")?;
    let since = ready.last_transition_time.as_ref()?.0.as_second();
    let since = if linked.node.known {
        let others = linked.node.others_since.filter(|_| linked.node.silent)?;
        since.max(others.as_second().saturating_add(RETURN_SECONDS))
    } else {
        // The kubelet gives a reason when it says so itself; for one that is silent others say it, without.
        Some(since).filter(|_| ready.reason.is_none() && !is_new(&linked.pod))?
    };
    Some(now.as_second().saturating_sub(since))
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|c| c.type_ == "Ready")
}

/// Has never been ready.
fn is_new(pod: &Pod) -> bool {
    let Some(ready) = ready_condition(pod) else {
        return true;
    };
    let start = pod.status.as_ref().and_then(|s| s.start_time.as_ref());
    let (Some(start), Some(since)) = (start, &ready.last_transition_time) else {
        return ready.status != "True";
    };
    let later = since.0.as_second().saturating_sub(start.0.as_second());
    ready.status != "True" && later <= START_SECONDS
}

/// How old a pod is, in seconds.
pub fn age(pod: &Pod, now: Timestamp) -> i64 {
    let made = pod.metadata.creation_timestamp.as_ref().map_or(0, |t| t.0.as_second());
    now.as_second().saturating_sub(made)
}

/// By its report, if it is heard of. Without any nobody can tell of one whose container runs and that has been ready.
fn load(linked: &Linked) -> Load {
    let heard = linked.view.as_ref().filter(|v| v.connected);
    let Some((view, report)) = heard.and_then(|v| Some((v, v.report.as_ref()?))) else {
        let quiet = is_new(&linked.pod) || !is_running(&linked.pod);
        return if quiet { Load::Idle } else { Load::Unknown };
    };
    let left = report.draining.as_ref().map_or((0, 0), |d| (d.publishers, d.viewers));
    if view.stream_count() > 0 || left.0 > 0 {
        Load::Live
    } else if view.viewers() > 0 || left.1 > 0 {
        Load::Viewers
    } else {
        Load::Idle
    }
}

/// A link is made as soon as a pod has an address, and comes to something within seconds. The first look after a change of leader
/// is before that.
fn is_asked(linked: &Linked, fetched: &Fetched) -> bool {
    let nothing = |v: &View| v.report.is_none() && v.problem.is_none();
    let can_be = fetched.farewell.is_none() || fetched.children.authority.is_some();
    can_be && address(&linked.pod).is_some() && linked.view.as_ref().is_none_or(nothing)
}

fn is_running(pod: &Pod) -> bool {
    let containers = pod.status.as_ref().and_then(|s| s.container_statuses.as_deref());
    let running = |c: &ContainerStatus| c.state.as_ref().is_some_and(|s| s.running.is_some());
    containers.unwrap_or_default().iter().any(running)
}

/// When a pod's last publisher is cut, as it is written down on it. What is no time is nothing.
pub fn deadline(pod: &Pod) -> Option<Timestamp> {
    annotation(pod, DRAIN_ANNOTATION)?.parse().ok()
}

fn drain(linked: &Linked, load: Load, now: Timestamp) -> Drain {
    let Some(deadline) = deadline(&linked.pod) else {
        return Drain::No;
    };
    let quiet = linked.quiet.is_some_and(|q| q >= QUIET);
    if load == Load::Idle || (load == Load::Viewers && quiet) {
        Drain::Empty
    } else if now >= deadline {
        Drain::Over
    } else {
        Drain::Going
    }
}

/// When the next of these things happens by itself.
pub fn next(fetched: &Fetched) -> Option<Duration> {
    let now = fetched.now;
    let of = |linked: &Linked| {
        let pod = linked.pod.as_ref();
        let seconds = |left: i64| u64::try_from(left).ok().filter(|s| *s > 0).map(Duration::from_secs);
        let over = deadline(pod).and_then(|d| Duration::try_from(d.duration_since(now)).ok());
        let quiet = linked.quiet.and_then(|q| QUIET.checked_sub(q));
        let away = silent_for(linked, now).and_then(|s| seconds(AWAY_SECONDS.saturating_sub(s)));
        // While no node answers, nobody says when one does.
        let unheard = linked.node.silent && linked.node.others_since.is_none();
        let away = away.or_else(|| seconds(AWAY_SECONDS).filter(|_| unheard));
        let old = [ENDED_SECONDS, STUCK_SECONDS].map(|limit| seconds(limit.saturating_sub(age(pod, now))));
        let unready = !is_ready(pod);
        let slow = slow_in(linked, now).and_then(seconds);
        let old = old.into_iter().chain([slow]).flatten().filter(move |_| unready);
        [over, quiet, away]
            .into_iter()
            .flatten()
            .filter(|d| !d.is_zero())
            .chain(old)
            .min()
    };
    fetched.pods.iter().filter_map(of).min()
}
