//! Nodes, as far as the media pods on them are concerned. Where the operator may not read them, it goes on without.

use crate::cache::global_watch;
use crate::cluster::{ClusterError, Global};
use crate::context::Context;
use crate::rbac::may;
use crate::routes::Routes;
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeSpec, NodeStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Taints that say that a node is to be emptied.
const EMPTYING: &[&str] = &[
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "ToBeDeletedByClusterAutoscaler",
];
/// The taint by which somebody says that nothing runs on a node any more.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
const WITHOUT: &str = "nodes may not be read: pods are not drained before their node is, and not replaced when it is lost; grant what `rbac \
    cluster` prints";
/// After a first look that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How a node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Somebody has looked.
    pub known: bool,
    /// It is to be emptied.
    pub cordoned: bool,
    /// It does not answer.
    pub silent: bool,
    /// Since when another does without a break, if one does. Only of one that is silent.
    pub others_since: Option<Timestamp>,
    /// Somebody has said that nothing runs there any more, or it is gone.
    pub given_up: bool,
}

impl Standing {
    /// Of a node that there is.
    pub fn of(node: &Node) -> Self {
        let spec = node.spec.as_ref();
        let taints = spec.and_then(|s| s.taints.as_deref()).unwrap_or_default();
        let has = |key: &str| taints.iter().any(|t| t.key == key);
        Self {
            known: true,
            cordoned: spec.and_then(|s| s.unschedulable) == Some(true) || EMPTYING.iter().any(|key| has(key)),
            silent: !answers(node),
            others_since: None,
            given_up: has(OUT_OF_SERVICE),
        }
    }

    /// Of a node that is gone.
    pub const GONE: Self = Self {
        known: true,
        cordoned: false,
        silent: true,
        others_since: None,
        given_up: true,
    };
}

fn answers(node: &Node) -> bool {
    ready(node).is_some_and(|c| c.status == "True")
}

/// Since when nodes answer without a break, by the one that does for longest; `None` when none does.
///
/// When no node answers it is their control plane that has heard of none, and nothing is known of any. When it hears again, it does not hear
/// of all at once. Kubernetes evicts nothing then, for the same reason ("full disruption").
fn others_answer_since(nodes: impl Iterator<Item = Arc<Node>>) -> Option<Timestamp> {
    let since = |node: &Node| ready(node)?.last_transition_time.as_ref().map(|time| time.0);
    let times = nodes.filter(|node| answers(node));
    times.map(|node| since(&node).unwrap_or(Timestamp::UNIX_EPOCH)).min()
}

fn ready(node: &Node) -> Option<&NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|c| c.type_ == "Ready")
}

/// The node that a pod is on.
pub fn node_of(pod: &Pod) -> Option<&String> {
    pod.spec.as_ref()?.node_name.as_ref()
}

/// How the node of a pod stands. Where it would be given up the API server is asked itself: what follows cannot be taken back.
pub async fn standing(ctx: &Context, pod: &Pod) -> Result<Standing, ClusterError> {
    let Some(name) = node_of(pod).filter(|_| ctx.caches.nodes.is_synced()) else {
        return Ok(Standing::default());
    };
    let key = crate::names::ObjectKey::new("", name);
    let known = ctx.caches.nodes.get(&key).map_or(Standing::GONE, |n| Standing::of(&n));
    if !known.given_up {
        let nodes = || {
            ctx.caches
                .nodes
                .keys()
                .into_iter()
                .filter_map(|key| ctx.caches.nodes.get(&key))
        };
        return Ok(Standing {
            others_since: known.silent.then(|| others_answer_since(nodes())).flatten(),
            ..known
        });
    }
    let asked = ctx.cluster.global_get::<Node>(name).await?;
    Ok(asked.map_or(Standing::GONE, |n| Standing::of(&n)))
}

/// Keeps the cache of nodes fed, if the operator may read them.
pub async fn watch(client: Client, ctx: Arc<Context>, routes: Routes, stop: CancellationToken) {
    let granted = stop.run_until_cancelled(is_granted::<Node>(&client, WITHOUT)).await;
    if granted != Some(true) {
        return;
    }
    let changed = move |change: &crate::cache::Change<Node>| {
        if routes.is_open() {
            routes.node(change);
        }
    };
    let (nodes, metrics) = (ctx.caches.nodes.clone(), ctx.metrics.clone());
    global_watch::<Node>(client, nodes, metrics, changed, stop).await;
}

