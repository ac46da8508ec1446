//! How far a change of the pods is: what `kubectl rollout status` would say, and who drains.

use super::heard;
use crate::link::View;
use crate::media_server::apply::Applied;
use crate::media_server::choose::Why;
use crate::media_server::fetch::{Fetched, Linked};
use crate::media_server::trouble::trouble;
use crate::media_server::{is_leaving, is_ready, plan};
use crate::names::{REVISION_LABEL, label};
use headgate_api::condition::{ConditionType, Finding};
use headgate_resolve::coarse;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// A new pod does not get ready, so that no old one goes.
pub const STOPPED: &str = "RolloutStopped";
/// Pods that a condition names.
const NAMED: usize = 4;

/// What is being changed; `None` when nothing is.
pub fn progressing(applied: &Applied) -> Option<Finding> {
    let kind = ConditionType::Progressing;
    let fetched = &applied.valid.fetched;
    if let Some(message) = stopped(applied) {
        return Some(Finding::no(kind, STOPPED, message));
    }
    let choice = &applied.work.as_ref()?.choice;
    let going = choice.drain.iter().chain(&choice.draining).chain(&choice.wait);
    let going: Vec<Why> = going.map(|(_, why)| *why).collect();
    let rolls = going.contains(&Why::Outdated) || choice.delete.iter().any(|d| d.why == Why::Outdated);
    if rolls {
        return Some(Finding::yes(kind, "RollingOut", rollout(fetched)));
    }
    if going.contains(&Why::Cordoned) {
        let message = format!("pods leave nodes that are cordoned: {}", rollout(fetched));
        return Some(Finding::yes(kind, "LeavingNode", message));
    }
    if going.contains(&Why::Surplus) {
        let message = format!("{} pods go when their publishers have ended", going.len());
        return Some(Finding::yes(kind, "WaitingForPublishers", message));
    }
    if let Some(message) = configuring(applied) {
        return Some(Finding::yes(kind, "Configuring", message));
    }
    let changes = fetched.pods.iter().any(|l| is_leaving(&l.pod) || !is_ready(&l.pod));
    let settled = choice.is_settled() && !changes;
    (!settled).then(|| Finding::yes(kind, "ChangingPods", "pods are being created, replaced or removed"))
}

/// In how many pods the configuration is in force that the spec asks for, where it is not in all: it goes there in place.
pub fn configuring(applied: &Applied) -> Option<String> {
    let wanted = &applied.work.as_ref()?.config.revision;
    let pods = applied.valid.fetched.pods.iter();
    let views: Vec<_> = pods.filter_map(|l| l.view.as_ref()).filter(|v| v.connected).collect();
    let behind = |v: &&&View| v.revision != *wanted && v.refused.as_ref() != Some(wanted);
    let behind = views.iter().filter(behind).count();
    let done = views.len().saturating_sub(behind);
    (behind > 0).then(|| {
        format!(
            "the configuration goes into the pods in place: {done} of {} have revision {wanted}",
            views.len()
        )
    })
}

/// `1 of 3 pods updated, 3 ready, 1 old pod left`.
fn rollout(fetched: &Fetched) -> String {
    let wanted = fetched.server.spec.replicas;
    let ready = fetched.pods.iter().filter(|l| is_ready(&l.pod)).count();
    let revision = plan::revision(&fetched.server);
    let is_old = |l: &&Linked| label(l.pod.as_ref(), REVISION_LABEL) != Some(&revision);
    let old = fetched.pods.iter().filter(is_old).count();
    let updated = super::updated(fetched);
    format!("{updated} of {wanted} pods updated, {ready} ready, {old} old left")
}

/// Why a change of template, or the emptying of a node, does not go on: the new pod does not get ready.
pub fn stopped(applied: &Applied) -> Option<String> {
    let fetched = &applied.valid.fetched;
    let waits = &applied.work.as_ref()?.choice.wait;
    waits
        .iter()
        .find(|(_, why)| matches!(why, Why::Outdated | Why::Cordoned))?;
    let revision = plan::revision(&fetched.server);
    let is_new = |l: &&Linked| label(l.pod.as_ref(), REVISION_LABEL) == Some(&revision);
    let unready = fetched
        .pods
        .iter()
        .filter(is_new)
        .filter(|l| !is_ready(&l.pod) && !is_leaving(&l.pod));
    let stuck = unready.filter_map(|l| trouble(l, fetched.now)).find(|t| t.stuck)?;
    Some(format!(
        "{}; {}; the other pods serve on: correct the spec, or take the change back",
        stuck.message,
        rollout(fetched)
    ))
}

/// On its way out, by our hand or by somebody else's.
pub fn is_draining(linked: &Linked) -> bool {
    plan::deadline(&linked.pod).is_some() || heard(linked).is_some_and(|(_, r)| r.draining.is_some())
}

/// Who is left in a pod that drains, and until when.
pub fn drain_message(linked: &Linked) -> Option<String> {
    if !is_draining(linked) {
        return None;
    }
    let heard = heard(linked);
    let own = heard.and_then(|(_, r)| r.draining.as_ref());
    let deadline = plan::deadline(&linked.pod).or_else(|| whole(own?.deadline));
    let until = deadline.map_or_else(String::new, |d| format!(", until {d}"));
    let Some((view, _)) = heard else {
        return Some(format!("drains, and is not heard of{until}"));
    };
    let publishers = plan::publishers(linked);
    let viewers = own.map_or_else(|| view.viewers(), |d| d.viewers.into());
    let s = |one: bool| if one { "" } else { "s" };
    Some(format!(
        "{publishers} publisher{}, {} viewer{}{until}",
        s(publishers == 1),
        coarse(viewers),
        s(viewers == 1),
    ))
}

fn whole(time: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(time.as_second()).ok()
}

/// The pods that drain.
pub fn draining(fetched: &Fetched) -> Option<Finding> {
    let one = |linked: &Linked| Some(format!("pod {}: {}", linked.pod.name_any(), drain_message(linked)?));
    let all: Vec<String> = fetched.pods.iter().filter_map(one).collect();
    let more = all.len().saturating_sub(NAMED);
    let mut message = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        message = format!("{message}; and {more} more");
    }
    (!all.is_empty()).then(|| Finding::yes(ConditionType::Draining, "Draining", message))
}
