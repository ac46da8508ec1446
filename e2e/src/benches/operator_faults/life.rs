//! One life of a media server, as its users have it: made, published to, changed, scaled, rolled out, deleted.

use super::census::{Census, remains};
use crate::benches::operator_scale::fleet::Fleet;
use crate::benches::operator_scale::pod::Played;
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::eventually;
use headgate_api::{HookEndpoint, MediaServer, Stream, StreamKey};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// From one step to its end, whatever goes wrong meanwhile.
const LIMIT: Duration = Duration::from_secs(90);
/// The server.
pub const SERVER: &str = "live";
const KEY: &str = "alice";
const HOOK: &str = "backend";

/// A life in a namespace of its own.
pub struct Life {
    /// As its user.
    pub client: Client,
    /// The played pods.
    pub fleet: Arc<Fleet>,
    /// The namespace.
    pub namespace: String,
}

impl Life {
    /// Lives it; what there was when all was at its fullest.
    pub async fn run(&self) -> Result<Census> {
        self.made().await.context("making it")?;
        let first = self.only_pod()?;
        let session = first.publish("alice");
        self.shown("alice").await.context("publishing to it")?;
        self.changed().await.context("changing it")?;
        self.scaled().await.context("scaling it")?;
        self.rolled_out(&first).await.context("rolling it out")?;
        first.unpublish(session);
        self.settled(&first).await.context("after its publisher has ended")?;
        let census = Census::take(&self.client, &self.namespace).await?;
        self.deleted().await.context("deleting it")?;
        let cut = self.fleet.cut(&self.namespace);
        ensure!(cut.is_empty(), "publishers were cut: {cut:?}");
        Ok(census)
    }

    async fn made(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": self.namespace}}))?;
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        made.map_err(|e| failed(&e))?;
        // A pod is refused without it, and no controller runs that would make it.
        self.create::<ServiceAccount>("default", &Value::Null).await?;
        let refs = json!([{"name": SERVER}]);
        self.create::<MediaServer>(SERVER, &json!({})).await?;
        let key =
            json!({"serverRefs": refs, "stream": {"app": "live", "name": "*"}, "secretRef": {"name": "alice-key"}});
        self.create::<StreamKey>(KEY, &key).await?;
        let hook =
            json!({"serverRefs": refs, "dialect": "SRS", "urls": ["http://192.0.2.1:8085/"], "events": ["Publish"]});
        self.create::<HookEndpoint>(HOOK, &hook).await?;
        self.serving(1).await?;
        self.in_force().await
    }

    /// In the pods that serve, as it is now.
    async fn in_force(&self) -> Result<()> {
        eventually(LIMIT, "key and hook are in force", async || {
            let key: StreamKey = self.get(KEY).await?;
            let conditions = key.status.as_ref().map(|s| s.conditions.as_slice());
            says(&key, conditions.unwrap_or_default(), "Programmed")?;
            let hook: HookEndpoint = self.get(HOOK).await?;
            let conditions = hook.status.as_ref().map(|s| s.conditions.as_slice());
            says(&hook, conditions.unwrap_or_default(), "Programmed")
        })
        .await
    }

    async fn serving(&self, pods: i32) -> Result<()> {
        eventually(LIMIT, &format!("{pods} pods serve"), async || {
            let server: MediaServer = self.get(SERVER).await?;
            let status = server.status.as_ref().context("no status")?;
            says(&server, &status.conditions, "Ready")?;
            let (ready, updated) = (status.ready_replicas, status.updated_replicas);
            ensure!(ready == pods && updated == pods, "{ready} are ready, {updated} updated");
            Ok(())
        })
        .await
    }

    fn only_pod(&self) -> Result<Arc<Played>> {
        let mut pods = self.fleet.pods_in(&self.namespace);
        let pod = pods.pop().context("no pod is played")?;
        ensure!(pods.is_empty(), "{} pods more than one", pods.len());
        Ok(pod)
    }

    async fn shown(&self, stream: &str) -> Result<()> {
        eventually(LIMIT, "its Stream is shown", async || {
            let all = self.list::<Stream>().await?;
            let found = all.iter().find(|s| s.spec.name == stream).context("there is none")?;
            let status = found.status.as_ref().context("it says nothing")?;
            ensure!(status.publisher.is_some(), "it names no publisher");
            Ok(())
        })
        .await
    }

    async fn changed(&self) -> Result<()> {
        let limit = json!({"spec": {"maxPublishers": 7}});
        self.patch::<StreamKey>(KEY, &limit).await?;
        self.in_force().await
    }

    async fn scaled(&self) -> Result<()> {
        self.patch::<MediaServer>(SERVER, &json!({"spec": {"replicas": 2}}))
            .await?;
        self.serving(2).await?;
        self.in_force().await
    }

