//! Every name that the operator gives or looks for, in one place: labels, annotations, finalizers, children.
//! Streams are named by `headgate_resolve::stream_object_name`, alike in and out of a cluster.

use headgate_api::MediaServer;
use headgate_control::SESSIONS_PATH;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;
use std::fmt;

/// Field manager of everything the operator applies.
pub const FIELD_MANAGER: &str = "headgate.dev/operator";
/// Says which server a child belongs to.
pub const SERVER_LABEL: &str = "headgate.dev/server";
/// Hash of the template that a pod was made from.
pub const REVISION_LABEL: &str = "headgate.dev/revision";
/// On every Secret that the operator watches, with what it is for: [`SecretUse`].
pub const SECRET_LABEL: &str = "headgate.dev/secret";
/// Hash of what was applied last, so that an unchanged child costs no write.
pub const APPLIED_ANNOTATION: &str = "headgate.dev/applied";
/// On a Stream whose publisher is cut when it is deleted.
pub const KICK_FINALIZER: &str = "headgate.dev/kick";
/// On a Stream: what another pod of the server needs to send the publisher's closing events if its own is lost. For machines alone, so it is not among
/// what the Stream says.
pub const SEALED_ANNOTATION: &str = "headgate.dev/sealed-session";
/// On a MediaServer, so that its pods can drain before the garbage collector takes them.
pub const DRAIN_FINALIZER: &str = "headgate.dev/drain";
/// On a pod that drains: when its last publisher is cut, RFC 3339. The one place where it is written down.
pub const DRAIN_ANNOTATION: &str = "headgate.dev/drain-deadline";
/// On a MediaServer that is being deleted: `"true"` is not to wait for publishers.
pub const FORCE_ANNOTATION: &str = "headgate.dev/force-delete";
/// `"true"` on a pod that has publishers; its server's PodDisruptionBudget selects it.
pub const LIVE_LABEL: &str = "headgate.dev/live";
/// Says that the operator made an object.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "headgate-operator");

/// What a watched Secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum SecretUse {
    /// The CA of a server.
    Authority,
    /// What a server's pods mount.
    Pod,
    /// The key of a StreamKey.
    StreamKey,
    /// The certificate of a listener.
    Listener,
    /// What a HookEndpoint refers to.
    HookEndpoint,
}

impl SecretUse {
    /// Whether this label says that users made the Secret for objects of theirs: only those may be used for them, never our own certificates.
    pub fn is_of_users(label: Option<&str>) -> bool {
        let named: [&str; 3] = [Self::StreamKey.into(), Self::HookEndpoint.into(), Self::Listener.into()];
        label.is_some_and(|label| named.contains(&label))
    }
}

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// From its parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of an object.
    pub fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self::new(
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        )
    }

    /// Another name in the same namespace.
    pub fn sibling(&self, name: impl Into<String>) -> Self {
        Self::new(self.namespace.clone(), name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Secret with the server's CA.
pub fn authority_secret(server: &str) -> String {
    format!("{server}-ca")
}

/// The Secret that the pods mount.
pub fn pod_secret(server: &str) -> String {
    format!("{server}-pod")
}

/// The headless Service of the pods.
pub fn headless_service(server: &str) -> String {
    format!("{server}-pods")
}

/// The PodDisruptionBudget of the pods that have publishers.
pub fn budget(server: &str) -> String {
    format!("{server}-publishers")
}

/// The pod with an ordinal.
pub fn pod(server: &str, ordinal: usize) -> String {
    format!("{server}-{ordinal}")
}

/// The ordinal in a pod's name.
pub fn ordinal(server: &str, pod: &str) -> Option<usize> {
    pod.strip_prefix(server)?.strip_prefix('-')?.parse().ok()
}

/// Labels that select a server's pods. Never change: a Service's selector and an autoscaler hold on to them.
pub fn selector(server: &str) -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/component", "media-pod"), (SERVER_LABEL, server)];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Labels of every child of a server.
pub fn labels(server: &str) -> BTreeMap<String, String> {
    let pairs = [
        ("app.kubernetes.io/name", "headgate-media-pod"),
        ("app.kubernetes.io/instance", server),
        ("app.kubernetes.io/part-of", "headgate"),
        MANAGED_BY,
        (SERVER_LABEL, server),
    ];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Metadata of a child of a server.
pub fn child(server: &MediaServer, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: server.namespace(),
        labels: Some(labels(&server.name_any())),
        owner_references: Some(vec![owner(server)]),
        ..ObjectMeta::default()
    }
}

/// Makes the garbage collector take a child away with its owner. Does not block the owner's deletion, which would need a
/// permission of its own.
pub fn owner<K: Resource<DynamicType = ()>>(object: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Whether `child` is owned by the object with that UID.
pub fn is_owned_by(child: &impl Resource, uid: &str) -> bool {
    let owners = child.meta().owner_references.as_deref().unwrap_or_default();
    owners.iter().any(|o| o.uid == uid)
}

/// The label's value, if there.
pub fn label<'a>(object: &'a impl Resource, name: &str) -> Option<&'a str> {
    object.meta().labels.as_ref()?.get(name).map(String::as_str)
}

/// The annotation's value, if there.
pub fn annotation<'a>(object: &'a impl Resource, name: &str) -> Option<&'a str> {
    object.meta().annotations.as_ref()?.get(name).map(String::as_str)
}

/// Path on the control port that names a session.
pub fn session_path(session: &str) -> String {
    format!("{SESSIONS_PATH}/{session}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinal_is_read_back_from_its_pod() {
        assert_eq!(ordinal("live", &pod("live", 7)), Some(7));
        assert_eq!(ordinal("live", "live-pods"), None);
        assert_eq!(ordinal("live", "other-1"), None);
    }
}
