//! Servers and pods for tests.

use super::fetch::{Children, Fetched, KeySecrets, Linked};
use crate::link::View;
use crate::names::{self, REVISION_LABEL};
use crate::node::Standing;
use crate::orphans::Survey;
use headgate_api::MediaServer;
use headgate_control::PodReport;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// `a/live` with that spec, in JSON or YAML.
pub fn server(spec: &str) -> MediaServer {
    let yaml = format!(
        "{{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {{name: live, namespace: a, uid: u, generation: 3}}, spec: {spec}}}"
    );
    serde_yaml::from_str(&yaml).unwrap()
}

/// Noon of some day.
pub fn noon() -> Timestamp {
    "2027-01-01T12:00:00Z".parse().unwrap()
}

/// With nothing there yet.
pub fn fetched(spec: &str) -> Fetched {
    Fetched {
        server: Arc::new(server(spec)),
        children: Children::default(),
        pods: vec![],
        reserved: vec![],
        keys: vec![],
        hooks: vec![],
        secrets: KeySecrets::default(),
        certificates: vec![],
        remembered: None,
        survey: Survey::default(),
        slowed: None,
        farewell: None,
        media_image: "headgate/media-pod:1".into(),
        hook_networks: headgate_control::HookNetworks::default(),
        now: noon(),
    }
}

/// A pod of that server, made an hour ago, with that status.
pub fn pod(server: &MediaServer, ordinal: usize, status: &Value) -> Linked {
    let mut pod: Pod = serde_json::from_value(json!({
        "metadata": { "creationTimestamp": "2027-01-01T11:00:00Z", "uid": format!("pod-{ordinal}") },
        "status": status,
    }))
    .unwrap();
    pod.metadata.name = Some(names::pod("live", ordinal));
    pod.metadata.namespace = server.namespace();
    pod.metadata.owner_references = Some(vec![names::owner(server)]);
    let mut labels = names::labels("live");
    labels.insert(REVISION_LABEL.into(), super::plan::revision(server));
    pod.metadata.labels = Some(labels);
    Linked {
        pod: Arc::new(pod),
        view: None,
        node: Standing::default(),
        quiet: None,
    }
}

/// Status of a pod that takes sessions.
pub fn ready() -> Value {
    json!({ "phase": "Running", "podIP": "10.0.0.9", "conditions": [{ "type": "Ready", "status": "True" }],
        "containerStatuses": [{ "name": "media", "ready": true, "restartCount": 0, "image": "i", "imageID": "i",
            "state": { "running": {} } }] })
}

/// What a pod with that report is seen as.
pub fn view(report: PodReport) -> View {
    let mut view = View::default();
    view.heard("live", report, Instant::now());
    view
}