    /// All pods are new but the one with the publisher, which drains.
    async fn rolled_out(&self, busy: &Arc<Played>) -> Result<()> {
        let template = json!({"spec": {"podTemplate": {"metadata": {"annotations": {"example.com/version": "2"}}}}});
        self.patch::<MediaServer>(SERVER, &template).await?;
        self.serving(2).await?;
        eventually(
            LIMIT,
            "the old pods are gone but the one with the publisher",
            async || {
                let pods = self.fleet.pods_in(&self.namespace);
                ensure!(pods.len() == 3, "{} pods", pods.len());
                let stays = pods.iter().find(|p| Arc::ptr_eq(p, busy));
                let stays = stays.context("it is gone, too")?;
                ensure!(stays.is_draining(), "it was not told to drain");
                Ok(())
            },
        )
        .await
    }

    /// The drained pod and its Stream are gone, and all says that it is well.
    async fn settled(&self, drained: &Arc<Played>) -> Result<()> {
        eventually(LIMIT, "the drained pod is gone", async || {
            let pods = self.fleet.pods_in(&self.namespace);
            ensure!(!pods.iter().any(|p| Arc::ptr_eq(p, drained)), "it is still there");
            let streams = self.list::<Stream>().await?.len();
            ensure!(streams == 0, "{streams} Streams are");
            let server: MediaServer = self.get(SERVER).await?;
            let status = server.status.as_ref().context("no status")?;
            let unwell: Vec<_> = status.conditions.iter().filter(|c| c.status != "True").collect();
            let passing = status.conditions.len() > 1;
            ensure!(
                unwell.is_empty() && !passing && status.pods.len() == 2,
                "{:?}",
                status.conditions
            );
            Ok(())
        })
        .await?;
        self.serving(2).await?;
        self.in_force().await
    }

    /// A publisher comes once more, everything is deleted, and nobody is cut for it.
    async fn deleted(&self) -> Result<()> {
        let pods = self.fleet.pods_in(&self.namespace);
        let pod = pods.first().context("no pod is played")?;
        let session = pod.publish("bob");
        self.shown("bob").await?;
        self.delete::<StreamKey>(KEY).await?;
        self.delete::<HookEndpoint>(HOOK).await?;
        self.delete::<MediaServer>(SERVER).await?;
        eventually(LIMIT, "only the pod with a publisher is left", async || {
            let left = self.fleet.pods_in(&self.namespace);
            ensure!(
                left.len() == 1 && left.iter().all(|p| Arc::ptr_eq(p, pod)),
                "{} pods are",
                left.len()
            );
            ensure!(pod.is_draining(), "it was not told to drain");
            Ok(())
        })
        .await?;
        pod.unpublish(session);
        eventually(LIMIT, "the server is gone, and nothing of it is left", async || {
            let servers = self.list::<MediaServer>().await?.len();
            ensure!(servers == 0, "the server is still there");
            let pods = self.fleet.pods_in(&self.namespace).len();
            ensure!(pods == 0, "{pods} pods are");
            let left = remains(&self.client, &self.namespace).await?;
            ensure!(left.is_empty(), "nobody would take away: {left:?}");
            Ok(())
        })
        .await
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn get<K: Kind>(&self, name: &str) -> Result<K> {
        self.api::<K>().get(name).await.map_err(|e| failed(&e))
    }

    async fn list<K: Kind>(&self) -> Result<Vec<K>> {
        let found = self.api::<K>().list(&kube::api::ListParams::default()).await;
        found.map(|list| list.items).map_err(|e| failed(&e))
    }

    async fn create<K: Kind>(&self, name: &str, spec: &Value) -> Result<()> {
        let mut object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}});
        if let (Some(fields), false) = (object.as_object_mut(), spec.is_null()) {
            fields.insert("spec".into(), spec.clone());
        }
        let object = serde_json::from_value(object)?;
        let made = self.api::<K>().create(&PostParams::default(), &object).await;
        made.map(drop).map_err(|e| failed(&e))
    }

    async fn patch<K: Kind>(&self, name: &str, merge: &Value) -> Result<()> {
        let patched = self
            .api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(merge))
            .await;
        patched.map(drop).map_err(|e| failed(&e))
    }

    async fn delete<K: Kind>(&self, name: &str) -> Result<()> {
        let deleted = self.api::<K>().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(|e| failed(&e))
    }
}

/// What users write.
pub trait Kind:
    Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// A condition is True for the object as it is now.
fn says(object: &impl Resource, conditions: &[Condition], kind: &str) -> Result<()> {
    let found = conditions.iter().find(|c| c.type_ == kind);
    let found = found.context(format_args!("no condition {kind}"))?;
    let now = found.observed_generation == object.meta().generation;
    ensure!(
        now && found.status == "True",
        "{} {}: {} {}",
        object.name_any(),
        kind,
        found.reason,
        found.message
    );
    Ok(())
}

fn failed(error: &kube::Error) -> Error {
    Error::new(format!("the API server: {error}"))
}
