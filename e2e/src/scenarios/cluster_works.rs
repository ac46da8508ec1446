//! The cluster itself works as a cluster must: pods under the restricted Pod Security Standard become ready on both nodes,
//! a Service answers from the other node and from the host, names resolve, logs and port-forward work, and pods reach a
//! back end in the test's own process.

use std::time::Duration;

use crate::cluster::layout::BUSYBOX_IMAGE;
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, eventually};

/// What it proves.
pub(super) const ABOUT: &str = "restricted pods on both nodes, Services across nodes, DNS, a back end in the test";

const LIMIT: Duration = Duration::from_mins(1);

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    context.restrict_pods().await?;
    refuses_a_pod_that_asks_for_more(context).await?;
    let nodes = nodes(context).await?;
    for (index, node) in nodes.iter().enumerate() {
        context.apply(&pod(&format!("web-{index}"), node)).await?;
        context.apply(&service(&format!("web-{index}"))).await?;
    }
    context
        .kubectl
        .wait(&context.namespace, "pods --all", "condition=Ready", LIMIT)
        .await?;
    for asking in 0..nodes.len() {
        for answering in 0..nodes.len() {
            reaches(context, asking, answering).await?;
        }
    }
    reaches_the_test(context).await?;
    can_be_forwarded_to(context).await
}

async fn nodes(context: &Context) -> Result<Vec<String>> {
    let names = context.kubectl.run(&["get", "nodes", "-o", "name"]).await?;
    let names: Vec<String> = names
        .lines()
        .filter_map(|name| name.strip_prefix("node/"))
        .map(str::to_owned)
        .collect();
    ensure!(
        names.len() >= 2,
        "a cluster of two nodes is needed, and it has {names:?}"
    );
    Ok(names)
}

async fn refuses_a_pod_that_asks_for_more(context: &Context) -> Result<()> {
    let greedy = pod("greedy", "").replace("runAsNonRoot: true", "runAsNonRoot: false");
    let refusal = context
        .apply(&greedy)
        .await
        .err()
        .context("a pod that is not restricted was accepted")?;
    ensure!(
        refusal.to_string().contains("violates PodSecurity"),
        "refused for another reason: {refusal}"
    );
    Ok(())
}

/// By name, so that it proves DNS as well; the Service's rules may follow its pod's readiness by a moment.
async fn reaches(context: &Context, asking: usize, answering: usize) -> Result<()> {
    let (pod, name) = (format!("web-{asking}"), format!("web-{answering}"));
    let what = format!("{pod} reaches {name}");
    let body = eventually(LIMIT, &what, async || fetch(context, &pod, &name, 80).await).await?;
    ensure!(
        body == format!("{name}\n"),
        "{pod} asked {name} and was answered {body:?}"
    );
    Ok(())
}

/// Asks a Service of the scenario's namespace from a pod, by the Service's name.
async fn fetch(context: &Context, pod: &str, service: &str, port: u16) -> Result<String> {
    let name = format!("{service}.{}.svc", context.namespace);
    let look_up = format!("address=$(getent ahostsv4 {name}) || exit 1; set -- $address");
    let script = format!("{look_up}; exec timeout 5 wget -q -O - http://$1:{port}/name");
    context
        .kubectl
        .exec(&context.namespace, pod, &["sh", "-c", &script])
        .await
}

async fn reaches_the_test(context: &Context) -> Result<()> {
    let receiver = context.backend(&context.namespace, "backend", 8085).await?;
    eventually(LIMIT, "a pod reaches the test", async || {
        fetch(context, "web-1", "backend", 8085).await
    })
    .await?;
    let calls = receiver.wait_for("name", 1, LIMIT).await?;
    ensure!(
        calls.first().is_some_and(|call| call.method == "GET"),
        "the call came as {calls:?}"
    );
    Ok(())
}

async fn can_be_forwarded_to(context: &Context) -> Result<()> {
    let forward = context
        .kubectl
        .port_forward(&context.namespace, "pod/web-1", 8080)
        .await?;
    let url = format!("http://{}/name", forward.address());
    let body = crate::command::Cmd::new("busybox")
        .args(["wget", "-q", "-O", "-", &url])
        .run()
        .await?;
    ensure!(body == "web-1\n", "port-forward answered {body:?}");
    let log = context.kubectl.logs(&context.namespace, "web-1").await?;
    ensure!(log.contains("serving web-1"), "the log is {log:?}");
    Ok(())
}

fn pod(name: &str, node: &str) -> String {
    let serve = "echo serving $(hostname); mkdir /tmp/www; hostname > /tmp/www/name; exec httpd -f -p 8080 -h /tmp/www";
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  nodeName: '{node}'
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  volumes: [{{name: tmp, emptyDir: {{}}}}]
  containers:
    - name: web
      image: {BUSYBOX_IMAGE}
      imagePullPolicy: IfNotPresent
      command: [sh, -c, '{serve}']
      volumeMounts: [{{name: tmp, mountPath: /tmp}}]
      readinessProbe: {{httpGet: {{path: /name, port: 8080}}, periodSeconds: 1}}
      securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
"
    )
}

fn service(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}}}"
    )
}
