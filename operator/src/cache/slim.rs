//! What of an object is kept: less than half of one is ever read again, and tens of thousands are.

use crate::names::{APPLIED_ANNOTATION, DRAIN_ANNOTATION, SEALED_ANNOTATION, SECRET_LABEL, SecretUse, label};
use crate::node::slim_node;
use headgate_api::{HookEndpoint, MediaServer, Stream, StreamKey};
use headgate_control::CONFIG_FILE;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, PodSpec, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Resource, ResourceExt};
use sha2::{Digest as _, Sha256};

/// A whole copy of what `kubectl apply` was given.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Before the digest that stands for something long.
const DIGEST: &[u8] = b"sha256:";
const TEXT_DIGEST: &str = "sha256:";

/// A kind of which less is kept than there is.
pub trait Slim: Resource {
    /// Takes off what nobody reads. What it leaves it leaves again.
    fn slim(&mut self);
}

impl Slim for MediaServer {
    fn slim(&mut self) {
        common(self);
    }
}

impl Slim for StreamKey {
    fn slim(&mut self) {
        common(self);
    }
}

impl Slim for HookEndpoint {
    fn slim(&mut self) {
        common(self);
    }
}

/// What closes the session is long, and asked for only when its pod is lost: it is read then.
impl Slim for Stream {
    fn slim(&mut self) {
        self.annotations_mut().retain(|name, _| name == SEALED_ANNOTATION);
        for text in self.annotations_mut().values_mut() {
            *text = digest(text);
        }
        common(self);
        self.metadata.labels = None;
    }
}

impl Slim for Service {
    fn slim(&mut self) {
        common(self);
    }
}

impl Slim for PodDisruptionBudget {
    fn slim(&mut self) {
        common(self);
        self.status = None;
    }
}

impl Slim for Node {
    fn slim(&mut self) {
        slim_node(self);
        common(self);
    }
}

/// Only whether somebody has deleted it is asked for.
impl Slim for Namespace {
    fn slim(&mut self) {
        (self.spec, self.status) = (None, None);
        (self.metadata.labels, self.metadata.annotations) = (None, None);
        common(self);
    }
}

/// The spec of a pod is most of it, and nobody reads more of it again than the node.
impl Slim for Pod {
    fn slim(&mut self) {
        let node_name = self.spec.take().and_then(|s| s.node_name);
        self.spec = node_name.map(|name| PodSpec {
            node_name: Some(name),
            ..PodSpec::default()
        });
        self.annotations_mut().retain(|name, _| name == DRAIN_ANNOTATION);
        common(self);
    }
}

/// Of a pod's configuration the digest tells whether it is as it should be.
impl Slim for Secret {
    fn slim(&mut self) {
        self.annotations_mut().retain(|name, _| name == APPLIED_ANNOTATION);
        if label(self, SECRET_LABEL) == Some(SecretUse::StreamKey.into()) {
            self.metadata.owner_references = None;
            self.metadata
                .labels
                .get_or_insert_default()
                .retain(|name, _| name == SECRET_LABEL);
        }
        let config = self.data.as_mut().and_then(|data| data.get_mut(CONFIG_FILE));
        if let Some(config) = config.filter(|c| !is_digest(&c.0)) {
            *config = ByteString([DIGEST, Sha256::digest(&config.0).as_slice()].concat());
        }
        common(self);
    }
}

/// What stands for a long text. The digest of a digest is the same.
pub fn digest(text: &str) -> String {
    if is_digest_text(text) {
        return text.to_owned();
    }
    let bytes = Sha256::digest(text);
    format!("{TEXT_DIGEST}{}", hex::encode(bytes.get(..16).unwrap_or_default()))
}

fn is_digest_text(text: &str) -> bool {
    let digits = text.strip_prefix(TEXT_DIGEST);
    digits.is_some_and(|d| d.len() == 32 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A configuration is JSON and begins in another way.
fn is_digest(bytes: &[u8]) -> bool {
    bytes
        .strip_prefix(DIGEST)
        .is_some_and(|rest| rest.len() == Sha256::output_size())
}

fn common(object: &mut impl Resource) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    meta.self_link = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
    meta.annotations = meta.annotations.take().filter(|a| !a.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::SERVER_LABEL;

    fn secret(used: SecretUse, entry: &str, text: &str) -> Secret {
        let mut secret = Secret::default();
        let used: &'static str = used.into();
        let labels = [(SECRET_LABEL, used), (SERVER_LABEL, "live")];
        secret.metadata.labels = Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        secret.metadata.annotations = Some([(APPLIED_ANNOTATION.to_owned(), "1".to_owned())].into());
        secret.data = Some([(entry.to_owned(), ByteString(text.into()))].into());
        secret
    }

    #[test]
    fn two_configurations_are_told_apart_by_what_is_kept_of_them_and_one_is_the_same_again() {
        let kept = |text: &str, times: usize| {
            let mut secret = secret(SecretUse::Pod, CONFIG_FILE, text);
            (0..times).for_each(|_| secret.slim());
            secret
        };
        let long = "{}".repeat(1000);
        assert_eq!(kept(&long, 1), kept(&long, 2));
        assert_ne!(kept(&long, 1), kept("{}", 1));
        let bytes = kept(&long, 1).data.unwrap()[CONFIG_FILE].0.len();
        assert_eq!(bytes, DIGEST.len() + 32);
        assert_eq!(label(&kept(&long, 1), SERVER_LABEL), Some("live"));
    }

    #[test]
    fn a_key_is_kept_as_it_is() {
        let mut slim = secret(SecretUse::StreamKey, "key", "text");
        slim.slim();
        assert_eq!(slim.data, secret(SecretUse::StreamKey, "key", "text").data);
        assert_eq!(label(&slim, SECRET_LABEL), Some("stream-key"));
    }

    #[test]
    fn what_kubectl_remembers_is_not_kept_and_what_users_say_is() {
        let yaml = "{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {name: live, annotations: {headgate.dev/force-delete: 'true', kubectl.kubernetes.io/last-applied-configuration: x}}, spec: {}}";
        let mut server: MediaServer = serde_yaml::from_str(yaml).unwrap();
        server.slim();
        let left: Vec<&String> = server.annotations().keys().collect();
        assert_eq!(left, ["headgate.dev/force-delete"]);
    }
}
