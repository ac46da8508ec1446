//! What is there, without all that differs from one life to the next.

use super::life::Kind;
use crate::error::{Error, Result};
use headgate_api::{HookEndpoint, MediaServer, Stream, StreamKey};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Every object in a line, sorted.
#[derive(Debug, PartialEq, Eq)]
pub struct Census(Vec<String>);

impl Census {
    /// Of a namespace.
    pub async fn take(client: &Client, namespace: &str) -> Result<Self> {
        let mut lines: Vec<String> = all(client, namespace).await?.iter().map(line).collect();
        lines.sort();
        Ok(Self(lines))
    }

    /// What only one of two has.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let only = |a: &Self, b: &Self, sign| -> Vec<String> {
            let missing = a.0.iter().filter(|line| !b.0.contains(line));
            missing.map(|line| format!("{sign} {line}")).collect()
        };
        let mut found = [only(self, other, '-'), only(other, self, '+')].concat();
        if found.is_empty() && self != other {
            found.push(format!("{} objects instead of {}", other.0.len(), self.0.len()));
        }
        found
    }
}

/// What would stay for ever: what belongs to nobody, or to something that is still there. A garbage collector takes the rest.
pub async fn remains(client: &Client, namespace: &str) -> Result<Vec<String>> {
    let all = all(client, namespace).await?;
    let text = |object: &Value, at: &str| {
        object
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let there: BTreeSet<String> = all.iter().map(|o| text(o, "/metadata/uid")).collect();
    let stays = |o: &&Value| {
        let owners = o.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owners = owners.map(Vec::as_slice).unwrap_or_default();
        owners.is_empty() || owners.iter().any(|owner| there.contains(&text(owner, "/uid")))
    };
    let name = |o: &Value| format!("{} {}", text(o, "/kind"), text(o, "/metadata/name"));
    Ok(all.iter().filter(stays).map(name).collect())
}

async fn all(client: &Client, namespace: &str) -> Result<Vec<Value>> {
    let mut all = list::<MediaServer>(client, namespace).await?;
    all.extend(list::<StreamKey>(client, namespace).await?);
    all.extend(list::<HookEndpoint>(client, namespace).await?);
    all.extend(list::<Stream>(client, namespace).await?);
    all.extend(list::<Pod>(client, namespace).await?);
    all.extend(list::<Service>(client, namespace).await?);
    all.extend(list::<Secret>(client, namespace).await?);
    all.extend(list::<PodDisruptionBudget>(client, namespace).await?);
    Ok(all)
}

async fn list<K: Kind>(client: &Client, namespace: &str) -> Result<Vec<Value>> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let found = api.list(&ListParams::default()).await;
    let found = found.map_err(|error| Error::new(format!("the API server: {error}")))?;
    let one = |object: &K| {
        let mut value = serde_json::to_value(object)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("kind".into(), K::kind(&()).into());
        }
        Ok(value)
    };
    found.items.iter().map(one).collect()
}

/// Kind and name, owners, labels, finalizers, conditions, and of what it wants all that is the same in each life. Which ordinals pods
/// have depends on when which of them was ready.
fn line(object: &Value) -> String {
    let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    let kind = at("/kind");
    let name = if kind == "Pod" {
        Value::Null
    } else {
        at("/metadata/name")
    };
    let list = |pointer: &str| at(pointer).as_array().cloned().unwrap_or_default();
    let pick = |pointer: &str, fields: &[&str]| -> Vec<Value> {
        let of = |o: &Value| fields.iter().map(|f| o.get(*f).cloned().unwrap_or_default()).collect();
        list(pointer).iter().map(of).collect()
    };
    let entries = at("/data")
        .as_object()
        .map(|data| data.keys().cloned().collect::<Vec<_>>());
    json!({
        "kind": kind,
        "name": name,
        "owners": pick("/metadata/ownerReferences", &["kind", "name", "controller"]),
        "labels": at("/metadata/labels"),
        "drains": at("/metadata/annotations/headgate.dev~1drain-deadline"),
        "finalizers": at("/metadata/finalizers"),
        "conditions": if kind == "Pod" { vec![] } else { pick("/status/conditions", &["type", "status", "reason"]) },
        "replicas": at("/status/replicas"),
        "entries": entries,
        "ports": pick("/spec/ports", &["name", "port", "targetPort"]),
        "selector": at("/spec/selector"),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lives_are_alike_whatever_their_pods_are_called_and_not_when_one_has_lost_something() {
        let pod = |name: &str, server: &str| {
            line(
                &json!({"kind": "Pod", "metadata": {"name": name, "uid": name, "labels": {"headgate.dev/server": server}}}),
            )
        };
        let census = |lines: &[String]| Census(lines.to_vec());
        let one = census(&[pod("live-0", "live"), pod("live-1", "live")]);
        assert!(
            one.differences(&census(&[pod("live-2", "live"), pod("live-1", "live")]))
                .is_empty()
        );
        assert_eq!(
            one.differences(&census(&[pod("live-0", "live")])),
            ["1 objects instead of 2"]
        );
        assert_eq!(
            one.differences(&census(&[pod("live-0", "live"), pod("live-1", "x")]))
                .len(),
            1
        );
    }
}
