//! What users write: namespaces, servers, keys, endpoints, and edits of keys.

use super::Scale;
use super::pod::edit;
use super::waits::Waits;
use crate::error::{Error, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use headgate_api::{HookEndpoint, MediaServer, StreamKey};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Requests at one time.
const AT_ONCE: usize = 24;

/// The names of everything, by numbers.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a>(pub &'a Scale);

impl Names<'_> {
    fn spaces(self) -> usize {
        self.0.namespaces.max(1)
    }

    /// The namespace of a server.
    pub fn namespace(self, server: usize) -> String {
        format!("scale-{}", server.checked_rem(self.spaces()).unwrap_or(0))
    }

    /// A key's server.
    pub fn server_of(self, key: usize) -> usize {
        key.checked_rem(self.0.servers.max(1)).unwrap_or(0)
    }

    /// A key.
    pub fn key(key: usize) -> String {
        format!("key-{key}")
    }
}

/// Makes everything.
pub async fn create(client: &Client, scale: &Scale) -> Result<()> {
    let names = Names(scale);
    for space in 0..names.spaces() {
        let name = names.namespace(space);
        let made = json!({ "metadata": { "name": name } });
        let api: Api<Namespace> = Api::all(client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(made)?)
            .await
            .map_err(|e| failed(&e))?;
        // A pod is refused without it, and no controller runs that would make it.
        one::<ServiceAccount>(client, &name, json!({ "metadata": { "name": "default" } })).await?;
    }
    let server = |n: usize| {
        (
            names.namespace(n),
            json!({ "metadata": { "name": format!("s{n}") }, "spec": {} }),
        )
    };
    many::<MediaServer>(client, (0..scale.servers).map(server)).await?;
    many::<StreamKey>(client, (0..scale.keys).map(|n| key(names, n))).await?;
    many::<HookEndpoint>(client, (0..scale.hooks).map(|n| hook(names, n))).await
}

fn key(names: Names<'_>, number: usize) -> (String, Value) {
    let (server, name) = (names.server_of(number), Names::key(number));
    let spec = json!({
        "serverRefs": [{ "name": format!("s{server}") }],
        "stream": { "app": "live", "name": format!("room-{number}-*") },
        "permissions": ["Publish"],
        "secretRef": { "name": format!("{name}-secret"), "key": "key" },
    });
    (
        names.namespace(server),
        json!({ "metadata": { "name": name }, "spec": spec }),
    )
}

/// Each is for two servers of one namespace.
fn hook(names: Names<'_>, number: usize) -> (String, Value) {
    let first = number
        .saturating_mul(2)
        .checked_rem(names.0.servers.max(1))
        .unwrap_or(0);
    let second = first.saturating_add(names.spaces());
    let servers = [first, second].into_iter().filter(|n| *n < names.0.servers);
    let servers: Vec<Value> = servers.map(|n| json!({ "name": format!("s{n}") })).collect();
    let spec = json!({
        "serverRefs": servers,
        "dialect": "SRS",
        "urls": [format!("http://backend-{number}.example.org:8085/api/v1/streams")],
        "events": ["Publish", "Unpublish", "Play", "Stop"],
    });
    (
        names.namespace(first),
        json!({ "metadata": { "name": format!("hook-{number}") }, "spec": spec }),
    )
}

/// Changes a key, and awaits the change in its pod.
pub async fn change(client: &Client, names: Names<'_>, key: usize, limit: u32, awaited: &Waits) -> Result<()> {
    let (namespace, name) = (names.namespace(names.server_of(key)), Names::key(key));
    let keys: Api<StreamKey> = Api::namespaced(client.clone(), &namespace);
    awaited.expect(edit(&namespace, &name, limit));
    let patch = Patch::Merge(json!({ "spec": { "maxPublishers": limit } }));
    let changed = keys.patch(&name, &PatchParams::default(), &patch).await;
    changed.map(drop).map_err(|e| failed(&e))
}

async fn many<K>(client: &Client, objects: impl Iterator<Item = (String, Value)>) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    stream::iter(objects)
        .map(|(namespace, object)| async move { one::<K>(client, &namespace, object).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn one<K>(client: &Client, namespace: &str, mut object: Value) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".into(), K::api_version(&()).into());
        fields.insert("kind".into(), K::kind(&()).into());
    }
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let object = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object)
        .await
        .map(drop)
        .map_err(|e| failed(&e))
}

fn failed(error: &kube::Error) -> Error {
    Error::new(format!("the API server: {error}"))
}
