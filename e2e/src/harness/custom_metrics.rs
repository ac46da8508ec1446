//! The API of custom metrics as an adapter serves it to autoscalers, for what media pods say of themselves on their `metrics` port.

use crate::error::{Context as _, Result};
use crate::harness::context::LABEL;
use crate::harness::{Authority, Context, Kubectl};
use crate::http_get::http_body;
use crate::receiver::Secured;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

/// What it serves; also the name of its APIService, after the version.
const GROUP: &str = "custom.metrics.k8s.io";
const VERSION: &str = "v1beta2";
/// The pods' port.
const PORT: u16 = 9090;
/// The Service that leads to it.
const NAME: &str = "custom-metrics";

/// Serves as long as it lives.
#[derive(Debug)]
pub struct CustomMetrics {
    _server: AbortOnDropHandle<std::io::Result<()>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    label_selector: String,
}

impl Context {
    /// Serves the metrics of media pods to the cluster's autoscalers. The APIService goes with the scenario.
    pub async fn custom_metrics(&self) -> Result<CustomMetrics> {
        let authority = Authority::new("custom metrics")?;
        let config = Authority::server_for_all(&authority.server(NAME)?)?;
        let listener = Secured::bind(&format!("{}:0", self.cluster.host), config).await?;
        let port = axum::serve::Listener::local_addr(&listener)
            .context("its address")?
            .port();
        let app = router(self.kubectl.clone());
        let server = AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, app).await }));
        self.expose(&self.namespace, NAME, 443, port).await?;
        self.kubectl.apply("default", &api_service(&self.namespace)).await?;
        let name = format!("apiservice/{VERSION}.{GROUP}");
        let limit = std::time::Duration::from_secs(30);
        self.kubectl
            .wait("default", &name, "condition=Available", limit)
            .await?;
        Ok(CustomMetrics { _server: server })
    }
}

fn api_service(namespace: &str) -> String {
    let (label, value) = LABEL.split_once('=').unwrap_or((LABEL, ""));
    json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": format!("{VERSION}.{GROUP}"), "labels": {label: value}},
        "spec": {
            "group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": {"name": NAME, "namespace": namespace, "port": 443},
        },
    })
    .to_string()
}

fn router(kubectl: Kubectl) -> Router {
    let root = format!("/apis/{GROUP}/{VERSION}");
    Router::new()
        .route(&root, get(resources))
        .route(
            &format!("{root}/namespaces/{{namespace}}/pods/{{name}}/{{metric}}"),
            get(values),
        )
        .with_state(kubectl)
}

async fn resources() -> Json<Value> {
    Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/{VERSION}"),
        "resources": [{
            "name": "pods/headgate_viewers", "singularName": "", "namespaced": true, "kind": "MetricValueList", "verbs": ["get"],
        }],
    }))
}

/// Of all pods that are asked for, each by its own word. One that does not answer has no value.
async fn values(
    State(kubectl): State<Kubectl>,
    Path((namespace, _, metric)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, StatusCode> {
    let pods = kubectl.list("pods", &namespace, &asked.label_selector).await;
    let pods = pods.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let mut items = Vec::new();
    for pod in &pods {
        let field = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let address = format!("{}:{PORT}", field("/status/podIP"));
        let Ok(text) = http_body(&address, "/metrics").await else {
            continue;
        };
        items.push(json!({
            "describedObject": {"kind": "Pod", "namespace": namespace, "name": field("/metadata/name"), "apiVersion": "/v1"},
            "metric": {"name": metric}, "timestamp": Timestamp::now().to_string(), "value": sum(&text, &metric).to_string(),
        }));
    }
    Ok(Json(json!({
        "kind": "MetricValueList", "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": {}, "items": items,
    })))
}

/// Over all labels, in whole numbers, as viewers are.
fn sum(text: &str, metric: &str) -> u64 {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric).filter(|rest| rest.starts_with(['{', ' ']))?;
        rest.rsplit(' ').next()?.parse::<u64>().ok()
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_are_summed_over_protocols_and_other_metrics_are_none() {
        let text = "# TYPE headgate_viewers gauge\nheadgate_viewers{protocol=\"RTMP\"} 3\nheadgate_viewers{protocol=\"HTTP-FLV\"} 4\nheadgate_viewers_max 9\n";
        assert_eq!(sum(text, "headgate_viewers"), 7);
        assert_eq!(sum(text, "headgate_publishers"), 0);
    }
}
