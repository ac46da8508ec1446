//! The PodDisruptionBudget of a server: pods that have publishers are not evicted, idle ones are.

use crate::names::{self, LIVE_LABEL};
use headgate_api::MediaServer;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

/// `<name>-publishers`. A pod that drains is not ready and can be evicted: told to end, it goes on draining.
pub fn budget(server: &MediaServer) -> PodDisruptionBudget {
    let name = server.name_any();
    let mut selected = names::selector(&name);
    selected.insert(LIVE_LABEL.into(), "true".into());
    PodDisruptionBudget {
        metadata: names::child(server, names::budget(&name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(0)),
            selector: Some(LabelSelector {
                match_labels: Some(selected),
                match_expressions: None,
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            min_available: None,
        }),
        status: None,
    }
}
