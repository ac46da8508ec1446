//! What Kubernetes would have told Prometheus of the pods.

use super::Error;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// For each job of a configuration, the content of its target file. `pods` is what `kubectl get pods -A -o json` prints.
pub fn targets(config: &str, pods: &Value) -> Result<BTreeMap<String, Value>, Error> {
    let config: Value = serde_yaml::from_str(config)?;
    let jobs = entries(&config, "/scrape_configs");
    let one = |(index, job): (usize, &Value)| {
        let name = job
            .get("job_name")
            .and_then(Value::as_str)
            .ok_or(Error::NotForPods(index))?;
        let selector = job.pointer("/kubernetes_sd_configs/0/selectors/0/label");
        let selector = selector.and_then(Value::as_str).ok_or(Error::NotForPods(index))?;
        let chosen = pods["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|pod| selects(selector, pod));
        Ok((name.to_owned(), chosen.flat_map(of_pod).collect()))
    };
    jobs.enumerate().map(one).collect()
}

/// Whether a pod has all labels of a selector of the form `a=b,c=d`.
fn selects(selector: &str, pod: &Value) -> bool {
    selector.split(',').all(|term| {
        let (name, value) = term.split_once('=').unwrap_or((term, ""));
        let labels = pod.pointer("/metadata/labels");
        labels.and_then(|labels| labels.get(name)).and_then(Value::as_str) == Some(value)
    })
}

/// One target a container port; none while the pod has no address.
fn of_pod(pod: &Value) -> Vec<Value> {
    let Some(address) = pod.pointer("/status/podIP").and_then(Value::as_str) else {
        return Vec::new();
    };
    let ports = entries(pod, "/spec/containers").flat_map(|container| entries(container, "/ports"));
    let numbered = ports.filter_map(|port| Some((port.get("containerPort")?, port)));
    let target = |(number, port)| json!({ "targets": [format!("{address}:{number}")], "labels": labels(pod, port) });
    numbered.map(target).collect()
}

fn labels(pod: &Value, port: &Value) -> Map<String, Value> {
    let known = [
        ("namespace", pod.pointer("/metadata/namespace")),
        ("pod_name", pod.pointer("/metadata/name")),
        ("pod_phase", pod.pointer("/status/phase")),
        ("pod_container_port_name", port.get("name")),
    ];
    let known = known
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
    let labels = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| (format!("pod_label_{}", sanitised(name)), value));
    known
        .chain(labels)
        .map(|(name, value)| (format!("__meta_kubernetes_{name}"), value.clone()))
        .collect()
}

fn sanitised(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

fn entries<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = include_str!("../../../config/prometheus/prometheus.yaml");

    fn pod(name: &str, labels: &Value, ip: Option<&str>) -> Value {
        json!({
            "metadata": { "name": name, "namespace": "studio", "labels": labels },
            "spec": { "containers": [{ "ports": [{ "name": "rtmp", "containerPort": 1935 }, { "name": "metrics", "containerPort": 9090 }] }] },
            "status": { "podIP": ip, "phase": "Running" },
        })
    }

    #[test]
    fn each_job_gets_its_pods_with_the_labels_that_are_relabelled() {
        let media = json!({
            "app.kubernetes.io/name": "headgate-media-pod", "app.kubernetes.io/managed-by": "headgate-operator", "headgate.dev/server": "live"
        });
        let operator = json!({ "app.kubernetes.io/name": "headgate-operator" });
        let pods = json!({ "items": [
            pod("live-0", &media, Some("10.244.1.2")),
            pod("live-1", &media, None),
            pod("headgate-operator-x", &operator, Some("10.244.1.3")),
            pod("other", &json!({ "app.kubernetes.io/name": "headgate-media-pod" }), Some("10.244.1.4")),
        ] });
        insta::assert_json_snapshot!(targets(CONFIG, &pods).unwrap());
    }
}
