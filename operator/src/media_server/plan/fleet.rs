//! From what was chosen to what is done about each pod: what is written down on it, what it is told, and which go.

use super::states::deadline;
use crate::link::Wish;
use crate::media_server::choose::{Choice, Delete, Grace, Why};
use crate::media_server::fetch::{Fetched, Linked};
use crate::names::{self, DRAIN_ANNOTATION, LIVE_LABEL, annotation, label};
use headgate_control::{CONTROL_PORT, Peer};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Seconds that a pod has to say goodbye when its deadline is over.
const SHORT_GRACE: u32 = 60;
/// And when its server does not wait for anybody. Kubernetes looks at a namespace 5 and 10 s after somebody deleted it; a pod that is
/// still there then holds it for minutes, because the next look comes only after half of the grace that the pod was made with.
const FORCED_GRACE: u32 = 6;
/// A kubelet takes a pod's object away some moments after the pod's time is over.
const REAPED: SignedDuration = SignedDuration::from_secs(4);
/// Clocks may differ by so much without a deadline being written anew.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

/// Something to write down on a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// On which.
    pub pod: Arc<Pod>,
    /// What, as a merge patch.
    pub patch: Value,
    /// It begins to drain, and why.
    pub begins: Option<(Why, Timestamp)>,
}

/// A pod that goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    /// Which.
    pub pod: Arc<Pod>,
    /// Why.
    pub why: Why,
    /// Seconds that it has; `None` as its spec says.
    pub grace: Option<u32>,
    /// Publishers that are cut by it.
    pub publishers: usize,
}

/// The pods of a server with what was chosen about them.
pub struct Fleet<'a> {
    /// The server.
    pub fetched: &'a Fetched,
    /// What was chosen.
    pub choice: &'a Choice,
}

impl Fleet<'_> {
    fn ordinal(&self, pod: &Pod) -> Option<usize> {
        names::ordinal(&self.fetched.server.name_any(), &pod.name_any())
    }

    fn goes(&self, pod: &Pod) -> Option<&Delete> {
        let ordinal = self.ordinal(pod)?;
        self.choice.delete.iter().find(|d| d.ordinal == ordinal)
    }

    /// Until when a pod should drain. A deadline that was made shorter holds for drains that are under way, too.
    fn until(&self, pod: &Pod) -> Option<Timestamp> {
        let ordinal = self.ordinal(pod)?;
        let has = |list: &[(usize, Why)]| list.iter().any(|(o, _)| *o == ordinal);
        let length = SignedDuration::from_secs(self.fetched.server.spec.drain.deadline_seconds.into());
        let whole = Timestamp::from_second(self.fetched.now.as_second()).ok()?;
        let latest = whole.checked_add(length).ok()?;
        let before = deadline(pod);
        if has(&self.choice.drain) {
            return Some(latest);
        }
        let goes_on = has(&self.choice.draining) || self.goes(pod).is_some();
        let before = before.filter(|_| goes_on)?;
        let later = before.duration_since(latest) > SKEW;
        Some(if later { latest } else { before })
    }

    /// What each pod should be told.
    pub fn wishes(&self) -> BTreeMap<String, Wish> {
        let wish = |linked: &Linked| {
            let pod = linked.pod.as_ref();
            if pod.metadata.deletion_timestamp.is_some() || linked.node.given_up {
                return Wish::AsItIs;
            }
            self.until(pod).map_or(Wish::Serve, Wish::Leave)
        };
        let pods = self.fetched.pods.iter();
        pods.map(|l| (l.pod.name_any(), wish(l))).collect()
    }

    /// What is to be written down.
    pub fn marks(&self) -> Vec<Mark> {
        self.fetched.pods.iter().filter_map(|l| self.mark(l)).collect()
    }

    fn mark(&self, linked: &Linked) -> Option<Mark> {
        let pod = linked.pod.as_ref();
        let ended = pod
            .status
            .as_ref()
            .is_some_and(|s| matches!(s.phase.as_deref(), Some("Failed" | "Succeeded")));
        if pod.metadata.deletion_timestamp.is_some() || ended || self.goes(pod).is_some() {
            return None;
        }
        let until = self.until(pod).map(|t| t.to_string());
        let live = is_live(linked).unwrap_or(label(pod, LIVE_LABEL).is_some());
        let live = live.then_some("true");
        let mut changes = Map::new();
        if annotation(pod, DRAIN_ANNOTATION) != until.as_deref() {
            changes.insert("annotations".into(), json!({ DRAIN_ANNOTATION: until }));
        }
        if label(pod, LIVE_LABEL) != live {
            changes.insert("labels".into(), json!({ LIVE_LABEL: live }));
        }
        if changes.is_empty() {
            return None;
        }
        changes.insert("uid".into(), json!(pod.metadata.uid));
        let begins = self.choice.drain.iter().find(|(o, _)| Some(*o) == self.ordinal(pod));
        Some(Mark {
            pod: linked.pod.clone(),
            patch: json!({ "metadata": changes }),
            begins: begins.and_then(|(_, why)| Some((*why, self.until(pod)?))),
        })
    }

    /// The pods that go.
    pub fn removals(&self) -> Vec<Removal> {
        let one = |linked: &Linked| {
            let delete = self.goes(&linked.pod)?;
            Some(Removal {
                pod: linked.pod.clone(),
                why: delete.why,
                grace: match delete.grace {
                    Grace::Own => None,
                    Grace::Short => Some(SHORT_GRACE),
                    Grace::None => Some(0),
                },
                publishers: publishers(linked),
            })
        };
        self.fetched.pods.iter().filter_map(one).collect()
    }
}

