//! The only way to the API server. Each call needs a grant of [`crate::rbac`]; each write needs the leader's claim, is bounded in
//! time and is counted.

use crate::lease::Claim;
use crate::metrics::Metrics;
use crate::names::{FIELD_MANAGER, ObjectKey};
use crate::rbac::may;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Another process may lead by now.
    #[error("not written: this process does not lead any more")]
    NotLeader,
    /// No answer within [`CALL_TIMEOUT`].
    #[error("the API server did not answer within {CALL_TIMEOUT:?}")]
    Timeout,
    /// The API server said no.
    #[error("the API server answers {code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Its own words.
        message: String,
    },
    /// It was not reached, or its answer was not understood.
    #[error("the API server was not reached: {0}")]
    Transport(#[source] Box<kube::Error>),
}

impl ClusterError {
    /// PascalCase, bounded.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotLeader => "NotLeader",
            Self::Timeout => "ApiTimeout",
            Self::Refused { code: 403, .. } => "Forbidden",
            Self::Refused { code: 404, .. } => "NotFound",
            Self::Refused { code: 409, .. } => "Conflict",
            Self::Refused { code: 422, .. } => "Invalid",
            Self::Refused { code: 429, .. } => "TooManyRequests",
            Self::Refused { .. } => "ApiError",
            Self::Transport(_) => "ApiUnreachable",
        }
    }

    fn has_code(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// It is not there, or no longer.
    pub fn is_not_found(&self) -> bool {
        self.has_code(404)
    }

    /// It is there already, or it is another than was thought.
    pub fn is_conflict(&self) -> bool {
        self.has_code(409)
    }

    /// Trying again changes nothing until somebody changes a policy or the spec: forbidden, or invalid.
    pub fn is_verdict(&self) -> bool {
        self.has_code(403) || self.has_code(422)
    }
}

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused {
                code: status.code,
                message: status.message.clone(),
            },
            other => Self::Transport(Box::new(other)),
        }
    }
}

/// A kind that lives in namespaces and can be sent and read.
pub trait Namespaced:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync
{
}

impl<K> Namespaced for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
{
}

/// A kind that lives in no namespace and can be read.
pub trait Global: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned {}

impl<K> Global for K where K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned
{}

/// The way to the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    claim: Claim,
    metrics: Arc<Metrics>,
}

impl Cluster {
    /// Writes while `claim` holds.
    pub fn new(client: Client, claim: Claim, metrics: Arc<Metrics>) -> Self {
        Self { client, claim, metrics }
    }

    /// Reads one; `None` when it is not there.
    pub async fn get<K: Namespaced + may::Get>(&self, key: &ObjectKey) -> Result<Option<K>, ClusterError> {
        bounded(self.api::<K>(&key.namespace).get_opt(&key.name)).await
    }

    /// Reads one that lives in no namespace.
    pub async fn global_get<K: Global + may::Get>(&self, name: &str) -> Result<Option<K>, ClusterError> {
        bounded(Api::<K>::all(self.client.clone()).get_opt(name)).await
    }

    /// All of a namespace that have these labels; of all namespaces when it is empty.
    pub async fn list<K: Namespaced + may::List>(&self, namespace: &str, labels: &str) -> Result<Vec<K>, ClusterError> {
        let api = if namespace.is_empty() {
            Api::all(self.client.clone())
        } else {
            self.api::<K>(namespace)
        };
        let found = bounded(api.list(&ListParams::default().labels(labels))).await;
        found.map(|list| list.items)
    }

