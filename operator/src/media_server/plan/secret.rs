//! The Secrets of a server: its CA, and what its pods mount.

use super::{KEYS_FILE, stamped};
use crate::names::{self, SECRET_LABEL, SecretUse};
use crate::tls::{CA, CERTIFICATE, KEY, Pair};
use headgate_api::MediaServer;
use headgate_control::{CONFIG_FILE, SEAL_FILE};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

/// The key with which pods seal what they leave behind: as it stands in one of both Secrets, else a new one. It is kept in both, so
/// that neither takes it along when somebody deletes it.
pub fn seal(authority: Option<&Secret>, pod: Option<&Secret>) -> String {
    let known = [authority, pod].into_iter().flatten().find_map(seal_in);
    known.unwrap_or_else(|| hex::encode(rand::random::<[u8; SEAL_BYTES]>()))
}

fn seal_in(secret: &Secret) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get(SEAL_FILE)?.0;
    let good = hex::decode(bytes).is_ok_and(|key| key.len() == SEAL_BYTES);
    String::from_utf8(bytes.clone()).ok().filter(|_| good)
}

/// `<name>-ca`.
pub fn authority_secret(server: &MediaServer, authority: &Pair, seal: &str) -> Secret {
    let name = names::authority_secret(&server.name_any());
    let entries = [
        (CERTIFICATE, authority.certificate.as_str()),
        (KEY, &authority.key),
        (SEAL_FILE, seal),
    ];
    let entries = entries.map(|(entry, text)| (entry, text.to_owned().into_bytes()));
    secret(server, name, SecretUse::Authority, "kubernetes.io/tls", entries)
}

/// `<name>-pod`: the configuration that a pod starts from, its certificate, the CA whose client it answers, and the seal.
/// `keys` is for the operator itself: see [`super::keys_file`].
pub fn pod_secret(
    server: &MediaServer,
    (config, keys): (&[u8], Option<Vec<u8>>),
    certificate: &Pair,
    authority: &Pair,
    seal: &str,
) -> Secret {
    let name = names::pod_secret(&server.name_any());
    let entries = [
        (CONFIG_FILE, config.to_vec()),
        (CERTIFICATE, certificate.certificate.clone().into_bytes()),
        (KEY, certificate.key.clone().into_bytes()),
        (CA, authority.certificate.clone().into_bytes()),
        (SEAL_FILE, seal.to_owned().into_bytes()),
    ];
    let entries = entries.into_iter().chain(keys.map(|keys| (KEYS_FILE, keys)));
    secret(server, name, SecretUse::Pod, "Opaque", entries)
}

/// Bytes of the seal.
const SEAL_BYTES: usize = 32;

fn secret<'a>(
    server: &MediaServer,
    name: String,
    used: SecretUse,
    kind: &str,
    entries: impl IntoIterator<Item = (&'a str, Vec<u8>)>,
) -> Secret {
    let mut metadata = names::child(server, name);
    let label: &'static str = used.into();
    metadata
        .labels
        .get_or_insert_default()
        .insert(SECRET_LABEL.into(), label.into());
    let data = entries
        .into_iter()
        .map(|(entry, bytes)| (entry.to_owned(), ByteString(bytes)));
    stamped(Secret {
        metadata,
        data: Some(data.collect()),
        type_: Some(kind.into()),
        ..Secret::default()
    })
}
