//! What a scenario is given: the cluster and a namespace of its own in it.

use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::{Layout, layout, up};
use crate::error::{Context as _, Result};
use crate::harness::{Helm, Kubectl, eventually};
use crate::images;
use crate::tools::go::Tools;
use crate::tools::paths::Paths;

/// The label of the namespaces that this crate makes.
pub(super) const LABEL: &str = "headgate.dev/e2e=scenario";

/// The cluster that scenarios run on.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// kubectl as its administrator.
    pub kubectl: Kubectl,
    /// helm as its administrator.
    pub helm: Helm,
    /// An address of this process's machine that pods can reach.
    pub host: String,
    /// The local cluster; none when the user named another.
    pub local: Option<Layout>,
}

impl Cluster {
    /// The cluster that `HEADGATE_E2E_KUBECONFIG` names, or the local one, brought up and with the images imported when
    /// they are asked for. The caller holds the lock.
    pub async fn ensure(paths: &Paths, with_images: bool) -> Result<Self> {
        if let Some(kubeconfig) = std::env::var_os("HEADGATE_E2E_KUBECONFIG") {
            return Self::of_user(paths, kubeconfig.into()).await;
        }
        let layout = up::up(paths).await?;
        if with_images {
            images::import(&layout, &images::product(paths).await?).await?;
        }
        let kubeconfig = layout.kubeconfig("admin").into();
        Ok(Self::new(
            &layout.tools.clone(),
            kubeconfig,
            layout::HOST.to_owned(),
            Some(layout),
        ))
    }

    /// A cluster of the user's. Its nodes have the images already, or pull them.
    async fn of_user(paths: &Paths, kubeconfig: PathBuf) -> Result<Self> {
        let host = std::env::var("HEADGATE_E2E_HOST").ok();
        let host =
            host.context("HEADGATE_E2E_HOST must name this machine's address as pods of that cluster reach it")?;
        Ok(Self::new(&Tools::ensure(paths).await?, kubeconfig, host, None))
    }

    fn new(tools: &Tools, kubeconfig: PathBuf, host: String, local: Option<Layout>) -> Self {
        let kubectl = Kubectl::new(tools.program("kubectl"), kubeconfig.clone());
        Self {
            kubectl,
            helm: Helm::new(tools.program("helm"), kubeconfig),
            host,
            local,
        }
    }

    /// Takes away what an earlier run that was killed left in the local cluster, and what it had broken there.
    pub(super) async fn clear(&self) -> Result<()> {
        if self.local.is_none() {
            return Ok(());
        }
        self.heal().await?;
        self.helm.adopt_all().await?;
        self.helm.uninstall_all().await?;
        self.unregister().await?;
        self.let_go().await?;
        self.kubectl
            .run(&["delete", "namespace", "-l", LABEL, "--wait=true", "--timeout=50s"])
            .await
            .map(drop)
    }

    /// Takes the APIs away that scenarios serve themselves: no namespace goes while nobody knows what is in them.
    pub(super) async fn unregister(&self) -> Result<()> {
        let delete = ["delete", "apiservices", "-l", LABEL];
        self.kubectl.run(&delete).await.map(drop)
    }

    /// Takes the finalizers off all objects of the scenarios, whose operator is gone, and their pods away. Their own way did not work, and the next
    /// scenario is not to suffer from it.
    pub(super) async fn let_go(&self) -> Result<()> {
        let kinds = self.kinds().await?;
        for namespace in self.namespaces().await? {
            if !kinds.is_empty() {
                self.unhold(&kinds, &namespace).await?;
            }
            let now = ["--all", "--force", "--grace-period=0", "--wait=false"];
            let pods = ["delete", "pods", "-n", &namespace];
            self.kubectl.run(&[pods.as_slice(), &now].concat()).await?;
            // A namespace that is being deleted is looked at again when it changes, else only minutes later.
            let look = format!("headgate.dev/e2e-look={}", uuid::Uuid::new_v4().simple());
            self.kubectl
                .run(&["annotate", "--overwrite", "namespace", &namespace, &look])
                .await?;
        }
        Ok(())
    }

