//! The Secrets of a server: its CA, and what its pods mount.

use super::stamped;
use crate::names::{self, SECRET_LABEL, SecretUse};
use crate::tls::{CA, CERTIFICATE, KEY, Pair};
use headgate_api::MediaServer;
use headgate_control::CONFIG_FILE;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

/// `<name>-ca`.
pub fn authority_secret(server: &MediaServer, authority: &Pair) -> Secret {
    let name = names::authority_secret(&server.name_any());
    let entries = [(CERTIFICATE, &authority.certificate), (KEY, &authority.key)];
    let entries = entries.map(|(entry, text)| (entry, text.clone().into_bytes()));
    secret(server, name, SecretUse::Authority, "kubernetes.io/tls", entries)
}

/// `<name>-pod`: the configuration that a pod starts from, its certificate, and the CA whose client it answers.
pub fn pod_secret(server: &MediaServer, config: &[u8], certificate: &Pair, authority: &Pair) -> Secret {
    let name = names::pod_secret(&server.name_any());
    let entries = [
        (CONFIG_FILE, config.to_vec()),
        (CERTIFICATE, certificate.certificate.clone().into_bytes()),
        (KEY, certificate.key.clone().into_bytes()),
        (CA, authority.certificate.clone().into_bytes()),
    ];
    secret(server, name, SecretUse::Pod, "Opaque", entries)
}

fn secret<const N: usize>(
    server: &MediaServer,
    name: String,
    used: SecretUse,
    kind: &str,
    entries: [(&str, Vec<u8>); N],
) -> Secret {
    let mut metadata = names::child(server, name);
    let label: &'static str = used.into();
    metadata
        .labels
        .get_or_insert_default()
        .insert(SECRET_LABEL.into(), label.into());
    let data = entries.map(|(entry, bytes)| (entry.to_owned(), ByteString(bytes)));
    stamped(Secret {
        metadata,
        data: Some(data.into()),
        type_: Some(kind.into()),
        ..Secret::default()
    })
}
