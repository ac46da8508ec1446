//! The keys of a server.

use super::{names, unsigned};
use crate::{Secrets, hash_key, validate_key};
use headgate_api as api;
use headgate_control as control;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The keys that are good on a server, and the names of those that are meant for it and are not: a Secret that is written anew is gone for a moment, and
/// nobody is to be cut by that.
pub(super) fn stream_keys<'a>(
    server: &str,
    keys: impl IntoIterator<Item = &'a api::StreamKey>,
    secrets: &dyn Secrets,
) -> (Vec<control::StreamKey>, Vec<String>) {
    let (mut good, mut idle) = (Vec::new(), Vec::new());
    let meant =
        |key: &&api::StreamKey| key.metadata.deletion_timestamp.is_none() && names(&key.spec.server_refs, server);
    for key in keys.into_iter().filter(meant) {
        match stream_key(key, secrets) {
            Some(key) => good.push(key),
            None => idle.extend(key.metadata.name.clone()),
        }
    }
    (good, idle)
}

fn stream_key(key: &api::StreamKey, secrets: &dyn Secrets) -> Option<control::StreamKey> {
    let spec = &key.spec;
    validate_key(spec).ok()?;
    Some(control::StreamKey {
        name: key.metadata.name.clone()?,
        pattern: control::StreamPattern {
            vhost: spec.stream.vhost.clone(),
            app: spec.stream.app.clone(),
            stream: spec.stream.name.clone(),
        },
        permissions: spec.permissions.iter().map(|p| permission(*p)).collect(),
        hash: hash_key(secrets, &spec.secret_ref.name, &spec.secret_ref.key).ok()?,
        previous: Vec::new(),
        placements: spec.placements.iter().map(|p| placement(*p)).collect(),
        query_parameter: spec.query_parameter.clone(),
        not_before: spec.not_before.as_ref().map(timestamp),
        not_after: spec.not_after.as_ref().map(timestamp),
        allowed_cidrs: spec.allowed_cidrs.iter().filter_map(|c| c.parse().ok()).collect(),
        max_publishers: spec.max_publishers.map(unsigned),
        suspended: spec.suspend,
    })
}

fn permission(from: api::Permission) -> control::Permission {
    match from {
        api::Permission::Publish => control::Permission::Publish,
        api::Permission::Play => control::Permission::Play,
    }
}

fn placement(from: api::Placement) -> control::Placement {
    match from {
        api::Placement::Query => control::Placement::Query,
        api::Placement::StreamName => control::Placement::StreamName,
    }
}

fn timestamp(time: &Time) -> jiff::Timestamp {
    time.0
}
