//! Why a pod is not ready, as the kubelet and the scheduler say it.

use super::fetch::Linked;
use k8s_openapi::api::core::v1::PodStatus;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

const MESSAGE_MAX: usize = 300;
/// A container that runs for so long and is not ready does not get ready by itself.
const SLOW_SECONDS: i64 = 60;

/// Why a pod is not ready.
pub struct Trouble {
    /// Will not pass by itself.
    pub stuck: bool,
    /// With the pod's name.
    pub message: String,
}

/// Of a pod that is not ready.
pub fn trouble(linked: &Linked, now: Timestamp) -> Option<Trouble> {
    let pod = &linked.pod;
    let at = |stuck, message: &str| {
        Some(Trouble {
            stuck,
            message: format!("pod {} {}", pod.name_any(), cut(message)),
        })
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return at(false, "is being deleted");
    }
    let status = pod.status.as_ref();
    if let Some(message) = status.and_then(unschedulable) {
        return at(true, &format!("finds no node: {message}"));
    }
    if let Some((reason, message)) = status.and_then(waiting) {
        let passing = matches!(reason.as_str(), "ContainerCreating" | "PodInitializing");
        return at(!passing, &format!("waits: {reason} {message}"));
    }
    match status.and_then(|s| s.phase.as_deref()) {
        Some("Failed") => at(
            true,
            &format!(
                "failed: {}",
                status.and_then(|s| s.message.as_deref()).unwrap_or("see its log")
            ),
        ),
        Some("Succeeded") => at(true, "ended"),
        _ if status
            .and_then(started)
            .is_some_and(|s| now.as_second().saturating_sub(s) >= SLOW_SECONDS) =>
        {
            at(true, "runs and does not get ready: see its log")
        }
        _ => at(false, "starts"),
    }
}

fn unschedulable(status: &PodStatus) -> Option<String> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let found = conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    Some(found.message.clone().unwrap_or_default())
}

/// In how many seconds a pod whose container runs is believed not to get ready by itself.
pub fn slow_in(linked: &Linked, now: Timestamp) -> Option<i64> {
    let since = linked.pod.status.as_ref().and_then(started)?;
    Some(SLOW_SECONDS.saturating_sub(now.as_second().saturating_sub(since)))
}

/// Since when the container runs.
fn started(status: &PodStatus) -> Option<i64> {
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let running = containers.iter().find_map(|c| c.state.as_ref()?.running.as_ref())?;
    running.started_at.as_ref().map(|t| t.0.as_second())
}

fn waiting(status: &PodStatus) -> Option<(String, String)> {
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let state = containers.iter().find_map(|c| c.state.as_ref()?.waiting.as_ref())?;
    Some((state.reason.clone()?, state.message.clone().unwrap_or_default()))
}

/// As much of a message as a status should hold.
pub fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}