    /// Has it no replicas any more. One that is gone already is fine.
    pub async fn stop<K: Namespaced + may::Scale>(&self, key: &ObjectKey) -> Result<(), ClusterError> {
        let api = self.api::<K>(&key.namespace);
        let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
        let params = PatchParams::default();
        match self
            .write::<K, _>("scale", key, api.patch_scale(&key.name, &params, &none))
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes one.
    pub async fn create<K: Namespaced + may::Create>(&self, object: &K) -> Result<K, ClusterError> {
        let key = ObjectKey::of(object);
        let api = self.api::<K>(&key.namespace);
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        self.write::<K, _>("create", &key, api.create(&params, object)).await
    }

    /// Server-side apply. `force` takes over fields that another manager holds: only for an object that is known to be ours.
    pub async fn apply<K: Namespaced + may::Apply>(&self, object: &K, force: bool) -> Result<K, ClusterError> {
        let key = ObjectKey::of(object);
        let params = PatchParams {
            force,
            ..PatchParams::apply(FIELD_MANAGER)
        };
        let api = self.api::<K>(&key.namespace);
        self.write::<K, _>("apply", &key, api.patch(&key.name, &params, &Patch::Apply(object)))
            .await
    }

    /// Merges `patch` into one that is there.
    pub async fn patch<K: Namespaced + may::Patch>(&self, key: &ObjectKey, patch: Value) -> Result<K, ClusterError> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let api = self.api::<K>(&key.namespace);
        self.write::<K, _>("patch", key, api.patch(&key.name, &params, &Patch::Merge(patch)))
            .await
    }

    /// Replaces the status. The UID keeps a status of an object that is gone from one that came after it under its name.
    pub async fn apply_status<K: Namespaced + may::ApplyStatus>(
        &self,
        key: &ObjectKey,
        uid: &str,
        status: &impl Serialize,
    ) -> Result<K, ClusterError> {
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": { "name": key.name, "namespace": key.namespace, "uid": uid },
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api::<K>(&key.namespace);
        self.write::<K, _>(
            "apply_status",
            key,
            api.patch_status(&key.name, &params, &Patch::Apply(patch)),
        )
        .await
    }

    /// Replaces one that is there, if it is still as it was read.
    pub async fn update<K: Namespaced + may::Update>(&self, object: &K) -> Result<K, ClusterError> {
        let key = ObjectKey::of(object);
        let api = self.api::<K>(&key.namespace);
        self.write::<K, _>("update", &key, api.replace(&key.name, &PostParams::default(), object))
            .await
    }

    /// Takes one away, only if it is still the one with that UID; another under its name is a conflict. One that is gone already is fine.
    pub async fn delete<K: Namespaced + may::Delete>(&self, key: &ObjectKey, uid: &str) -> Result<(), ClusterError> {
        self.timed_delete::<K>(key, uid, None).await
    }

    /// The same; a pod has so many seconds to end, or as many as its spec says.
    pub async fn timed_delete<K: Namespaced + may::Delete>(
        &self,
        key: &ObjectKey,
        uid: &str,
        grace_period_seconds: Option<u32>,
    ) -> Result<(), ClusterError> {
        let params = DeleteParams {
            grace_period_seconds,
            preconditions: Some(Preconditions {
                uid: Some(uid.into()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let api = self.api::<K>(&key.namespace);
        match self.write::<K, _>("delete", key, api.delete(&key.name, &params)).await {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }

    fn api<K: Namespaced>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn write<K: Namespaced, T>(
        &self,
        verb: &'static str,
        key: &ObjectKey,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterError> {
        if !self.claim.holds() {
            return Err(ClusterError::NotLeader);
        }
        self.metrics.api_writes.with_label_values(&[&*K::kind(&()), verb]).inc();
        tracing::debug!(kind = %K::kind(&()), %key, verb, "writing");
        bounded(call).await
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ClusterError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ClusterError::Timeout),
    }
}

/// Whether every field of `wanted` is in `live` with the same value. Fields that the API server or others added do not matter.
pub fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, value)| live.get(name).is_some_and(|l| covers(l, value))),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(l, w)| covers(l, w))
        }
        _ => live == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_added_does_not_matter_and_what_was_edited_does() {
        let wanted = json!({"spec": {"ports": [{"port": 1935}], "type": "ClusterIP"}});
        let cases = [
            (
                json!({"spec": {"ports": [{"port": 1935, "protocol": "TCP"}], "type": "ClusterIP", "clusterIP": "10.0.0.1"}}),
                true,
            ),
            (json!({"spec": {"ports": [{"port": 1936}], "type": "ClusterIP"}}), false),
            (
                json!({"spec": {"ports": [{"port": 1935}, {"port": 1}], "type": "ClusterIP"}}),
                false,
            ),
            (json!({"spec": {"type": "ClusterIP"}}), false),
        ];
        for (live, same) in cases {
            assert_eq!(covers(&live, &wanted), same, "{live}");
        }
    }
}