    async fn unhold(&self, kinds: &str, namespace: &str) -> Result<()> {
        for object in self.kubectl.list(kinds, namespace, "").await? {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if object.pointer("/metadata/finalizers").is_some() {
                let kind = format!("{}.headgate.dev", text("/kind").to_lowercase());
                let none = json!({"metadata": {"finalizers": null}});
                self.kubectl
                    .patch(&kind, namespace, text("/metadata/name"), &none)
                    .await?;
            }
        }
        Ok(())
    }

    /// The scenarios' namespaces.
    pub(super) async fn namespaces(&self) -> Result<Vec<String>> {
        let path = r#"jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}"#;
        let listed = self
            .kubectl
            .run(&["get", "namespaces", "-l", LABEL, "-o", path])
            .await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// The kinds of the API, as kubectl takes them; empty when none is installed.
    pub(super) async fn kinds(&self) -> Result<String> {
        let args = [
            "api-resources",
            "--api-group=headgate.dev",
            "--namespaced",
            "-o",
            "name",
        ];
        let kinds = self.kubectl.run(&args).await?;
        Ok(kinds.lines().collect::<Vec<_>>().join(","))
    }
}

/// What a scenario runs in.
#[derive(Debug)]
pub struct Context {
    /// The cluster.
    pub cluster: Cluster,
    /// kubectl, as in the cluster.
    pub kubectl: Kubectl,
    /// helm, as in the cluster.
    pub helm: Helm,
    /// The scenario's own namespace.
    pub namespace: String,
}

impl Context {
    pub(super) async fn new(cluster: &Cluster, scenario: &str) -> Result<Self> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let namespace = format!("e2e-{}-{}", scenario.replace('_', "-"), id.get(..4).unwrap_or_default());
        Self::in_namespace(cluster, namespace).await
    }

    /// For `cargo demo --cluster`, which is no scenario and cleans up like one.
    pub(crate) async fn of_demo(cluster: &Cluster) -> Result<Self> {
        cluster.clear().await?;
        Self::in_namespace(cluster, "headgate-demo".to_owned()).await
    }

    async fn in_namespace(cluster: &Cluster, namespace: String) -> Result<Self> {
        let context = Self {
            kubectl: cluster.kubectl.clone(),
            helm: cluster.helm.clone(),
            cluster: cluster.clone(),
            namespace,
        };
        context.create_namespace(&context.namespace).await?;
        Ok(context)
    }

    /// Makes another namespace, which goes with the scenario as its own does.
    pub async fn another_namespace(&self, suffix: &str) -> Result<String> {
        let name = format!("{}-{suffix}", self.namespace);
        self.create_namespace(&name).await?;
        Ok(name)
    }

    /// A pod is refused until its namespace has its service account.
    async fn create_namespace(&self, name: &str) -> Result<()> {
        self.kubectl.run(&["create", "namespace", name]).await?;
        self.kubectl.run(&["label", "namespace", name, LABEL]).await?;
        let look = async || self.kubectl.get("serviceaccount", Some(name), "default").await;
        eventually(
            Duration::from_secs(20),
            "the namespace has its default service account",
            look,
        )
        .await
        .map(drop)
    }

    /// Applies manifests in the scenario's namespace.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl.apply(&self.namespace, yaml).await
    }

    /// One object of the scenario's namespace.
    pub async fn get(&self, kind: &str, name: &str) -> Result<serde_json::Value> {
        self.kubectl.get(kind, Some(&self.namespace), name).await
    }

    /// Refuses every pod of the scenario's namespace that does not meet the restricted Pod Security Standard.
    pub async fn restrict_pods(&self) -> Result<()> {
        let enforce = "pod-security.kubernetes.io/enforce=restricted";
        self.kubectl
            .run(&["label", "namespace", &self.namespace, enforce])
            .await
            .map(drop)
    }
}