/// Every pod, for a server that does not wait for anybody. One that is on its way out already may have less time than it was given.
pub fn all_at_once(fetched: &Fetched) -> Vec<Removal> {
    let in_time = |pod: &Pod| {
        let given = pod.metadata.deletion_grace_period_seconds;
        pod.metadata.deletion_timestamp.is_some() && given.is_some_and(|g| g <= i64::from(FORCED_GRACE))
    };
    let one = |linked: &Linked| Removal {
        pod: linked.pod.clone(),
        why: Why::Surplus,
        grace: Some(if linked.node.given_up { 0 } else { FORCED_GRACE }),
        publishers: publishers(linked),
    };
    fetched.pods.iter().filter(|l| !in_time(&l.pod)).map(one).collect()
}

/// And each is told to end its sessions now: one that was told to end before waits for its publishers, and hears no second signal.
pub fn all_leave_now(fetched: &Fetched) -> BTreeMap<String, Wish> {
    let wish = |l: &Linked| {
        if l.node.given_up {
            Wish::AsItIs
        } else {
            Wish::Leave(Timestamp::UNIX_EPOCH)
        }
    };
    fetched.pods.iter().map(|l| (l.pod.name_any(), wish(l))).collect()
}

/// How long a server that does not wait for anybody yet waits for its pods to end: so they can say goodbye. `None` when none is there any
/// more, or the time of each is over.
pub fn when_over(fetched: &Fetched) -> Option<Duration> {
    let left = |l: &Linked| {
        let Some(deleted) = &l.pod.metadata.deletion_timestamp else {
            return Some(Duration::from_secs(FORCED_GRACE.into()));
        };
        let over = deleted.0.checked_add(REAPED).ok()?;
        let left = Duration::try_from(over.duration_since(fetched.now)).ok()?;
        Some(left).filter(|left| !left.is_zero())
    };
    fetched.pods.iter().filter(|l| !l.node.given_up).filter_map(left).max()
}

/// The pods that have an address, for each other. One alone has nobody to know.
pub fn peers(fetched: &Fetched) -> Vec<Peer> {
    let peer = |linked: &Linked| {
        Some(Peer {
            name: linked.pod.name_any(),
            address: SocketAddr::new(address(&linked.pod)?, CONTROL_PORT),
        })
    };
    let all: Vec<Peer> = fetched
        .pods
        .iter()
        .filter(|l| !l.node.given_up)
        .filter_map(peer)
        .collect();
    if all.len() > 1 { all } else { Vec::new() }
}

/// Of a pod that has one and has not ended.
pub fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return None;
    }
    status.pod_ip.as_ref()?.parse().ok()
}

/// Whether it has publishers; `None` when nobody can tell.
fn is_live(linked: &Linked) -> Option<bool> {
    linked.view.as_ref().filter(|v| v.connected)?.report.as_ref()?;
    Some(publishers(linked) > 0)
}

/// By its last report.
pub fn publishers(linked: &Linked) -> usize {
    linked.view.as_ref().map_or(0, |view| {
        let draining = view.report.as_ref().and_then(|r| r.draining.as_ref());
        let left = draining.map_or(0, |d| d.publishers);
        view.stream_count().max(usize::try_from(left).unwrap_or(usize::MAX))
    })
}