/// Whether all objects of a kind that lives in no namespace may be listed. Asks until there is a plain answer, and says it when it is no.
pub async fn is_granted<K: Global + may::Watch>(client: &Client, without: &'static str) -> bool {
    let api = Api::<K>::all(client.clone());
    loop {
        match api
            .list_metadata(&ListParams::default().limit(1))
            .await
            .map_err(ClusterError::from)
        {
            Ok(_) => return true,
            Err(error) if error.is_verdict() => {
                tracing::warn!(%error, "{without}");
                return false;
            }
            Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "not read; trying again"),
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Leaves what [`Standing::of`] looks at.
pub fn slim_node(node: &mut Node) {
    node.annotations_mut().clear();
    node.labels_mut().clear();
    let ready = ready(node).cloned();
    let spec = node.spec.take().unwrap_or_default();
    node.spec = Some(NodeSpec {
        unschedulable: spec.unschedulable,
        taints: spec.taints,
        ..NodeSpec::default()
    });
    node.status = Some(NodeStatus {
        // Its heartbeat is no news.
        conditions: ready.map(|ready| {
            vec![NodeCondition {
                type_: ready.type_,
                status: ready.status,
                last_transition_time: ready.last_transition_time,
                ..NodeCondition::default()
            }]
        }),
        ..NodeStatus::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(spec: &Value, ready: &str) -> Node {
        let value = json!({ "metadata": { "name": "n" }, "spec": spec, "status": { "conditions": [
            { "type": "MemoryPressure", "status": "False" },
            { "type": "Ready", "status": ready, "lastHeartbeatTime": "2027-01-01T00:00:00Z" }] } });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_node_stands_as_its_spec_taints_and_condition_say() {
        let taint = |key: &str| json!({ "taints": [{ "key": key, "effect": "NoSchedule" }] });
        let cases = [
            ("good", json!({}), "True", [false, false, false]),
            (
                "cordoned",
                json!({ "unschedulable": true }),
                "True",
                [true, false, false],
            ),
            (
                "taken by karpenter",
                taint("karpenter.sh/disrupted"),
                "True",
                [true, false, false],
            ),
            (
                "taken by the autoscaler",
                taint("ToBeDeletedByClusterAutoscaler"),
                "True",
                [true, false, false],
            ),
            (
                "tainted for other reasons",
                taint("dedicated"),
                "True",
                [false, false, false],
            ),
            ("out of reach", json!({}), "Unknown", [false, true, false]),
            (
                "given up",
                taint("node.kubernetes.io/out-of-service"),
                "Unknown",
                [false, true, true],
            ),
        ];
        for (name, spec, ready, [cordoned, silent, given_up]) in cases {
            let mut node = node(&spec, ready);
            let expected = Standing {
                known: true,
                cordoned,
                silent,
                others_since: None,
                given_up,
            };
            assert_eq!(Standing::of(&node), expected, "{name}");
            slim_node(&mut node);
            assert_eq!(Standing::of(&node), expected, "{name}, slim");
        }
    }

    #[test]
    fn nodes_answer_since_the_first_one_came_back_and_not_while_none_does() {
        let node = |ready: &str, since: &str| {
            let value = json!({ "metadata": { "name": "n" }, "status": { "conditions": [
                { "type": "Ready", "status": ready, "lastTransitionTime": since }] } });
            let mut node: Node = serde_json::from_value(value).unwrap();
            slim_node(&mut node);
            Arc::new(node)
        };
        let (noon, later) = ("2027-01-02T12:00:00Z", "2027-01-02T12:00:30Z");
        let lost = || node("Unknown", "2027-01-01T00:00:00Z");
        let since = |nodes: Vec<Arc<Node>>| others_answer_since(nodes.into_iter()).map(|t| t.to_string());
        assert_eq!(
            since(vec![lost(), lost()]),
            None,
            "it is the control plane that was away"
        );
        assert_eq!(since(vec![lost(), node("True", noon)]).as_deref(), Some(noon));
        let two = vec![node("True", later), node("True", noon), lost()];
        assert_eq!(
            since(two).as_deref(),
            Some(noon),
            "one that comes and goes changes nothing"
        );
    }
}
