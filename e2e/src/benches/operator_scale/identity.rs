//! Who the operator is: a service account with just the rules that the operator prints, and a kubeconfig with its token.

use super::control_plane::ControlPlane;
use crate::command::Cmd;
use crate::error::Result;
use crate::harness::eventually;
use crate::tools::paths::write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Namespace of the operator.
pub const NAMESPACE: &str = "headgate-system";
const NAME: &str = "headgate-operator";

/// Installs definitions and rules; the operator's kubeconfig.
pub async fn install(plane: &ControlPlane, operator: &Path) -> Result<PathBuf> {
    let kubectl = plane.kubectl();
    let definitions = Cmd::new(operator).arg("crds").run().await?;
    kubectl
        .command(&["apply", "--server-side", "-f", "-"])
        .input(definitions)
        .run()
        .await?;
    // One that has no conditions at all yet is an error to kubectl, whatever its time limit.
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
    eventually(Duration::from_secs(30), "the definitions are established", async || {
        kubectl.run(&established).await.map(drop)
    })
    .await?;
    kubectl.run(&["create", "namespace", NAMESPACE]).await?;
    kubectl
        .run(&["create", "serviceaccount", NAME, "-n", NAMESPACE])
        .await?;
    for place in ["watched", "own"] {
        let rules = Cmd::new(operator).args(["rbac", place]).run().await?;
        kubectl.apply(NAMESPACE, &granted(place, &rules)).await?;
    }
    let token = kubectl.run(&["create", "token", NAME, "-n", NAMESPACE]).await?;
    let file = plane.at("kubeconfig/operator.yaml");
    write(&file, kubeconfig(plane, token.trim()))?;
    Ok(file)
}

fn granted(place: &str, rules: &str) -> String {
    let (role, binding, namespace) = if place == "own" {
        ("Role", "RoleBinding", format!(", namespace: {NAMESPACE}"))
    } else {
        ("ClusterRole", "ClusterRoleBinding", String::new())
    };
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: {role}
metadata: {{name: {NAME}-{place}{namespace}}}
rules:
{rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {binding}
metadata: {{name: {NAME}-{place}{namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: {NAME}-{place}}}
subjects: [{{kind: ServiceAccount, name: {NAME}, namespace: {NAMESPACE}}}]
"
    )
}

fn kubeconfig(plane: &ControlPlane, token: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: bench
clusters:
  - name: bench
    cluster: {{server: '{}', certificate-authority: '{}'}}
users:
  - name: operator
    user: {{token: '{token}'}}
contexts:
  - name: bench
    context: {{cluster: bench, user: operator}}
",
        plane.url(),
        plane.authority()
    )
}
